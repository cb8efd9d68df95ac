"""Steps: the typed functions a worker runs. Each takes artifacts by digest and makes artifacts; none decides."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.errors import NotFound, SpecInvalid
from keepfit.core.nouns import (
    LABEL,
    OUTPUT_PREFIX,
    RECORD_ID,
    RECORD_TIME,
    Bundle,
    Evaluation,
    Evidence,
    Severity,
    Span,
    Window,
)
from keepfit.core.places import Places
from keepfit.core.protocols import Gate
from keepfit.core.registry import canonical, from_plain
from keepfit.core.service import Service, services_of
from keepfit.core.signature import Signature, compare
from keepfit.data.check import check
from keepfit.data.profile import profile
from keepfit.data.schema import TRAINING, Schema, infer
from keepfit.judge.evaluate import Compared, Terms, evaluate
from keepfit.judge.gates import Better, Contract, Golden, Harmless, rule
from keepfit.judge.metrics import losses
from keepfit.learn.update import Folders, update
from keepfit.loop.choosing import chosen, predicted
from keepfit.loop.looks import compact, look
from keepfit.loop.marks import mark
from keepfit.loop.outlook import outlook
from keepfit.loop.pipeline import Made, Work
from keepfit.loop.workplace import Workplace, values_of
from keepfit.serve.loading import load, rehearse
from keepfit.serve.wire import to_columns
from keepfit.store.streams import Query, Stream

UNDECLARED = (Contract(), Golden(), Better())
"""The gates of a Service that declares none: only what is surely better goes live."""

_GIVEN = ("code", "parent", "memory")
_MADE = {"bundle": "bundle", "twin": "twin", "memory": "bundle-memory"}


def perform_step(work: Work, places: Places, scratch: Path, stream: Stream | None = None) -> Made:
    """Run the step a Work names, on the Service's Stream if that is open; NotFound lists the steps there are."""
    step = _STEPS.get(work.step)
    if step is None:
        raise NotFound(f"no step {work.step!r}; there are: {', '.join(_STEPS)}")
    return step(Workplace(work, places, scratch, stream))


def freeze(place: Workplace) -> Made:
    """Freeze the labelled rows known at `as_of` into a training and a later, held-out Dataset."""
    parameters = place.work.parameters
    as_of = datetime.fromisoformat(parameters["as_of"])
    if parameters["answered_by"]:
        return _freeze_answers(place, as_of)
    columns = [RECORD_ID, RECORD_TIME, *parameters["columns"], LABEL]
    labelled = place.stream.read(Query(as_of=as_of, labelled=True))
    labelled, left = _left_out(labelled, parameters)
    arrived = labelled.select(columns) if labelled.num_rows else None
    if "given" in place.work.inputs:
        train = _kept(place.table("given").select(columns), parameters)
        later = _window(_kept(_joined(arrived, place.table("source").select(columns)), parameters), parameters)
        holdout = _tail(later, _held_out(later.num_rows, parameters["holdout"]))
    else:
        rows = _window(_kept(_joined(arrived, place.table("source").select(columns)), parameters), parameters)
        count = _held_out(rows.num_rows, parameters["holdout"])
        train, holdout = rows.slice(0, rows.num_rows - count), _tail(rows, count)
    if not train.num_rows or not holdout.num_rows:
        return Made({}, {"short": f"{train.num_rows} rows to train on and {holdout.num_rows} to judge on are too few"})
    made = {"train": place.keep(train), "holdout": place.keep(holdout)}
    return Made(made, {"train": train.num_rows, "holdout": holdout.num_rows, **left, **_extent(holdout)})


def _left_out(rows: pa.Table, parameters: Mapping[str, Any]) -> tuple[pa.Table, dict[str, Any]]:
    """The Records outside of the Spans that were found out of line; these, with how many rows each of them had."""
    told = []
    for plain in parameters.get("left_out", ()):
        span = from_plain(Span, plain)
        start, end = (pa.scalar(moment, rows.schema.field(RECORD_TIME).type) for moment in (span.start, span.end))
        inside = pc.and_(pc.greater_equal(rows[RECORD_TIME], start), pc.less(rows[RECORD_TIME], end))
        told.append({**plain, "rows": pc.sum(inside).as_py() or 0})
        rows = rows.filter(pc.invert(inside))
    return rows, {"left_out": told} if told else {}


