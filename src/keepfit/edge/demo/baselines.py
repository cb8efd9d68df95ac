"""Baselines: what the same estimator would have answered without keepfit.

*Frozen January* is fitted once. *Monthly retrain* is fitted at every first of a month on every label of the months
before, and is live at that very moment: a calendar job that takes no time, holds nothing out and never goes wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from keepfit.edge.aside import last_in_line
from keepfit.edge.demo.flights import FEATURES, Year, load
from keepfit.edge.demo.service import flights

_JANUARY = 0  # the task of the frozen model, beside those of the months

Answers = dict[int, np.ndarray]


@dataclass(frozen=True)
class Baselines:
    """Probabilities of being late, one per flight of the year; NaN in January."""

    frozen: np.ndarray
    monthly: np.ndarray


class Baselining:
    """Fits and answers beside the demo at the lowest priority, and what is left at the end at the usual one."""

    def __init__(self, months: Sequence[int]) -> None:
        self._pool = _processes(1, aside=True)
        tasks = [*sorted(months, reverse=True), _JANUARY]  # the longest first
        self._tasks = {task: self._pool.submit(_answers, task) for task in tasks}

    def finish(self, year: Year) -> Baselines:
        """Wait for all answers."""
        with _processes(2, aside=False) as quick:
            for task, future in self._tasks.items():
                if future.cancel():
                    self._tasks[task] = quick.submit(_answers, task)
            answers = {task: future.result() for task, future in self._tasks.items()}
        frozen, monthly = (np.full(year.table.num_rows, np.nan) for _ in range(2))
        for task, answered in answers.items():
            for month, given in answered.items():
                (frozen if task == _JANUARY else monthly)[year.month == month] = given
        return Baselines(frozen, monthly)

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _processes(count: int, *, aside: bool) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, get_context("spawn"), _begin, (aside,))


def _begin(aside: bool) -> None:
    threadpool_limits(1)  # on a busy machine OpenMP's threads wait for each other, spinning, for minutes
    if aside:
        last_in_line([])


def _answers(task: int) -> Answers:
    """Fit on all labels of the months before one and answer that month; the frozen model answers all."""
    year, frame, late = _data()
    months = range(2, 13) if task == _JANUARY else (task,)
    chosen = ~pd.isna(late) & (year.month < (task or 2))
    model: Any = clone(flights.estimator)
    model[-1].random_state = flights.recipe.seed
    model.fit(frame[chosen], late[chosen].astype(bool))
    return {month: model.predict_proba(frame[year.month == month])[:, 1] for month in months}


@cache
def _data() -> tuple[Year, pd.DataFrame, np.ndarray]:
    """The year as the estimator takes it, once per process."""
    year = load()
    return year, year.table.select(FEATURES).to_pandas(), year.table["late"].to_pandas().to_numpy()
