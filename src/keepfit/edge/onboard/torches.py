"""torch: exported programs, which say their own shapes, and state dicts, whose code a person names."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.signature import DType, Field
from keepfit.edge.onboard.apart import apart, main
from keepfit.edge.onboard.drafts import Draft, Wishes
from keepfit.edge.onboard.pythons import code_of
from keepfit.edge.onboard.questions import Missing, require
from keepfit.edge.onboard.recognise import Recognised

_TYPES = {
    "float32": DType.FP32, "float64": DType.FP64, "float16": DType.FP16, "bool": DType.BOOL, "uint8": DType.UINT8,
    "int8": DType.INT8, "int16": DType.INT16, "int32": DType.INT32, "int64": DType.INT64,
}  # fmt: skip


def exported(found: Recognised, wishes: Wishes, scratch: Path) -> Draft:
    """An exported program: its inputs and outputs with their shapes, records first where that dimension is free."""
    told = apart("keepfit.edge.onboard.torches", found.path)
    nodes = [*told["inputs"], *told["outputs"]]
    firsts = {node["shape"][0] if node["shape"] else 0 for node in nodes}
    batched = len(firsts) == 1 and not isinstance(next(iter(firsts)), int)
    inputs = tuple(_field(node, batched=batched) for node in told["inputs"])
    outputs = tuple(_field(node, batched=batched) for node in told["outputs"])
    return Draft(
        runtime="torch",
        files=(("model.pt2", found.path),),
        framework=told["framework"],
        inputs=inputs,
        outputs=() if wishes.task else outputs,
        batched=batched,
        columns=tuple((field.name, (field.name,)) for field in inputs),
        task=wishes.task,
        pickled=bool(wishes.pickle),
    )


def _field(node: dict[str, Any], *, batched: bool) -> Field:
    if node["type"] not in _TYPES:
        raise Refused(f"'{node['name']}' is of torch's type {node['type']}, which no request carries")
    shape = tuple(size if isinstance(size, int) else -1 for size in node["shape"][batched:])
    return Field(node["name"], _TYPES[node["type"]], shape)


def state(found: Recognised, wishes: Wishes, scratch: Path) -> Draft:
    """A state dict and the module `--entry` names, whose file lies beside it."""
    _require_plain(found.path)
    if not wishes.entry:
        require((Missing("--entry", "module:Class of the network these weights belong to, beside the file"),))
    return Draft(
        runtime="torch",
        files=(("weights.pt", found.path), *code_of(found.path.parent, wishes.entry)),
        framework="torch",
        entry=wishes.entry,
        task=wishes.task,
        trial=True,
        matrix=DType.FP32,
    )


def _require_plain(path: Path) -> None:
    """Refused where the archive holds a whole pickled module, and not only weights."""
    import pickletools

    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        data = archive.read(name)
    known = ("torch", "collections", "numpy", "_codecs", "builtins")
    try:
        used = {str(value) for code, value, _ in pickletools.genops(data) if code.name == "GLOBAL"}
    except Exception as error:
        raise Refused(f"its data.pkl cannot be read: {error}", code="truncated") from error
    modules = {name for name in used if name.partition(" ")[0].partition(".")[0] not in known or ".nn." in name}
    if modules:
        raise Refused(
            f"holds a whole pickled module ({', '.join(sorted(modules)[:3])}); save its state_dict(), or export it "
            "with torch.export.save",
            code="pickled_module",
        )


def look(model: str) -> dict[str, Any]:
    """The inputs and outputs of an exported program."""
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    try:
        program = torch.export.load(model)
    except Exception as error:
        raise Refused(f"torch cannot load it: {type(error).__name__}: {str(error)[:300]}", code="truncated") from error
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    names = program.graph_signature.user_inputs, program.graph_signature.user_outputs
    return {
        "inputs": [_node(name, values[name], name) for name in names[0]],
        "outputs": [
            _node(name, values[name], "output" if len(names[1]) == 1 else f"output_{place}")
            for place, name in enumerate(names[1])
        ],
        "framework": f"torch {torch.__version__.partition('+')[0]}",
    }


def _node(name: str, value: Any, shown: str) -> dict[str, Any]:
    if value is None or not hasattr(value, "shape"):
        raise Refused(f"'{name}' is no tensor; export the program with tensors as inputs and outputs")
    shape = [size if isinstance(size, int) else str(size) for size in value.shape]
    return {"name": shown, "type": str(value.dtype).removeprefix("torch."), "shape": shape}


if __name__ == "__main__":
    sys.exit(main(look, sys.argv[1:]))
