"""Checks: each kind of mistake is found, at its severity, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.nouns import FindingKind, Severity
from keepfit.core.registry import from_plain, to_plain
from keepfit.data.check import check, compare
from keepfit.data.profile import profile
from keepfit.data.read import read
from keepfit.data.schema import Schema, infer


def good(n: int = 400, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "amount": rng.normal(10, 2, n),
        "count": rng.integers(0, 50, n),
        "city": rng.choice(["Rome", "Oslo", "Bonn"], n),
        "flag": rng.random(n) < 0.5,
        "still": np.full(n, 7.0),
        "holes": np.where(rng.random(n) < 0.3, np.nan, 1.0 + rng.random(n)),
        "_label": rng.integers(0, 2, n),
    }


SCHEMA = infer(profile(pa.table(good())))


def spoilt(**columns: Any) -> pa.Table:
    return pa.table({**good(seed=1), **columns})


def test_more_of_the_same() -> None:
    """Data of the same making raises nothing."""
    assert check(spoilt(), SCHEMA) == ()


some = good(seed=1)
CASES: dict[str, tuple[dict[str, Any], Severity, str]] = {
    "type": ({"count": some["city"]}, Severity.ERROR, "column 'count' is text; expected integer"),
    "fraction": ({"count": some["amount"]}, Severity.ERROR, "column 'count' is float; expected integer"),
    "endless": ({"amount": np.where(np.arange(400) < 2, np.inf, 10.0)}, Severity.ERROR, "2 infinite values"),
    "holes": ({"amount": np.where(np.arange(400) < 40, np.nan, some["amount"])}, Severity.WARNING, "missing in 10.0%"),
    "high": ({"amount": np.append(some["amount"][1:], 429490.2)}, Severity.WARNING, "goes up to 429490"),
    "low": ({"count": np.append(some["count"][1:], -500)}, Severity.WARNING, "goes down to -500"),
    "category": ({"city": ["Atlantis", *some["city"][1:]]}, Severity.WARNING, "1 values never seen before in 0.2%"),
    "alive": ({"still": some["amount"]}, Severity.WARNING, "was always 7 and is not in 100.0% of the rows now"),
    "dead": ({"city": ["Rome"] * 400}, Severity.WARNING, "varied and is now Rome in all 400 rows"),
    "no label": ({"_label": pa.array([None, *some["_label"][1:]])}, Severity.ERROR, "is missing in 1 of 400 rows"),
    "one class": ({"_label": np.ones(400, int)}, Severity.ERROR, "nothing can be learnt from one class"),
    "label type": ({"_label": some["city"]}, Severity.ERROR, "column '_label' is text; expected integer"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_mistake(case: str) -> None:
    """Each mistake is found at its severity, on its column, and nothing else is."""
    columns, severity, words = CASES[case]
    (finding,) = check(spoilt(**columns), SCHEMA)
    assert finding.severity is severity
    assert finding.subject == next(iter(columns))
    assert words in finding.sentence
    kinds = {"alive": FindingKind.ALIVE, "dead": FindingKind.DEAD}
    assert finding.kind is kinds.get(case, FindingKind.ANOMALY)


def test_unknown_class() -> None:
    """A text label that the first data never had is an error: the Signature has no place for it."""
    schema = infer(profile(pa.table({"_label": ["UP", "DOWN"] * 50})))
    (finding,) = check(pa.table({"_label": ["UP", "DOWN", "SIDEWAYS"]}), schema)
    assert finding.severity is Severity.ERROR
    assert "'SIDEWAYS'" in finding.sentence


def test_columns() -> None:
    """An absent column is an error, one too many is only told."""
    findings = check(spoilt(extra=np.zeros(400)).drop_columns(["count"]), SCHEMA)
    assert [(f.subject, f.severity) for f in findings] == [("count", Severity.ERROR), ("extra", Severity.INFO)]


def test_no_rows() -> None:
    """Empty data is one error, not one per column."""
    (finding,) = check(spoilt().slice(0, 0), SCHEMA)
    assert finding.severity is Severity.ERROR


def test_what_is_not_a_mistake() -> None:
    """Whole numbers where fractions were, a missing column's type, and short samples of rare values pass."""
    whole = np.arange(400) % 8 + 6
    assert check(spoilt(amount=whole), SCHEMA) == ()
    assert [f.severity for f in check(spoilt(holes=pa.nulls(400)), SCHEMA)] == [Severity.WARNING] * 2
    rare = infer(profile(pa.table({"flag": [True] * 3 + [False] * 997})))
    assert check(pa.table({"flag": [False] * 1000}), rare) == ()
    assert check(pa.table({"flag": [False] * 1000}), infer(profile(pa.table({"flag": [False] * 1000})))) == ()


def test_from_a_profile_alone() -> None:
    """The profile is enough but for the numbers of the rows: the data need not be at hand."""
    table = spoilt(**CASES["high"][0])
    (finding,) = check(table, SCHEMA)
    assert (finding.count, finding.rows) == (1, (400,))
    assert compare(profile(table), SCHEMA) == (replace(finding, count=0, rows=()),)


def test_plain() -> None:
    """A schema is plain data and comes back the same."""
    assert from_plain(Schema, to_plain(SCHEMA)) == SCHEMA


def test_taxis(shared_data: Path) -> None:
    """On the taxi split: new companies and `Prcard` are told, `tips` is missed in serving, no error in evaluation."""
    folder = shared_data / "chicago_taxi"
    schema = infer(profile(read(folder / "tfdv_train.csv")))
    found = check(read(folder / "tfdv_eval.csv"), schema)
    assert not [f for f in found if f.severity is Severity.ERROR]
    assert any("'Prcard'" in f.sentence for f in found if f.subject == "payment_type")
    assert any(f.subject == "company" for f in found)
    serving = check(read(folder / "tfdv_serving.csv"), schema)
    assert [f.subject for f in serving if f.severity is Severity.ERROR] == ["tips"]


def test_elec2(shared_data: Path) -> None:
    """On elec2 exactly the three constants are alive after row 17,424."""
    table = read(shared_data / "elec2" / "*.csv")
    found = check(table.slice(17_424), infer(profile(table.slice(0, 17_424)), label="class"))
    alive = {f.subject for f in found if f.kind is FindingKind.ALIVE}
    assert alive == {"vicprice", "vicdemand", "transfer"}
