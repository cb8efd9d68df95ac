"""Marks: Runs beside any update which measure how good the live Version is on what came since the last one."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from keepfit.core.nouns import LABEL, LABEL_TIME, OUTPUT_PREFIX, Bundle, Task
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification
from keepfit.judge import bootstrap
from keepfit.judge.metrics import METRICS, default, outputs_of, score
from keepfit.loop.pipeline import Made
from keepfit.loop.workplace import Workplace, values_of
from keepfit.store.streams import Query

MOST = 10_000
"""Records whose probabilities are read for a promise: the newest ones."""


def mark(place: Workplace) -> Made:
    """Mark the live Version on the labels, and the Records, since the last Mark; what is not known is left out."""
    parameters = place.work.parameters
    found: dict[str, Any] = {"time": parameters["as_of"]}
    for kind, (since, fresh) in parameters["on"].items():
        found |= _ON[kind](place, datetime.fromisoformat(since), fresh)
    counts = {name: parameters[name] for name in ("version", "records", "labels")}
    return Made({}, {"marks": [{**counts, "on": sorted(parameters["on"]), "mark": found}]})


def _performance(place: Workplace, since: datetime, fresh: int) -> dict[str, float]:
    """The Service's metric, and the accuracy, on the labels that came since; at most `fresh` of them."""
    parameters, specification = place.work.parameters, place.specification
    as_of = datetime.fromisoformat(parameters["as_of"])
    rows = place.stream.read(
        Query(labelled=True, as_of=as_of, version=parameters["version"], order="label", last=fresh)
    )
    begin = pa.scalar(since, rows.schema.field(LABEL_TIME).type)
    rows = rows.filter(pc.greater(rows[LABEL_TIME], begin))
    if not rows.num_rows:
        return {}
    scored = score(specification.task, specification.classes, values_of(rows[LABEL]), outputs_of(rows))
    name = specification.service.metric or default(specification.task)
    names = (name,) if specification.task is Task.REGRESSION else tuple(dict.fromkeys((name, "accuracy")))
    possible = [METRICS[one] for one in names if scored.chances is not None or not METRICS[one].probabilistic]
    points = bootstrap.prepare([scored], possible, [np.arange(rows.num_rows)]).points()[0][0]
    by_name = {one.name: float(value) for one, value in zip(possible, points, strict=True) if np.isfinite(value)}
    known = {"value": by_name.get(name), "accuracy": by_name.get("accuracy")}
    return {"rows": rows.num_rows, **{key: value for key, value in known.items() if value is not None}}


def _promises(place: Workplace, since: datetime, fresh: int) -> dict[str, float]:
    """The accuracy that probabilities promise: on the newest Records since, and on training data."""
    directory = place.trees.path(place.work.inputs["bundle"])
    bundle = from_plain(Bundle, json.loads((directory / "bundle.json").read_bytes()))
    names = [f"{OUTPUT_PREFIX}{one.name}" for one in bundle.signature.outputs if one.name in _CHANCES]
    if not names:
        return {}
    version = place.work.parameters["version"]
    rows = place.stream.read(Query(start=since, version=version, last=min(MOST, fresh), columns=names))
    both = {"promise": rows, "released": _reference(directory, names)}
    promised = {key: promise(table, place.specification) for key, table in both.items() if table.num_rows}
    return promised if len(promised) == len(both) else {}


_CHANCES = ("probability", "probabilities")


def _reference(directory: Path, names: list[str]) -> pa.Table:
    table = pq.read_table(directory / "reference.parquet")
    return table.select([name for name in names if name in table.column_names])


def promise(rows: pa.Table, specification: Specification) -> float:
    """The mean of the largest probability: the accuracy of a model whose probabilities mean what they say."""
    outputs = outputs_of(rows)
    if specification.task is Task.BINARY:
        last: NDArray[np.float64] = outputs["probability"].astype(np.float64)
        return float(np.maximum(last, 1.0 - last).mean())
    return float(outputs["probabilities"].astype(np.float64).max(axis=1).mean())


_ON = {"labels": _performance, "records": _promises}
