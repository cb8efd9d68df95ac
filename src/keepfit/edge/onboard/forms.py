"""Forms: from what was recognised to a Draft, one function per form of model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from keepfit.core.errors import Refused
from keepfit.core.signature import DType, Field
from keepfit.edge.onboard.apart import apart
from keepfit.edge.onboard.drafts import Draft, Wishes
from keepfit.edge.onboard.recognise import Recognised
from keepfit.serve.wire.tables import to_batch

ONNX_TYPES = {
    "float": DType.FP32,
    "double": DType.FP64,
    "float16": DType.FP16,
    "bool": DType.BOOL,
    "string": DType.BYTES,
    **{name: DType(name.upper()) for size in (8, 16, 32, 64) for name in (f"int{size}", f"uint{size}")},
}


def onnx(found: Recognised, wishes: Wishes, scratch: Path) -> Draft:
    """An ONNX graph: every input and output by its name, records first where the graph leaves that dimension open."""
    adapted = scratch / "model.onnx"
    told = apart("keepfit.edge.onboard.graphs", found.path, adapted, wishes.task or "")
    inputs, outputs = told["inputs"], told["outputs"]
    batched = _is_batched(inputs) and _is_batched(outputs)
    lone = len(inputs) == 1
    fields = tuple(_field(one, batched=batched, flat=not lone) for one in inputs)
    answers = tuple(_field(one, batched=batched, flat=bool(told["task"])) for one in outputs)
    return Draft(
        runtime="onnx",
        files=(("model.onnx", adapted),),
        framework=told["producer"],
        inputs=fields,
        outputs=answers,
        batched=batched,
        columns=tuple((field.name, (field.name,)) for field in fields),
        classes=tuple(told["classes"]) if told["task"] else (),
        task=wishes.task,
        examples=_test_data(found, fields, batched=batched, scratch=scratch),
        notes=tuple(told["notes"]),
    )


def _is_batched(nodes: list[dict[str, Any]]) -> bool:
    """Whether the first dimension of all is open, and under one name where it has names."""
    firsts = [node["shape"][0] if node["shape"] else 0 for node in nodes]
    named = {first for first in firsts if isinstance(first, str)}
    return not any(isinstance(first, int) for first in firsts) and len(named) <= 1


def _field(node: dict[str, Any], *, batched: bool, flat: bool) -> Field:
    kind = node["type"].removeprefix("tensor(").removesuffix(")")
    if kind not in ONNX_TYPES:
        raise Refused(
            f"'{node['name']}' is {node['type']}, which no request can carry; export the model with tensors of "
            "numbers, truth values or texts as inputs and outputs",
            code="unservable",
        )
    shape = tuple(size if isinstance(size, int) else -1 for size in node["shape"][batched:])
    if batched and flat and shape == (1,):
        shape = ()
    if node["name"].startswith("_"):
        raise Refused(f"'{node['name']}': names that begin with '_' are keepfit's own; rename it in the graph")
    return Field(node["name"], ONNX_TYPES[kind], shape)


def _test_data(found: Recognised, fields: tuple[Field, ...], *, batched: bool, scratch: Path) -> Path | None:
    """The inputs in `test_data_set_*` beside the model, as ONNX's own test cases and model zoo have them."""
    folders = sorted((found.around or found.path.parent).glob("test_data_set_*"))
    if not folders:
        return None
    import numpy as np
    from onnx import TensorProto, numpy_helper

    records: dict[str, list[Any]] = {field.name: [] for field in fields}
    for folder in folders:
        paths = [folder / f"input_{place}.pb" for place in range(len(fields))]
        if not all(path.is_file() for path in paths):
            return None
        for field, path in zip(fields, paths, strict=True):
            values = numpy_helper.to_array(TensorProto.FromString(path.read_bytes()))
            if values.dtype.kind in "OSU":
                text = [v.decode() if isinstance(v, bytes) else str(v) for v in values.reshape(-1)]
                values = np.array(text, dtype=object).reshape(values.shape)
            records[field.name].append(values if batched else values[np.newaxis])
    try:
        arrays = {name: np.concatenate(values) for name, values in records.items()}
        batch = to_batch(fields, {field.name: _own(field, arrays[field.name]) for field in fields})
    except ValueError:  # sets of different shapes: they cannot lie in one table
        return None
    pq.write_table(_table(batch), scratch / "test_data.parquet")
    return scratch / "test_data.parquet"


def _own(field: Field, values: Any) -> Any:
    """The values as the Field has them: a column of width one may be a plain one."""
    return values if field.shape else values.reshape(len(values))


def _table(batch: Any) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches([batch])
