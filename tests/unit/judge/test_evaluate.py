"""An Evaluation measures both models on the same records, with intervals that can be trusted and repeated."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from keepfit.core.errors import DataInvalid
from keepfit.core.nouns import Evaluation, Slice, Task
from keepfit.core.registry import canonical, from_plain, to_plain
from keepfit.core.service import Recipe, Service, Specification
from keepfit.core.signature import DType, Field
from keepfit.judge import gates
from keepfit.judge.bootstrap import draws
from keepfit.judge.evaluate import Compared, Terms, evaluate

TERMS = Terms(task=Task.BINARY, classes=(0, 1))


def _model(truth: np.ndarray, strength: float, random: np.random.Generator) -> dict[str, Any]:
    score = random.normal(0, 1, len(truth)) + strength * (truth - 0.5)
    chance = (1 / (1 + np.exp(-score))).astype(np.float32)
    return {"prediction": (chance > 0.5).astype(np.int64), "probability": chance}


def _case(rows: int, seed: int, *, first: float = 1.5, second: float = 1.0) -> tuple[Any, Any, Any, pa.Table]:
    random = np.random.default_rng(seed)
    truth = (random.random(rows) < 0.4).astype(np.int64)
    table = pa.table({"site": random.integers(0, 4, rows)})
    return truth, _model(truth, first, random), _model(truth, second, random), table


def test_a_better_model_is_seen_on_every_metric_and_slice() -> None:
    """Differences are turned so that positive is better, also for losses, and the interval holds the difference."""
    truth, good, poor, table = _case(3000, 1)
    found = evaluate(truth, good, poor, table=table, terms=replace(TERMS, slices=(Slice("site"),)))
    assert len(found.measures) == 4 * 5
    for measure in found.measures:
        assert measure.difference is not None
        assert measure.low < measure.difference < measure.high
        if measure.slice == "all":
            assert measure.n == 3000
            assert measure.low > 0
    slices = [measure for measure in found.measures if measure.metric == "auc" and measure.slice != "all"]
    assert sum(measure.n for measure in slices) == 3000


def test_auc_of_a_slice_is_that_of_its_records_alone() -> None:
    """A slice's AUC is scikit-learn's AUC on those rows, the incumbent's beside it."""
    truth, good, poor, table = _case(800, 2)
    found = evaluate(truth, good, poor, table=table, terms=replace(TERMS, slices=(Slice("site", equals=2),)))
    measure = found.measure("auc", "site=2")
    chosen = table.column("site").to_numpy() == 2
    assert measure is not None
    assert measure.candidate == pytest.approx(roc_auc_score(truth[chosen], good["probability"][chosen]), abs=1e-12)
    assert measure.incumbent == pytest.approx(roc_auc_score(truth[chosen], poor["probability"][chosen]), abs=1e-12)


def test_intervals_agree_with_a_plain_bootstrap() -> None:
    """The quick resampling gives the same interval as drawing rows with replacement and asking scikit-learn."""
    truth, good, poor, table = _case(500, 3)
    found = evaluate(truth, good, poor, table=table, terms=replace(TERMS, resamples=4000)).measure("auc")
    random = np.random.default_rng(0)
    plain = []
    for _ in range(800):
        rows = random.integers(0, 500, 500)
        plain.append(
            roc_auc_score(truth[rows], good["probability"][rows])
            - roc_auc_score(truth[rows], poor["probability"][rows])
        )
    assert found is not None
    assert [found.low, found.high] == pytest.approx(np.quantile(plain, [0.025, 0.975]).tolist(), abs=0.008)


