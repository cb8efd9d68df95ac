"""Score: every answer computed once more, and how good the answers were, month by month."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.nouns import Digest
from keepfit.edge.demo.flights import Year
from keepfit.edge.demo.traffic import Exchange, Log
from keepfit.serve.loading import load
from keepfit.serve.wire.tables import from_table
from keepfit.store.blobs import Trees

_BATCH = 8192
_SAME = 1e-6  # how far a probability (FP32) may be off when its row is computed in another batch
_BEFORE, _AFTER = 2.0, 1.0  # seconds around the first answer of a new Version which count as "while swapping"


@dataclass(frozen=True)
class Month:
    """One month: AUC and log-loss of each way of keeping a model, over the flights whose truth is known."""

    month: str
    flights: int
    late_share: float
    auc: dict[str, float]
    log_loss: dict[str, float]


@dataclass(frozen=True)
class Latency:
    """Percentiles of prediction requests, in milliseconds, outside of swaps and around them."""

    p50_ms_steady: float
    p99_ms_steady: float
    p50_ms_swapping: float
    p99_ms_swapping: float
    requests_swapping: int


def torn(year: Year, log: Log, trees: Trees, versions: Mapping[int, Digest]) -> int:
    """How many answers are not exactly what the one Bundle they name says of every one of their rows."""
    right = np.zeros(year.table.num_rows, bool)
    asked: dict[Digest, list[Exchange]] = defaultdict(list)
    for exchange in log.exchanges:
        asked[exchange.digest].append(exchange)
    for digest, exchanges in asked.items():
        if digest in versions.values():
            rows = np.concatenate([np.arange(exchange.start, exchange.stop) for exchange in exchanges])
            right[rows] = _as_said(year, log, trees, digest, rows)
    wrong = sum(
        versions.get(exchange.version) != exchange.digest or not right[exchange.start : exchange.stop].all()
        for exchange in log.exchanges
    )
    return wrong + log.muddled


def _as_said(year: Year, log: Log, trees: Trees, digest: Digest, rows: np.ndarray) -> np.ndarray:
    """Per row, whether the answer that came over HTTP is the one of the Bundle with this digest."""
    bundle, predictor = load(trees.path(digest))
    try:
        parts = []
        for start in range(0, len(rows), _BATCH):
            some = pa.array(rows[start : start + _BATCH])
            inputs = from_table(bundle.signature, year.table.take(some))
            said = predictor.predict(inputs)
            near = np.abs(said["probability"] - log.probability[some]) <= _SAME
            parts.append(near & (said["prediction"].astype(np.int8) == log.prediction[some]))
        return np.concatenate(parts)
    finally:
        predictor.close()


def months(year: Year, answers: Mapping[str, np.ndarray], start: int, stop: int) -> list[Month]:
    """The flights [start, stop) month by month; every way of answering is scored on the same flights."""
    from sklearn.metrics import log_loss, roc_auc_score

    late = pc.fill_null(year.table["late"], False).to_numpy()
    row = np.arange(len(late))
    usable = pc.is_valid(year.table["late"]).to_numpy() & (row >= start) & (row < stop)
    for given in answers.values():
        usable &= ~np.isnan(given)
    found = []
    for month in range(1, 13):
        rows = np.flatnonzero(usable & (year.month == month))
        truth = late[rows]
        if not len(rows) or truth.all() or not truth.any():
            continue
        found.append(
            Month(
                month=f"2013-{month:02d}",
                flights=len(rows),
                late_share=float(truth.mean()),
                auc={name: float(roc_auc_score(truth, given[rows])) for name, given in answers.items()},
                log_loss={name: float(log_loss(truth, given[rows])) for name, given in answers.items()},
            )
        )
    return found


def latency(log: Log) -> Latency:
    """How long prediction requests took; a swap is around the first answer of another Version."""
    began = np.array([exchange.began for exchange in log.exchanges])
    took = np.array([exchange.seconds for exchange in log.exchanges]) * 1e3
    versions = np.array([exchange.version for exchange in log.exchanges])
    order = np.argsort(began, kind="stable")
    began, took, versions = began[order], took[order], versions[order]
    swapping = np.zeros(len(began), bool)
    for moment in began[1:][versions[1:] != versions[:-1]]:
        swapping |= (began >= moment - _BEFORE) & (began <= moment + _AFTER)
    p50, p99 = np.percentile(took[~swapping], [50, 99]) if (~swapping).any() else (np.nan, np.nan)
    p50_s, p99_s = np.percentile(took[swapping], [50, 99]) if swapping.any() else (np.nan, np.nan)
    return Latency(float(p50), float(p99), float(p50_s), float(p99_s), int(swapping.sum()))
