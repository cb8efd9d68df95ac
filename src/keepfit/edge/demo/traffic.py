"""Traffic: the year as HTTP requests, on a clock that runs some days per second.

One request asks for all departures of one airport in one hour (`POST /predict`); the first flight of every hour is
asked for alone, over the Open Inference Protocol. Labels follow some hours after each arrival (`POST /labels`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from keepfit.core.clock import SharedClock
from keepfit.edge.demo.connection import Connection, Reply
from keepfit.edge.demo.flights import FEATURES, TEXTS, WEATHER, Hour, Year

CONNECTIONS = 8
_LABELS_EVERY = timedelta(hours=3)
_KEPT_REASONS = 20  # failures told in full; all are counted


@dataclass
class Pace:
    """How fast the year goes by, in its seconds per real second.

    While the loop works on a model the year slows down: training takes as long on any clock, and at full speed a
    minute's work would be months late. `end` is the end of the year, which should be there after `seconds`: where the
    two speeds do not suffice, both rise, to a limit; but not while it `is_harmed` by a Version that must go.
    """

    idle: float
    busy: float
    end: datetime
    seconds: float
    is_busy: bool = False
    is_harmed: bool = False
    _began: float = field(default_factory=time.monotonic)
    _due: float = 0.0

    def start(self, seconds: float) -> None:
        """Time counts from now on, and is so long."""
        self._began, self.seconds = time.monotonic(), seconds

    @property
    def spent(self) -> float:
        """The share of the time that is gone."""
        return (time.monotonic() - self._began) / self.seconds

    def speed(self, moment: datetime) -> float:
        """The present speed, at a moment of the year."""
        left = max(1.0, (1.0 - self.spent) * self.seconds)
        needed = (self.end - moment).total_seconds() / left
        if self.is_harmed:
            return self.busy
        if self.is_busy:
            return min(max(self.busy, 0.5 * needed), 2.0 * self.busy)
        return min(max(self.idle, 1.5 * needed), 2.5 * self.idle)

    async def pass_time(self, since: datetime, until: datetime) -> None:
        """Wait for as long as the span of the year lasts, less what was late already."""
        now = time.monotonic()
        self._due = max(self._due, now - 0.05) + (until - since).total_seconds() / self.speed(until)
        await asyncio.sleep(max(0.0, self._due - now))


@dataclass(frozen=True)
class Exchange:
    """One prediction request: rows [start, stop), when (time.monotonic), how long, and who answered."""

    start: int
    stop: int
    began: float
    seconds: float
    version: int
    digest: str


@dataclass
class Log:
    """Everything that was sent and what came back; the arrays have one place per flight of the year."""

    probability: np.ndarray
    prediction: np.ndarray
    version: np.ndarray
    exchanges: list[Exchange] = field(default_factory=list)
    requests: int = 0
    flights: int = 0
    labels: int = 0
    failed: int = 0
    muddled: int = 0
    reasons: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, rows: int) -> Log:
        """An empty log for a year of so many flights."""
        return cls(np.full(rows, np.nan), np.full(rows, -1, np.int8), np.zeros(rows, np.int32))

    def fail(self, reason: str) -> None:
        """Count a request that was not answered as it should be."""
        self.failed += 1
        if len(self.reasons) < _KEPT_REASONS:
            self.reasons.append(reason)


class Traffic:
    """Sends rows of a year to one runner; `log` fills as it goes."""

    def __init__(self, year: Year, address: str, service: str, clock: SharedClock) -> None:
        self.year = year
        self.log = Log.of(year.table.num_rows)
        self.now = clock.now()
        self._clock = clock
        self._service = service
        self._connections = [Connection(address) for _ in range(CONNECTIONS)]
        self._ids = year.table["flight"].to_pylist()
        self._late = year.table["late"].to_pylist()
        self._order = np.argsort(year.known, kind="stable")
        self._told = 0
        self._told_at = self.now

    async def replay(self, start: int, stop: int, pace: Pace, *, until: Callable[[], bool]) -> None:
        """Send the flights [start, stop) hour by hour, and the labels that came due, or less when `until` says so."""
        self._told = int(np.searchsorted(self.year.known[self._order], _micros(self.now)))
        for hour in self.year.hours(start, stop):
            if until():
                return
            await pace.pass_time(self.now, hour[0].time)
            self.now = hour[0].time
            self._clock.set(self.now)
            await self._send(hour)

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections:
            connection.close()

    async def _send(self, hour: Sequence[Hour]) -> None:
        """One hour's requests at once; they are written before and read after, so that only the server is timed."""
        asked = _split(hour)
        calls = [self._alone(ask) if alone else self._together(ask) for ask, alone in asked]
        ids, labels = self._due()
        if ids:
            calls.append(("/labels", labels))
        timed = zip(self._connections, calls, strict=False)
        told = await asyncio.gather(*(_timed(connection, *call) for connection, call in timed))
        self.log.requests += len(calls)
        for (ask, alone), (path, _), (reply, began, seconds) in zip(asked, calls, told, strict=False):
            self._keep(ask, reply, alone=alone, path=path, timing=(began, seconds))
        if ids:
            self._keep_labels(told[-1][0], len(ids))

    def _together(self, ask: Hour) -> tuple[str, bytes]:
        rows = self.year.table.slice(ask.start, ask.stop - ask.start).select(["flight", *FEATURES])
        return "/predict", msgspec.json.encode(rows.rename_columns(["_id", *FEATURES]).to_pylist())

    def _alone(self, ask: Hour) -> tuple[str, bytes]:
        row = self.year.table.slice(ask.start, 1).to_pylist()[0]
        inputs = [{"name": name, "shape": [1], "datatype": _datatype(name), "data": [row[name]]} for name in FEATURES]
        return f"/v2/models/{self._service}/infer", msgspec.json.encode({"id": row["flight"], "inputs": inputs})

    def _due(self) -> tuple[list[str], bytes]:
        """The labels known by now of flights that were answered, every few hours."""
        if self.now - self._told_at < _LABELS_EVERY:
            return [], b""
        self._told_at = self.now
        first, self._told = self._told, int(np.searchsorted(self.year.known[self._order], _micros(self.now)))
        rows = [row for row in self._order[first : self._told].tolist() if self.log.version[row]]
        labels = [{"id": self._ids[row], "label": self._late[row]} for row in rows if self._late[row] is not None]
        return [label["id"] for label in labels], msgspec.json.encode(labels)

    def _keep(self, ask: Hour, reply: Reply | str, *, alone: bool, path: str, timing: tuple[float, float]) -> None:
        if isinstance(reply, str) or reply.status != 200:
            self.log.fail(_why(path, reply))
            return
        rows = slice(ask.start, ask.stop)
        try:
            version, digest = int(reply.headers["keepfit-version"]), reply.headers["keepfit-bundle"]
            said = msgspec.json.decode(reply.body)
            answers = _alone_said(said) if alone else said
            in_order = [answer["_id"] for answer in answers] == self._ids[rows]
            self.log.probability[rows] = [answer["probability"] for answer in answers]
            self.log.prediction[rows] = [answer["prediction"] for answer in answers]
        except (KeyError, TypeError, ValueError) as error:
            self.log.fail(f"{path}: the answer cannot be read: {type(error).__name__} {error}")
            return
        body = (int(said["model_version"]), said["parameters"]["digest"]) if alone else (version, digest)
        self.log.muddled += body != (version, digest) or not in_order
        self.log.version[rows] = version
        self.log.flights += len(answers)
        self.log.exchanges.append(Exchange(ask.start, ask.stop, *timing, version, digest))

    def _keep_labels(self, reply: Reply | str, count: int) -> None:
        if isinstance(reply, str) or reply.status != 200:
            self.log.fail(_why("/labels", reply))
        elif msgspec.json.decode(reply.body).get("accepted") != count:
            self.log.fail(f"/labels: {count} labels were sent, answered {reply.body[:200]!r}")
        else:
            self.log.labels += count


async def _timed(connection: Connection, path: str, body: bytes) -> tuple[Reply | str, float, float]:
    began = time.monotonic()
    reply: Reply | str
    try:
        reply = await connection.ask("POST", path, body)
    except OSError as error:
        reply = str(error)
    return reply, began, time.monotonic() - began


def _split(hour: Sequence[Hour]) -> list[tuple[Hour, bool]]:
    """The requests of an hour: its first flight alone, then every airport's departures together."""
    first, *others = hour
    alone = Hour(first.time, first.start, first.start + 1)
    rest = [Hour(first.time, first.start + 1, first.stop)] if first.stop > first.start + 1 else []
    return [(alone, True), *((ask, False) for ask in (*rest, *others))]


def _alone_said(said: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The one row of an answer of the Open Inference Protocol."""
    outputs = {output["name"]: output["data"][0] for output in said["outputs"]}
    return [{"_id": said["id"], **outputs}]


def _why(path: str, reply: Reply | str) -> str:
    return reply if isinstance(reply, str) else f"{path}: {reply.status} {reply.body[:200]!r}"


def _datatype(name: str) -> str:
    return "BYTES" if name in TEXTS else "FP64" if name in WEATHER else "INT64"


def _micros(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
