"""Records from elsewhere: what the loggers of KServe, Seldon and MLServer send becomes Records of a Service's Stream.

They tell an exchange in two CloudEvents, the request and the response, in either order, of one id. What has come waits
in a small database beside the Stream for the other half; both together are appended as Records, and only what is on
the disk is acknowledged. The same event again changes nothing. What waits too long, or finds no room, is let go and
counted: `GET …/records` tells how much.
"""

from __future__ import annotations

import base64
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import unquote

import msgspec
import numpy as np
import pyarrow as pa

from keepfit.core.errors import Invalid, KeepfitError
from keepfit.core.nouns import OUTPUT_PREFIX
from keepfit.edge.payloads import Contract
from keepfit.serve.forms import Form
from keepfit.serve.trace import received
from keepfit.serve.wire.tables import arrow_type, to_batch
from keepfit.store.streams import SegmentWriter

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS = {
    f"{origin}.serving.inference.{kind}": kind
    for origin in ("org.kubeflow", "io.seldon", "org.kserve")
    for kind in ("request", "response")
}
_VERSIONS = ("1.0", "0.3", "0.2")  # MLServer still says 0.3; what we read of an event has not changed since
_WAIT = 3600.0  # seconds that one half waits for the other
_ROOM, _SIZE = 100_000, 2**28  # halves that wait, and their bytes
_ROW = "_row"  # a column that every half has, so that its number of records is known whatever is masked
_REMEMBERED = 1_000_000  # exchanges that are recognised when they are told again
_SCHEMA = """
CREATE TABLE IF NOT EXISTS waiting (
    key TEXT, kind TEXT, id TEXT, said TEXT, version INTEGER, time INTEGER, trace TEXT, data BLOB, came REAL,
    PRIMARY KEY (key, kind)
);
CREATE TABLE IF NOT EXISTS done (number INTEGER PRIMARY KEY, key TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER);
"""


@dataclass(frozen=True)
class Event:
    """One half of an exchange: `key` is what both halves have in common, `time` None where the event tells none."""

    key: str
    id: str
    kind: str
    time: int | None
    trace: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Received:
    """What became of events: how many there were, how many were known, Records made, halves that wait by now."""

    events: int = 0
    repeated: int = 0
    records: int = 0
    waiting: int = 0
    dropped: int = 0


