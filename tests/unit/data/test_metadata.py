"""tensorflow-metadata: read and written without loss, and equal to what TFDV itself says of the same data."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Severity
from keepfit.data.check import check, compare
from keepfit.data.metadata import (
    Message,
    anomalies_text,
    findings_of,
    parse,
    profile_of,
    schema_of,
    schema_text,
    statistics_text,
    written,
)
from keepfit.data.profile import Kind, Profile, profile
from keepfit.data.read import read
from keepfit.data.schema import (
    Apart,
    Between,
    Expectation,
    Images,
    Schema,
    Sparse,
    Stage,
    Token,
    Tokens,
    Truths,
    WeightedBy,
    infer,
)


@pytest.fixture(scope="session")
def taxis(shared_data: Path) -> Path:
    return shared_data / "chicago_taxi"


def golden(taxis: Path, name: str) -> str:
    return (taxis / "golden_tfdv_1.16.1" / name).read_text(encoding="utf-8")


def frame(path: Path) -> pa.Table:
    """The table as TFDV was given it: pandas holds whole numbers with holes, and empty columns, as floats."""
    table = read(path)
    for place, field in enumerate(table.schema):
        holes = table[field.name].null_count and pa.types.is_integer(field.type)
        if holes or pa.types.is_null(field.type):
            table = table.set_column(place, field.name, table[field.name].cast(pa.float64()))
    return table


def test_text_round_trip(taxis: Path) -> None:
    """Every schema, statistics and anomalies file of TFDV comes back byte for byte."""
    for path in sorted((taxis / "golden_tfdv_1.16.1").glob("*.pbtxt")):
        text = path.read_text(encoding="utf-8")
        assert written(parse(text)) == text, path.name


def test_text_syntax() -> None:
    """Comments, both quotes, joined texts, lists, angle brackets, colons before messages, escapes and extensions."""
    found = parse("a: 'x' \"y\\n\\303\\244\" # no\nb: [1, 2,3]; c < d: true >, e: {f {}} [x.y/z.W]: { g: -inf }")
    assert found.text("a") == "xy\nä"
    assert found.words("b") == ["1", "2", "3"]
    assert found.one("c").word("d") == "true"
    assert found.one("e").has("f")
    assert found.one("[x.y/z.W]").number("g") == float("-inf")
    assert parse(written(found)) == found
    assert parse(written(Message().add("t", 'ä"\\\n\x00'))).text("t") == 'ä"\\\n\x00'


@pytest.mark.parametrize("text", ["a {", "a: }", "}", "a:", "{", "a: [1", "[a", '"x"', 'a: "x'])
def test_text_broken(text: str) -> None:
    """What is no text proto is refused, never half read."""
    with pytest.raises(DataInvalid):
        parse(text)


def test_inferred_schema(taxis: Path) -> None:
    """Inferred to the letter, our schema of the training data is TFDV's, byte for byte."""
    found = infer(profile(frame(taxis / "tfdv_train.csv")), strict=True)
    assert schema_text(found) == golden(taxis, "tfdv_train.inferred_schema.pbtxt")


def test_schemas_of_tfdv(taxis: Path) -> None:
    """TFDV's schemas pass through ours without loss."""
    for name in ("tfdv_train.inferred_schema", "updated_by_eval.schema", "comparators.schema"):
        text = golden(taxis, f"{name}.pbtxt")
        assert schema_text(schema_of(text)) == text


def test_demo(taxis: Path) -> None:
    """The demo's findings are TFDV's: the same columns for the same reasons, none in the SERVING environment."""
    schema = schema_of(golden(taxis, "tfdv_train.inferred_schema.pbtxt"))
    for name in ("tfdv_eval", "tfdv_serving"):
        found = check(frame(taxis / f"{name}.csv"), schema)
        theirs = findings_of(golden(taxis, f"{name.removeprefix('tfdv_')}.anomalies.pbtxt"))
        assert {(f.subject, f.anomaly, f.severity) for f in found} == {
            (f.subject, f.anomaly, f.severity) for f in theirs
        }
        assert theirs
    (prcard,) = (f for f in check(frame(taxis / "tfdv_eval.csv"), schema) if f.subject == "payment_type")
    assert "'Prcard'" in prcard.sentence
    assert prcard.rows == (1747,)
    text = golden(taxis, "serving.env_SERVING.anomalies.pbtxt")
    serving = schema_of(written(parse(text).one("baseline")))
    assert check(frame(taxis / "tfdv_serving.csv"), serving, environment="SERVING") == ()
    assert [f.subject for f in check(frame(taxis / "tfdv_serving.csv"), serving, environment="TRAINING")] == ["tips"]


@pytest.mark.parametrize("name", ["tfdv_train", "tfdv_eval", "tfdv_serving"])
def test_statistics(taxis: Path, name: str) -> None:
    """Counts are TFDV's exactly, moments to 1e-6, values and their counts exactly."""
    ours = profile(frame(taxis / f"{name}.csv"))
    theirs = profile_of(golden(taxis, f"{name}.stats.pbtxt"))
    held_alike(ours, theirs)
    held_alike(profile_of(statistics_text(ours)), theirs)