def test_intervals_cover_what_they_promise() -> None:
    """Of two equally good models the 90 % interval excludes zero about one time in ten."""
    outside = 0
    for seed in range(200):
        truth, one, other, table = _case(400, 100 + seed, first=1.0, second=1.0)
        terms = replace(TERMS, metrics=("accuracy",), confidence=0.9, resamples=400, seed=seed)
        found = evaluate(truth, one, other, table=table, terms=terms).measure("accuracy")
        assert found is not None
        outside += not found.low <= 0 <= found.high
    assert 8 <= outside <= 36  # 20 expected, four standard deviations either way


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads() -> None:
    """One seed is one result, bit by bit, in another process with another number of threads too; another differs."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_evaluate as t; from dataclasses import replace\n"
        "truth, good, poor, table = t._case(4001, 5)\n"
        "terms = replace(t.TERMS, slices=(t.Slice('site'),), seed=int(sys.argv[2]))\n"
        "sys.stdout.buffer.write(t.canonical(t.evaluate(truth, good, poor, table=table, terms=terms)))"
    )
    here = os.path.dirname(__file__)  # noqa: PTH120 - a plain argument for another interpreter

    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    one = subprocess.run([sys.executable, "-c", script, here, "7"], env=environment, check=True, stdout=-1).stdout
    truth, good, poor, table = _case(4001, 5)
    two, other = (
        canonical(evaluate(truth, good, poor, table=table, terms=replace(TERMS, slices=(Slice("site"),), seed=seed)))
        for seed in (7, 8)
    )
    assert one == two != other


def test_a_first_version_has_its_own_interval() -> None:
    """Without an incumbent the bounds are the candidate's own and there is no difference."""
    truth, good, _, table = _case(500, 6)
    found = evaluate(
        truth, good, None, table=table, terms=TERMS, of=Compared(dataset="d", candidate="c", incumbent="x")
    )
    measure = found.measure("auc")
    assert measure is not None
    assert (measure.incumbent, measure.difference, found.incumbent) == (None, None, None)
    assert measure.low < measure.candidate < measure.high


def test_what_is_undefined_is_left_out_rather_than_nan() -> None:
    """One class has no AUC, an empty slice none, a model without probabilities no log-loss: never NaN."""
    truth = np.zeros(50, dtype=np.int64)
    table = pa.table({"site": ["a"] * 50})
    answers = {"prediction": truth, "probability": np.full(50, 0.1, dtype=np.float32)}
    found = evaluate(truth, answers, None, table=table, terms=replace(TERMS, slices=(Slice("site", equals="b"),)))
    assert {(measure.metric, measure.slice) for measure in found.measures} == {
        ("log_loss", "all"),
        ("accuracy", "all"),
        ("brier", "all"),
    }
    bare = evaluate(truth, {"prediction": truth}, None, table=table, terms=TERMS)
    assert [measure.metric for measure in bare.measures] == ["accuracy"]
    assert from_plain(Evaluation, to_plain(found)) == found


def test_nothing_to_judge_on_is_an_error() -> None:
    """No labelled record, or labels that do not match the table, is said and never an empty Evaluation."""
    empty = {"prediction": np.empty(0, dtype=np.int64)}
    with pytest.raises(DataInvalid, match="no labelled records"):
        evaluate(np.empty(0, dtype=np.int64), empty, None, table=pa.table({"x": []}), terms=TERMS)
    with pytest.raises(DataInvalid, match="expected 1 labels, one per row, found 2"):
        evaluate([0, 1], {"prediction": [0, 1]}, None, table=pa.table({"x": [1]}), terms=TERMS)


def test_resamples_are_poisson_and_exactly_as_many_as_asked() -> None:
    """Counts have the mean and variance of Poisson(1); blocks add up to what was asked, large and small."""
    counts = np.concatenate(list(draws(3000, 777, seed=1)))
    assert counts.shape == (777, 3000)
    assert counts.mean() == pytest.approx(1.0, abs=0.003)
    assert counts.var() == pytest.approx(1.0, abs=0.005)


def test_terms_come_from_the_specification() -> None:
    """The Service's metric comes first, gates bring theirs and the coverage they ask for, the recipe its seed."""
    service = Service(
        name="late",
        label="late",
        metric="log_loss",
        recipe=Recipe(seed=11),
        gates=(gates.Better(confidence=0.99), gates.Floor("f1", 0.2)),
        slices=(Slice("origin"),),
    )
    label = Field("late", DType.BOOL)
    specification = Specification(
        service=service,
        code="",
        module="service.py",
        source="",
        source_rows=10,
        task=Task.BINARY,
        classes=(False, True),
        inputs=(Field("x", DType.FP64),),
        outputs=(Field("prediction", DType.BOOL),),
        label=label,
    )
    terms = Terms.of(specification)
    assert terms.metrics == ("log_loss", "auc", "accuracy", "brier", "f1")
    assert (terms.confidence, terms.seed, terms.slices, terms.resamples) == (0.99, 11, (Slice("origin"),), 1000)
    assert canonical(terms) == canonical(Terms.of(specification))