def events_of(headers: Mapping[str, str], body: bytes) -> list[Event]:
    """The events of a request in binary or structured mode, or a batch; Invalid (`invalid_event`) names the wrong one.

    Header names are in lower case. https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/cloudevents-batch+json":
        batch = _decoded(body, "the batch")
        if not isinstance(batch, list):
            raise Invalid("the batch is no JSON array of events", code="invalid_event")
        return [_structured(event, f"event {place} of the batch") for place, event in enumerate(batch)]
    if kind == "application/cloudevents+json":
        return [_structured(_decoded(body, "the event"), "the event")]
    attributes = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
    if "type" not in attributes:
        raise Invalid(
            "this is no CloudEvent: expected ce-id and ce-type headers, or a body of type application/cloudevents+json",
            code="invalid_event",
        )
    return [_event(attributes, body, "the event")]


def _structured(event: Any, name: str) -> Event:
    if not isinstance(event, dict):
        raise Invalid(f"{name} is no JSON object", code="invalid_event")
    data = event.get("data")
    if "data_base64" in event:
        try:
            content = base64.b64decode(event["data_base64"], validate=True)
        except (TypeError, ValueError) as error:
            raise Invalid(f"{name}: data_base64: {error}", code="invalid_event") from error
    else:
        content = data.encode() if isinstance(data, str) else msgspec.json.encode(data)
    return _event({key: value for key, value in event.items() if isinstance(value, str)}, content, name)


def _event(attributes: Mapping[str, str], data: bytes, name: str) -> Event:
    id = attributes.get("id") or attributes.get("requestid", "")
    name = f"event '{id:.200}'" if id else name
    version, kind = attributes.get("specversion", "1.0"), _KINDS.get(attributes.get("type", ""))
    if not id:
        raise Invalid(f"{name} has no id", code="invalid_event")
    if version not in _VERSIONS:
        raise Invalid(f"{name}: specversion {version!r:.20} is none of {', '.join(_VERSIONS)}", code="invalid_event")
    if kind is None:
        raise Invalid(
            f"{name}: type {attributes.get('type', '')!r:.80} is none of: {', '.join(_KINDS)}", code="unknown_type"
        )
    _decoded(data, name)
    # Seldon gives every event an id of its own and every request another; the models of a graph share the latter.
    key = "\n".join((attributes.get("requestid") or id, attributes.get("modelid", "")))
    trace = received({b"traceparent": attributes.get("traceparent", "").encode()})
    parent = attributes["traceparent"] if trace is not None else ""
    return Event(key, attributes.get("requestid") or id, kind, _time(attributes.get("time"), name), parent, data)


def _time(told: str | None, name: str) -> int | None:
    if not told:
        return None
    try:
        moment = datetime.fromisoformat(told)
        return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{name}: time {told!r:.40} is no RFC 3339 time", code="invalid_event") from error


def _decoded(data: bytes, name: str) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise Invalid(f"{name}: the data is not JSON: {error}", code="invalid_event") from error


class Inbox:
    """Joins the halves of a Service's exchanges and appends them to its Stream; safe to use from threads."""

    def __init__(self, root: Path, *, now: Callable[[], datetime], room: int = _ROOM, wait: float = _WAIT) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._now = now
        self._room, self._wait = room, wait
        self._lock = Lock()
        self._traced = False
        self._writer = SegmentWriter(root, "control", durable=True)
        self._database = sqlite3.connect(root / "inbox.db", isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Seal what is open."""
        with self._lock:
            self._writer.close()
            self._database.close()

    def counts(self) -> Received:
        """What became of everything so far, over all restarts."""
        with self._lock:
            found = dict(self._database.execute("SELECT name, value FROM counts"))
            return Received(**found, waiting=self._waiting())

    def take(self, events: Iterable[Event], contract: Contract) -> Received:
        """Keep events, all or (Invalid, StorageFault) none; they are on the disk afterwards."""
        halves = [_half(event, contract, self._now) for event in events]
        with self._lock, self._transaction():
            repeated, pairs = 0, []
            for half in halves:
                if self._known(half):
                    repeated += 1
                elif (other := self._other(half)) is not None:
                    pairs.append((half, other) if half.kind == "request" else (other, half))
            records = self._append(pairs, contract)
            counts = {"events": len(halves), "repeated": repeated, "records": records, "dropped": self._let_go()}
            for name, value in counts.items():
                self._database.execute(
                    "INSERT INTO counts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                    (name, value),
                )
            return Received(**counts, waiting=self._waiting())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")  # after the Records: events acknowledged by neither are sent again

    def _known(self, half: _Half) -> bool:
        one = self._database.execute
        if one("SELECT 1 FROM done WHERE key = ?", (half.key,)).fetchone():
            return True
        found = one("SELECT 1 FROM waiting WHERE key = ? AND kind = ?", (half.key, half.kind)).fetchone()
        return found is not None

    def _other(self, half: _Half) -> _Half | None:
        """The half that waited for this one; None where this one waits from now on."""
        one = self._database.execute
        row = one(
            "SELECT key, kind, id, said, version, time, trace, data FROM waiting WHERE key = ?", (half.key,)
        ).fetchone()
        if row is None:
            kept = (half.key, half.kind, half.id, half.said, half.version, half.time, half.trace, _packed(half.batch))
            one("INSERT INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*kept, time.time()))
            return None
        key, kind, id, said, version, moment, trace, data = row
        other = _Half(key, kind, id, said, version, moment, trace, _unpacked(data))
        if other.batch.num_rows != half.batch.num_rows:
            raise Invalid(
                f"event '{half.id:.200}' ({half.kind}) has {half.batch.num_rows} records, the {other.kind} "
                f"has {other.batch.num_rows}",
                code="wrong_shape",
            )
        one("DELETE FROM waiting WHERE key = ?", (half.key,))
        one("INSERT INTO done (key) VALUES (?)", (half.key,))
        return other

    def _append(self, pairs: list[tuple[_Half, _Half]], contract: Contract) -> int:
        if not pairs:
            return 0
        self._traced = self._traced or any(half.trace for pair in pairs for half in pair)
        batches = [_records(request, response, contract, self._traced) for request, response in pairs]
        table = pa.Table.from_batches(batches).combine_chunks()
        for batch in table.to_batches():
            self._writer.append(batch)
        return int(table.num_rows)

    def _let_go(self) -> int:
        """Remove what waited too long, and the oldest where there are too many; how many were removed."""
        one = self._database.execute
        gone = one("DELETE FROM waiting WHERE came < ?", (time.time() - self._wait,)).rowcount
        while True:
            count, size = one("SELECT count(*), coalesce(sum(length(data)), 0) FROM waiting").fetchone()
            if count <= self._room and size <= _SIZE:
                break
            oldest = "SELECT rowid FROM waiting ORDER BY came, rowid LIMIT ?"
            most = max(count - self._room, count // 10, 1)
            gone += one(f"DELETE FROM waiting WHERE rowid IN ({oldest})", (most,)).rowcount  # noqa: S608  # a constant
        one("DELETE FROM done WHERE number <= (SELECT max(number) FROM done) - ?", (_REMEMBERED,))
        return int(gone)

    def _waiting(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM waiting").fetchone()[0])


@dataclass(frozen=True)
class _Half:
    """An event, and what it says: the id and version it names, and its fields, those that are masked left out."""

    key: str
    kind: str
    id: str
    said: str
    version: int
    time: int
    trace: str
    batch: pa.RecordBatch


def _half(event: Event, contract: Contract, now: Callable[[], datetime]) -> _Half:
    payload = _decoded(event.data, f"event '{event.id:.200}'")
    asked = event.kind == "request"
    try:
        said = contract.request(payload) if asked else contract.response(payload)
    except KeepfitError as error:
        raise Invalid(f"event '{event.id:.200}' ({event.kind}): {error}", code=error.code) from error
    signature, mask = contract.signature, contract.specification.service.serving.mask
    fields = signature.inputs if asked else signature.outputs
    kept = [field for field in fields if field.name in said.arrays and field.name not in mask]
    batch = pa.record_batch([pa.array(np.arange(said.rows))], names=[_ROW])
    for field, column in zip(kept, to_batch(kept, said.arrays).columns if kept else (), strict=True):
        batch = batch.append_column(("" if asked else OUTPUT_PREFIX) + field.name, column)
    moment = event.time if event.time is not None else (now() - _EPOCH) // timedelta(microseconds=1)
    return _Half(event.key, event.kind, event.id, said.id, said.version, moment, event.trace, batch)


def _packed(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _unpacked(data: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch()


def _records(request: _Half, response: _Half, contract: Contract, traced: bool) -> pa.RecordBatch:
    """The Records of an exchange: under the id its caller saw, at the time and with the trace of its request."""
    id = response.said or request.said or request.id
    rows = request.batch.num_rows
    form = Form(response.version, contract.signature, contract.specification.service.serving.mask)
    columns = {}
    for prefix, fields, half in (("", form.inputs, request), (OUTPUT_PREFIX, form.outputs, response)):
        for field in fields:
            name = prefix + field.name
            if name in half.batch.schema.names and half.batch.schema.field(name).type == arrow_type(field):
                columns[prefix, field] = half.batch.column(name)
    ids = [id] if rows == 1 else [f"{id}:{row}" for row in range(rows)]
    times = np.full(rows, request.time, dtype=np.int64)
    trace = request.trace or response.trace or None
    return form.batch(ids, times, columns, [trace] * rows if traced else None)
