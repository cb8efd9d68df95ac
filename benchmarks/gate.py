"""How long does the bootstrap gate take: 15,000 rows x 25 slices x 4 metrics x 1,000 resamples, two models paired?

The peer is the plain way, scikit-learn's metrics on rows drawn with replacement, at 20 resamples only (TFMA's number,
which take TFMA 0.52 itself 66 seconds on a machine of this kind; it needs TensorFlow and is not installed here).
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from benchmarks.harness import Line, either, interleave
from keepfit.core.nouns import Slice, Task
from keepfit.judge.evaluate import Terms, evaluate
from keepfit.judge.slices import members

ROWS, ROUNDS, FEW = 15_000, either(3, 1), 20


def _model(truth: np.ndarray, strength: float, random: np.random.Generator) -> dict[str, Any]:
    chance = 1 / (1 + np.exp(-(random.normal(0, 1, ROWS) + strength * (truth - 0.5))))
    return {"prediction": (chance > 0.5).astype(np.int64), "probability": chance.astype(np.float32)}


def _plain(truth: np.ndarray, models: list[dict[str, Any]], masks: list[np.ndarray], resamples: int) -> list[float]:
    """Metric by metric, slice by slice, resample by resample, as one would write it."""
    random, found = np.random.default_rng(0), []
    for _ in range(resamples):
        rows = random.integers(0, ROWS, ROWS)
        for mask in masks:
            chosen = rows[mask[rows]]
            for model in models:
                y, said, chance = truth[chosen], model["prediction"][chosen], model["probability"][chosen].astype(float)
                found += [roc_auc_score(y, chance), log_loss(y, chance), accuracy_score(y, said)]
                found += [brier_score_loss(y, chance)]
    return found


def run() -> list[Line]:
    """Time both ways on slices that part the rows, and ours on slices of half of all rows each as well."""
    random = np.random.default_rng(0)
    truth = (random.random(ROWS) < 0.3).astype(np.int64)
    better, worse = _model(truth, 1.2, random), _model(truth, 1.0, random)
    apart = pa.table({"hour": random.integers(0, 24, ROWS)})
    halves = pa.table({f"f{i}": random.random(ROWS) for i in range(24)})
    terms = Terms(task=Task.BINARY, classes=(0, 1), slices=(Slice("hour", most=24),))
    overlapping = replace(terms, slices=tuple(Slice(f"f{i}", at_least=0.5) for i in range(24)))
    masks = list(members(terms.slices, apart).values())

    def ours(table: pa.Table, asked: Terms) -> float:
        start = time.perf_counter()
        found = evaluate(truth, better, worse, table=table, terms=asked)
        spent = time.perf_counter() - start
        assert len(found.measures) == 25 * 4
        assert found.resamples == 1000
        return spent

    def plain() -> float:
        start = time.perf_counter()
        _plain(truth, [better, worse], masks, FEW)
        return time.perf_counter() - start

    samples = interleave(
        ROUNDS,
        {"ours": lambda: ours(apart, terms), "halves": lambda: ours(halves, overlapping), "peer": plain},
    )
    return [
        Line(
            what=f"{ROWS:,} rows x 25 slices x 4 metrics x 1,000 resamples",
            ours=samples["ours"],
            peer=samples["peer"],
            peer_is=f"s, scikit-learn, {FEW} resamples",
            ratio=samples["peer"].median / samples["ours"].median,
            unit="s",
            reach="at most 3 s (TFMA 0.52, 20 resamples: 66 s)",
            reached=samples["ours"].median <= 3.0,
        ),
        Line(
            what="the same, each slice half of all rows",
            ours=samples["halves"],
            unit="s",
            reach="at most 3 s",
            reached=samples["halves"].median <= 3.0,
        ),
    ]
