"""Ledger: facts, appended and never changed, and what can be asked of them in SQL: artifacts, edges, metrics."""

from __future__ import annotations

import math
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import msgspec
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from keepfit.core.errors import DataInvalid, MissingExtra, NotFound, StorageFault, Unavailable
from keepfit.core.facts import KINDS, Fact, RunFinished, RunStarted
from keepfit.core.nouns import Digest
from keepfit.store.migrations import current, migrate

F = TypeVar("F", bound=Fact)
F_co = TypeVar("F_co", bound=Fact, covariant=True)

_WAIT = 30.0  # seconds a writer waits for its turn
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_facts = sa.table("facts", *map(sa.column, ("seq", "kind", "service", "subject", "time", "body")))
_artifacts = sa.table("artifacts", *map(sa.column, ("digest", "kind", "time")))
_edges = sa.table("edges", *map(sa.column, ("run", "role", "name", "digest")))
_metrics = sa.table("metrics", *map(sa.column, ("run", "name", "service", "value", "time")))


@dataclass(frozen=True)
class Row(Generic[F_co]):
    """A fact and its place in the ledger; later facts have higher numbers."""

    seq: int
    fact: F_co


@dataclass(frozen=True)
class Edge:
    """A Run took (`input`) or made (`output`) an artifact under a name."""

    run: str
    role: str
    name: str
    digest: Digest


@dataclass(frozen=True)
class Metric:
    """A number a Run reported."""

    run: str
    name: str
    value: float
    time: datetime


