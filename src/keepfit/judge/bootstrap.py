"""Bootstrap: the metrics of one or two models on many slices under the same resamples, quickly and reproducibly.

A metric that is a function of sums over Records is resampled as one matrix product (counts × parts). The area under the
ROC curve is resampled from counts taken in order of score: for every positive, the negatives below it plus half of
those beside it (Mann and Whitney 1947). Parts are rounded to a power of two fine enough to leave ten digits and coarse
enough that sums of them are exact, so that neither threads nor the linear algebra library can change one bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keepfit.judge.metrics import Floats, Metric, Scored

Rows = NDArray[np.int64]
Counts = NDArray[np.uint8]

BLOCK = 1 << 20
"""Counts held at once: a megabyte stays in the processor's cache."""

MOST = 12
"""The largest Poisson(1) count drawn; a larger one has a chance below one in 65,536 and is never drawn."""


def prepare(models: Sequence[Scored], metrics: Sequence[Metric], rows: Sequence[Rows]) -> Plan:
    """Work out what every resample needs: parts by model and metric, and orders of score by model and slice."""
    parts = [metric.parts(model) for model in models for metric in metrics if metric.parts is not None]
    ends = [int(end) for end in np.cumsum([part.shape[1] for part in parts])]
    spans = tuple(zip([0, *ends], ends, strict=False))
    joined = np.concatenate(parts, axis=1) if parts else np.empty((len(models[0].truth), 0))
    ranked = any(metric.parts is None for metric in metrics)
    ranks = [[_rank(model, chosen) for chosen in rows] for model in models] if ranked else []
    return Plan(tuple(metrics), len(models), tuple(rows), joined, spans, ranks)


@dataclass(frozen=True)
class Rank:
    """One model's order of score on one slice: rows of positives and negatives, and for each positive how many
    negatives lie strictly below it and how many at or below it."""

    positives: Rows
    negatives: Rows
    below: Rows
    upto: Rows

    def area(self, counts: NDArray[np.generic]) -> Floats:
        """The area under the ROC curve for each row of counts, shape (b, n); NaN where a class is absent."""
        sums = np.zeros((len(counts), len(self.negatives) + 1), dtype=np.int32)
        np.cumsum(counts.take(self.negatives, axis=1), axis=1, dtype=np.int32, out=sums[:, 1:])
        beaten = sums.take(self.below, axis=1) + sums.take(self.upto, axis=1)
        weights = counts.take(self.positives, axis=1).astype(np.float64)
        pairs = 2.0 * weights.sum(axis=1) * sums[:, -1]
        wins = np.einsum("ij,ij->i", weights, beaten.astype(np.float64))
        return np.asarray(np.divide(wins, pairs, out=np.full(len(counts), np.nan), where=pairs > 0))


def _rank(model: Scored, chosen: Rows) -> Rank:
    if model.chances is None:
        return Rank(chosen[:0], chosen[:0], chosen[:0], chosen[:0])
    scores, truth = model.chances[chosen, -1], model.truth[chosen]
    order = np.argsort(scores, kind="stable")
    scores, truth, ordered = scores[order], truth[order], chosen[order]
    positive, negative = truth == model.chances.shape[1] - 1, truth == 0
    return Rank(
        ordered[positive],
        ordered[negative],
        np.searchsorted(scores[negative], scores[positive], side="left"),
        np.searchsorted(scores[negative], scores[positive], side="right"),
    )


@dataclass(frozen=True)
class Plan:
    """What is resampled: parts of shape (n, columns), `spans` of them by model then summed metric, ranks by model."""

    metrics: tuple[Metric, ...]
    models: int
    rows: tuple[Rows, ...]
    parts: Floats
    spans: tuple[tuple[int, int], ...]
    ranks: list[list[Rank]]

    def points(self) -> Floats:
        """The metrics on the Records as they are, shape (models, slices, metrics)."""
        once = np.ones((1, len(self.parts)), dtype=np.uint8)
        return self._values(once, self.parts)[..., 0]

    def resample(self, resamples: int, seed: int) -> Floats:
        """The metrics under each resample, shape (models, slices, metrics, resamples)."""
        exact = _exact(self.parts)
        blocks = [self._values(counts, exact) for counts in draws(len(self.parts), resamples, seed)]
        return np.concatenate(blocks, axis=-1)

    def _values(self, counts: Counts, parts: Floats) -> Floats:
        found = np.full((self.models, len(self.rows), len(self.metrics), len(counts)), np.nan)
        for s, chosen in enumerate(self.rows):
            weights = counts.take(chosen, axis=1).astype(np.float64)
            sums, total = weights @ parts[chosen], weights.sum(axis=1)
            for model in range(self.models):
                found[model, s] = self._finished(model, s, counts, sums, total)
        return found

    def _finished(self, model: int, s: int, counts: Counts, sums: Floats, total: Floats) -> Floats:
        found = np.empty((len(self.metrics), len(total)))
        spans = iter(self.spans[model * len(self.spans) // self.models :])
        with np.errstate(divide="ignore", invalid="ignore"):  # an empty resample has no mean: NaN says so
            for m, metric in enumerate(self.metrics):
                if metric.finish is None:
                    found[m] = self.ranks[model][s].area(counts)
                else:
                    start, stop = next(spans)
                    found[m] = np.where(total > 0, metric.finish(sums[:, start:stop], total), np.nan)
        return found


def draws(rows: int, resamples: int, seed: int) -> Iterator[Counts]:
    """Poisson(1) counts in blocks of shape (b, rows), `resamples` in all, the same for the same seed.

    >>> sum(len(block) for block in draws(10, 1000, seed=0))
    1000
    """
    lots = _poisson_lots()
    random = np.random.Generator(np.random.PCG64(seed))
    height = max(1, BLOCK // max(rows, 1))
    for start in range(0, resamples, height):
        lot = random.integers(0, 65536, (min(height, resamples - start), rows), dtype=np.uint16)
        yield lots.take(lot)


def _poisson_lots() -> Counts:
    """65,536 lots holding the counts of Poisson(1) in their due shares: one look-up is one draw."""
    shares = np.array([math.exp(-1.0) / math.factorial(k) for k in range(MOST)])
    bounds = np.rint(np.cumsum(shares) * 65536.0)
    return np.searchsorted(bounds, np.arange(65536), side="right").astype(np.uint8)


def _exact(parts: Floats) -> Floats:
    """The parts rounded to multiples of a power of two such that sums of them, however weighted, are exact."""
    bound = np.abs(parts).max(axis=0, initial=0.0)
    usable = np.isfinite(bound) & (bound > 0)
    exponent = np.zeros(len(bound), dtype=np.int64)
    exponent[usable] = np.ceil(np.log2(bound[usable] * MOST * max(len(parts), 1))).astype(np.int64) - 53
    return np.asarray(np.where(usable, np.ldexp(np.rint(np.ldexp(parts, -exponent)), exponent), parts))