def held_alike(ours: Profile, theirs: Profile) -> None:
    assert ours.rows == theirs.rows
    assert [c.name for c in ours.columns] == [c.name for c in theirs.columns]
    for mine, other in zip(ours.columns, theirs.columns, strict=True):
        assert (mine.missing, mine.zeros, mine.minimum, mine.maximum) == (
            other.missing,
            other.zeros,
            other.minimum,
            other.maximum,
        )
        assert mine.mean == pytest.approx(other.mean, rel=1e-6)
        assert mine.deviation == pytest.approx(other.deviation, rel=1e-6)
        if other.kind is Kind.TEXT:
            assert mine.frequent == other.frequent


def test_distances(taxis: Path) -> None:
    """Distances between values of text are TFDV's to its six digits."""
    train, evaluation, serving = (profile(frame(taxis / f"tfdv_{n}.csv")) for n in ("train", "eval", "serving"))
    schema = schema_of(golden(taxis, "comparators.schema.pbtxt"))
    found = compare(train, schema, previous=evaluation, serving=serving)
    measured = [(f.subject, f"{f.measured:.6g}") for f in found if f.subject in ("company", "payment_type")]
    text = golden(taxis, "train_vs_eval_prev_serving_skew.anomalies.pbtxt")
    theirs = {
        (f.subject, f.sentence.split(" is ")[1].split(" (")[0])
        for f in findings_of(text)
        if f.subject in ("company", "payment_type")
    }
    assert set(measured) == theirs


EVERYTHING = Schema(
    (
        Expectation(name="a", kind=Kind.INTEGER, minimum=-3.0, maximum=9.0, required=0.5, required_rows=2, note="why"),
        Expectation(name="b", kind=Kind.FLOAT, nan=False, infinite=False, minimum=0.5, stage=Stage.BETA),
        Expectation(name="c", kind=Kind.TEXT, domain=("x", "ä"), outside=0.25, infinite=True),
        Expectation(name="d", kind=Kind.TEXT, domain_of="shared", infinite=True, not_in=("SERVING",)),
        Expectation(name="e", kind=Kind.TEXT, truths=Truths("Y", "N"), infinite=True, only_in=("DEBUG",)),
        Expectation(name="f", kind=Kind.TEXT, holds=Kind.INTEGER, infinite=True, drift=Apart(0.1, 0.2, 0.3)),
        Expectation(name="g", kind=Kind.TENSOR, elements=Kind.FLOAT, shape=(2, 3), infinite=True, skew=Apart(0.1)),
        Expectation(
            name="h",
            kind=Kind.TENSOR,
            elements=Kind.INTEGER,
            infinite=True,
            lengths=(Between(1, 2), Between(None, 5)),
            distinct=Between(1, 9),
        ),
        Expectation(name="i", kind=Kind.TEXT, infinite=True, images=Images(0.5, 100), semantic="image"),
        Expectation(
            name="j",
            kind=Kind.TEXT,
            infinite=True,
            semantic="natural_language",
            tokens=Tokens((), 0.5, 2.5, ("[PAD]",), ("[UNK]",), (Token("the", Between(1, 2), Between(0.5, 0.75)),)),
        ),
        Expectation(name="k", kind=Kind.INTEGER, infinite=True, derived_from=("a",), stage=Stage.DERIVED),
    ),
    "",
    ("TRAINING",),
    count=Between(10, 20),
    volume=Between(0.5, 2.0),
    sparse=(Sparse("s", ("a", "k"), "b"),),
    weighted=(WeightedBy("w", "a", "b"),),
    domains={"shared": ("p", "q")},
    severity={"SCHEMA_NEW_COLUMN": Severity.WARNING, "*": Severity.ERROR},
)


def test_schema_round_trip() -> None:
    """All that TFDV has words for comes back from them."""
    text = schema_text(EVERYTHING)
    again = schema_of(text)
    for column in EVERYTHING.columns:
        found = again.column(column.name)
        if column.name not in ("a", "b"):  # an int_domain has no word for infinite numbers
            assert found == column
    assert schema_text(again) == text
    assert (again.sparse, again.weighted, again.domains) == (EVERYTHING.sparse, EVERYTHING.weighted, EVERYTHING.domains)
    assert (again.count, again.volume, again.environments) == (
        EVERYTHING.count,
        EVERYTHING.volume,
        EVERYTHING.environments,
    )


def test_anomalies_round_trip() -> None:
    """Our findings as anomalies say the same columns, names, severities and sentences."""
    schema = Schema((Expectation(name="x", kind=Kind.INTEGER, maximum=1.0, unique=True),), "")
    found = check(pa.table({"x": [1, 1, 5], "y": [1, 2, 3]}), schema)
    text = anomalies_text(found, schema)
    again = findings_of(text)
    assert [(f.subject, f.anomaly, f.sentence) for f in again] == [
        (f.subject, f.anomaly, f.sentence)
        for f in (*(f for f in found if f.subject == "x"), *(f for f in found if f.subject == "y"))
    ]
    assert written(parse(text)) == text
