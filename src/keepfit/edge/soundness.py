"""Soundness: whether a directory is a Bundle and nothing else, told without loading anything of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from keepfit.core import registry
from keepfit.core.errors import NotFound, Refused
from keepfit.core.nouns import Bundle
from keepfit.edge.onboard.recognise import is_pickle
from keepfit.serve.manifest import manifest

OWN = frozenset({"bundle.json", "golden.parquet", "reference.parquet", "environment.lock", "card.md"})
"""Files that any Bundle may hold."""

PICKLED = "estimator.pickle"

MODELS: dict[str, frozenset[str]] = {
    "onnx": frozenset({"model.onnx"}),
    "sklearn": frozenset({"model.skops"}),
    "xgboost": frozenset({"model.ubj", "model.json"}),
    "lightgbm": frozenset({"model.txt"}),
    "torch": frozenset({"model.pt2", "weights.pt"}),
    "python": frozenset({PICKLED}),
    "mlflow": frozenset({"mlflow/MLmodel"}),
}
"""The model's own files, by Runtime; of several, one is there."""

_OPENS_PICKLES = frozenset({"python", "mlflow"})
_LARGEST_MANIFEST = 2**20


def require_sound(directory: Path, *, pickle: str = "", sender: str = "") -> Bundle:
    """The manifest; Refused names the first thing that is not as it says.

    Of what a `sender` gave, nothing the manifest claims lets a pickle in: only `pickle`, the reason of who takes it.
    """
    shown = sender or str(directory)
    if not directory.is_dir():
        raise NotFound(f"{shown}: no such folder")
    for path in sorted(directory.rglob("*")):
        if path.is_symlink():
            raise Refused(f"{shown}: {path.relative_to(directory)} is a symbolic link", code="symlink")
    path = directory / "bundle.json"
    if path.is_file() and path.stat().st_size > _LARGEST_MANIFEST:
        raise Refused(f"{shown}: its manifest has {path.stat().st_size} bytes", code="corrupt")
    bundle = manifest(directory)
    files = sorted(_files(directory))
    _check_files(bundle, files, shown)
    trained = bool(bundle.recipe) and not sender  # here, with the estimator that the next update starts from
    needed = bundle.runtime in _OPENS_PICKLES or trained or bool(pickle)
    explained = bool(pickle) or (not sender and bool(bundle.pickle or bundle.recipe))
    _check_pickles(directory, files, needed, explained, shown)
    _check_weights(directory, files, shown)
    return bundle


def _files(directory: Path) -> Iterator[str]:
    for path in directory.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(directory).as_posix()


def _check_files(bundle: Bundle, files: list[str], shown: str) -> None:
    if bundle.runtime not in registry.names("keepfit.runtimes"):
        known = ", ".join(registry.names("keepfit.runtimes"))
        raise Refused(f"{shown}: is for the runtime '{bundle.runtime}'; there are: {known}", code="unknown_runtime")
    models = MODELS.get(bundle.runtime, frozenset())
    if "golden.parquet" not in files:
        raise Refused(f"{shown}: has no golden examples, so nothing says that it answers rightly", code="no_golden")
    entered = bool(bundle.entry) and any(name.startswith("code/") for name in files)
    if models and not models & set(files) and not (entered and bundle.runtime == "python"):
        expected = " or ".join(sorted(models))
        raise Refused(
            f"{shown}: its manifest says '{bundle.runtime}', and there is no {expected}", code="missing_model"
        )
    foreign = [name for name in files if not _belongs(bundle, name, models)]
    if foreign:
        raise Refused(f"{shown}: holds files that are no part of it: {', '.join(foreign[:5])}", code="foreign_file")


def _belongs(bundle: Bundle, name: str, models: frozenset[str]) -> bool:
    if name in OWN or name in models or name == PICKLED:  # whose place is checked with the pickles
        return True
    folder = name.partition("/")[0]
    if folder == "code":
        return bool(bundle.entry) or bundle.runtime == "python"
    if bundle.runtime == "onnx":  # weights beside the graph
        return name.startswith("model.onnx")
    return folder == "mlflow" and bundle.runtime == "mlflow"


def _check_pickles(directory: Path, files: list[str], needed: bool, explained: bool, shown: str) -> None:
    for name in files:
        if not is_pickle(directory / name):
            continue
        if not needed:
            raise Refused(f"{shown}: {name} is a pickle, and its runtime needs none", code="hidden_pickle")
        if not explained:
            raise Refused(
                f"{shown}: {name} is a pickle, which may run anything, and nobody gave a reason for opening it",
                code="unexplained_pickle",
            )


def _check_weights(directory: Path, files: list[str], shown: str) -> None:
    """Weights beside an ONNX graph lie in the Bundle."""
    from keepfit.serve.runtimes.onnx_file import check_contents, contents

    for name in files:
        if name.endswith(".onnx"):
            try:
                check_contents(directory / name, contents(directory / name))
            except Refused as error:
                raise Refused(f"{shown}: {error}", code=error.code) from error
