"""Learners that look at time: weights by age, ensembles, reuse of the past, and the contest of all of them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from keepfit.core.errors import Refused, SpecInvalid
from keepfit.core.nouns import Learnt, Lesson, Memory
from keepfit.core.protocols import Learner
from keepfit.learn.learners import AccuracyWeighted, Auto, LearnNSE, Refit, Reuse, WarmStart
from keepfit.learn.learners.refit import weights
from keepfit.learn.lessons import part, seen, unseen

pytest.importorskip("sklearn")

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

CHUNK = 100
WORLDS = (1.0, -1.0, 1.0)
"""Which way the first feature points, for ten chunks each: a world, another one, the first again."""


def stream(chunks: int = 30, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(seed)
    X = pd.DataFrame(random.normal(size=(chunks * CHUNK, 2)), columns=["a", "b"])
    world = np.repeat(WORLDS, 10 * CHUNK)[: len(X)]
    y = (X["a"] * world + 0.3 * random.normal(size=len(X)) > 0).to_numpy().astype(int)
    return X, y


def walk(learner: Learner, estimator: Any, *, chunks: int = 30) -> tuple[list[float], list[Learnt]]:
    """Answer each chunk, then learn all rows known; the accuracy per chunk, and what was learnt after each."""
    X, y = stream(chunks)
    ids = tuple(f"r{place}" for place in range(len(y)))
    right: list[float] = []
    learnt: list[Learnt] = []
    for end in range(CHUNK, len(y) + 1, CHUNK):
        before = learnt[-1] if learnt else None
        if before is not None:
            rows = slice(end - CHUNK, end)
            right.append(float((before.model.predict(X[rows]) == y[rows]).mean()))
        lesson = Lesson(
            X=X[:end], y=y[:end], ids=ids[:end], classes=(0, 1),
            parent=before.model if before else None, memory=before.memory if before else None,
        )  # fmt: skip
        learnt.append(learner.learn(estimator, lesson))
    return right, learnt


def memory(learnt: Learnt) -> Memory:
    assert learnt.memory is not None
    return learnt.memory


def test_old_rows_weigh_less() -> None:
    """Half as much per half-life, through a pipeline; what takes no weights is refused by name."""
    X, y = stream(20)
    lesson = Lesson(X=X, y=y)
    found = Refit(half_life=200).learn(make_pipeline(StandardScaler(), LogisticRegression()), lesson).model
    by_hand = make_pipeline(StandardScaler(), LogisticRegression())
    by_hand.fit(X, y, logisticregression__sample_weight=0.5 ** (np.arange(len(y))[::-1] / 200))
    np.testing.assert_allclose(found.predict_proba(X), by_hand.predict_proba(X), atol=1e-12)
    assert weights(4, 2)[[1, 3]].tolist() == [0.5, 1.0]
    with pytest.raises(Refused, match=r"KNeighborsClassifier\.fit takes no sample_weight"):
        Refit(half_life=200).learn(make_pipeline(StandardScaler(), KNeighborsClassifier()), lesson)
    with pytest.raises(SpecInvalid, match="above zero"):
        Refit(half_life=0)


def test_the_newest_rows_of_one_class_are_refused() -> None:
    """A window of its own that has one class only is no lesson for a classifier."""
    X, y = stream(2)
    y[-50:] = 1
    with pytest.raises(Refused, match="newest 50 rows are all of one class"):
        Refit(newest=50).learn(LogisticRegression(), Lesson(X=X, y=y, classes=(0, 1)))


def test_new_rows_are_those_not_seen_before() -> None:
    """In whatever order labels came; what is older than all that is remembered counts as seen."""
    ids = tuple("abcdefgh")
    lesson = Lesson(X=np.arange(8)[:, None], y=np.arange(8), ids=ids)
    assert unseen(lesson).tolist() == list(range(8))
    before = Memory("any", arrays={"seen": seen(("c", "d", "f"))})
    assert part(lesson, unseen(replace(lesson, memory=before))).ids == ("e", "g", "h")
    other = Memory("any", arrays={"seen": seen(("x",))})
    assert len(unseen(replace(lesson, memory=other))) == 8


def test_a_warm_start_learns_a_row_once() -> None:
    """Windows that overlap hand it the same Records again; it goes on with the others."""
    X, y = stream(4)
    ids = tuple(map(str, range(400)))
    learner, estimator = WarmStart(), SGDClassifier(loss="log_loss")
    first = learner.learn(estimator, Lesson(X=X[:300], y=y[:300], ids=ids[:300]))
    whole = Lesson(X=X, y=y, ids=ids, parent=first.model, memory=first.memory)
    second = learner.learn(estimator, whole)
    assert second.model.t_ - first.model.t_ == 100
    third = learner.learn(estimator, replace(whole, parent=second.model, memory=second.memory))
    assert third.model.t_ == second.model.t_


@pytest.mark.parametrize("learner", [AccuracyWeighted(window=100), LearnNSE(window=100, crossing=2)])
def test_an_ensemble_follows_the_world(learner: Learner) -> None:
    """It recovers from a turn within three chunks, is a plain estimator, and keeps at most ten members."""
    right, learnt = walk(learner, LogisticRegression())
    assert min(right[0:9]) > 0.75
    assert right[9] < 0.3, "the turn cannot be foreseen"
    assert min(right[13:19]) > 0.75
    X, _ = stream(1)
    last = learnt[-1].model
    np.testing.assert_allclose(last.predict_proba(X).sum(axis=1), 1.0)
    assert last.classes_.tolist() == [0, 1]
    kept = [name for name in memory(learnt[-1]).arrays if name.startswith("member/")]
    assert len(kept) == 10


def test_an_ensemble_of_numbers() -> None:
    """AccuracyWeighted answers numbers too; LearnNSE votes on classes and says so."""
    X, _ = stream(10)
    y = 3 * X["a"].to_numpy() + 1
    made = AccuracyWeighted(window=200).learn(LinearRegression(), Lesson(X=X, y=y)).model
    np.testing.assert_allclose(made.predict(X), y, atol=1e-9)
    with pytest.raises(Refused, match="these labels are numbers"):
        LearnNSE().learn(LinearRegression(), Lesson(X=X, y=y))


def test_windows_of_one_class_are_left_out() -> None:
    """Members need two classes to tell apart; where no window has them, the lesson is refused."""
    X, y = stream(4)
    y[:200] = 0
    made = AccuracyWeighted(window=100).learn(LogisticRegression(), Lesson(X=X, y=y, classes=(0, 1)))
    assert len([name for name in memory(made).arrays if name.startswith("member/")]) == 2
    with pytest.raises(Refused, match="none of the windows"):
        AccuracyWeighted(window=100).learn(LogisticRegression(), Lesson(X=X, y=np.zeros_like(y), classes=(0, 1)))


class Counted(LogisticRegression):  # type: ignore[misc]  # scikit-learn is untyped
    """Counts how often it was fitted."""

    fits = 0

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        type(self).fits += 1
        return super().fit(X, y, sample_weight)


def test_reuse_takes_the_model_of_the_past() -> None:
    """When the first world returns its stored model is back after one lesson, and nothing is trained for that."""
    Counted.fits = 0
    right, learnt = walk(Reuse(otherwise=Refit(newest=300)), Counted())
    reused = [int(memory(one).arrays["reused"]) for one in learnt]
    assert reused[20] >= 0, "the lesson that follows the return"
    assert min(right[20:]) > 0.75
    before = len([place for place in reused[:20] if place == -1])
    assert Counted.fits == 2 * len([place for place in reused if place == -1])
    assert -1 not in reused[20:23]
    assert 2 <= before <= 8, "one world and a transition are learnt, the rest is reuse"


def test_reuse_is_quick() -> None:
    """Choosing among ten stored models over 500 new rows costs far less than a second of CPU time."""
    X, y = stream(30)
    ids = tuple(map(str, range(len(y))))
    learner, estimator = Reuse(good_enough=1.0), HistGradientBoostingClassifier(max_iter=50)
    learnt = Learnt(None)
    for turn in range(12):
        random = np.random.default_rng(turn)  # worlds that never return: each lesson trains
        own = Lesson(X=X, y=random.permutation(y), ids=tuple(f"{turn}-{one}" for one in ids), classes=(0, 1))
        learnt = learner.learn(estimator, replace(own, memory=learnt.memory))
    stored = len(memory(learnt).arrays["levels"])
    lesson = Lesson(X=X, y=learnt.model.predict(X), ids=ids, classes=(0, 1), memory=learnt.memory)
    began = time.process_time()
    again = learner.learn(estimator, lesson)
    assert time.process_time() - began < 1.0
    assert int(memory(again).arrays["reused"]) >= 0
    assert stored >= 2


def test_auto_ends_with_what_is_best_and_the_past_comes_back() -> None:
    """Over worlds that turn and return it is as good as the best of its competitors, and the stored one is back."""
    auto, learnt = walk(Auto(competitors=(Refit(), Refit(newest=300))), LogisticRegression())
    fixed = [walk(learner, LogisticRegression())[0] for learner in (Refit(), Refit(newest=300))]
    assert np.mean(auto) >= max(map(np.mean, fixed)) - 0.01
    chosen = [str(memory(one).arrays["chosen"]) for one in learnt]
    assert chosen[20].startswith("stored"), "the lesson that follows the return"
    assert auto[20] > 0.75
    names = memory(learnt[-1]).arrays["names"].tolist()
    assert names[:2] == ["Refit", "Refit"]
    assert len(memory(learnt[-1]).arrays["trust"]) == len(names)
    assert float(memory(learnt[-1]).arrays["trust"].sum()) == pytest.approx(1.0)


def test_auto_hears_all_that_are_nearly_as_trusted_as_the_leader() -> None:
    """They answer together while it is open who is best; one that leads clearly answers alone."""
    _, learnt = walk(Auto(competitors=(Refit(), Refit(newest=300)), heard=0.2), LogisticRegression())
    heard = []
    for one in learnt:
        trust = memory(one).arrays["trust"]
        heard.append(int((trust >= 0.2 * trust.max()).sum()))
        assert (1 if isinstance(one.model, LogisticRegression) else len(one.model.members)) == heard[-1]
    assert heard[0] == 2, "nobody was scored yet"
    assert 1 in heard


def test_auto_goes_on_when_a_competitor_refuses() -> None:
    """One that cannot go on keeps its model; one that has grown too large begins anew; none at all is a refusal."""
    boosting = HistGradientBoostingClassifier(max_iter=5)
    right, _ = walk(Auto(), boosting, chunks=4)
    assert min(right) > 0.7
    X, y = stream(2)
    y[-50:] = 1
    with pytest.raises(Refused, match="newest 50 rows are all of one class"):
        Auto(competitors=(Refit(newest=50),)).learn(boosting, Lesson(X=X, y=y, classes=(0, 1)))


def test_auto_refuses_another_field_of_competitors() -> None:
    """A memory whose competitors were others means something else."""
    X, y = stream(2)
    made = Auto(competitors=(Refit(), WarmStart())).learn(SGDClassifier(loss="log_loss"), Lesson(X=X, y=y))
    with pytest.raises(Refused, match="in this recipe Refit, Refit") as refused:
        Auto(competitors=(Refit(), Refit(newest=5))).learn(None, Lesson(X=X, y=y, memory=made.memory))
    assert refused.value.code == "memory_of_another_learner"


class Hoarder:
    """Remembers Records."""

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        return Learnt(estimator.fit(lesson.X, lesson.y), Memory("Hoarder", pa.table({"_id": ["a"]})))


@pytest.mark.parametrize("learner", [Auto(competitors=(Hoarder(),)), Reuse(otherwise=Hoarder())])
def test_who_remembers_records_is_no_part_of_another(learner: Learner) -> None:
    """Inside another's memory a person's Records could not be found again, so the update is refused and says so."""
    X, y = stream(2)
    with pytest.raises(Refused, match="Hoarder remembers Records and cannot be part of another learner; use it alone"):
        learner.learn(LogisticRegression(), Lesson(X=X, y=y, classes=(0, 1)))


def test_reuse_refuses_the_memory_of_another_learner_inside() -> None:
    """What one learner inside remembered is not read by another."""
    X, y = stream(2)
    made = Reuse(otherwise=AccuracyWeighted(window=50)).learn(LogisticRegression(), Lesson(X=X, y=y, classes=(0, 1)))
    turned = Lesson(X=X, y=1 - y, classes=(0, 1), memory=made.memory)
    with pytest.raises(Refused, match="written by AccuracyWeighted, this recipe has LearnNSE"):
        Reuse(otherwise=LearnNSE(window=50)).learn(LogisticRegression(), turned)


def test_a_stored_model_that_cannot_answer_is_told() -> None:
    """Features that changed make the models of the past useless, and the refusal says what to do."""
    X, y = stream(2)
    made = Reuse().learn(LogisticRegression(), Lesson(X=X, y=y, classes=(0, 1)))
    with pytest.raises(Refused, match="begin again without memory") as refused:
        Reuse().learn(LogisticRegression(), Lesson(X=X[["a"]], y=y, classes=(0, 1), memory=made.memory))
    assert refused.value.code == "memory_does_not_fit"
