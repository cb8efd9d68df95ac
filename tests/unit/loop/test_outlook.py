"""What an update is expected to gain and cost, told before it is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import lessons
from keepfit.core.places import Places
from keepfit.core.registry import canonical, to_plain
from keepfit.judge.evaluate import Terms
from keepfit.loop.outlook import outlook
from keepfit.loop.pipeline import Work
from keepfit.loop.workplace import Workplace
from keepfit.store.blobs import Blobs


class Broken(LogisticRegression):
    """Learns nothing from more than fifty rows."""

    def fit(self, X: Any, y: Any) -> Any:
        if len(y) > 50:
            raise ZeroDivisionError("on purpose")
        return super().fit(X, y)


def rows(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    X = random.normal(size=(count, 8)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] + random.normal(size=count) * 0.3 > 0).astype(np.int64)


def workplace(folder: Path, count: int) -> tuple[Workplace, np.ndarray]:
    """A place with so many rows to learn from, and the truth of those held out."""
    places = Places(folder)
    specification = lessons.specification(inputs=lessons.MATRIX)
    terms = Terms.of(specification)
    work = Work(
        step="outlook",
        service="lessons",
        update="u",
        specification=Blobs(places.blobs).put(canonical(specification)),
        parameters={"terms": to_plain(terms), "metric": "log_loss"},
    )
    place = Workplace(work, places, folder)
    X, y = rows(count, 1)
    later, truth = rows(300, 2)
    work.inputs.update(
        train=place.keep(lessons.table({"x": X}, y)), holdout=place.keep(lessons.table({"x": later}, truth))
    )
    return place, truth


def said(chance: np.ndarray) -> dict[str, Any]:
    return {"prediction": (chance > 0.5).astype(np.int64), "probability": chance.astype(np.float32)}


@pytest.mark.parametrize(("count", "trials"), [(1600, [100, 200, 400]), (160, [20, 40]), (30, [15, 30])])
def test_a_gain_is_told_from_a_few_rows(tmp_path: Path, count: int, trials: list[int]) -> None:
    """Over an incumbent that guesses there is much to gain, over one that knows everything nothing."""
    place, truth = workplace(tmp_path, count)
    over_guesses = outlook(place, LogisticRegression(), said(np.full(300, 0.5))).result
    assert [rows for rows, _, _ in over_guesses["trials"]] == trials
    assert over_guesses["before"] == pytest.approx(np.log(2), rel=1e-3)
    assert 0.3 < over_guesses["gain"] <= 1.0
    assert over_guesses["cpu_seconds"] >= 0.0
    assert outlook(place, LogisticRegression(), said(np.clip(truth, 0.01, 0.99))).result["gain"] < 0.0


def test_without_an_incumbent_there_is_nothing_to_compare(tmp_path: Path) -> None:
    """The first Version gains no share of a loss that nobody has."""
    place, _ = workplace(tmp_path, 400)
    assert outlook(place, LogisticRegression(), None).result["gain"] == 0.0


def test_an_outlook_that_fails_hopes_for_nothing(tmp_path: Path) -> None:
    """It says why, and leaves it to the training to be refused."""
    place, _ = workplace(tmp_path, 1600)
    found = outlook(place, Broken(), said(np.full(300, 0.5))).result
    assert (found["gain"], found["cpu_seconds"]) == (0.0, 0.0)
    assert "on purpose" in found["reason"]
