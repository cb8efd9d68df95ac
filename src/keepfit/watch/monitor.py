"""One look of a Monitor: every subject scored, many subjects judged together, what moved said in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import (
    Cause,
    Finding,
    FindingKind,
    Measurement,
    Moved,
    Part,
    Reference,
    Score,
    Severity,
    Subject,
)
from keepfit.core.protocols import Detector
from keepfit.core.service import Monitor
from keepfit.watch.distributions import all_on_one_side
from keepfit.watch.moved import began, evenly, parts, said, shown
from keepfit.watch.samples import comparable, is_categorical, numbers, tally

Samples = Mapping[str, NDArray[Any]]
Looked = tuple[tuple[Measurement, ...], tuple[Finding, ...]]


@dataclass(frozen=True)
class _Look:
    """One subject as scored; `kind` is set where a constant woke up or a varying one went still."""

    subject: str
    reference: NDArray[Any]
    window: NDArray[Any]
    score: Score
    kind: FindingKind | None = None


def watch(
    monitor: Monitor,
    reference: Samples,
    window: Samples,
    *,
    times: NDArray[np.datetime64] | None = None,
    of: str = "",
) -> Looked:
    """Measure every subject that both samples have, by name; Findings are of those that are out of line.

    Subjects with fewer than `monitor.minimum` rows on either side are measured as nothing (p-value 1), with a note. The
    others pass the Benjamini-Hochberg (1995) bound at `monitor.false_discovery` together. A loss that fell is no
    Finding. Where the `times` of the window's rows are given they are in order, and Findings say since when; `of` says
    in a note what rows the reference was to have. SpecInvalid where the Monitor has no detector.
    """
    if monitor.detector is None:
        raise SpecInvalid(f"Monitor '{monitor.name}' on {monitor.on} has no detector to compare distributions with")
    looks = [
        _look(monitor, monitor.detector, name, reference[name], window[name]) for name in reference if name in window
    ]
    threshold = _bound([look.score.p_value for look in looks if _enough(monitor, look)], monitor.false_discovery)
    measurements, findings = [], []
    for look in looks:
        fired = _enough(monitor, look) and _out_of_line(monitor, look, threshold)
        measurements.append(_measured(monitor, look, threshold, fired, of))
        if fired:
            findings.append(_finding(monitor, look, times))
    return tuple(measurements), tuple(findings)


def _enough(monitor: Monitor, look: _Look) -> bool:
    return min(look.reference.size, look.window.size) >= max(monitor.minimum, 1)


def _look(monitor: Monitor, detector: Detector, name: str, reference: NDArray[Any], window: NDArray[Any]) -> _Look:
    if min(reference.size, window.size) < max(monitor.minimum, 1):
        return _Look(name, reference, window, Score(0.0, 1.0, 0.0))
    if monitor.on is not Subject.LOSS and (_maybe_still(reference) or _maybe_still(window)):
        old, new = comparable(reference, window)
        was_still, is_still = bool((old == old[0]).all()), bool((new == new[0]).all())
        if was_still and not is_still:
            return _Look(name, reference, window, _one_sided(new != old[0], old), FindingKind.ALIVE)
        if is_still and not was_still:
            return _Look(name, reference, window, _one_sided(old != new[0], new), FindingKind.DEAD)
    return _Look(name, reference, window, detector.score(reference, window))


def _maybe_still(values: NDArray[Any]) -> bool:
    """Whether the first rows are all one value: most subjects vary there, and need no closer look."""
    (head,) = comparable(values[:100])
    return bool((head == head[0]).all())


def _one_sided(odd: NDArray[np.bool_], other: NDArray[Any]) -> Score:
    """Fisher's exact test of values that one sample has and the other, a constant, lacks; the effect is their share."""
    count = int(odd.sum())
    share = count / odd.size
    return Score(share, all_on_one_side(count, odd.size, other.size), share, int(np.argmax(odd)))


def _bound(p_values: list[float], rate: float) -> float:
    """The largest p-value that Benjamini and Hochberg let pass; where none does, what the smallest had to reach."""
    ordered = sorted(p_values)
    bounds = [rate * (rank + 1) / len(ordered) for rank in range(len(ordered))]
    passed = [bound for p_value, bound in zip(ordered, bounds, strict=True) if p_value <= bound]
    return passed[-1] if passed else rate / max(1, len(ordered))


def _out_of_line(monitor: Monitor, look: _Look, threshold: float) -> bool:
    if look.score.p_value > threshold or look.score.effect < monitor.minimum_effect:
        return False
    return monitor.on is not Subject.LOSS or _mean(_changed(look)) > _mean(look.reference)


