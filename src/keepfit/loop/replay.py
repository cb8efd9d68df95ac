"""Replay: the same loop over history, on a clock that is set by hand, in line.

`plan`, `perform`, the ledger, the Stream and every step are those of `keepfit up`; only the clock, the executor and the
target differ. So what wins here is deployed unchanged.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.clock import ManualClock
from keepfit.core.errors import Conflict, KeepfitError, Refused
from keepfit.core.facts import (
    Applied,
    Fact,
    Quarantined,
    RunFailed,
    RunFinished,
    Swapped,
    UpdateClosed,
    UpdateOpened,
    Watched,
)
from keepfit.core.nouns import LABEL, OUTPUT_PREFIX, RECORD_ID, RECORD_TIME, RECORD_VERSION, Digest, Finding, Held
from keepfit.core.places import Places
from keepfit.core.protocols import Predictor
from keepfit.core.registry import canonical, from_plain
from keepfit.core.service import Serving, Specification
from keepfit.core.signature import Signature
from keepfit.judge.metrics import METRICS
from keepfit.learn.native import threads
from keepfit.loop.courses import Answers, Course, baselines, course
from keepfit.loop.executors import Inline
from keepfit.loop.history import Chunk, History, history
from keepfit.loop.perform import Hands
from keepfit.loop.pipeline import Made, Work
from keepfit.loop.situation import ASIDE
from keepfit.loop.steps import declared, perform_step
from keepfit.loop.turn import Loop
from keepfit.serve.loading import load, rehearse
from keepfit.serve.wire import from_table, to_columns
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.ledger import Ledger
from keepfit.store.streams import LabelWriter, SegmentWriter, Stream

TURNS = 1000
"""More turns than this at one moment mean that the loop does not come to rest."""

_ROTATE = 4_000
"""Rows of a segment: an open one is read through at every look, a sealed one is mapped."""

_BEFORE = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a history is replayed: see `history` for `chunk`, `delay` and `step`.

    `periods` are the N of the baselines *update every N chunks*; `seed` None leaves the Recipe's own.
    """

    chunk: str = "1%"
    delay: int = 0
    step: timedelta = timedelta(minutes=1)
    periods: tuple[int, ...] = (1, 2, 5, 10)
    seed: int | None = None


@dataclass(frozen=True)
class Happening:
    """Something the loop did or found, after the chunk which ended with row `row` of the data was answered.

    `kind` is `finding`, `update`, `confirm`, `held`, `refused`, `failed`, `swap`, `rollback` or `quarantine`;
    `labels` had arrived by then; `monitor` and `findings` are set for what one look of a Monitor found.
    """

    time: datetime
    row: int
    labels: int
    kind: str
    text: str
    monitor: str = ""
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Replayed:
    """What a replay found: the loop's course first, the baselines after it; what happened, in order.

    `versions` has the Version which answered, per chunk; `looks` is how often a Monitor looked. `skipped` rows of the
    data were the Service's first data.
    """

    service: str
    metric: str
    higher: bool
    rows: int
    skipped: int
    chunks: tuple[Chunk, ...]
    versions: tuple[int, ...]
    courses: tuple[Course, ...]
    looks: int
    happenings: tuple[Happening, ...] = field(default=())

    def course(self, name: str) -> Course:
        """The course of that name."""
        return next(course for course in self.courses if course.name == name)


def replay(
    specification: Digest,
    rows: pa.Table,
    places: Places,
    *,
    terms: Terms,
    tell: Callable[[str], None] | None = None,
    simple: Sequence[Course] | None = None,
) -> Replayed:
    """Replay `rows` (a Dataset) through the loop of a stored Specification, in a store of its own inside `places`.

    The same rows, terms and specification give the same result, `cpu_seconds` excepted. `tell` is called with one line
    per chunk. `simple` are the courses of the simple policies where they are known already. Conflict where the store
    has seen another history of this Service.
    """
    blobs = Blobs(places.blobs)
    plain = seeded(from_plain(Specification, msgspec.json.decode(blobs.get(specification))), terms.seed)
    past, source = history_of(plain, rows, places, terms)
    with closing(_Stage(plain, blobs.put(canonical(plain)), past, places)) as stage:
        outputs = stage.play(tell or (lambda line: None))
    return stage.told(outputs, simple_policies(plain, past, source, places, terms) if simple is None else simple)


def seeded(specification: Specification, seed: int | None) -> Specification:
    """The same with another seed in its Recipe; None leaves it."""
    if seed is None:
        return specification
    recipe = replace(specification.service.recipe, seed=seed)
    return replace(specification, service=replace(specification.service, recipe=recipe))


