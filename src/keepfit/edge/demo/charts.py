"""Charts: the report's pictures as inline SVG; colours are the page's CSS variables, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

WIDTH = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 128, 14, 26
_LABEL_GAP = 15  # pixels between two labels at the lines' ends


@dataclass(frozen=True)
class Line:
    """One line of a chart: its CSS class, what it is called, a value per place on the x axis."""

    style: str
    name: str
    values: Sequence[float]


@dataclass(frozen=True)
class Mark:
    """One event on the time line: when, which row, its CSS class, what it says when pointed at."""

    time: datetime
    row: int
    style: str
    text: str


def lines(places: Sequence[str], drawn: Sequence[Line], *, title: str, height: int = 260) -> str:
    """A line chart with the names at the ends of the lines; `places` are the labels of the x axis."""
    ticks = _ticks([value for line in drawn for value in line.values])
    span = max(1, len(places) - 1)

    def x(place: int) -> float:
        return _LEFT + place * (WIDTH - _LEFT - _RIGHT) / span

    def y(value: float) -> float:
        return height - _BOTTOM - (value - ticks[0]) * (height - _TOP - _BOTTOM) / (ticks[-1] - ticks[0])

    parts = [_grid(y(tick), f"{tick:.2f}") for tick in ticks]
    parts += [_text(x(i), height - 8, name, "tick", anchor="middle") for i, name in enumerate(places)]
    for line in drawn:
        points = " ".join(f"{x(i):.1f},{y(value):.1f}" for i, value in enumerate(line.values))
        parts.append(f'<polyline class="line {line.style}" points="{points}"/>')
        for i, value in enumerate(line.values):
            told = escape(f"{line.name}, {places[i]}: {value:.3f}")
            parts.append(
                f'<g class="point {line.style}"><title>{told}</title><circle cx="{x(i):.1f}" cy="{y(value):.1f}" r="9" '
                f'class="target"/><circle cx="{x(i):.1f}" cy="{y(value):.1f}" r="3.5"/></g>'
            )
    parts += _end_labels(drawn, y, x(len(places) - 1) + 10)
    return _svg(title, height, parts)


def _end_labels(drawn: Sequence[Line], y: Callable[[float], float], at: float) -> list[str]:
    """The names beside the lines' ends, moved apart where they would overlap."""
    wanted = sorted(((y(line.values[-1]), line) for line in drawn if line.values), key=lambda pair: pair[0])
    placed: list[str] = []
    last = -math.inf
    for height, line in wanted:
        last = max(height, last + _LABEL_GAP)
        placed.append(_text(at, last + 4, line.name, f"name {line.style}"))
    return placed


def timeline(
    begin: datetime,
    end: datetime,
    *,
    versions: Sequence[tuple[datetime, int, bool]],
    rows: Sequence[str],
    marks: Sequence[Mark],
) -> str:
    """Which Version was live when, as a band, and below it a row of marks per kind of event."""
    height = 62 + 26 * len(rows) + _BOTTOM
    left = 96

    def x(moment: datetime) -> float:
        return left + (moment - begin) / (end - begin) * (WIDTH - left - 12)

    parts = []
    for place, (first, number, harmful) in enumerate(versions):
        after = [moment for moment, _, _ in versions if moment > first]
        stop = min(after, default=end)
        parts.append(_band(x(first), x(stop), number, style="harmful" if harmful else ("odd", "even")[place % 2]))
    parts.append(_text(left - 10, 39, "live version", "row", anchor="end"))
    for i, name in enumerate(rows):
        level = 78 + 26 * i
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - 12}" y1="{level}" y2="{level}"/>')
        parts.append(_text(left - 10, level + 4, name, "row", anchor="end"))
    for mark in marks:
        told = escape(f"{mark.time:%d %B}: {mark.text}")
        parts.append(
            f'<g class="mark {mark.style}"><title>{told}</title><circle cx="{x(mark.time):.1f}" '
            f'cy="{78 + 26 * mark.row}" r="5"/></g>'
        )
    parts += [_text(x(month) + 2, height - 8, f"{month:%b}", "tick") for month in _months(begin, end)]
    return _svg("Which version was live, and what happened", height, parts)


def _band(left: float, right: float, number: int, *, style: str) -> str:
    width = max(1.5, right - left - 1.5)
    label = _text((left + right) / 2, 39, f"v{number}", "inband", anchor="middle") if width > 20 else ""
    told = f"<title>v{number}{' (planted, harmful)' if style == 'harmful' else ''}</title>"
    return (
        f'<g class="band {style}">{told}<rect x="{left:.1f}" y="20" width="{width:.1f}" height="30" rx="3"/>{label}</g>'
    )


def _months(begin: datetime, end: datetime) -> list[datetime]:
    firsts = (datetime(year, month, 1, tzinfo=UTC) for year in (begin.year, begin.year + 1) for month in range(1, 13))
    return [moment for moment in firsts if begin - timedelta(days=1) <= moment < end - timedelta(days=1)]


def _ticks(values: Sequence[float]) -> list[float]:
    """Four to eight round numbers around the values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, math.inf) if (high - low) / step <= 6)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [step * i for i in range(first, max(last, first + 1) + 1)]


def _grid(level: float, label: str) -> str:
    line = f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{level:.1f}" y2="{level:.1f}"/>'
    return line + _text(_LEFT - 8, level + 4, label, "tick", anchor="end")


def _text(x: float, y: float, text: str, style: str, *, anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: int, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">{inside}</svg>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A plain HTML table; columns of numbers are aligned right."""
    numeric = [bool(rows) and all(row[column][:1].isdigit() for row in rows) for column in range(len(head))]
    top = "".join(_cell("th", cell, numeric=number) for cell, number in zip(head, numeric, strict=True))
    body = "".join(
        f"<tr>{''.join(_cell('td', cell, numeric=number) for cell, number in zip(row, numeric, strict=True))}</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(tag: str, cell: str, *, numeric: bool) -> str:
    style = ' class="number"' if numeric else ""
    return f"<{tag}{style}>{escape(cell)}</{tag}>"


def tiles(values: Mapping[str, str]) -> str:
    """Single numbers, each with what it is."""
    each = "".join(f'<div class="tile"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in values.items())
    return f'<div class="tiles">{each}</div>'
