"""Baselines: what the same estimator would have answered without keepfit.

*Frozen January* is fitted once. *Monthly retrain* is fitted at every first of a month on every label of the months
before, and is live at that very moment: a calendar job that takes no time, holds nothing out and never goes wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone

from keepfit.edge.demo.flights import FEATURES, Year
from keepfit.edge.demo.service import flights


@dataclass(frozen=True)
class Baselines:
    """Probabilities of being late, one per flight of the year; NaN in January."""

    frozen: np.ndarray
    monthly: np.ndarray


def answer(year: Year, until: int) -> Baselines:
    """Fit both and let them answer the flights from February up to row `until`."""
    frame = year.table.select(FEATURES).to_pandas()
    late = year.table["late"].to_pandas().to_numpy()
    has_label = ~pd.isna(late)
    frozen, monthly = (np.full(len(frame), np.nan) for _ in range(2))
    january = _fitted(frame, late, has_label & (year.month == 1))
    for month in range(2, 13):
        rows = np.flatnonzero((year.month == month) & (np.arange(len(frame)) < until))
        if not len(rows):
            break
        model = january if month == 2 else _fitted(frame, late, has_label & (year.month < month))
        frozen[rows] = january.predict_proba(frame.iloc[rows])[:, 1]
        monthly[rows] = model.predict_proba(frame.iloc[rows])[:, 1]
    return Baselines(frozen, monthly)


def _fitted(frame: pd.DataFrame, late: np.ndarray, chosen: np.ndarray) -> Any:
    model = clone(flights.estimator)
    model[-1].random_state = flights.recipe.seed
    return model.fit(frame[chosen], late[chosen].astype(bool))
