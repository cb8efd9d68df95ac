"""Spans: the Records of a Stream between two times, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from keepfit.core.errors import DataInvalid, NotFound
from keepfit.core.places import Places
from keepfit.data.scan import Scan
from keepfit.store.streams import Query, Stream

_PIECES = 64  # a Span is read in so many intervals at most: memory, not files, is what there is little of
_SHORTEST = timedelta(hours=1)


def scan_span(places: Places, service: str, ends: tuple[str, str] | None) -> Scan:
    """The Records of a Service from the first time up to before the second (all, without times), with their Labels."""
    stream = Stream(places.stream(service))
    counts = stream.counts()
    if counts.first is None or counts.last is None:
        raise NotFound(f"no records of '{service}' in {places.root}")
    start, end = counts.first, counts.last + timedelta(microseconds=1)
    if ends is not None:
        start, end = (_time(text) for text in ends)
    step = max(_SHORTEST, (end - start) / _PIECES)

    def batches() -> Iterator[pa.RecordBatch]:
        at = start
        while at < end:
            yield from stream.read(Query(start=at, end=min(at + step, end))).to_batches()
            at += step

    return Scan(stream.read(Query(start=start, end=start)).schema, batches)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataInvalid(f"'{text}' is not a time; expected one such as 2026-11-21T12:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
