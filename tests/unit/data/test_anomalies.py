"""Anomalies: each one TFDV documents, and each of ours, is found where it is and not where it is not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.nouns import Finding, Severity
from keepfit.data.anomalies import TFDV, Anomaly, Case
from keepfit.data.check import check, compare, examine, quarantine
from keepfit.data.profile import Kind, profile
from keepfit.data.read import read
from keepfit.data.scan import Scan
from keepfit.data.schema import (
    Apart,
    Between,
    Expectation,
    Images,
    Schema,
    Sparse,
    Stage,
    TimeOrder,
    Token,
    Tokens,
    Truths,
    WeightedBy,
    infer,
)


@dataclass(frozen=True)
class Golden:
    """Data (`bad`, `good`) or Schemas (`wrong`, `right`) that show an anomaly, and that do not."""

    schema: Schema
    bad: dict[str, Any]
    good: dict[str, Any]
    right: Schema | None = None
    before: dict[str, Any] | None = None
    span: tuple[datetime, datetime] | None = None
    now: datetime | None = None


def of(kind: Kind | None = None, **asked: Any) -> Schema:
    return Schema((Expectation(name="x", kind=kind, **asked),), "")


def x(*values: Any, kind: pa.DataType | None = None) -> dict[str, Any]:
    return {"x": pa.array(values, kind)}


def sound(wrong: Schema, right: Schema, **columns: Any) -> Golden:
    return Golden(wrong, columns or x(1, 2), columns or x(1, 2), right)


def pair(kind: Kind) -> Schema:
    lists = (Expectation(name=name, kind=Kind.TENSOR) for name in ("i", "v"))
    either: Any = {"sparse": (Sparse("s", ("i",), "v"),)}
    return Schema(tuple(lists), "", **(either if kind is Kind.INTEGER else {"weighted": (WeightedBy("s", "v", "i"),)}))


SPARSE, WEIGHTED = pair(Kind.INTEGER), pair(Kind.FLOAT)
LISTS: dict[str, Any] = {"i": [[0, 4], [1]], "v": [[1.0, 2.0], [3.0]]}
NO_VALUE: dict[str, Any] = {"i": [[0, 4], [1]], "v": [[1.0, 2.0], None]}
NO_INDEX: dict[str, Any] = {"i": [[0, 4], None], "v": [[1.0, 2.0], [3.0]]}
UNEVEN: dict[str, Any] = {"i": [[0, 4], [1]], "v": [[1.0], [3.0]]}
RAW = b"\x89PNG\r\n\x1a\n" + b"." * 20
STRING, INTEGER, FLOAT, TENSOR = Kind.TEXT, Kind.INTEGER, Kind.FLOAT, Kind.TENSOR
BYTES = pa.binary()


def token(per_row: Between = Between(), share: Between = Between()) -> Schema:  # noqa: B008 - frozen
    return of(STRING, tokens=Tokens(of=(Token("the", per_row, share),)))


def words(coverage: float | None = None, length: float | None = None) -> Schema:
    return of(STRING, tokens=Tokens(("the", "cat"), coverage, length, excluded=("[PAD]",), unknown=("[UNK]",)))


def named(sparse: str, stage: Stage = Stage.UNKNOWN, *, weighted: bool = False) -> Schema:
    if weighted:
        return Schema((Expectation(name="x", kind=INTEGER, stage=stage),), "", weighted=(WeightedBy(sparse, "x", "x"),))
    return Schema((Expectation(name="x", kind=INTEGER, stage=stage),), "", sparse=(Sparse(sparse, ("x",), "x"),))


GOLDEN: dict[Anomaly, Golden] = {
    Anomaly.BOOL_TYPE_BIG_INT: Golden(of(INTEGER, truths=Truths()), x(0, 1, 2), x(0, 1, 1)),
    Anomaly.BOOL_TYPE_SMALL_INT: Golden(of(INTEGER, truths=Truths()), x(0, 1, -1), x(0, 1, 1)),
    Anomaly.BOOL_TYPE_UNEXPECTED_STRING: Golden(
        of(STRING, truths=Truths("Y", "N")), x("Y", "maybe"), x("Y", "N", None)
    ),
    Anomaly.BOOL_TYPE_UNEXPECTED_FLOAT: Golden(of(FLOAT, truths=Truths()), x(0.0, 0.5, 1.0), x(0.0, 1.0)),
    Anomaly.BOOL_TYPE_INVALID_CONFIG: sound(of(INTEGER, truths=Truths("Y", "N")), of(INTEGER, truths=Truths()), x=[1]),
    Anomaly.ENUM_TYPE_INVALID_UTF8: Golden(of(STRING), x(b"ok", b"\xff\xfe", kind=BYTES), x(b"ok", kind=BYTES)),
    Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES: Golden(
        of(STRING, domain=("a", "b"), outside=0.25), x("a", "b", "c"), x("a", "b", "a", "c", None)
    ),
    Anomaly.FEATURE_TYPE_HIGH_NUMBER_VALUES: Golden(
        of(TENSOR, lengths=(Between(1, 2),)), x([1], [1, 2, 3]), x([1], [1, 2])
    ),
    Anomaly.FEATURE_TYPE_LOW_NUMBER_VALUES: Golden(
        of(TENSOR, lengths=(Between(), Between(2, None))), x([[1, 2], [1]]), x([[1, 2], [1, 2]])
    ),
    Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT: Golden(of(INTEGER, required=0.7), x(1, None, 2), x(1, 2, 3, None)),
    Anomaly.FEATURE_TYPE_LOW_NUMBER_PRESENT: Golden(of(INTEGER, required_rows=2), x(1, None), x(1, 2, None)),
    Anomaly.FEATURE_TYPE_NOT_PRESENT: Golden(of(INTEGER, required_rows=1), x(None, None, kind=pa.int64()), x(1, None)),
    Anomaly.FEATURE_TYPE_HIGH_UNIQUE: Golden(of(STRING, distinct=Between(1, 2)), x("a", "b", "c"), x("a", "b", "b")),
    Anomaly.FEATURE_TYPE_LOW_UNIQUE: Golden(of(STRING, distinct=Between(2, 9)), x("a", "a"), x("a", "b")),
    Anomaly.FEATURE_TYPE_NO_UNIQUE: Golden(of(distinct=Between(2, 9)), x(1.5, 2.5), x("a", "b")),
    Anomaly.FLOAT_TYPE_BIG_FLOAT: Golden(of(FLOAT, maximum=1.0), x(0.5, 1.5), x(0.5, 1.0)),
    Anomaly.FLOAT_TYPE_SMALL_FLOAT: Golden(of(STRING, holds=FLOAT, minimum=1.0), x("1.5", "0.5"), x("1.5", "1")),
    Anomaly.FLOAT_TYPE_STRING_NOT_FLOAT: Golden(of(STRING, holds=FLOAT), x("1.5", "two"), x("1.5", "2e3", None)),
    Anomaly.FLOAT_TYPE_HAS_NAN: Golden(of(FLOAT, nan=False), x(1.0, float("nan")), x(1.0, None)),
    Anomaly.FLOAT_TYPE_HAS_INF: Golden(of(FLOAT), x(1.0, float("-inf")), x(1.0, 2.0)),
    Anomaly.INT_TYPE_BIG_INT: Golden(of(INTEGER, maximum=9), x(1, 10), x(1, 9)),
    Anomaly.INT_TYPE_NOT_INT_STRING: Golden(of(STRING, holds=INTEGER), x("1", "1.5"), x("1", "-2")),
    Anomaly.INT_TYPE_SMALL_INT: Golden(of(STRING, holds=INTEGER, minimum=0), x("1", "-1"), x("1", "0")),
    Anomaly.LOW_SUPPORTED_IMAGE_FRACTION: Golden(
        of(STRING, images=Images(0.9)), x(RAW, b"text", kind=BYTES), x(RAW, b"\xff\xd8\xff\xe0", kind=BYTES)
    ),
    Anomaly.SCHEMA_MISSING_COLUMN: Golden(of(INTEGER), {"y": [1]}, x(1)),
    Anomaly.SCHEMA_NEW_COLUMN: Golden(of(INTEGER), {**x(1), "y": [1]}, x(1)),
    Anomaly.COMPARATOR_CONTROL_DATA_MISSING: Golden(
        of(STRING, drift=Apart(0.1)), x("a"), x("a"), of(STRING, skew=Apart(0.1)), {"y": [1]}
    ),
    Anomaly.COMPARATOR_L_INFTY_HIGH: Golden(
        of(STRING, drift=Apart(0.2)), x("a", "b", "b", "b"), x("a", "b", "a", "b"), before=x("a", "b")
    ),
    Anomaly.COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH: Golden(
        of(STRING, drift=Apart(absolute=0.2)), x("a", "b", "b", "b"), x("a", "b"), before=x("a", "b")
    ),
    Anomaly.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH: Golden(
        of(FLOAT, drift=Apart(jensen_shannon=0.1)), x(5.0, 6.0, 7.0), x(1.0, 2.0, 3.0), before=x(1.0, 2.0, 3.0)
    ),
    Anomaly.SPARSE_FEATURE_MISSING_VALUE: Golden(SPARSE, NO_VALUE, LISTS),
    Anomaly.SPARSE_FEATURE_MISSING_INDEX: Golden(SPARSE, NO_INDEX, LISTS),
    Anomaly.SPARSE_FEATURE_LENGTH_MISMATCH: Golden(SPARSE, UNEVEN, LISTS),
    Anomaly.SPARSE_FEATURE_NAME_COLLISION: sound(named("x"), named("x", Stage.DEPRECATED)),
    Anomaly.SEMANTIC_DOMAIN_UPDATE: Golden(
        of(STRING), x(*(f"https://keepfit.example/{n}" for n in range(20))), x(*(f"page {n}" for n in range(20)))
    ),
    Anomaly.COMPARATOR_LOW_NUM_EXAMPLES: Golden(
        replace(of(INTEGER), volume=Between(0.5, 2)), x(1), x(1, 2), before=x(1, 2, 3, 4)
    ),
    Anomaly.COMPARATOR_HIGH_NUM_EXAMPLES: Golden(
        replace(of(INTEGER), volume=Between(0.5, 2)), x(1, 2, 3), x(1, 2), before=x(1)
    ),
    Anomaly.DATASET_LOW_NUM_EXAMPLES: Golden(replace(of(INTEGER), count=Between(2)), x(1), x(1, 2)),
    Anomaly.DATASET_HIGH_NUM_EXAMPLES: Golden(replace(of(INTEGER), count=Between(0, 2)), x(1, 2, 3), x(1, 2)),
    Anomaly.WEIGHTED_FEATURE_NAME_COLLISION: sound(named("x", weighted=True), named("w", weighted=True)),
    Anomaly.WEIGHTED_FEATURE_MISSING_VALUE: Golden(WEIGHTED, NO_VALUE, LISTS),
    Anomaly.WEIGHTED_FEATURE_MISSING_WEIGHT: Golden(WEIGHTED, NO_INDEX, LISTS),
    Anomaly.WEIGHTED_FEATURE_LENGTH_MISMATCH: Golden(WEIGHTED, UNEVEN, LISTS),
    Anomaly.VALUE_NESTEDNESS_MISMATCH: Golden(of(TENSOR, lengths=(Between(1, 2),)), x([[1], [2]]), x([1, 2])),
    Anomaly.DOMAIN_INVALID_FOR_TYPE: sound(of(FLOAT, domain=("a",)), of(FLOAT, minimum=0), x=[1.5]),
    Anomaly.FEATURE_MISSING_NAME: sound(Schema((Expectation(kind=INTEGER, required_rows=0),), ""), of(INTEGER)),
    Anomaly.FEATURE_MISSING_TYPE: sound(of(), of(INTEGER)),
    Anomaly.INVALID_SCHEMA_SPECIFICATION: sound(of(INTEGER, required=1.5), of(INTEGER, required=1.0)),
    Anomaly.INVALID_DOMAIN_SPECIFICATION: sound(
        of(STRING, domain_of="cities"), replace(of(STRING, domain_of="c"), domains={"c": ("a",)}), x=["a"]
    ),
    Anomaly.UNEXPECTED_DATA_TYPE: Golden(of(INTEGER), x("1"), x(1)),
    Anomaly.SEQUENCE_VALUE_TOO_FEW_OCCURRENCES: Golden(token(Between(1)), x("the cat", "a cat"), x("the", "the cat")),
    Anomaly.SEQUENCE_VALUE_TOO_MANY_OCCURRENCES: Golden(token(Between(0, 1)), x("the the"), x("the cat", "a cat")),
    Anomaly.SEQUENCE_VALUE_TOO_SMALL_FRACTION: Golden(token(share=Between(0.6)), x("the", "a"), x("the", "the")),
    Anomaly.SEQUENCE_VALUE_TOO_LARGE_FRACTION: Golden(token(share=Between(0, 0.6)), x("the", "the"), x("the", "a")),
    Anomaly.FEATURE_COVERAGE_TOO_LOW: Golden(words(0.7), x("the [UNK] [PAD]"), x("the cat [PAD] [PAD]")),
    Anomaly.FEATURE_COVERAGE_TOO_SHORT_AVG_TOKEN_LENGTH: Golden(words(length=3), x("a cat [PAD]"), x("the cat [UNK]")),
    Anomaly.MAX_IMAGE_BYTE_SIZE_EXCEEDED: Golden(
        of(STRING, images=Images(most_bytes=28)), x(RAW, RAW + b".", kind=BYTES), x(RAW, None, kind=BYTES)
    ),
    Anomaly.INVALID_FEATURE_SHAPE: Golden(of(TENSOR, shape=(2, 2)), x([1, 2, 3]), x([1, 2, 3, 4])),
    Anomaly.STATS_NOT_AVAILABLE: Golden(
        replace(of(INTEGER), rules=("x > y",)), x(1), x(1), replace(of(INTEGER), rules=("x > 0",))
    ),
    Anomaly.DERIVED_FEATURE_BAD_LIFECYCLE: sound(
        of(INTEGER, derived_from=("y",)), of(INTEGER, derived_from=("y",), stage=Stage.DERIVED)
    ),
    Anomaly.DERIVED_FEATURE_INVALID_SOURCE: sound(
        of(INTEGER, derived_from=("y",), stage=Stage.DERIVED),
        Schema(
            (Expectation(name="y", kind=INTEGER), Expectation(name="x", derived_from=("y",), stage=Stage.DERIVED)), ""
        ),
    ),
}


def test_all_of_tfdv() -> None:
    """There are 61 of them, each with a golden case."""
    assert len(TFDV) == 61
    assert set(TFDV) <= set(GOLDEN)


DAY = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = [DAY + timedelta(hours=n) for n in range(48)]
TIMED = Schema((Expectation(name="x", kind=Kind.TIME),), "", time=TimeOrder("x", every="day", fresh=3600))
SPAN = (DAY, DAY + timedelta(days=2))
NUMBERS = [float(n) for n in range(50)]

GOLDEN |= {
    Anomaly.NO_DATA_IN_SPAN: Golden(TIMED, x(*HOURS[:24]), x(*HOURS), span=SPAN),
    Anomaly.LABEL_CONSTANT: Golden(replace(of(INTEGER), label="x"), x(1, 1), x(1, 0)),
    Anomaly.FEATURE_ALIVE: Golden(of(INTEGER, rows=99, constant="7"), x(*range(9)), x(*[7] * 9)),
    Anomaly.FEATURE_DEAD: Golden(of(INTEGER, rows=99, usual=0.1), x(*[7] * 9), x(*range(9))),
    Anomaly.EMPTY_COLUMN: Golden(of(FLOAT), x(None, None), x(None, 1.0)),
    Anomaly.PATTERN_MISMATCH: Golden(of(STRING, pattern=r"[A-Z]\d+"), x("A1", "A1b"), x("A1", None)),
    Anomaly.TEXT_LENGTH: Golden(of(STRING, characters=Between(1, 2)), x("äö", "abc"), x("äö", "a")),
    Anomaly.VALUES_REPEATED: Golden(of(STRING, unique=True), x("a", "b", "a"), x("a", "b", None, None)),
    Anomaly.ROW_RULE_BROKEN: Golden(replace(of(INTEGER), rules=("x > 0",)), x(1, 0), x(1, None)),
    Anomaly.NOT_FRESH: Golden(TIMED, x(DAY), x(DAY + timedelta(hours=5)), now=DAY + timedelta(hours=5, minutes=30)),
    Anomaly.OUTSIDE_SPAN: Golden(TIMED, x(*HOURS, SPAN[1]), x(*HOURS), span=SPAN),
    Anomaly.HOLES_IN_TIME: Golden(of(Kind.TIME), x(*HOURS[:20], *HOURS[23:]), x(*HOURS)),
    Anomaly.REPEATED_STAMPS: Golden(of(Kind.TIME), x(*HOURS, HOURS[3]), x(*HOURS)),
    Anomaly.SENTINEL_VALUES: Golden(of(FLOAT), x(*NUMBERS, -200.0), x(*NUMBERS, -1.0)),
}


def findings(golden: Golden, schema: Schema, columns: dict[str, Any]) -> set[str]:
    table = pa.table(columns)
    before = None if golden.before is None else profile(pa.table(golden.before))
    case = Case(schema=schema, profile=profile(table), table=table, previous=before, span=golden.span, now=golden.now)
    return {fault.finding.anomaly for fault in examine(case)}


@pytest.mark.parametrize("anomaly", Anomaly)
def test_golden(anomaly: Anomaly) -> None:
    """Found where it is, and not where it is not."""
    golden = GOLDEN[anomaly]
    assert anomaly in findings(golden, golden.schema, golden.bad)
    assert anomaly not in findings(golden, golden.right or golden.schema, golden.good)


@pytest.mark.parametrize("anomaly", Anomaly)
def test_piece_by_piece(anomaly: Anomaly) -> None:
    """Batches of two rows, texts encoded or not, say what the whole table says: rows, counts, words."""
    golden = GOLDEN[anomaly]
    table = pa.table(golden.bad)
    before = None if golden.before is None else profile(pa.table(golden.before))
    case = Case(schema=golden.schema, profile=profile(table), previous=before, span=golden.span, now=golden.now)
    whole = [fault.pinned(3) for fault in examine(case, table)]
    encoded = table
    for place, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            encoded = encoded.set_column(place, field.name, table[field.name].dictionary_encode())
    for pieces in (table, encoded):
        scanned = Scan(pieces.schema, lambda pieces=pieces: iter(pieces.to_batches(2)))
        assert [fault.pinned(3) for fault in examine(case, scanned, most=3)] == whole
    apart, together = (quarantine(one, examine(case, one)).select(["_row", "_why"]) for one in (scanned, table))
    assert apart.to_pylist() == together.to_pylist()


ROWS = {
    Anomaly.BOOL_TYPE_BIG_INT: (3,),
    Anomaly.BOOL_TYPE_UNEXPECTED_STRING: (2,),
    Anomaly.BOOL_TYPE_UNEXPECTED_FLOAT: (2,),
    Anomaly.ENUM_TYPE_INVALID_UTF8: (2,),
    Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES: (3,),
    Anomaly.FEATURE_TYPE_HIGH_NUMBER_VALUES: (2,),
    Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT: (2,),
    Anomaly.FLOAT_TYPE_BIG_FLOAT: (2,),
    Anomaly.FLOAT_TYPE_SMALL_FLOAT: (2,),
    Anomaly.FLOAT_TYPE_STRING_NOT_FLOAT: (2,),
    Anomaly.FLOAT_TYPE_HAS_NAN: (2,),
    Anomaly.FLOAT_TYPE_HAS_INF: (2,),
    Anomaly.SPARSE_FEATURE_MISSING_INDEX: (2,),
    Anomaly.SPARSE_FEATURE_LENGTH_MISMATCH: (1,),
    Anomaly.MAX_IMAGE_BYTE_SIZE_EXCEEDED: (2,),
    Anomaly.PATTERN_MISMATCH: (2,),
    Anomaly.VALUES_REPEATED: (3,),
    Anomaly.ROW_RULE_BROKEN: (2,),
    Anomaly.OUTSIDE_SPAN: (49,),
    Anomaly.HOLES_IN_TIME: (21,),
    Anomaly.REPEATED_STAMPS: (4, 49),
    Anomaly.SENTINEL_VALUES: (51,),
}


@pytest.mark.parametrize("anomaly", ROWS)
def test_rows(anomaly: Anomaly) -> None:
    """The rows in which it lies are told."""
    golden = GOLDEN[anomaly]
    found = [f for f in check(pa.table(golden.bad), golden.schema, span=golden.span) if f.anomaly == anomaly]
    assert [finding.rows for finding in found] == [ROWS[anomaly]]


def one(findings: tuple[Finding, ...], anomaly: Anomaly) -> Finding:
    (found,) = (finding for finding in findings if finding.anomaly == anomaly)
    return found


def test_severity() -> None:
    """A column's word goes before the schema's, that before the usual; `*` stands for all others."""
    big, table = Anomaly.INT_TYPE_BIG_INT, pa.table(x(11))
    schema = of(INTEGER, maximum=9)
    assert one(check(table, schema), big).severity is Severity.WARNING
    strict = replace(schema, severity={"*": Severity.ERROR})
    assert one(check(table, strict), big).severity is Severity.ERROR
    column = replace(strict.columns[0], severity={big.value: Severity.INFO})
    assert one(check(table, replace(strict, columns=(column,))), big).severity is Severity.INFO


def test_environments() -> None:
    """A column is missed only where it is expected: by environment, and by stage."""
    table = pa.table({"y": [1]})
    y = Expectation(name="y", kind=INTEGER)
    label = Expectation(name="x", kind=INTEGER, not_in=("SERVING",))
    assert check(table, Schema((y, label), ""), environment="SERVING") == ()
    assert [f.subject for f in check(table, Schema((y, label), ""), environment="TRAINING")] == ["x"]
    only = replace(label, not_in=(), only_in=("TRAINING",))
    assert check(table, Schema((y, only), ""), environment="SERVING") == ()
    default = Schema((y, replace(only, only_in=())), "", environments=("TRAINING",))
    assert check(table, default, environment="SERVING") == ()
    assert check(table, Schema((y, replace(only, only_in=(), stage=Stage.PLANNED)), "")) == ()


def test_what_rows_alone_can_tell() -> None:
    """Of a Profile alone, what needs the rows is told to be unchecked, never passed over."""
    schema = replace(of(STRING, pattern="a+"), rules=("x != 'b'",))
    found = compare(profile(pa.table(x("a"))), schema)
    assert [(f.subject, f.anomaly) for f in found] == [(s, "STATS_NOT_AVAILABLE") for s in ("x", "x != 'b'")]


def test_rhythm_of_habit() -> None:
    """Week-ends are no holes, several series side by side no repeats, and outliers among others no sentinels."""
    days = [DAY + timedelta(days=n) for n in range(90)]
    weekdays = [day for day in days if day.weekday() < 5]
    assert check(pa.table(x(*weekdays)), of(Kind.TIME)) == ()
    assert check(pa.table(x(*(day for day in days for _ in range(3)))), of(Kind.TIME)) == ()
    rng = np.random.default_rng(0)
    assert check(pa.table(x(*rng.normal(0, 300, 500).round(), -999.0)), of(FLOAT)) == ()


def test_real_rhythm(shared_data: Path) -> None:
    """City demand per half hour is without a hole; taken out and doubled rows are found, and just those."""
    table = read(shared_data / "nab" / "nyc_taxi.csv")
    schema = infer(profile(table), label="")
    assert check(table, schema) == ()
    harmed = pa.concat_tables([table.slice(0, 100), table.slice(104, 900), table.slice(1003)])
    found = {f.anomaly: (f.measured, f.rows) for f in check(harmed, schema)}
    assert found == {"HOLES_IN_TIME": (4, (101,)), "REPEATED_STAMPS": (1, (1000, 1001))}


def test_real_data_is_left_alone(shared_data: Path) -> None:
    """Nothing undeclared is told of public data without such faults."""
    for name in ("elec2/*.csv", "bike_sharing/hour.csv", "occupancy/datatraining.txt", "chicago_taxi/data.csv"):
        table = read(shared_data / name)
        assert check(table, infer(profile(table), label="")) == (), name
