"""Schemas: files that come back as they were, changes that are shown, and nothing changed in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from keepfit.core.errors import Conflict, DataInvalid, NotFound
from keepfit.core.nouns import Severity
from keepfit.data.check import check
from keepfit.data.profile import Kind, profile
from keepfit.data.read import read
from keepfit.data.rules import Rule
from keepfit.data.schema import (
    Apart,
    Between,
    Expectation,
    Schema,
    Sparse,
    Stage,
    TimeOrder,
    Truths,
    accept,
    diff,
    from_yaml,
    infer,
    read_schema,
    to_yaml,
    write_schema,
)

FULL = Schema(
    (
        Expectation(name="no", kind=Kind.TEXT, domain=("no", "1", "null", "ä: b"), pattern=r"\d+'\"", note="a\nb"),
        Expectation(name="x", kind=Kind.FLOAT, minimum=0.1, maximum=1e300, drift=Apart(0.1), stage=Stage.BETA),
        Expectation(name="t", kind=Kind.TENSOR, elements=Kind.TEXT, lengths=(Between(1), Between(None, 3)), shape=(2,)),
        Expectation(name="b", kind=Kind.TEXT, truths=Truths("Y", "N"), only_in=("A",), not_in=("B",), unique=True),
        Expectation(name="s", kind=Kind.INTEGER, severity={"*": Severity.ERROR, "INT_TYPE_BIG_INT": Severity.INFO}),
    ),
    "no",
    ("TRAINING", "SERVING"),
    ("x >= 0",),
    Between(1, 2),
    time=TimeOrder("x", "day", 60.0),
    sparse=(Sparse("v", ("s",), "x"),),
    domains={"d": ("p",)},
    severity={"*": Severity.WARNING},
)


@pytest.mark.parametrize("name", ["s.yaml", "s.json"])
def test_files(tmp_path: Path, name: str) -> None:
    """A schema comes back as it was, whatever its words look like."""
    write_schema(FULL, tmp_path / name)
    assert read_schema(tmp_path / name) == FULL
    with pytest.raises(NotFound, match="keepfit schema infer"):
        read_schema(tmp_path / f"other-{name}")


def test_readable() -> None:
    """What is as it would be anyway is not written."""
    schema = Schema((Expectation(name="x", kind=Kind.INTEGER, maximum=9.0),))
    assert to_yaml(schema) == "columns:\n  x:\n    kind: integer\n    maximum: 9.0\n"
    assert from_yaml("columns:\n  x:\n") == Schema((Expectation(name="x"),))


def test_inferred(shared_data: Path) -> None:
    """An inferred schema comes back from its file, and raises nothing on the data it was inferred from."""
    table = read(shared_data / "chicago_taxi" / "tfdv_train.csv")
    for strict in (False, True):
        schema = infer(profile(table), label="", strict=strict)
        assert from_yaml(to_yaml(schema)) == schema
        assert check(table, schema) == ()
        assert diff(schema, schema) == ()


BASE: dict[str, list[Any]] = {
    "i": [1, 2, 3, 4],
    "f": [1.5, 2.5, 3.5, 4.5],
    "t": ["a", "b", "a", "b"],
    "l": [[1], [2], [3], [4]],
}
ACCEPTED: dict[str, dict[str, list[Any]]] = {
    "range": {"i": [1, 2, 3, 100]},
    "infinite": {"f": [1.5, float("inf"), 3.5, 4.5]},
    "values": {"t": ["a", "b", "c", "d"]},
    "missing": {"i": [None, None, 3, 4]},
    "type": {"i": ["x", "y", "z", "x"]},
    "new": {"n": [1, 2, 3, 4]},
    "lengths": {"l": [[1], [2, 3], [4], []]},
    "empty": {"f": [None, None, None, None]},
}


@pytest.mark.parametrize("case", ACCEPTED)
@pytest.mark.parametrize("strict", [False, True])
def test_accepted(case: str, strict: bool) -> None:
    """What is accepted is found no more, all else is held to as before, and what was good stays good."""
    base = pa.table(BASE)
    schema = infer(profile(base), label="", strict=strict)
    other = pa.table({**BASE, **ACCEPTED[case]})
    found = check(other, schema)
    changed = accept(schema, found, profile(other))
    assert check(other, changed) == ()
    assert bool(diff(schema, changed)) == bool(found)
    touched = {finding.subject for finding in found}
    assert {change.subject for change in diff(schema, changed)} == touched
    if case not in ("type", "new", "empty"):
        assert check(base, changed) == ()


def test_accepted_absence() -> None:
    """A column that is gone is from then on not in the environment, or deprecated; never forgotten."""
    schema, less = infer(profile(pa.table(BASE)), label=""), pa.table({"i": [1], "f": [1.5], "t": ["a"]})
    found = check(less, schema, environment="SERVING")
    (change,) = diff(schema, accept(schema, found, profile(less), environment="SERVING"))
    assert (change.subject, change.what, change.after) == ("l", "not_in", "with ['SERVING']")
    gone = accept(schema, found, profile(less)).column("l")
    assert gone is not None
    assert gone.stage is Stage.DEPRECATED


def test_not_accepted() -> None:
    """What is about the data, not about a column's expectations, cannot be waved through."""
    schema = Schema((Expectation(name="x", kind=Kind.INTEGER),), rules=("x > 0",))
    table = pa.table({"x": [0]})
    with pytest.raises(Conflict, match="ROW_RULE_BROKEN"):
        accept(schema, check(table, schema), profile(table))


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("a <= b", [False, True, False]),
        ("b == a * 2 - 1 or a > 1", [False, False, False]),
        ("`a b` != 'x' and not a == 2", [True, True, False]),
        ("0 < a < 3", [False, False, False]),
        ("d >= '2024-01-02'", [True, False, False]),
        ("-a + 0.5 < 0", [False, False, False]),
    ],
)
def test_rules(text: str, broken: list[bool]) -> None:
    """A rule holds or is broken row by row; where a value is missing it holds."""
    days = pa.array(["2024-01-01", "2024-01-03", None]).cast(pa.timestamp("us"))
    table = pa.table({"a": [1, 2, None], "b": [1, 1, 1], "a b": ["x", "y", None], "d": days})
    assert Rule(text).broken(table).to_pylist() == broken


