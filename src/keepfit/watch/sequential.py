"""What detectors of sequences share: alarms one after the other, and what an alarm is worth.

The classic drift detectors raise an alarm and go on; how often they do so for nothing depends on the data and is not
known. Here an alarm only nominates a point of change. Whether the rows from there to the end of the window differ is
then judged by a bound that holds for every distribution and every such point together, so that all of them keep the
false-alarm rate they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import exp
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Score
from keepfit.watch.samples import SILENT, gap, is_categorical, numbers

_CHUNK = 4096
_BLOCK = 64


@dataclass(frozen=True)
class Alarm:
    """An alarm raised at one index, about a change that began at another, not later, one."""

    at: int
    since: int


Judge = Callable[[NDArray[np.float64], tuple[int, int]], tuple[int, float, float]]
"""The cut, p-value and effect of the change in values (in [0, 1]) that a span of indices (both ends in it) may hold."""

First = Callable[[NDArray[np.float64], int], Alarm | None]
"""Finds the first alarm from an index of a sequence on; what comes after the alarm must not matter."""


def alarms(values: NDArray[np.float64], first: First, *, calm: int = 0, piece: int = _CHUNK) -> tuple[Alarm, ...]:
    """Every alarm, where a detector starts afresh after each; the sequence is looked at in growing pieces.

    The first `calm` values are learnt from, whatever they hold: no alarm comes there, and none makes it forget them.
    """
    found: list[Alarm] = []
    start, length = 0, max(piece, calm)
    while start < values.size:
        alarm = first(values[start : start + length], max(0, calm - start))
        if alarm is not None:
            found.append(Alarm(start + alarm.at, start + alarm.since))
            start, length = start + alarm.at + 1, piece
        elif start + length >= values.size:
            break
        else:
            length *= 4
    return tuple(found)


def filtered(values: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """y where y[t] = keep * y[t - 1] + values[t], without a step per value."""
    powers = keep ** np.arange(_BLOCK + 1, dtype=np.float64)
    away = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    lower = np.where(away >= 0, powers[np.maximum(away, 0)], 0.0)
    padded = np.zeros(-(-values.size // _BLOCK) * _BLOCK)
    padded[: values.size] = values
    blocks = padded.reshape(-1, _BLOCK) @ lower.T
    carried, carry, whole = [], 0.0, float(powers[-1])
    for last in blocks[:, -1].tolist():
        carried.append(carry)
        carry = whole * carry + last
    blocks += np.array(carried)[:, None] * powers[1:]
    found: NDArray[np.float64] = blocks.reshape(-1)[: values.size]
    return found


def follow(
    reference: NDArray[Any],
    window: NDArray[Any],
    *,
    name: str,
    raised: Callable[[NDArray[np.float64], int], Iterable[Alarm]],
    judge: Judge,
) -> Score:
    """Let a detector learn the reference, follow the window, and judge the changes it nominates there.

    `raised` gets all known values, reference first, and the reference's number of them. The statistic is the index of
    the alarm in the window, counted from 1; 0 means that there was none.
    """
    if is_categorical(reference) or is_categorical(window):
        raise SpecInvalid(f"{name} follows numbers, and this subject is text or true/false; use Auto or ChiSquare")
    old, new = numbers(reference), numbers(window)
    known = np.flatnonzero(np.isfinite(new))
    old, new = old[np.isfinite(old)], new[known]
    if old.size < 2 or not new.size:
        return SILENT
    found = [alarm for alarm in raised(np.concatenate([old, new]), old.size) if alarm.at >= old.size]
    if not found:
        return SILENT
    places = _scaled(np.concatenate([old, new]))
    first, last = min(found, key=lambda alarm: alarm.since), found[-1]
    span = (max(first.since, old.size), last.at)
    cut, p_value, effect = judge(places, span)
    return Score(float(found[0].at - old.size + 1), p_value, effect, int(known[cut - old.size]))


def _scaled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Midranks brought to [0, 1]; zeros and ones remain what they are."""
    different, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    if different.size == 1:
        return np.zeros(values.size)
    middle = np.cumsum(counts) - counts / 2
    scaled: NDArray[np.float64] = ((middle - middle[0]) / (middle[-1] - middle[0]))[place]
    return scaled


