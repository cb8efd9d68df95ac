"""Figures: what the pictures of all reports are put together from, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape


def ticks(values: Sequence[float]) -> list[float]:
    """Up to nine round numbers around the values.

    >>> ticks([0.61, 0.78])
    [0.6, 0.65, 0.7, 0.75, 0.8]
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    power = 10.0 ** math.floor(math.log10(max(high - low, abs(high) / 10, 1e-6)))
    step = power * next(factor for factor in (0.1, 0.2, 0.5, 1.0, 2.0) if (high - low) / (power * factor) <= 7)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * place, 10) for place in range(first, max(last, first + 1) + 1)]


def ruled(level: float, label: str, *, left: float, right: float) -> str:
    """A level line of a figure with its label."""
    line = f'<line class="grid" x1="{left}" x2="{right}" y1="{level:.1f}" y2="{level:.1f}"/>'
    return line + text(left - 8, level + 4, label, "tick", anchor="end")


def text(x: float, y: float, words: str, style: str, *, anchor: str = "start") -> str:
    """Words in a figure."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def svg(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    """A figure of parts."""
    inside = "\n".join(parts)
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{inside}</svg>'
