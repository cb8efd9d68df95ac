"""Situations folded from facts, for tests of what is planned in them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from keepfit.core.facts import (
    Applied,
    Fact,
    Judged,
    Requested,
    RunFailed,
    RunFinished,
    Swapped,
    UpdateOpened,
    VersionRegistered,
)
from keepfit.core.nouns import Outcome, Ruling, Subject, Task, Window
from keepfit.core.service import Monitor, Service, Specification
from keepfit.core.signature import DType, Field
from keepfit.loop.situation import Situation, at, fold
from keepfit.watch.detectors import KS
from keepfit.watch.triggers import Labels

NOW = datetime(2013, 5, 1, tzinfo=UTC)
S = "arrival-delay"
MONITOR = Monitor(name="inputs", on=Subject.INPUTS, detector=KS(), window=Window(rows=100))


def specification(**changes: object) -> Specification:
    service = Service(name=S, label="late", metric="auc", triggers=(Labels(1000),), monitors=(MONITOR,))
    return Specification(
        service=replace(service, **changes),
        code="c" * 64,
        module="service.py",
        source="d" * 64,
        source_rows=1000,
        task=Task.BINARY,
        classes=(0, 1),
        inputs=(Field("x", DType.FP64),),
        outputs=(Field("prediction", DType.INT64), Field("probability", DType.FP32)),
        label=Field("late", DType.INT64),
    )


def after(*facts: Fact, records: int = 0, labels: int = 0, deployed: int | None = None) -> Situation:
    situation = Situation(now=NOW)
    for fact in (Applied(service=S, time=NOW, specification="s" * 64, code="c" * 64, actor="me"), *facts):
        situation = fold(situation, fact)
    live = situation.live if deployed is None else deployed
    return at(situation, now=NOW, records=records, labels=labels, deployed=live)


def opened(update: str = "u1", **changes: object) -> UpdateOpened:
    fact = UpdateOpened(service=S, time=NOW, update=update, reason="r", parent=1, as_of=NOW, specification="s" * 64)
    return replace(fact, **changes)


def finished(step: str, update: str = "u1", result: dict[str, object] | None = None, **outputs: str) -> RunFinished:
    return RunFinished(
        service=S,
        time=NOW,
        key=step,
        run=step,
        step=step,
        update=update,
        outputs=outputs,
        result=result or {},
        cpu_seconds=0.0,
        wall_seconds=0.0,
    )


def failed(step: str, code: str = "raised") -> RunFailed:
    return RunFailed(service=S, time=NOW, key=step, run=step, step=step, update="u1", code=code, reason="why")


def version(number: int, update: str = "") -> VersionRegistered:
    return VersionRegistered(service=S, time=NOW, number=number, digest=f"b{number}", parent=0, update=update)


def judged(number: int, outcome: Outcome, update: str = "u1") -> Judged:
    rulings = (Ruling("NotWorse", outcome, "numbers"),)
    return Judged(
        service=S, time=NOW, version=number, against=1, outcome=outcome, rulings=rulings, evaluation="e", update=update
    )


def swapped(before: int, after: int, cause: str = "promote", **counts: int) -> Swapped:
    return Swapped(service=S, time=NOW, slot="live", before=before, after=after, cause=cause, reason="r", **counts)


def wish(deed: str, **changes: object) -> Requested:
    return replace(Requested(service=S, time=NOW, id="q1", deed=deed, actor="ann", reason="because"), **changes)


LIVE = (version(1), swapped(0, 1))