def history_of(specification: Specification, rows: pa.Table, places: Places, terms: Terms) -> tuple[History, pa.Table]:
    """The rows as a History of the Service, and its first data."""
    source = pq.read_table(Blobs(places.blobs).path(specification.source))
    service = specification.service
    return history(rows, source, service, chunk=terms.chunk, delay=terms.delay, step=terms.step), source


def estimator_of(specification: Specification, places: Places) -> Any:
    """The estimator that the snapshot of the Service's code declares; runs that code."""
    code = Trees(places.trees).path(specification.code)
    return declared(code, specification.module, specification.service.name).estimator


def simple_policies(
    specification: Specification, past: History, source: pa.Table, places: Places, terms: Terms
) -> tuple[Course, ...]:
    """The courses of the simple policies."""
    estimator = estimator_of(specification, places)
    return baselines(
        past, source, specification, estimator=estimator, periods=terms.periods, cpu_clock=time.process_time
    )


@dataclass
class InProcess:
    """A Target in this process: holds the predictor of the live Version, and nothing listens anywhere."""

    trees: Trees
    live: tuple[int, Signature, Predictor] | None = None

    def ensure(self, service: str, serving: Serving) -> None:
        """There is nothing to start."""

    def status(self, service: str) -> dict[str, Any]:
        """The live Version."""
        return {"ok": True, "live": {"version": self.live[0]} if self.live else None}

    def swap(
        self, service: str, held: Held, *, slot: str = "live", share: float = 0.0, key: str = ""
    ) -> dict[str, Any]:
        """Load, rehearse, commit; Refused where the golden examples come out otherwise."""
        directory = self.trees.path(held.digest)
        bundle, predictor = load(directory)
        error = rehearse(directory, bundle, predictor)
        if not error <= bundle.tolerance:
            predictor.close()
            raise Refused(f"golden examples: largest error {error:.3g}, allowed {bundle.tolerance:.3g}")
        self.close()
        self.live = (held.version, bundle.signature, predictor)
        return {"ok": True}

    def clear(self, service: str, slot: str) -> dict[str, Any]:
        """There is only the live Slot here."""
        raise Conflict(f"a replay has no {slot} slot")

    def answer(self, rows: pa.Table) -> tuple[int, Answers]:
        """The live Version's number and its outputs for some rows."""
        if self.live is None:
            raise Conflict("no version is live")
        number, signature, predictor = self.live
        return number, predictor.predict(from_table(signature, rows))

    def close(self) -> None:
        """Unload."""
        if self.live:
            self.live[2].close()
            self.live = None


