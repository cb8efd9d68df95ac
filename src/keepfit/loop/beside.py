"""Beside: what a look holds Records against but their own past, and why they differ from it.

The answers at release (whose truth is known) tell what probabilities are worth and what caused a change; features that
the Service computes offline tell which recorded ones are wrong.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import (
    LABEL,
    OUTPUT_PREFIX,
    RECORD_ID,
    RECORD_TIME,
    Bundle,
    Cause,
    Finding,
    FindingKind,
    Measurement,
    Task,
)
from keepfit.core.service import Monitor
from keepfit.judge.metrics import losses, outputs_of, score
from keepfit.loop.workplace import Workplace, values_of
from keepfit.watch.cause import Joint, Told, cause_of
from keepfit.watch.monitor import Looked
from keepfit.watch.quality import Said, watch_loss, watch_quality
from keepfit.watch.skew import join, measured

_LABELLED = 50
"""So many labelled rows are needed to tell a cause by them."""

_PREDICTION = OUTPUT_PREFIX + "prediction"


def losses_of(place: Workplace, bundle: Bundle, rows: pa.Table) -> np.ndarray:
    """The loss of each labelled Record."""
    if not rows.num_rows:
        return np.empty(0)
    outputs = {
        field.name: values_of(rows[OUTPUT_PREFIX + field.name])
        for field in bundle.signature.outputs
        if OUTPUT_PREFIX + field.name in rows.column_names
    }
    metric = place.specification.service.metric
    return losses(place.specification.task, bundle.classes, values_of(rows[LABEL]), outputs, metric)


def watch_expected(place: Workplace, monitor: Monitor, bundle: Bundle, rows: pa.Table) -> Looked:
    """The quality to be expected of Records whose labels are awaited, by what the answers at release were worth."""
    release = _release(place)
    if release is None or not rows.num_rows:
        note = "the version's answers at release were not kept" if release is None else "no records yet"
        return (Measurement(monitor.name, "quality", 0.0, 1.0, 0.0, 0.0, 0, rows.num_rows, False, note),), ()
    task, classes = place.specification.task, bundle.classes
    if task is Task.REGRESSION:
        known, seen = (_joint(place, bundle, side, has_labels=False) for side in (release, rows))
        before, after = ({**side.inputs, _PREDICTION: side.predicted} for side in (known, seen))
        return watch_loss(monitor, before, values_of(release["loss"]), after)
    old = score(task, classes, values_of(release[LABEL]), outputs_of(release))
    outputs = outputs_of(rows)
    new = score(task, classes, outputs["prediction"], outputs)
    if old.chances is None or new.chances is None:
        note = "the model gives no probabilities"
        return (Measurement(monitor.name, "quality", 0.0, 1.0, 0.0, 0.0, 0, rows.num_rows, False, note),), ()
    told = Said(old.chances, old.prediction, old.truth)
    return watch_quality(monitor, told, Said(new.chances, new.prediction))


def watch_records(place: Workplace, monitor: Monitor, bundle: Bundle, rows: pa.Table) -> Looked:
    """Every recorded input beside what the Service's own `offline` computes for that Record now."""
    from keepfit.loop.steps import declared  # steps are made of looks, too

    names = tuple(
        field.name for field in bundle.signature.inputs if field.name in rows.column_names and not field.shape
    )
    logged = rows.select([RECORD_ID, RECORD_TIME, *names])
    specification = place.specification
    service = declared(place.trees.path(specification.code), specification.module, specification.service.name)
    try:
        offline = service.offline(logged)
    except Exception as error:  # the user's function may raise anything; that is told, and is no fault of a look
        raise DataInvalid(f"offline of '{service.name}' raised {type(error).__name__}: {error}") from error
    found = join(logged.drop_columns([RECORD_TIME]), offline, RECORD_ID)
    return measured(monitor.name, found, names), found.findings


def explained(
    place: Workplace, bundle: Bundle, found: tuple[Finding, ...], before: pa.Table | None, after: pa.Table
) -> tuple[Finding, ...]:
    """The Findings with their cause, where labelled rows from before (None: those at release) can tell it."""
    old = _release(place) if before is None else before
    rows = [one.moved.row for one in found if one.moved is not None and one.moved.row is not None]
    if not rows or old is None or not {LABEL, _PREDICTION} <= set(old.column_names):
        return found
    old, new = _labelled(old), after.slice(min(rows))
    known = _labelled(new)
    if min(old.num_rows, new.num_rows) < _LABELLED:
        return found
    has_labels = known.num_rows >= _LABELLED
    told = cause_of(
        _joint(place, bundle, old, has_labels=True), _joint(place, bundle, known if has_labels else new, has_labels)
    )
    return tuple(_with(one, told) for one in found)


def _with(one: Finding, told: Told) -> Finding:
    """An input or an output that moved did move, so a concept behind it is no answer; of a loss any cause is."""
    answers = tuple(Cause) if one.kind is FindingKind.DECAY else (Cause.COVARIATE, Cause.PRIOR)
    if one.moved is None or told.cause not in answers:
        return one
    moved = replace(one.moved, cause=told.cause, reason=told.reason)
    news = "" if told.cause is one.moved.cause else f"; {told.cause}: {told.reason}"
    return replace(one, moved=moved, sentence=f"{one.sentence}{news}")


def _release(place: Workplace) -> pa.Table | None:
    """What the live Version answered on the rows it was judged on, with labels and losses."""
    if "losses" not in place.work.inputs:
        return None
    kept = place.table("losses")
    return kept if LABEL in kept.column_names else None


def _labelled(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.is_valid(rows[LABEL])) if LABEL in rows.column_names else rows.slice(0, 0)


def _joint(place: Workplace, bundle: Bundle, rows: pa.Table, has_labels: bool) -> Joint:
    names = [field.name for field in bundle.signature.inputs if not field.shape and field.name in rows.column_names]
    return Joint(
        inputs={name: values_of(rows[name]) for name in names},
        predicted=values_of(rows[_PREDICTION]),
        truth=values_of(rows[LABEL]) if has_labels else None,
        loss=losses_of(place, bundle, rows) if has_labels else None,
    )
