"""PyTorch: exported programs, and modules of a person's own code with their weights; for a process of their own.

An exported program is opened by torch with its own parsers, which evaluate expressions; so it is code, and its process
is the boundary. Pickles and compiled libraries inside one are refused before torch sees them.
"""

from __future__ import annotations

import inspect
import json
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import MissingExtra, ModelFault, Refused
from keepfit.core.nouns import Bundle, Task
from keepfit.core.protocols import Predictor
from keepfit.core.signature import DType
from keepfit.serve.runtimes.code import entry_of
from keepfit.serve.runtimes.features import stacked
from keepfit.serve.runtimes.loaded import Arrays, Loaded, answered_by_model
from keepfit.serve.runtimes.python import check_reason
from keepfit.serve.wire.tables import numpy_type

_Feed = Callable[[Arrays], NDArray[Any]]


class Torch:
    """`model.pt2`, or `weights.pt` for what `entry` names in `code/`, a module or what makes one without arguments."""

    inline = False

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Open the model on one thread; Refused with the reason where it is damaged or not what the Bundle says."""
        try:
            import torch
        except ImportError as error:
            raise MissingExtra("torch", "torch") from error
        _one_thread(torch)
        feeds = _feeds(bundle)
        path = directory / "model.pt2"
        model = _exported(torch, path, bundle, len(feeds)) if path.is_file() else _module(torch, directory, bundle)
        return Loaded(bundle, _answer(torch, model, bundle, feeds), inline=False)


def _one_thread(torch: Any) -> None:
    torch.set_num_threads(1)
    if torch.get_num_interop_threads() != 1:
        try:
            torch.set_num_interop_threads(1)
        except RuntimeError:  # where something in this process has computed already; a child's first deed is loading
            return


def _exported(torch: Any, path: Path, bundle: Bundle, inputs: int) -> Any:
    _check_archive(path, bundle)
    try:
        program = torch.export.load(path)
        names = program.graph_signature.user_inputs
        shapes = [
            node.meta["val"].shape for node in program.graph.nodes if node.op == "placeholder" and node.name in names
        ]
        model = program.module()
    except Exception as error:
        raise Refused(f"{path.name} cannot be loaded: {type(error).__name__}: {error}", code="corrupt") from error
    if len(shapes) != inputs:
        raise Refused(f"the program takes {len(shapes)} inputs, the Bundle gives {inputs}", code="wrong_signature")
    fixed = [int(shape[0]) for shape in shapes if len(shape) and isinstance(shape[0], int)]
    if bundle.signature.batched and fixed:
        raise Refused(
            f"the program takes exactly {fixed[0]} records at a time; export it with a dynamic first dimension, "
            "or say in the Signature that it is not batched",
            code="wrong_signature",
        )
    return model


def _check_archive(path: Path, bundle: Bundle) -> None:
    """Refuse what torch would open as a pickle without a reason, and what it would load as a library."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            configs = [json.loads(archive.read(name)) for name in names if name.endswith("_config.json")]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Refused(f"{path.name} is no exported program, or was cut short: {error}", code="corrupt") from error
    if any("aotinductor" in name or name.endswith((".so", ".cubin")) for name in names):
        raise Refused(f"{path.name} holds compiled code; export the program without it", code="compiled_code")
    if not any(PurePosixPath(name).parts[-2:-1] == ("models",) for name in names):
        raise Refused(f"{path.name} is no archive of torch 2.9 or newer; export it again", code="removed_format")
    entries = [entry for config in configs for entry in (config.get("config") or {}).values()]
    if any(entry.get("use_pickle") for entry in entries):
        check_reason(bundle, f"part of {path.name}")


def _module(torch: Any, directory: Path, bundle: Bundle) -> Any:
    weights = directory / "weights.pt"
    if not bundle.entry or not weights.is_file():
        raise Refused("the Bundle has neither model.pt2 nor weights.pt with an entry", code="corrupt")
    made = entry_of(directory, bundle.entry)
    try:
        model: Any = made() if inspect.isclass(made) or not isinstance(made, torch.nn.Module) else made
        state = torch.load(weights, map_location="cpu", weights_only=True, mmap=False)
        model.load_state_dict(state)
        return model.eval()
    except Exception as error:
        raise Refused(
            f"weights.pt and entry '{bundle.entry}' cannot be loaded: {type(error).__name__}: {error}", code="corrupt"
        ) from error


def _feeds(bundle: Bundle) -> list[_Feed]:
    fields = {field.name: field for field in bundle.signature.inputs}
    if any(field.dtype is DType.BYTES for field in fields.values()):
        raise Refused("torch knows no text: an input is BYTES", code="wrong_signature")
    columns = bundle.columns or tuple((name, (name,)) for name in fields)
    if sorted(member for _, members in columns for member in members) != sorted(fields):
        raise Refused("the Bundle's columns are not the Signature's inputs", code="wrong_signature")
    feeds: list[_Feed] = []
    for name, members in columns:
        first = fields[members[0]]
        if len(members) == 1:
            feeds.append(_one(first.name, batched=bundle.signature.batched))
        elif any(fields[member].shape for member in members) or not bundle.signature.batched:
            raise Refused(f"input '{name}': tensors cannot be stacked beside each other", code="wrong_signature")
        else:
            feeds.append(stacked(members, numpy_type(first.dtype)))
    return feeds


def _one(name: str, *, batched: bool) -> _Feed:
    if batched:
        return lambda inputs: inputs[name]
    return lambda inputs: inputs[name].reshape(inputs[name].shape[1:])


def _answer(torch: Any, model: Any, bundle: Bundle, feeds: list[_Feed]) -> Callable[[Arrays], Arrays]:
    names = answered_by_model(bundle)
    lead = not bundle.signature.batched
    decided = bundle.task in (Task.BINARY, Task.MULTICLASS)

    def answer(inputs: Arrays) -> Arrays:
        with torch.inference_mode():
            found = model(*(torch.from_numpy(np.array(feed(inputs))) for feed in feeds))  # its own: it may write there
        arrays = _arrays(found, names, decided)
        return {name: values[np.newaxis] if lead else values for name, values in arrays.items()}

    return answer


def _arrays(found: Any, names: tuple[str, ...], decided: bool) -> Arrays:
    """Arrays by output name; a model that decides nothing leaves `prediction` out."""
    if isinstance(found, dict):
        return {str(name): values.numpy() for name, values in found.items()}
    listed = list(found) if isinstance(found, tuple | list) else [found]
    if decided and len(listed) == len(names) - 1:
        names = tuple(name for name in names if name != "prediction")
    if len(listed) != len(names):
        raise ModelFault(f"the model answered {len(listed)} tensors, expected {list(names)}")
    return {name: _plain(values, name) for name, values in zip(names, listed, strict=True)}


def _plain(values: Any, name: str) -> NDArray[Any]:
    found = np.asarray(values.numpy())
    narrow = name in ("prediction", "probability") and found.ndim == 2 and found.shape[1] == 1
    return found.reshape(-1) if narrow else found
