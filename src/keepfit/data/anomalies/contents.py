"""Contents: text as words, bytes as images."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.faults import Fault, whole
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.schema import UNCHECKED, Between, Expectation, Images, Token, Tokens

_FORMATS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"BM")
"""JPEG, PNG, GIF and BMP begin so."""


def contents(case: Case, table: pa.Table) -> Iterator[Fault]:
    """Words that are unknown, too short, too rare or too frequent; bytes that are no images, or too many."""
    for expected in case.schema.columns:
        if expected.name not in table.column_names or expected.stage in UNCHECKED:
            continue
        if expected.tokens is not None:
            rows = [_words(value) for value in whole(table, expected.name).to_pylist() if value is not None]
            yield from _tokens(case, expected, expected.tokens, rows)
        if expected.images is not None:
            yield from _images(case, expected, expected.images, whole(table, expected.name).to_pylist())


def _words(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else [str(one) for one in value]


def _tokens(case: Case, expected: Expectation, asked: Tokens, rows: list[list[str]]) -> Iterator[Fault]:
    counted = [word for row in rows for word in row if word not in asked.excluded]
    known = [word for word in counted if word not in asked.unknown]
    name = expected.name
    if asked.coverage is not None and counted:
        vocabulary = set(asked.vocabulary)
        share = sum(word in vocabulary for word in known) / len(counted)
        if share < asked.coverage:
            sentence = f"column '{name}': {share:.1%} of the words are in the vocabulary; expected {asked.coverage:.1%}"
            yield Fault(case.tell(Anomaly.FEATURE_COVERAGE_TOO_LOW, name, sentence, (share, asked.coverage)))
    if asked.mean_length is not None and known:
        mean = sum(map(len, known)) / len(known)
        if mean < asked.mean_length:
            sentence = f"column '{name}': words have {mean:.2f} characters; expected at least {asked.mean_length:g}"
            pair = (mean, asked.mean_length)
            yield Fault(case.tell(Anomaly.FEATURE_COVERAGE_TOO_SHORT_AVG_TOKEN_LENGTH, name, sentence, pair))
    for token in asked.of:
        yield from _token(case, name, token, rows)


def _token(case: Case, name: str, token: Token, rows: list[list[str]]) -> Iterator[Fault]:
    counts = [row.count(token.value) for row in rows]
    if not counts:
        return
    share = sum(count > 0 for count in counts) / len(counts)
    few, many = Anomaly.SEQUENCE_VALUE_TOO_FEW_OCCURRENCES, Anomaly.SEQUENCE_VALUE_TOO_MANY_OCCURRENCES
    rare, common = Anomaly.SEQUENCE_VALUE_TOO_SMALL_FRACTION, Anomaly.SEQUENCE_VALUE_TOO_LARGE_FRACTION
    cases: tuple[tuple[Between, float, float, tuple[Anomaly, Anomaly], str], ...] = (
        (token.per_row, min(counts), max(counts), (few, many), "times in a row"),
        (token.share, share, share, (rare, common), "of the rows"),
    )
    for bounds, low, high, anomalies, what in cases:
        told = (
            f"column '{name}' has {token.value!r} in"
            if what == "of the rows"
            else f"column '{name}' has {token.value!r}"
        )
        if bounds.least is not None and low < bounds.least:
            sentence = f"{told} {low:g} {what}; expected at least {bounds.least:g}"
            yield Fault(case.tell(anomalies[0], name, sentence, (low, bounds.least)))
        if bounds.most is not None and high > bounds.most:
            sentence = f"{told} {high:g} {what}; expected at most {bounds.most:g}"
            yield Fault(case.tell(anomalies[1], name, sentence, (high, bounds.most)))


def _images(case: Case, expected: Expectation, asked: Images, values: list[Any]) -> Iterator[Fault]:
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    known = [value for value in raw if value is not None]
    name = expected.name
    if asked.supported is not None and known:
        share = sum(value.startswith(_FORMATS) for value in known) / len(known)
        if share < asked.supported:
            odd = np.array([value is not None and not value.startswith(_FORMATS) for value in raw], np.bool_)
            sentence = f"column '{name}': {share:.1%} are images of a known format; expected {asked.supported:.1%}"
            pair = (share, asked.supported)
            yield Fault.at(case.tell(Anomaly.LOW_SUPPORTED_IMAGE_FRACTION, name, sentence, pair), odd)
    if asked.most_bytes is not None:
        big = np.array([value is not None and len(value) > asked.most_bytes for value in raw], np.bool_)
        if big.any():
            longest = max(map(len, known))
            sentence = f"column '{name}' has an image of {longest} bytes; expected at most {asked.most_bytes}"
            pair = (longest, asked.most_bytes)
            yield Fault.at(case.tell(Anomaly.MAX_IMAGE_BYTE_SIZE_EXCEEDED, name, sentence, pair), big)