class Ledger:
    """The facts of a store: an SQLite file, or any database SQLAlchemy has a URL for.

    Processes and threads may share it: writers take turns, readers see what was committed. StorageFault where it
    cannot be opened, Unavailable where a turn did not come in half a minute.
    """

    def __init__(self, place: str | Path, *, readonly: bool = False) -> None:
        url = sa.make_url(str(place)) if "://" in str(place) else sa.URL.create("sqlite", database=str(place))
        self._place = url.render_as_string() if "://" in str(place) else str(place)  # never with its password
        if url.get_backend_name() == "sqlite":
            self._engine = _sqlite(url, readonly=readonly)
        else:
            self._engine = _server(url)
        self._readonly = readonly
        weakref.finalize(self, self._engine.dispose)  # whoever forgets to close it leaves no connection open
        with self._faults():
            with self._engine.connect() as connection:
                ready = current(connection)
            if not ready and not readonly:
                with self._writing() as connection:
                    migrate(connection)
            elif not ready:
                raise StorageFault(f"{place}: has another form than this keepfit reads; open it for writing once")

    def append(self, *facts: Fact) -> int:
        """Append facts in one transaction; the number of the last (of the ledger's last, without any)."""
        if self._readonly:
            raise StorageFault(f"{self._place}: was opened for reading only")
        rows = [_row(fact) for fact in facts]
        with self._faults():
            if not rows:
                return self._last()
            with self._writing() as connection:
                seq = 0
                for row, fact in zip(rows, facts, strict=True):
                    seq = connection.execute(sa.insert(_facts).values(row).returning(_facts.c.seq)).scalar_one()
                    _index(connection, fact)
                return int(seq)

    @overload
    def facts(
        self,
        service: str | None = None,
        kind: None = None,
        *,
        subject: str | None = None,
        after: int = 0,
        limit: int | None = None,
        newest: bool = False,
    ) -> list[Row[Fact]]: ...
    @overload
    def facts(
        self,
        service: str | None = None,
        kind: type[F] = ...,
        *,
        subject: str | None = None,
        after: int = 0,
        limit: int | None = None,
        newest: bool = False,
    ) -> list[Row[F]]: ...

    def facts(
        self,
        service: str | None = None,
        kind: type[Any] | None = None,
        *,
        subject: str | None = None,
        after: int = 0,
        limit: int | None = None,
        newest: bool = False,
    ) -> list[Row[Any]]:
        """Facts with a number above `after`, the oldest first, or the newest first."""
        query = sa.select(_facts.c.seq, _facts.c.kind, _facts.c.body).where(_facts.c.seq > after)
        if service is not None:
            query = query.where(_facts.c.service == service)
        if kind is not None:
            query = query.where(_facts.c.kind == kind.__name__)
        if subject is not None:
            query = query.where(_facts.c.subject == subject)
        query = query.order_by(_facts.c.seq.desc() if newest else _facts.c.seq).limit(limit)
        return [Row(seq, _fact(name, body)) for seq, name, body in self._all(query)]

    def last(self, kind: type[F], service: str, subject: str | None = None) -> F | None:
        """The latest fact of a kind, None where there is none."""
        rows = self.facts(service, kind, subject=subject, limit=1, newest=True)
        return rows[0].fact if rows else None

    def services(self) -> list[str]:
        """The names of all Services with a fact, in order."""
        query = sa.select(_facts.c.service).distinct().order_by(_facts.c.service)
        return [service for (service,) in self._all(query)]

    def edges(self, *, run: str | None = None, digest: Digest | None = None) -> list[Edge]:
        """Which Runs took and made which artifacts: of a Run, of an artifact, or all."""
        query = sa.select(_edges.c.run, _edges.c.role, _edges.c.name, _edges.c.digest)
        if run is not None:
            query = query.where(_edges.c.run == run)
        if digest is not None:
            query = query.where(_edges.c.digest == digest)
        return [Edge(*row) for row in self._all(query.order_by(_edges.c.run, _edges.c.role, _edges.c.name))]

    def artifacts(self, kind: str | None = None) -> dict[Digest, str]:
        """Every artifact a Run took or made and what it was first called there, the oldest first."""
        query = sa.select(_artifacts.c.digest, _artifacts.c.kind).order_by(_artifacts.c.time, _artifacts.c.digest)
        if kind is not None:
            query = query.where(_artifacts.c.kind == kind)
        return dict(map(tuple, self._all(query)))

    def metrics(self, service: str, name: str | None = None) -> list[Metric]:
        """The numbers the Runs of a Service reported, the oldest first."""
        columns = (_metrics.c.run, _metrics.c.name, _metrics.c.value, _metrics.c.time)
        query = sa.select(*columns).where(_metrics.c.service == service)
        if name is not None:
            query = query.where(_metrics.c.name == name)
        rows = self._all(query.order_by(_metrics.c.time, _metrics.c.run, _metrics.c.name))
        return [Metric(run, called, value, _EPOCH + timedelta(microseconds=at)) for run, called, value, at in rows]

    def close(self) -> None:
        """Let go of the database; the object must not be used afterwards."""
        self._engine.dispose()

    def _last(self) -> int:
        return int(self._all(sa.select(sa.func.max(_facts.c.seq)))[0][0] or 0)

    def _all(self, query: sa.Select[Any]) -> list[Any]:
        with self._faults(), self._engine.connect() as connection:
            return list(connection.execute(query).all())

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            if self._engine.dialect.name == "postgresql":
                # Numbers are drawn before the commit: without turns a reader could see 8 first and never look for 7.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TURNSTILE)))
            yield connection

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OperationalError as error:
            if "locked" in str(error.orig):
                raise Unavailable(f"{self._place}: others have been writing for {_WAIT:.0f} s; try again") from error
            raise StorageFault(f"{self._place}: {error.orig}") from error
        except sa.exc.DatabaseError as error:
            raise StorageFault(f"{self._place}: {error.orig}", code="corrupt") from error


_TURNSTILE = 7_310_872_195  # any number, so long as all writers of a PostgreSQL ledger use this one


def _server(url: sa.URL) -> sa.Engine:
    try:
        return sa.create_engine(url)
    except ModuleNotFoundError as error:
        raise MissingExtra(str(error.name), "postgres") from error


# --- SQLite ---------------------------------------------------------------------------------------------------------