def _measured(monitor: Monitor, look: _Look, threshold: float, fired: bool, of: str) -> Measurement:
    short = f"{look.reference.size} rows before{f' of {of}' if of else ''}, {look.window.size} in the window"
    return Measurement(
        monitor=monitor.name,
        subject=look.subject,
        statistic=look.score.statistic,
        p_value=look.score.p_value,
        effect=look.score.effect,
        threshold=threshold,
        n_reference=look.reference.size,
        n_window=look.window.size,
        fired=fired,
        note="" if _enough(monitor, look) else f"{short}; {max(monitor.minimum, 1)} are needed",
    )


def _finding(monitor: Monitor, look: _Look, times: NDArray[np.datetime64] | None) -> Finding:
    """What was measured and expected: mean losses for decay, the effect and its floor for everything else."""
    sizes = f"{look.window.size} against {look.reference.size} rows"
    evidence = f"effect {look.score.effect:.2g}, p {look.score.p_value:.2g}, {sizes}"
    moved = _moved(monitor, look, times)
    if monitor.on is Subject.LOSS:
        measured, expected = _mean(_changed(look)), _mean(look.reference)
        since = "" if look.score.since is None else f" for the last {look.window.size - look.score.since} labels"
        sentence = f"{look.subject} rose from {expected:.4g} to {measured:.4g}{since} ({evidence})"
        return Finding(look.subject, FindingKind.DECAY, Severity.WARNING, measured, expected, sentence, moved=moved)
    kind = look.kind or (FindingKind.SKEW if monitor.reference is Reference.TRAINING else FindingKind.DRIFT)
    sentence = f"{look.subject}: {_told(look, moved.parts)}{_since(moved)} ({evidence})"
    effect, floor = look.score.effect, monitor.minimum_effect
    return Finding(look.subject, kind, Severity.WARNING, effect, floor, sentence, moved=moved)


def _moved(monitor: Monitor, look: _Look, times: NDArray[np.datetime64] | None) -> Moved:
    """What moved, by what kind of subject it is; losses say nothing of a cause by themselves."""
    found = parts(look.reference, look.window)
    row = _first(monitor, look) if times is not None or monitor.on is Subject.LOSS else None
    since = None if row is None or times is None else _moment(times[row])
    match monitor.on:
        case Subject.INPUTS:
            return Moved(found, Cause.COVARIATE, "an input's own distribution moved", row, since)
        case Subject.OUTPUT:
            return Moved(found, Cause.PRIOR, "the output's own distribution moved", row, since)
        case _:
            return Moved(found, None, "", row, since)


def _first(monitor: Monitor, look: _Look) -> int:
    """The row from which on the window may differ."""
    if look.score.since is not None and (monitor.on is Subject.LOSS or look.kind is FindingKind.ALIVE):
        return look.score.since
    return began(look.reference, look.window)


def _moment(time: np.datetime64) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(time.astype("M8[us]").astype(np.int64)))


def _since(moved: Moved) -> str:
    return "" if moved.since is None else f", since {moved.since:%Y-%m-%d %H:%M}"


def _told(look: _Look, moved: tuple[Part, ...]) -> str:
    """What a person would look at first."""
    match look.kind:
        case FindingKind.ALIVE:
            return f"was always {_only(look.reference)} and now varies in {look.score.effect:.1%} of the rows"
        case FindingKind.DEAD:
            return f"varied and is now always {_only(look.window)}"
    if is_categorical(look.reference) or is_categorical(look.window):
        return "; ".join(said(part) for part in moved[:2])
    old, new = evenly(numbers(look.reference)), evenly(numbers(look.window))
    was, now = float(np.isnan(old).mean()), float(np.isnan(new).mean())
    if abs(now - was) > look.score.effect / 2 or max(was, now) == 1.0:
        return f"missing in {was:.1%} of the rows before, in {now:.1%} now"
    is_time = look.window.dtype.kind == "M"
    quantiles = (np.nanquantile(sample, [0.1, 0.5, 0.9]).tolist() for sample in (old, new))
    before, after = ([shown(one, is_time=is_time) for one in side] for side in quantiles)
    most = f"; most of all {said(moved[0])}" if moved else ""
    middle = f"median {before[1]} became {after[1]}"
    return f"{middle} (80% of rows in {before[0]}..{before[2]} before, in {after[0]}..{after[2]} now){most}"


def _only(values: NDArray[Any]) -> str:
    return next(iter(tally(values[:1]))) or "missing"


def _changed(look: _Look) -> NDArray[Any]:
    """The window from where it changed, if the detector could tell."""
    return look.window[look.score.since or 0 :]


def _mean(values: NDArray[Any]) -> float:
    known = numbers(values)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else 0.0
