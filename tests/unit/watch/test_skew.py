"""Training-serving skew record by record."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import FindingKind, Pulse
from keepfit.watch.skew import MISMATCH, join
from keepfit.watch.triggers import Drifted

RNG = np.random.default_rng(5)


def offline(n: int) -> pa.Table:
    return pa.table(
        {
            "id": [f"r{i}" for i in range(n)],
            "km": RNG.exponential(5.0, n),
            "hour": RNG.integers(0, 24, n),
            "zone": RNG.choice(["a", "b"], n),
            "hole": np.where(RNG.random(n) < 0.3, np.nan, 1.0),
        }
    )


def test_miles_for_kilometres() -> None:
    """Miles for kilometres in 5 % of the requests are named in the first window, with the factor and examples."""
    truth = offline(1000)
    km = truth["km"].to_numpy().copy()
    wrong = RNG.random(1000) < 0.05
    km[wrong] /= 1.609344
    logged = truth.set_column(1, "km", pa.array(km)).take(RNG.permutation(1000))
    found = join(logged, truth, "id")
    (finding,) = found.findings
    assert (finding.subject, finding.kind) == ("km", FindingKind.SKEW)
    assert "0.6214 times" in finding.sentence
    (km_found,) = (one for one in found.mismatches if one.column == "km")
    assert km_found.differing == wrong.sum()
    assert finding.measured == km_found.rate == wrong.mean()
    assert 0 < len(km_found.examples) <= 5
    assert all(wrong[int(key[1:])] for key, _, _ in km_found.examples)


def test_nothing_wrong() -> None:
    """Equal values, missing ones and rounding included, are no mismatch, and lone rows are counted."""
    truth = offline(300)
    near = truth.set_column(1, "km", pa.array(truth["km"].to_numpy() * (1 + 1e-9)))
    found = join(near.slice(0, 200), truth.slice(100), "id")
    assert (found.rows, found.only_logged, found.only_offline) == (100, 100, 100)
    assert not found.findings
    assert len(found.mismatches) == 4


def test_text_and_missing() -> None:
    """Other text, another type and a value for none are mismatches."""
    logged = pa.table({"id": [1, 2, 3], "a": ["x", "y", None], "b": [1.0, None, 3.0], "c": [1, 2, 3]})
    truth = pa.table({"id": [1, 2, 3], "a": ["x", "z", "q"], "b": [1.0, 2.0, 3.0], "c": ["1", "2", "3"]})
    found = {one.column: one.differing for one in join(logged, truth, "id").mismatches}
    assert found == {"a": 2, "b": 1, "c": 3}


def test_wrong_keys() -> None:
    """A side without the id, or with one twice, is refused by name."""
    with pytest.raises(DataInvalid, match="logged: expected a column 'key'"):
        join(offline(3), offline(3), "key")
    with pytest.raises(DataInvalid, match="offline: expected 'id' in every row and never twice"):
        join(offline(3), pa.concat_tables([offline(3), offline(3)]), "id")


def test_a_mistake_is_not_learnt_from() -> None:
    """Recorded values that are wrong start no update, however long they last; a drift of the same column does."""
    logged, truth = offline(500), offline(500)
    found = [replace(one, looks=5) for one in join(logged, truth, "id").findings]
    assert {one.anomaly for one in found} == {MISMATCH}
    assert {one.count for one in found if one.subject == "km"} == {500}
    now = datetime(2024, 1, 1, tzinfo=UTC)
    assert not Drifted().decide(Pulse(now=now, since=now, findings=tuple(found))).fire
    drifted = tuple(replace(one, anomaly="") for one in found)
    assert Drifted().decide(Pulse(now=now, since=now, findings=drifted)).fire