def risen(places: NDArray[np.float64], span: tuple[int, int]) -> tuple[int, float, float]:
    """The likeliest cut in a span, a p-value for no rise there, and by how much the rows from it lie above the rest.

    Hoeffding's bound in its relative-entropy form (1963, theorem 1; section 6: it holds for rows drawn without
    replacement), times every cut there could have been: nothing is assumed of the distribution.
    """
    cuts = np.arange(span[0], span[1] + 1)
    after = places[::-1].cumsum()[::-1][cuts] / (places.size - cuts)
    mean = float(places.mean())
    evidence = np.where(after > mean, (places.size - cuts) * _divergence(after, mean), 0.0)
    cut = int(cuts[np.argmax(evidence)])
    effect = float(places[cut:].mean()) - float(places[:cut].mean())
    if effect <= 0:
        return cut, 1.0, 0.0
    return cut, min(1.0, exp(-min(700.0, float(evidence.max()))) * places.size), min(1.0, effect)


def moved(places: NDArray[np.float64], span: tuple[int, int]) -> tuple[int, float, float]:
    """The same for a mean that rose or fell."""
    cut, p_value, effect = min(risen(places, span), risen(1 - places, span), key=lambda found: found[1])
    return cut, min(1.0, 2 * p_value), effect


def changed(places: NDArray[np.float64], span: tuple[int, int]) -> tuple[int, float, float]:
    """The same for any change at the ends of the span: Dvoretzky, Kiefer and Wolfowitz' bound (Wei & Dudley 2012)."""
    return min((_changed(places, cut) for cut in span), key=lambda found: found[1])


def _changed(places: NDArray[np.float64], cut: int) -> tuple[int, float, float]:
    before, after = np.sort(places[:cut]), np.sort(places[cut:])
    apart = gap(before, after)
    bound = exp(1 - min(700.0, 2 * before.size * after.size / places.size * apart**2))
    return cut, min(1.0, bound * places.size), apart


def _divergence(found: NDArray[np.float64], expected: float) -> NDArray[np.float64]:
    """The relative entropy of coins and one coin, in nats."""
    total = np.zeros(found.size)
    for p, q in ((found, expected), (1 - found, 1 - expected)):
        with np.errstate(divide="ignore", invalid="ignore"):
            total += np.where(p > 0, p * np.log(p / q), 0.0)
    return total


def as_errors(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Losses as errors: 0 and 1 stay; of others one above six tenths of the first `rows` counts as an error.

    With nine tenths a shift of a long tail by one deviation makes too few errors more to be told in 500 rows.
    """
    if ((values == 0) | (values == 1)).all():
        return values
    return (values > np.quantile(values[:rows], 0.6)).astype(np.float64)


def as_shares(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Losses brought to [0, 1]: 0 and 1 stay; of others the share of the first `rows` that lie below."""
    if ((values == 0) | (values == 1)).all():
        return values
    shares: NDArray[np.float64] = np.searchsorted(np.sort(values[:rows]), values, side="left") / rows
    return shares


def latest_low(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each index the latest one up to it at which the values were as low as never before."""
    lowest = np.minimum.accumulate(values)
    return np.maximum.accumulate(np.where(values <= lowest, np.arange(values.size), 0))


def earliest_low(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each index the earliest one up to it at which the values were lowest."""
    lowest = np.minimum.accumulate(values)
    fresh = np.append(True, lowest[1:] < lowest[:-1])
    return np.maximum.accumulate(np.where(fresh, np.arange(values.size), 0))
