"""Settle: from what the file says, what a sample shows and what a person wishes, to the manifest of a Bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from keepfit.core import registry
from keepfit.core.errors import DataInvalid, Invalid, NotFound
from keepfit.core.nouns import Bundle, Task
from keepfit.core.signature import DType, Field, Signature
from keepfit.edge.onboard.drafts import Draft, Wishes
from keepfit.edge.onboard.expected import filled, named
from keepfit.edge.onboard.questions import Missing, Questions
from keepfit.edge.onboard.samples import fitted, rows_of, tell
from keepfit.serve.wire.tables import arrow_type

REFERENCE = 5_000
"""Rows of a sample, at most, that are kept and answered."""


@dataclass(frozen=True)
class Settled:
    """All that the Bundle will say, the file of its examples where there are some, and what a person should know.

    `trial` says that its outputs are a guess until the model has answered.
    """

    bundle: Bundle
    given: Path | None
    notes: tuple[str, ...] = ()
    trial: bool = False


def settle(draft: Draft, wishes: Wishes, *, name: str, scratch: Path) -> Settled:
    """The manifest; Invalid (`missing_options`) lists every option that is lacking."""
    ask = Questions(wishes)
    table = rows_of(wishes.sample) if wishes.sample else None
    task = _task(draft, wishes)
    signature = _read(wishes.signature) if wishes.signature else None
    draft, rows, notes = _inputs(draft, wishes, signature, table, ask)
    classes = wishes.classes or draft.classes or _seen(task, table, wishes.label)
    outputs = signature.outputs if signature else draft.outputs
    if not outputs and task is None and table is None and wishes.expected is not None:
        outputs = wishes.expected.outputs
    trial = not outputs and task is None and draft.trial and table is not None
    if trial:
        outputs = (Field("prediction", DType.FP64),)
    elif not outputs:
        outputs = _outputs(task, classes, ask)
    ask.require()
    if table is not None and rows is None:
        raise DataInvalid(f"{wishes.sample}: holds nothing of what the model takes")
    batched = signature.batched if signature else draft.batched
    bundle = Bundle(
        service=name,
        runtime=draft.runtime,
        signature=Signature(draft.inputs, outputs, batched),
        task=task,
        label=_label(wishes.label, task, classes),
        framework=draft.framework,
        entry=draft.entry,
        pickle=wishes.pickle if draft.pickled else "",
        threshold=wishes.threshold,
        classes=classes,
        columns=draft.columns,
        licence=wishes.licence or draft.licence,
    )
    _check(bundle)
    if wishes.label and task is None:
        notes = (*notes, f"'{wishes.label}' is left aside; for labels to be taken, say what they are: --task")
    return Settled(bundle, _kept(rows, bundle, scratch) if rows is not None else draft.examples, notes, trial)


def _task(draft: Draft, wishes: Wishes) -> Task | None:
    if wishes.task and draft.task and wishes.task is not draft.task:
        raise Invalid(f"--task {wishes.task}: the model itself says that its task is {draft.task}", code="wrong_task")
    return wishes.task or draft.task


def _read(path: Path) -> Signature:
    try:
        return registry.from_plain(Signature, msgspec.json.decode(path.read_bytes()))
    except FileNotFoundError as error:
        raise NotFound(f"{path}: no such file; expected a Signature as JSON") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{path}: is no JSON: {error}") from error


def _inputs(
    draft: Draft, wishes: Wishes, signature: Signature | None, table: pa.Table | None, ask: Questions
) -> tuple[Draft, pa.Table | None, tuple[str, ...]]:
    """The draft with its inputs known, and the sample in their types."""
    notes: tuple[str, ...] = ()
    if signature is not None:
        draft = replace(draft, inputs=signature.inputs)
    elif wishes.expected is not None and table is None:
        draft, notes = filled(draft, wishes.expected)
    if draft.inputs and table is None:
        return draft, None, notes
    if table is None:
        ask.lacks(Missing("--sample", "a file of rows as the model takes them, to tell names and types from"))
        return draft, None, ()
    path = wishes.sample or Path()
    offered = [name for name in table.column_names if name != wishes.label]
    if draft.inputs and all(field.name in table.column_names for field in draft.inputs):
        return draft, fitted(table, draft.inputs, path), ()
    if draft.inputs and signature is None and (found := _named(draft, table, offered)):
        return found, fitted(table, found.inputs, path), ()
    if draft.inputs:
        return draft, fitted(table, draft.inputs, path), ()
    names = draft.features or offered
    absent = [name for name in names if name not in table.column_names]
    if absent:
        raise DataInvalid(f"{path}: lacks the columns {absent} that the model takes; it has {table.column_names}")
    if draft.width and len(names) != draft.width:
        raise DataInvalid(
            f"{path}: has {len(names)} columns, the model takes {draft.width}; leave out those it does not take "
            "(--label names the one that is the truth)"
        )
    told = tell(table, names, closed=ask.closed if wishes.ask else None)
    if draft.matrix is not None:
        return _typed(draft, told.fields, told.table, told.notes)
    if draft.width and not draft.features:
        return _stacked(draft, told.fields, told.table, told.notes)
    return replace(draft, inputs=told.fields), told.table, told.notes


def _named(draft: Draft, table: pa.Table, offered: Sequence[str]) -> Draft | None:
    """One matrix input as named columns, where the sample has as many columns of numbers as it is wide."""
    numbers = all(kinds.is_integer(table[n].type) or kinds.is_floating(table[n].type) for n in offered)
    return named(draft, {name: bool(table[name].null_count) for name in offered}) if numbers else None


def _stacked(
    draft: Draft, fields: Sequence[Field], table: pa.Table, notes: tuple[str, ...]
) -> tuple[Draft, pa.Table, tuple[str, ...]]:
    """The rows as one matrix, for a model that knows no names."""
    texts = [field.name for field in fields if field.dtype is DType.BYTES or field.shape]
    if texts:
        raise DataInvalid(f"the columns {texts} of the sample are no numbers, and the model takes a matrix of numbers")
    field = Field("input", DType.FP64, (len(fields),), nullable=any(one.nullable for one in fields))
    matrix = np.stack([table[one.name].to_numpy().astype(np.float64) for one in fields], axis=1)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), len(fields))
    return replace(draft, inputs=(field,)), pa.table({"input": flat}), notes


def _typed(
    draft: Draft, fields: Sequence[Field], table: pa.Table, notes: tuple[str, ...]
) -> tuple[Draft, pa.Table, tuple[str, ...]]:
    """Columns of one type, which the model takes as one matrix."""
    texts = [field.name for field in fields if field.dtype is DType.BYTES or field.shape]
    if texts:
        raise DataInvalid(f"the columns {texts} of the sample are no numbers, and the model takes a matrix of numbers")
    typed = tuple(Field(field.name, draft.matrix or field.dtype, nullable=field.nullable) for field in fields)
    columns = (("input", tuple(field.name for field in fields)),)
    return replace(draft, inputs=typed, columns=columns), fitted(table, typed, Path("sample")), notes


def _seen(task: Task | None, table: pa.Table | None, label: str) -> tuple[Any, ...]:
    """The classes in the sample's label column, where it has one and the task has classes."""
    if task in (None, Task.REGRESSION) or table is None or label not in table.column_names:
        return ()
    return tuple(sorted(value for value in table[label].unique().to_pylist() if value is not None))


