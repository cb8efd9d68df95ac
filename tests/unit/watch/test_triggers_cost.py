"""The cost-aware trigger against the best schedule chosen in hindsight, on random traces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from keepfit.core.nouns import Mark, Pulse
from keepfit.loop.oracle import fewest, optimum, spent
from keepfit.watch.triggers import Cost

BEGIN = datetime(2013, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TRACES = 1000


def trace(random: np.random.Generator) -> np.ndarray:
    """Who answers label t wrongly: `[u, t]` for the model made before label u; an older one errs wherever a newer does.

    What has moved since a model was made decides how often it errs, and one draw for each label whether it does: some
    stretches are quiet, some drift slowly, some jump.
    """
    length = int(random.integers(20, 60))
    moved = random.choice([0.0, 0.02, 0.2], size=length, p=[0.5, 0.3, 0.2]) * random.random(length)
    moved += (random.random(length) < 0.03) * random.random(length)
    place = np.cumsum(moved)
    drawn = random.random(length)
    wrong = drawn[None, :] < 1.0 - np.exp(-(place[None, :] - place[:, None]))
    return np.triu(wrong).astype(np.float64)


def bought(losses: np.ndarray, trigger: Cost, stride: int = 1) -> list[int]:
    """The labels before which the trigger updates, when it looks after every `stride` labels."""
    marks: list[Mark] = []
    since, model, schedule = 0, 0, []
    for end in range(stride, len(losses), stride):
        right = 1.0 - float(losses[model, end - stride : end].mean())
        marks.append(Mark(BEGIN + SECOND * end, stride, right, right))
        given = Pulse(BEGIN + SECOND * end, BEGIN + SECOND * since, marks=tuple(marks), expected_accuracy=1.0)
        if trigger.decide(given).fire:
            since = model = end
            schedule.append(end)
    return schedule


@pytest.mark.parametrize("stride", [1, 5])
def test_never_more_than_twice_the_best(stride: int) -> None:
    """Looking after every label it costs at most twice the optimum; after every k, at most k wrong answers more a time.

    Between two of its updates it loses at most their price (and less than k more); whoever does not update there loses
    as much with an older model, and whoever does pays the price.
    """
    random = np.random.default_rng(stride)
    worst = 0.0
    for _ in range(TRACES):
        losses, price = trace(random), float(random.integers(1, 8))
        schedule = bought(losses, Cost(update=price, stride=stride), stride)
        ours = spent(losses, schedule) + price * len(schedule)
        best, _ = optimum(losses, price)
        assert ours <= 2 * best + (stride - 1) * (len(schedule) + 1) + 1e-9, (price, schedule)
        worst = max(worst, ours / best if best else 1.0)
    assert worst > 1.2, "traces on which every policy is the best one show nothing"


def test_the_optimum_is_the_least_of_all_schedules() -> None:
    """Dynamic programming finds what trying all schedules finds."""
    random = np.random.default_rng(3)
    for _ in range(30):
        losses = np.triu(random.integers(0, 9, size=(7, 7))).astype(np.float64)
        every = [[place for place in range(1, 7) if code >> (place - 1) & 1] for code in range(64)]
        costs = {tuple(one): spent(losses, one) for one in every}
        best, schedule = optimum(losses, 2.5)
        assert best == pytest.approx(min(cost + 2.5 * len(one) for one, cost in costs.items()))
        assert best == pytest.approx(costs[schedule] + 2.5 * len(schedule))
        least = [min(cost for one, cost in costs.items() if len(one) <= most) for most in range(7)]
        assert fewest(losses).tolist() == pytest.approx(least)
