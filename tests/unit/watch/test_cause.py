"""Covariate, prior or concept: told right where the truth is known."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from keepfit.core.nouns import Cause
from keepfit.data.read import read
from keepfit.watch.cause import Joint, cause_of
from keepfit.watch.tables import joint


def rows(kind: str, n: int, seed: int, *, labels: bool = True) -> Joint:
    """A classifier's records: one strong input, one weak, a city; the model knows the rule of before."""
    random = np.random.default_rng(seed)
    if kind in ("before", "prior"):
        y = random.random(n) < (0.7 if kind == "prior" else 0.4)
        x = random.normal(1.6 * y - 0.8)
    else:
        x = random.normal(0.8 * (random.random(n) < 0.4) * 2 - 0.8) + (1.0 if kind == "covariate" else 0.0)
        y = random.random(n) < chance(x)
        if kind == "concept":
            y ^= (x > 0) & (random.random(n) < 0.35)
    told = chance(x)
    loss = -np.log(np.clip(np.where(y, told, 1 - told), 1e-6, 1))
    inputs = {"x": x, "z": random.normal(size=n), "city": random.choice(["a", "b"], n).astype(object)}
    return Joint(inputs, (told > 0.5).astype(int), y.astype(int) if labels else None, loss if labels else None)


def chance(x: np.ndarray) -> np.ndarray:
    """P(y|x) before, by Bayes' rule."""
    return 1 / (1 + 0.6 / 0.4 * np.exp(-1.6 * x))


@pytest.mark.parametrize(
    ("kind", "cause"), [("covariate", Cause.COVARIATE), ("prior", Cause.PRIOR), ("concept", Cause.CONCEPT)]
)
def test_the_cause_is_told(kind: str, cause: Cause) -> None:
    """Of 40 changes of each kind at least 36 are told right."""
    told = Counter(cause_of(rows("before", 2000, i), rows(kind, 1000, 100 + i)).cause for i in range(40))
    assert told[cause] >= 36, told


def test_nothing_is_told_of_nothing() -> None:
    """Without a change a cause is told in at most three cases of forty, as alpha has it."""
    told = Counter(cause_of(rows("before", 2000, i), rows("before", 1000, 100 + i)).cause for i in range(40))
    assert told[None] >= 37, told


@pytest.mark.parametrize(("kind", "cause"), [("covariate", Cause.COVARIATE), ("prior", Cause.PRIOR)])
def test_before_the_labels_come(kind: str, cause: Cause) -> None:
    """Prior and covariate are told apart by the predictions alone in at least 36 cases of 40."""
    told = Counter(cause_of(rows("before", 3000, i), rows(kind, 2000, 100 + i, labels=False)).cause for i in range(40))
    assert told[cause] >= 36, told


def test_a_concept_needs_labels() -> None:
    """Without labels after, a concept is never told; without labels before, nothing is."""
    assert cause_of(rows("before", 2000, 1), rows("concept", 2000, 2, labels=False)).cause is not Cause.CONCEPT
    assert cause_of(rows("before", 500, 1, labels=False), rows("covariate", 500, 2)).cause is None


def test_numbers_as_labels() -> None:
    """The same holds for labels that are numbers: a slope that changed is a concept, other inputs are not."""
    random = np.random.default_rng(3)

    def side(shift: float, slope: float) -> Joint:
        x = random.normal(shift, size=2000)
        y = slope * x + random.normal(scale=0.5, size=2000)
        return Joint({"x": x}, 2 * x, y, np.abs(y - 2 * x))

    assert cause_of(side(0, 2), side(0, 1)).cause is Cause.CONCEPT
    assert cause_of(side(0, 2), side(0.7, 2)).cause is Cause.COVARIATE


def test_agrawal_is_a_concept(shared_data: Path) -> None:
    """At row 5,000 of AGRAWAL the rule changes and the inputs do not; within the first 5,000 rows nothing does."""
    table = read(shared_data / "agrawal_abrupt" / "*.csv")
    label = next(name for name in ("class", "target", "label", "y") if name in table.column_names)
    first, second = joint(table.slice(0, 5000), label), joint(table.slice(5000, 5000), label)
    assert cause_of(first, second).cause is Cause.CONCEPT
    calm = joint(table.slice(0, 2500), label), joint(table.slice(2500, 2500), label)
    assert cause_of(*calm).cause is None


def test_one_sex_boarded(shared_data: Path) -> None:
    """Of Titanic's passengers, women leave the sample: a covariate; survivors do: a prior."""
    titanic = read(shared_data / "nannyml_titanic" / "titanic_reference.csv")
    names = {name.lower(): name for name in titanic.column_names}
    table = pa.table({one: titanic[names[one]] for one in ("survived", "sex", "pclass", "fare")})
    order = np.random.default_rng(0).permutation(table.num_rows)
    old, new = table.take(order[::2]), table.take(order[1::2])
    gone = pc.and_(pc.equal(new["sex"], "female"), pa.array(np.random.default_rng(1).random(new.num_rows) < 0.8))
    assert cause_of(joint(old, "survived"), joint(new.filter(pc.invert(gone)), "survived")).cause is Cause.COVARIATE
