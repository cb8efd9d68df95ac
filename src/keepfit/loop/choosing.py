"""Choosing: the rows of its Dataset that an update really learns from, as the Recipe's Selection says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepfit.core.nouns import RECORD_ID, Bundle, Choice
from keepfit.core.protocols import Predictor
from keepfit.core.service import Selection, Specification
from keepfit.learn.selection import OF_PARENT, Pool, select
from keepfit.learn.tables import Arrays, labels
from keepfit.loop.workplace import Workplace
from keepfit.serve.loading import load
from keepfit.serve.wire import from_table

_BATCH = 8192  # rows scored at once: enough for speed, little memory


def chosen(place: Workplace, rows: pa.Table) -> pa.Table:
    """The rows of a training Dataset that the Recipe's Selection takes."""
    specification, inputs = place.specification, place.work.inputs
    if specification.service.recipe.selection == Selection():
        return rows
    seen = [pq.read_table(place.blobs.path(digest)) for name, digest in inputs.items() if name.startswith("seen")]
    outputs = answered(place.trees.path(inputs["chooser"]), rows) if "chooser" in inputs else {}
    return selected(rows, specification, seen=tuple(seen), outputs=outputs)


def selected(
    rows: pa.Table, specification: Specification, *, seen: tuple[pa.Table, ...] = (), outputs: Arrays | None = None
) -> pa.Table:
    """The rows that the Recipe's Selection takes, given the tables the parent has learnt from and its outputs."""
    recipe = specification.service.recipe
    pool = Pool(
        y=labels(rows, specification.label),
        task=specification.task,
        classes=specification.classes,
        seen=_seen(rows, seen) if recipe.selection.by is Choice.NEW and seen else None,
        outputs=outputs or {},
    )
    return rows.take(pa.array(select(pool, recipe.selection, recipe.seed)))


def needs_parent(selection: Selection) -> bool:
    """Whether a Selection depends on the parent: on what it has learnt, or on what it answers."""
    return selection.by in (*OF_PARENT, Choice.NEW)


def _seen(rows: pa.Table, seen: tuple[pa.Table, ...]) -> np.ndarray:
    known = pa.chunked_array([chunk for table in seen for chunk in table[RECORD_ID].cast(pa.string()).chunks])
    found: np.ndarray = (
        pc.is_in(rows[RECORD_ID].cast(pa.string()), value_set=known).combine_chunks().to_numpy(zero_copy_only=False)
    )
    return found


def answered(directory: Path, rows: pa.Table) -> Arrays:
    """The outputs of a Bundle for some rows."""
    bundle, predictor = load(directory)
    try:
        return predicted(bundle, predictor, rows)
    finally:
        predictor.close()


def predicted(bundle: Bundle, predictor: Predictor, rows: pa.Table) -> Arrays:
    """The outputs of a loaded Bundle for some rows, batch by batch."""
    inputs = from_table(bundle.signature, rows)
    parts = []
    for start in range(0, rows.num_rows, _BATCH):
        parts.append(predictor.predict({key: value[start : start + _BATCH] for key, value in inputs.items()}))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