def _sqlite(url: sa.URL, *, readonly: bool) -> sa.Engine:
    path = Path(url.database or "")
    if readonly and not path.is_file():
        raise NotFound(f"{path}: there is no ledger; `keepfit up` creates one")
    path.parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": _WAIT})
    event.listen(engine, "connect", _settings(readonly))
    event.listen(engine, "begin", _begin)
    return engine


def _settings(readonly: bool) -> Callable[[sqlite3.Connection, Any], None]:
    def on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin transactions late, and only some of them
        if readonly:
            connection.execute("PRAGMA query_only = ON")
        else:
            _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")

    return on_connect


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch the journal, once in a ledger's life; the one statement of SQLite that does not wait for its turn."""
    deadline = time.monotonic() + _WAIT
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _begin(connection: sa.Connection) -> None:
    # A writer takes its turn at once: a transaction that began by reading may not wait for one later.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


# --- facts as rows --------------------------------------------------------------------------------------------------


def _row(fact: Fact) -> dict[str, Any]:
    kind = type(fact).__name__
    if KINDS.get(kind) is not type(fact):
        raise DataInvalid(f"{type(fact).__qualname__} is no kind of fact; there are: {', '.join(sorted(KINDS))}")
    body = msgspec.json.encode(_spelt(msgspec.to_builtins(fact))).decode()
    _fact(kind, body)  # what cannot be read again must not be written
    return {
        "kind": kind,
        "service": fact.service,
        "subject": fact.subject,
        "time": _micros(fact.time),
        "body": body,
    }


def _fact(kind: str, body: str) -> Fact:
    if kind not in KINDS:
        raise StorageFault(f"the ledger holds a fact of kind {kind!r}, unknown to this keepfit: install a newer one")
    try:
        return _decoder(kind).decode(body)
    except msgspec.MsgspecError as error:
        raise DataInvalid(f"{kind}: {error}; found {body}") from error


@cache
def _decoder(kind: str) -> msgspec.json.Decoder[Fact]:
    return msgspec.json.Decoder(KINDS[kind], strict=False)  # not strict: numbers may be spelt, see below


def _spelt(plain: Any) -> Any:
    """JSON has no NaN and no infinity; they are kept as text, which reads back as the number."""
    match plain:
        case float() if not math.isfinite(plain):
            return str(plain)
        case dict():
            return {key: _spelt(value) for key, value in plain.items()}
        case list() | tuple():
            return [_spelt(value) for value in plain]
    return plain


def _index(connection: sa.Connection, fact: Fact) -> None:
    """Keep what a fact says of Runs where SQL can find it."""
    match fact:
        case RunStarted():
            _link(connection, fact, "input", fact.inputs)
        case RunFinished():
            _link(connection, fact, "output", fact.outputs)
            for name, value in _numbers(fact.result).items():
                row = {"run": fact.run, "name": name, "service": fact.service, "value": value}
                _insert_once(connection, _metrics, {**row, "time": _micros(fact.time)}, ("run", "name"))


def _link(connection: sa.Connection, fact: RunStarted | RunFinished, role: str, named: Mapping[str, Digest]) -> None:
    for name, digest in named.items():
        artifact = {"digest": digest, "kind": name, "time": _micros(fact.time)}
        _insert_once(connection, _artifacts, artifact, ("digest",))
        edge = {"run": fact.run, "role": role, "name": name, "digest": digest}
        _insert_once(connection, _edges, edge, ("run", "role", "name"))


def _insert_once(connection: sa.Connection, table: Any, row: Mapping[str, Any], key: tuple[str, ...]) -> None:
    there = sa.select(sa.literal(1)).select_from(table).where(*(table.c[name] == row[name] for name in key))
    if connection.execute(there).first() is None:  # no other writer can come between
        connection.execute(sa.insert(table).values(row))


def _numbers(result: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Every finite number of a Run's result by its path: {"measures": {"auc": 0.7}} is measures.auc."""
    found: dict[str, float] = {}
    for key, value in result.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[prefix + key] = float(value)
    return found


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