def _freeze_answers(place: Workplace, as_of: datetime) -> Made:
    answered = place.stream.read(Query(as_of=as_of, labelled=True, version=place.work.parameters["answered_by"]))
    if not answered.num_rows:
        return Made({}, {"short": "no label has arrived for an answer of this version yet"})
    return Made({"holdout": place.keep(answered)}, {"holdout": answered.num_rows, **_extent(answered)})


def _joined(arrived: pa.Table | None, source: pa.Table) -> pa.Table:
    """The first data, then what arrived, in order of record time."""
    if arrived is None:
        return source
    return pa.concat_tables([source, arrived.cast(source.schema)])


def _kept(rows: pa.Table, parameters: Mapping[str, Any]) -> pa.Table:
    """The rows without those that were asked to be forgotten."""
    if "without" not in parameters:
        return rows
    return rows.filter(pc.invert(pc.is_in(rows[RECORD_ID], value_set=pa.array(parameters["without"], pa.string()))))


def _window(rows: pa.Table, parameters: Mapping[str, Any]) -> pa.Table:
    window = from_plain(Window, parameters["window"])
    if window.time is not None and rows.num_rows:
        newest = pc.max(rows[RECORD_TIME])
        rows = rows.filter(pc.greater(rows[RECORD_TIME], pc.subtract(newest, pa.scalar(window.time))))
    return rows if window.rows is None else _tail(rows, window.rows)


def _tail(rows: pa.Table, count: int) -> pa.Table:
    return rows.slice(max(0, rows.num_rows - count))


