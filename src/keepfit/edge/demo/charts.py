"""Charts: the report's pictures as inline SVG; colours are the page's CSS variables, so they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape

from keepfit.edge.figures import ruled, svg, text, ticks

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
    levels = ticks([value for line in drawn for value in line.values])
    span = max(1, len(places) - 1)

    def x(place: int) -> float:
        return _LEFT + place * (WIDTH - _LEFT - _RIGHT) / span

    def y(value: float) -> float:
        return height - _BOTTOM - (value - levels[0]) * (height - _TOP - _BOTTOM) / (levels[-1] - levels[0])

    parts = [ruled(y(tick), f"{tick:.2f}", left=_LEFT, right=WIDTH - _RIGHT) for tick in levels]
    parts += [text(x(i), height - 8, name, "tick", anchor="middle") for i, name in enumerate(places)]
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
    return svg(title, WIDTH, height, parts)


def _end_labels(drawn: Sequence[Line], y: Callable[[float], float], at: float) -> list[str]:
    """The names beside the lines' ends, moved apart where they would overlap."""
    wanted = sorted(((y(line.values[-1]), line) for line in drawn if line.values), key=lambda pair: pair[0])
    placed: list[str] = []
    last = -math.inf
    for height, line in wanted:
        last = max(height, last + _LABEL_GAP)
        placed.append(text(at, last + 4, line.name, f"name {line.style}"))
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
    parts.append(text(left - 10, 39, "live version", "row", anchor="end"))
    for i, name in enumerate(rows):
        level = 78 + 26 * i
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - 12}" y1="{level}" y2="{level}"/>')
        parts.append(text(left - 10, level + 4, name, "row", anchor="end"))
    for mark in marks:
        told = escape(f"{mark.time:%d %B}: {mark.text}")
        parts.append(
            f'<g class="mark {mark.style}"><title>{told}</title><circle cx="{x(mark.time):.1f}" '
            f'cy="{78 + 26 * mark.row}" r="5"/></g>'
        )
    parts += [text(x(month) + 2, height - 8, f"{month:%b}", "tick") for month in _months(begin, end)]
    return svg("Which version was live, and what happened", WIDTH, height, parts)


def _band(left: float, right: float, number: int, *, style: str) -> str:
    width = max(1.5, right - left - 1.5)
    label = text((left + right) / 2, 39, f"v{number}", "inband", anchor="middle") if width > 20 else ""
    told = f"<title>v{number}{' (planted, harmful)' if style == 'harmful' else ''}</title>"
    return (
        f'<g class="band {style}">{told}<rect x="{left:.1f}" y="20" width="{width:.1f}" height="30" rx="3"/>{label}</g>'
    )


def _months(begin: datetime, end: datetime) -> list[datetime]:
    firsts = (datetime(year, month, 1, tzinfo=UTC) for year in (begin.year, begin.year + 1) for month in range(1, 13))
    return [moment for moment in firsts if begin - timedelta(days=1) <= moment < end - timedelta(days=1)]


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
