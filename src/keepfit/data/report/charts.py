"""Bars that show a column's distribution, of one Profile or of two side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

import numpy as np

from keepfit.data.profile import NUMBERS, Statistics, counted_in
from keepfit.data.report.words import amount, number, said, share

_WIDTH, _HEIGHT, _FOOT, _LINE = 460, 180, 24, 22
_BINS, _VALUES = 20, 10
_NAME = 180


@dataclass(frozen=True)
class Bars:
    """A drawing, and the same in words: the bars' names, and for each side how much each bar stands for."""

    title: str
    what: str
    sentence: str
    svg: str
    width: int
    height: int
    names: tuple[str, ...]
    told: tuple[tuple[str, ...], ...]


def width_bars(columns: Sequence[Statistics | None]) -> Bars:
    """A histogram with bins of equal width over the range of all sides."""
    known = [column for column in columns if column is not None and column.minimum is not None]
    low = min(column.minimum for column in known if column.minimum is not None)
    high = max(column.maximum for column in known if column.maximum is not None)
    edges = np.linspace(low, high, _BINS + 1).tolist() if low < high else [low, high]
    one = known[0]
    counts = [_counted(column, edges) for column in columns]
    names = tuple(f"{amount(one, a)} to {amount(one, b)}" for a, b in pairwise(edges))
    sentence = f"{len(names)} bins from {amount(one, low)} to {amount(one, high)}; {_fullest(names, counts)}"
    ends = (
        f'<text x="0" y="{_HEIGHT - 6}">{escape(amount(one, low))}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 6}" text-anchor="end">{escape(amount(one, high))}</text>'
    )
    svg = _upright(counts) + ends
    return Bars("Distribution", "bin", sentence, svg, _WIDTH, _HEIGHT, names, _told(columns, counts))


def _counted(column: Statistics | None, edges: Sequence[float]) -> tuple[float, ...]:
    if column is None or column.kind not in NUMBERS or not column.finite:
        return (0.0,) * (len(edges) - 1)
    return counted_in(column, edges)


def _upright(counts: Sequence[Sequence[float]]) -> str:
    """Bars side by side, each side's counts as shares of that side."""
    floor = _HEIGHT - _FOOT
    shares = [[count / (sum(side) or 1.0) for count in side] for side in counts]
    most = max((part for side in shares for part in side), default=0.0) or 1.0
    step = _WIDTH / max(len(shares[0]), 1)
    each = (step - 2) / len(shares)
    parts = [f'<line class="rule" x1="0" x2="{_WIDTH}" y1="{floor}" y2="{floor}"/>']
    for place, side in enumerate(shares):
        for at, part in enumerate(side):
            tall = (floor - 4) * part / most
            if tall > 0:
                x, y = at * step + 1 + place * each, floor - tall
                parts.append(f'<rect class="c{place}" x="{x:.1f}" y="{y:.1f}" width="{each:.1f}" height="{tall:.1f}"/>')
    return "".join(parts)


def values_bars(columns: Sequence[Statistics | None]) -> Bars:
    """The most frequent values of all sides, and the share of each."""
    known = [column for column in columns if column is not None]
    weights: dict[str, float] = {}
    sides: list[dict[str, float]] = []
    for column in columns:
        top = column.frequent.top() if column is not None else ()
        sides.append({})
        if column is not None:
            sides[-1] |= {said(column, value): float(count) for value, count in top}
        rows = column.present if column is not None else 0
        for name, count in sides[-1].items():
            weights[name] = weights.get(name, 0.0) + count / max(rows, 1)
    names = tuple(sorted(weights, key=lambda name: (-weights[name], name))[:_VALUES])
    counts = [[side.get(name, 0.0) for name in names] for side in sides]
    rest = max(column.distinct.count for column in known) - len(names)
    more = f"; {rest:,} more values are not shown" if rest > 0 else ""
    sentence = f"{_fullest(names, counts)}{more}"
    height = _LINE * len(names) * len(columns) + 4
    svg = _lying(names, columns, counts)
    return Bars("Most frequent values", "value", sentence, svg, _WIDTH, height, names, _told(columns, counts))


def _lying(names: Sequence[str], columns: Sequence[Statistics | None], counts: Sequence[Sequence[float]]) -> str:
    shares = [
        [count / max(column.present if column is not None else 0, 1) for count in side]
        for column, side in zip(columns, counts, strict=True)
    ]
    most = max((part for side in shares for part in side), default=0.0) or 1.0
    room, parts = _WIDTH - _NAME - 60, []
    for at, name in enumerate(names):
        y = at * _LINE * len(shares)
        shown = name if len(name) <= 26 else name[:25] + "…"
        parts.append(f'<text x="{_NAME - 8}" y="{y + 16}" text-anchor="end">{escape(shown)}</text>')
        for place, side in enumerate(shares):
            wide, top = room * side[at] / most, y + place * _LINE
            parts.append(f'<rect class="c{place}" x="{_NAME}" y="{top + 3}" width="{wide:.1f}" height="{_LINE - 6}"/>')
            parts.append(f'<text x="{_NAME + wide + 4:.1f}" y="{top + 16}">{share(side[at], 1.0)}</text>')
    return "".join(parts)


def _fullest(names: Sequence[str], counts: Sequence[Sequence[float]]) -> str:
    sides = [sum(side) for side in counts]
    if not any(sides):
        return "no values"
    side = next(place for place, whole in enumerate(sides) if whole)
    at = max(range(len(names)), key=lambda place: counts[side][place])
    return f"the most are {names[at]} ({number(round(counts[side][at]))} rows)"


def _told(columns: Sequence[Statistics | None], counts: Sequence[Sequence[float]]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        tuple(
            f"{number(round(count))} ({share(round(count), column.present)})" if column is not None else ""
            for count in side
        )
        for column, side in zip(columns, counts, strict=True)
    )