def _held_out(rows: int, holdout: float) -> int:
    wanted = math.ceil(rows * holdout) if holdout < 1 else int(holdout)
    return min(wanted, rows // 2)


def _extent(rows: pa.Table) -> dict[str, str]:
    first, last = pc.min(rows[RECORD_TIME]).as_py(), pc.max(rows[RECORD_TIME]).as_py()
    return {"from": first.isoformat(), "to": last.isoformat()}


def check_data(place: Workplace) -> Made:
    """Hold all rows that are learnt from against the declared Schema for training, else that of the first data."""
    rows = pa.concat_tables([place.table(name) for name in ("train", "holdout") if name in place.work.inputs])
    columns = [*place.work.parameters["columns"], LABEL]
    if "schema" in place.work.inputs:
        schema = from_plain(Schema, msgspec.json.decode(place.blobs.get(place.work.inputs["schema"])))
        own = [name for name in (RECORD_ID, RECORD_TIME) if schema.column(name) is not None]
        as_of = datetime.fromisoformat(place.work.parameters["as_of"])
        findings = check(rows.select([*own, *columns]), schema, environment=TRAINING, now=as_of)
    else:
        schema = infer(profile(place.table("source").select(columns)))
        findings = check(rows.select(columns), schema)
    told = {
        severity: [finding.sentence for finding in findings if finding.severity is severity] for severity in Severity
    }
    result = {"errors": told[Severity.ERROR], "warnings": told[Severity.WARNING], "findings": len(findings)}
    return Made({"findings": place.blobs.put(canonical(findings))}, result)


def train(place: Workplace) -> Made:
    """Learn a candidate by the Recipe, from the snapshot of the user's code, and make its Bundle.

    With `refit` there are two: the Bundle from all rows, and its twin from those which it is not judged on. The result
    tells of how many rows they learnt together.
    """
    whole, holdout, learnt = place.table("train"), place.table("holdout"), 0
    if place.specification.service.recipe.refit:
        rows = chosen(place, whole)
        _learnt(place, "twin", rows, holdout)
        whole, learnt = pa.concat_tables([whole, holdout]), rows.num_rows
    rows = chosen(place, whole)
    bundle = _learnt(place, "bundle", rows, holdout)
    made = {name: place.scratch / folder for name, folder in _MADE.items() if (place.scratch / folder).exists()}
    outputs = {name: place.trees.put(folder) for name, folder in made.items()}
    return Made(outputs, {**_conversion(bundle), "rows": learnt + rows.num_rows})


def _learnt(place: Workplace, name: str, rows: pa.Table, holdout: pa.Table) -> Bundle:
    given = {one: place.trees.path(digest) for one, digest in place.work.inputs.items() if one in _GIVEN}
    estimator = declared(given["code"], place.specification.module, place.work.service).estimator
    checkpoint = place.places.checkpoint(place.work.key) / name
    checkpoint.mkdir(parents=True, exist_ok=True)
    folders = Folders(into=place.scratch / name, left=place.scratch / f"{name}-memory", checkpoint=checkpoint, **given)
    return update(place.specification, estimator, train=rows, holdout=holdout, folders=folders)


def _conversion(bundle: Bundle) -> dict[str, Any]:
    return {"runtime": bundle.runtime, "note": bundle.note, "parity": bundle.parity}


def declared(code: Path, module: str, service: str) -> Service:
    """The Service a snapshot declares, estimator included; only workers call this."""
    sys.dont_write_bytecode = True  # a snapshot stays what its digest says
    path = code / module
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise SpecInvalid(f"{module}: the snapshot cannot be imported; apply the service file again")
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = loaded
    spec.loader.exec_module(loaded)
    for found in services_of(loaded):
        if found.name == service:
            return found
    raise SpecInvalid(f"{module}: declares no Service named {service!r}; apply the service file again")


def evaluate_candidate(place: Workplace) -> Made:
    """Candidate against incumbent on the same held-out later rows; contract and golden examples beside it."""
    rows, inputs = place.table("holdout"), place.work.inputs
    bundle, answers, golden = _answers(place, "candidate", rows)
    if "released" in inputs:  # the twin is judged, but contract and golden examples are those of what goes live
        bundle, _, released = _answers(place, "released", rows.slice(0, 1))
        golden = max(golden, released)
    old, before = None, None
    if "incumbent" in inputs:
        old, before, _ = _answers(place, "incumbent", rows)
    truth = values_of(rows[LABEL])
    terms = from_plain(Terms, place.work.parameters["terms"])
    evaluation = evaluate(
        truth,
        answers,
        before,
        table=rows,
        terms=terms,
        of=Compared(dataset=inputs["holdout"], candidate=inputs["candidate"], incumbent=inputs.get("incumbent")),
    )
    promised = old.signature if old else from_plain(Signature, place.work.parameters["signature"])
    contract, metric = compare(promised, bundle.signature), place.work.parameters["metric"]
    evidence = Evidence(
        evaluation=evaluation,
        contract=contract.kind.value,
        contract_changes=contract.changes,
        golden_error=golden,
        golden_tolerance=bundle.tolerance,
        metric=metric,
    )
    lost = losses(terms.task, bundle.classes, truth, answers, metric)
    names = [one.name for one in bundle.signature.inputs if one.name in rows.column_names]
    said = {OUTPUT_PREFIX + name: values for name, values in to_columns(answers).items()}
    kept = pa.table({**{name: rows[name] for name in (*names, LABEL)}, **said, "loss": lost})
    made = {"evidence": place.blobs.put(canonical(evidence)), "losses": place.keep(kept)}
    return Made(made, {"measures": _brief(evaluation)})


def _answers(place: Workplace, name: str, rows: pa.Table) -> tuple[Bundle, dict[str, np.ndarray], float]:
    """The Bundle behind an input, its outputs on all rows, and its error on its golden examples."""
    directory = place.trees.path(place.work.inputs[name])
    bundle, predictor = load(directory)
    try:
        golden = rehearse(directory, bundle, predictor)
        return bundle, predicted(bundle, predictor, rows), golden
    finally:
        predictor.close()


def _brief(evaluation: Evaluation) -> dict[str, float]:
    return {f"{m.metric} of {m.slice}": m.candidate for m in evaluation.measures if m.slice == "all"}


def judge(place: Workplace) -> Made:
    """Put the evidence before the gates; a confirmation asks one thing only: is the live Version surely worse."""
    evidence = from_plain(Evidence, msgspec.json.decode(place.blobs.get(place.work.inputs["evidence"])))
    gates: tuple[Gate, ...] = place.specification.service.gates or UNDECLARED
    if place.work.parameters["confirms"]:
        gates = (Harmless(margin=place.work.parameters["margin"], minimum_rows=1),)
    verdict = rule(gates, evidence)
    return Made({"verdict": place.blobs.put(canonical(verdict))}, {"outcome": verdict.outcome.value})


def look_ahead(place: Workplace) -> Made:
    """What training would gain and cost, told from small parts of the rows."""
    estimator = declared(place.trees.path(place.work.inputs["code"]), place.specification.module, place.work.service)
    answered = _answers(place, "incumbent", place.table("holdout"))[1] if "incumbent" in place.work.inputs else None
    return outlook(place, estimator.estimator, answered)


_STEPS: dict[str, Callable[[Workplace], Made]] = {
    "freeze": freeze,
    "check": check_data,
    "outlook": look_ahead,
    "train": train,
    "evaluate": evaluate_candidate,
    "judge": judge,
    "watch": look,
    "mark": mark,
    "compact": compact,
}
