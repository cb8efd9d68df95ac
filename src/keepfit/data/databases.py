"""Databases: the rows a query answers, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from keepfit.core.errors import DataInvalid, MissingExtra

_SCHEMES = ("sqlite:", "postgresql:", "postgresql+psycopg:", "postgres:", "duckdb:")
_ROWS = 20_000

Answer = tuple[pa.Schema, Callable[[], Iterator[pa.RecordBatch]]]


def is_database(source: Any) -> bool:
    """Whether a source is the URL of a database."""
    return isinstance(source, str) and source.startswith(_SCHEMES)


def query_batches(url: str, statement: str) -> Answer:
    """The columns and rows a statement answers; DataInvalid says why the database refuses it.

    `sqlite:///file.db` needs nothing else, `postgresql://...` the extra `postgres`, `duckdb:///file.db` the extra
    `duckdb`. Rows are fetched as they are read. A column's type is told from its first values.
    """
    if not is_database(url):
        raise DataInvalid(f"{url}: cannot be queried; expected the URL of a database: {', '.join(_SCHEMES)} ...")
    if not statement.strip():
        raise DataInvalid(f"{url}: expected a query as well: a SELECT")
    ask = _of_duckdb if url.startswith("duckdb:") else _of_sqlalchemy
    batches = ask(url, statement)
    try:
        first = next(batches)
    except StopIteration:
        raise DataInvalid(f"{url}: the statement answers no table; expected a SELECT") from None
    passes = iter([True])

    def again() -> Iterator[pa.RecordBatch]:
        if next(passes, False):
            yield first
            yield from batches
        else:
            yield from ask(url, statement)

    return first.schema, again


def _of_sqlalchemy(url: str, statement: str) -> Iterator[pa.RecordBatch]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    if url.startswith(("postgres:", "postgresql:")):
        url = "postgresql+psycopg:" + url.partition(":")[2]
    try:
        engine = create_engine(url)
    except ModuleNotFoundError as error:
        raise MissingExtra("psycopg", "postgres") from error
    except SQLAlchemyError as error:
        raise DataInvalid(f"{url}: is not a database's URL: {error}") from error
    try:
        with engine.connect() as connection:
            found = connection.execution_options(yield_per=_ROWS).execute(text(statement))
            if not found.returns_rows:
                return
            names = list(found.keys())
            known: list[pa.DataType | None] = [None] * len(names)
            rows = found.fetchmany(_ROWS)
            yield _batch(names, rows, known)
            while rows := found.fetchmany(_ROWS):
                yield _batch(names, rows, known)
    except SQLAlchemyError as error:
        raise DataInvalid(f"{engine.url!r}: the query failed: {error}") from error
    finally:
        engine.dispose()


def _batch(names: Sequence[str], rows: Sequence[Any], known: list[pa.DataType | None]) -> pa.RecordBatch:
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    columns = []
    for place, name in enumerate(names):
        columns.append(_column(name, cells[place], known[place]))
        if columns[-1].type != pa.null():
            known[place] = columns[-1].type
    return pa.RecordBatch.from_arrays(columns, names=list(names))


def _column(name: str, cells: Sequence[Any], known: pa.DataType | None) -> pa.Array:
    found = _array(cells, known)
    if isinstance(found, Exception) and known is not None:
        found = _array(cells, None)  # whole numbers that turn into fractions later on
    if isinstance(found, Exception):
        raise DataInvalid(f"column '{name}' of the query has values of several types: {found}; CAST it") from found
    zoned = pa.types.is_timestamp(found.type) and found.type.tz is not None
    return found.cast(pa.timestamp("us", "UTC")) if zoned else found  # whatever zone the server tells times in


def _array(cells: Sequence[Any], kind: pa.DataType | None) -> pa.Array | Exception:
    try:
        return pa.array(cells, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        return error


def _of_duckdb(url: str, statement: str) -> Iterator[pa.RecordBatch]:
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtra("duckdb", "duckdb") from error
    path = url.partition(":")[2].removeprefix("///") or ":memory:"
    try:
        with duckdb.connect(path, read_only=path != ":memory:") as connection:
            answer = connection.sql(statement)
            if answer is None:
                return
            reader = getattr(answer, "to_arrow_reader", None) or answer.fetch_arrow_reader  # its name before 1.4
            reader = reader(_ROWS)
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)
            yield from reader
    except duckdb.Error as error:
        raise DataInvalid(f"{url}: the query failed: {error}") from error