class _Stage:
    """One replay under way."""

    def __init__(self, specification: Specification, digest: Digest, past: History, places: Places) -> None:
        service = specification.service.name
        root = places.stream(service)
        self._specification, self._past = specification, past
        self._clock = ManualClock(past.rows[RECORD_TIME][0].as_py() - _BEFORE)
        self._ledger = Ledger(places.ledger)
        if self._ledger.last(Applied, service) or Stream(root).counts().records:
            raise Conflict(f"{places.root} has facts of '{service}' already; a replay needs a store of its own")
        self._records = SegmentWriter(root, "replay", rotate_rows=_ROTATE)
        self._labels = LabelWriter(root, "replay", rotate_rows=_ROTATE)
        self._target = InProcess(Trees(places.trees))
        ids = itertools.count(1)
        self._loop = Loop(
            Hands(
                places=places,
                ledger=self._ledger,
                clock=self._clock,
                executor=Inline(_performer(places, Stream(root)), time.process_time),
                target=self._target,
                new_id=lambda: f"replay-{next(ids):06d}",
            )
        )
        self._ledger.append(
            Applied(
                service=service,
                time=self._clock.now(),
                specification=digest,
                code=specification.code,
                actor="replay",
            )
        )
        self._labelled = 0
        self._seen = 0
        self._happenings: list[Happening] = []
        self._versions: list[int] = []

    def play(self, tell: Callable[[str], None]) -> Answers:
        """Answer every chunk and let the loop come to rest after each; the outputs given."""
        self._rest(0)
        parts: list[Answers] = []
        with threads(
            self._specification.service.recipe.resources.threads
        ):  # as in a worker; the libraries are there now
            for number, chunk in enumerate(self._past.chunks):
                self._clock.set(chunk.close)
                version, outputs = self._answer(chunk)
                parts.append(outputs)
                self._label(number)
                self._rest(chunk.end)
                tell(f"chunk {number + 1} of {len(self._past.chunks)}, {chunk.end:,} rows, v{version} live")
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _answer(self, chunk: Chunk) -> tuple[int, Answers]:
        rows = self._past.rows.slice(chunk.start, chunk.end - chunk.start)
        if self._target.live is None:
            why = "; ".join(f"{one.kind}: {one.text}" for one in self._happenings if one.kind != "finding")
            raise Conflict(f"no version went live before the first row: {why or 'nothing was tried'}", code="not_live")
        version, outputs = self._target.answer(rows)
        self._versions.append(version)
        columns: dict[str, Any] = {RECORD_ID: rows[RECORD_ID], RECORD_TIME: rows[RECORD_TIME]}
        columns[RECORD_VERSION] = pa.array(np.full(rows.num_rows, version, np.int32))
        columns |= {one.name: rows[one.name] for one in self._specification.inputs}
        columns |= {OUTPUT_PREFIX + name: values for name, values in to_columns(outputs).items()}
        for batch in pa.table(columns).combine_chunks().to_batches():
            self._records.append(batch)
        return version, outputs

    def _label(self, chunk: int) -> None:
        rows = self._past.labelled_after(chunk)
        if rows.num_rows:
            self._labels.append(rows[RECORD_ID].to_pylist(), rows[LABEL].to_pylist(), self._clock.now())
            self._labelled += rows.num_rows

    def _rest(self, row: int) -> None:
        """Turn until nothing is left to do at this moment, and note what happened."""
        for _ in range(TURNS):
            if not self._loop.turn():
                break
        else:
            raise Conflict(f"the loop did not come to rest in {TURNS} turns at {self._clock.now().isoformat()}")
        for found in self._ledger.facts(after=self._seen):
            self._seen = found.seq
            self._happenings += self._told(found.fact, row + self._past.skipped)

    def _told(self, fact: Fact, row: int) -> list[Happening]:
        if isinstance(fact, Watched):
            if not fact.findings:
                return []
            found = fact.findings
            told = f"{fact.monitor}: {', '.join(f'{one.subject} ({one.kind})' for one in found)}; {found[0].sentence}"
            return [Happening(fact.time, row, self._labelled, "finding", told, fact.monitor, found)]
        line = _line(fact)
        return [Happening(fact.time, row, self._labelled, *line)] if line else []

    def told(self, outputs: Answers, simple: Sequence[Course]) -> Replayed:
        """The result, beside the baselines."""
        specification = self._specification
        first = {fact.update for fact in self._of(UpdateOpened) if not fact.confirms}
        runs = [run for run in self._of(RunFinished) if run.update in first]
        trained = {run.run: run.update for run in reversed(runs) if run.step == "train"}  # reused ones count once
        learnt = {run.run: int(run.result.get("rows", 0)) for run in runs if run.step == "train"}
        own = course(
            "keepfit",
            outputs,
            self._past,
            specification,
            updates=len(trained) - 1,
            swaps=sum(1 for swap in self._of(Swapped) if swap.before),
            rows=sum(learnt.values()),
            cpu_seconds=sum(run.cpu_seconds for run in self._of(RunFinished)),
        )
        metric = next(iter(own.total))
        return Replayed(
            specification.service.name,
            metric,
            METRICS[metric].higher,
            self._past.rows.num_rows,
            self._past.skipped,
            self._past.chunks,
            tuple(self._versions),
            (own, *simple),
            len(self._of(Watched)),
            tuple(self._happenings),
        )

    def _of(self, kind: type[Any]) -> list[Any]:
        return [row.fact for row in self._ledger.facts(self._specification.service.name, kind)]

    def close(self) -> None:
        """End everything that is open; what was found stays."""
        self._records.close()
        self._labels.close()
        self._loop.close()
        self._target.close()


def _line(fact: Fact) -> tuple[str, str] | None:
    """What a fact means to a reader of a replay: its kind and a sentence."""
    match fact:
        case UpdateOpened():
            return ("confirm" if fact.confirms else "update"), fact.reason
        case UpdateClosed() if fact.outcome in ("held", "refused", "failed"):
            return fact.outcome, fact.reason
        case RunFailed() if fact.step in ASIDE:
            return "failed", f"{fact.step}: {fact.reason}"
        case Swapped():
            kind = "rollback" if fact.cause == "rollback" else "swap"
            return kind, f"v{fact.before} to v{fact.after}: {fact.reason}"
        case Quarantined():
            return "quarantine", f"v{fact.version}: {fact.reason}"
        case _:
            return None


def _performer(places: Places, stream: Stream) -> Callable[[Work], Made]:
    """What runs a step in line: what user code raises becomes the Run's failure, as in a worker."""

    def perform(work: Work) -> Made:
        with TemporaryDirectory() as scratch:
            try:
                return perform_step(work, places, Path(scratch), stream)
            except KeepfitError:
                raise
            except Exception as error:
                raise Refused(f"{type(error).__name__}: {error}", code="raised") from error

    return perform