def class_type(classes: Sequence[Any]) -> DType:
    """The type of a class label."""
    if all(isinstance(value, bool) for value in classes):
        return DType.BOOL
    return DType.INT64 if all(isinstance(value, int) for value in classes) else DType.BYTES


def _outputs(task: Task | None, classes: tuple[Any, ...], ask: Questions) -> tuple[Field, ...]:
    if task is None:
        ask.lacks(Missing("--task", "what the model answers: binary, multiclass or regression"))
        return ()
    if task is Task.REGRESSION:
        return (Field("prediction", DType.FP64),)
    if len(classes) < 2:
        ask.lacks(Missing("--classes", "the classes in the model's own order, with commas between them"))
        return ()
    prediction = Field("prediction", class_type(classes))
    if task is Task.BINARY:
        return (prediction, Field("probability", DType.FP32))
    return (prediction, Field("probabilities", DType.FP32, (len(classes),)))


def _label(name: str, task: Task | None, classes: tuple[Any, ...]) -> Field | None:
    if not name or task is None:
        return None
    return Field(name, DType.FP64 if task is Task.REGRESSION else class_type(classes))


def _check(bundle: Bundle) -> None:
    if bundle.task is Task.BINARY and len(bundle.classes) != 2:
        raise Invalid(f"--classes: a binary model has two classes, found {list(bundle.classes)}", code="wrong_classes")
    if bundle.threshold is not None and (bundle.task is not Task.BINARY or not 0 <= bundle.threshold <= 1):
        raise Invalid(
            f"--threshold {bundle.threshold:g}: expected a probability between 0 and 1, of a binary model; "
            f"the task is {bundle.task or 'not stated'}",
            code="wrong_threshold",
        )
    wide = [field.name for field in bundle.signature.inputs if field.shape.count(-1) > 1]
    if wide:
        raise Invalid(
            f"the inputs {wide} have more than one free dimension, and a record keeps one; "
            "say the others with --signature",
            code="free_dimensions",
        )


def _kept(rows: pa.Table, bundle: Bundle, scratch: Path) -> Path:
    """A spread of the rows, typed by the Signature, as a file."""
    if rows.num_rows > REFERENCE:
        rows = rows.take(pa.array(np.unique(np.linspace(0, rows.num_rows - 1, REFERENCE).round().astype(np.int64))))
    columns = {}
    for field in bundle.signature.inputs:
        column = rows[field.name].combine_chunks()
        columns[field.name] = column if field.shape else column.cast(arrow_type(field))
    pq.write_table(pa.table(columns), scratch / "given.parquet")
    return scratch / "given.parquet"