@pytest.mark.parametrize(
    "text", ["a <", "a.b > 1", "__import__('os').system('x')", "[a]", "a if a else a", "a @ 2 > 1"]
)
def test_rules_that_are_none(text: str) -> None:
    """Nothing but columns, numbers, texts and comparisons is read, and nothing of it is run."""
    with pytest.raises(DataInvalid, match="rule"):
        Rule(text).broken(pa.table({"a": [1]}))


def test_rules_of_other_kinds() -> None:
    """A rule that cannot be held to, for a column came as another kind, is an error of the data, not of the program."""
    (finding,) = (f for f in check(pa.table(BASE), Schema((), "", rules=("t > i",))) if f.subject == "t > i")
    assert (finding.anomaly, finding.severity) == ("STATS_NOT_AVAILABLE", Severity.ERROR)
    with pytest.raises(DataInvalid, match="t > i"):
        Rule("t > i").broken(pa.table(BASE))


def test_addresses() -> None:
    """Text that is all addresses is expected to stay so."""
    pages = [f"https://keepfit.example/{n}" for n in range(1500)]
    schema = infer(profile(pa.table({"x": pages + pages[:50] * 9})), label="")  # some are frequent, as ever
    assert check(pa.table({"x": pages}), schema) == ()
    (finding,) = check(pa.table({"x": [*pages, "home"]}), schema)
    assert (finding.anomaly, finding.rows) == ("PATTERN_MISMATCH", (1501,))
