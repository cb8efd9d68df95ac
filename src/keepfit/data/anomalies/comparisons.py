"""Comparisons: the data against other data, as the Schema's comparators ask."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Finding
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import NUMBERS, Profile, Statistics, counted_in
from keepfit.data.schema import Apart, Expectation

_BINS = 10


def compared(case: Case, column: Statistics, expected: Expectation) -> Iterator[Finding]:
    """How far the values are from those before (drift) and those served (skew)."""
    pairs = (("previous", expected.drift, case.previous), ("serving", expected.skew, case.serving))
    for name, apart, other in pairs:
        if apart is None or other is None or not column.present:
            continue
        control = other.column(column.name)
        if control is None or not control.present:
            sentence = f"column '{column.name}' has no values in the {name} data to compare with"
            yield case.tell(Anomaly.COMPARATOR_CONTROL_DATA_MISSING, column.name, sentence)
        else:
            yield from _apart(case, column, control, apart, name)


def _apart(case: Case, column: Statistics, control: Statistics, apart: Apart, name: str) -> Iterator[Finding]:
    here, there, values = _counts(column, control)
    distances = (
        (Anomaly.COMPARATOR_L_INFTY_HIGH, "L-infinity distance", apart.linfty, linfty),
        (Anomaly.COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH, "Jensen-Shannon divergence", apart.jensen_shannon, jensen),
        (
            Anomaly.COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH,
            "normalized absolute difference",
            apart.absolute,
            absolute,
        ),
    )
    for anomaly, told, threshold, distance in distances:
        if threshold is None:
            continue
        found = distance(here, there)
        if found > threshold:
            most = values[int(np.abs(here / here.sum() - there / there.sum()).argmax())]
            sentence = (
                f"column '{column.name}': the {told} to the {name} data is {found:.6g}, above {threshold:.6g}; "
                f"what moved most is {most}"
            )
            yield case.tell(anomaly, column.name, sentence, (found, threshold))


Counts = NDArray[np.float64]


def _counts(column: Statistics, control: Statistics) -> tuple[Counts, Counts, list[str]]:
    """Both counted over the same values, or over the same bins of equal width."""
    ends = [end for one in (column, control) for end in (one.minimum, one.maximum) if end is not None]
    if column.kind in NUMBERS and len(ends) == 4:
        low, high = min(ends), max(ends)
        edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
        told = [f"{a:.6g} to {b:.6g}" for a, b in pairwise(edges)]
        here, there = (np.array(counted_in(one, edges.tolist())) for one in (column, control))
        return here, there, told
    counts = [dict(zip(one.frequent.values, one.frequent.counts, strict=True)) for one in (column, control)]
    values = sorted({*counts[0], *counts[1]}, key=str)
    here, there = (np.array([count.get(value, 0) for value in values], np.float64) for count in counts)
    return here, there, [str(value) for value in values]


def linfty(here: Counts, there: Counts) -> float:
    """The largest difference of shares."""
    return float(np.abs(here / here.sum() - there / there.sum()).max())


def jensen(here: Counts, there: Counts) -> float:
    """The Jensen-Shannon divergence, in bits (Lin 1991)."""
    p, q = here / here.sum(), there / there.sum()
    middle = (p + q) / 2

    def kullback(shares: Counts) -> float:
        seen = shares > 0
        return float((shares[seen] * np.log2(shares[seen] / middle[seen])).sum())

    return (kullback(p) + kullback(q)) / 2


def absolute(here: Counts, there: Counts) -> float:
    """The largest difference of counts, per value counted on either side."""
    return float(np.abs(here - there).max() / (here.sum() + there.sum()))


def volume(case: Case) -> Iterator[Finding]:
    """Too few or too many rows: by themselves, and against the data before."""
    rows = case.profile.rows
    count, ratio = case.schema.count, case.schema.volume
    if count is not None and count.least is not None and rows < count.least:
        sentence = f"the data has {rows} rows; expected at least {count.least:g}"
        yield case.tell(Anomaly.DATASET_LOW_NUM_EXAMPLES, "rows", sentence, (rows, count.least))
    if count is not None and count.most is not None and rows > count.most:
        sentence = f"the data has {rows} rows; expected at most {count.most:g}"
        yield case.tell(Anomaly.DATASET_HIGH_NUM_EXAMPLES, "rows", sentence, (rows, count.most))
    if ratio is None or not _rows(case.previous) or not rows:
        return
    found = rows / _rows(case.previous)
    told = f"the data has {found:.2f} times the {_rows(case.previous)} rows before it"
    if ratio.least is not None and found < ratio.least:
        sentence = f"{told}; expected at least {ratio.least:g} times"
        yield case.tell(Anomaly.COMPARATOR_LOW_NUM_EXAMPLES, "rows", sentence, (found, ratio.least))
    if ratio.most is not None and found > ratio.most:
        sentence = f"{told}; expected at most {ratio.most:g} times"
        yield case.tell(Anomaly.COMPARATOR_HIGH_NUM_EXAMPLES, "rows", sentence, (found, ratio.most))


def _rows(profile: Profile | None) -> int:
    return profile.rows if profile is not None else 0
