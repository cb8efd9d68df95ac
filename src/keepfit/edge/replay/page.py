"""A replay as one HTML file which needs nothing else; the same replay is the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from keepfit.edge.figures import ruled, svg, text, ticks
from keepfit.loop.courses import Course
from keepfit.loop.replay import Happening, Replayed

WIDTH, HEIGHT = 960, 320
LEFT, RIGHT, _TOP, _BOTTOM = 52, 148, 12, 28
_SMOOTH = 30  # the lines are means over a thirtieth of the chunks: single chunks are noise
_LABEL_GAP = 15
_STRIPS = (("finding", "findings"), ("update", "updates"), ("no", "not promoted"), ("swap", "swaps"), ("back", "back"))
_STRIP_OF = {
    "finding": "finding",
    "update": "update",
    "held": "no",
    "refused": "no",
    "failed": "no",
    "swap": "swap",
    "rollback": "back",
}
STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --ink: #16160f; --soft: #6a6a62; --rule: #e4e4de; --card: #ffffff;
  --c0: #1f6fd0; --c1: #8b8b84; --c2: #d9622b; --c3: #8a5bd0; --c4: #1a7f4b; --c5: #b38600; --c6: #c8329a; }
@media (prefers-color-scheme: dark) { :root { --page: #15161a; --ink: #f0f0ec; --soft: #a0a09a; --rule: #303238;
  --card: #1d1f24; --c0: #5a9ff0; --c1: #8f8f8a; --c2: #ee8650; --c3: #ac86ea; --c4: #47b97c; --c5: #d9ad33;
  --c6: #e66cbf; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 8px; } h2 { font-size: 18px; margin: 36px 0 4px; }
p { margin: 4px 0 12px; } .soft { color: var(--soft); }
figure { margin: 12px 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg .grid { stroke: var(--rule); } svg .tick { fill: var(--soft); } svg .name { font-weight: 600; }
svg .line { fill: none; stroke-width: 1.75; stroke-linejoin: round; } svg .line.c0 { stroke-width: 2.75; }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; color: var(--soft); } .number { text-align: right; white-space: nowrap; }
.wide { overflow-x: auto; } tr.c0 td { font-weight: 600; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 8px; }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); }
"""
_COLOURS = "".join(
    f"svg .c{i} {{ stroke: var(--c{i}); }} svg text.c{i} {{ fill: var(--c{i}); stroke: none; }} "
    f".swatch.c{i} {{ background: var(--c{i}); }} svg circle.m{i} {{ fill: var(--c{i}); }}\n"
    for i in range(7)
)


def page(found: Replayed) -> str:
    """The whole page."""
    body = "".join((_head(found), _drawn(found), _policies(found), _log(found)))
    return framed(f"{found.service}: replay", body)


def framed(title: str, body: str) -> str:
    """A page with everything that it needs."""
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}{view}<style>{STYLE}{_COLOURS}</style></head><body><main>{body}</main></body></html>\n"


def _head(found: Replayed) -> str:
    first, last = found.chunks[0].close, found.chunks[-1].close
    told = (
        f"{found.rows:,} rows in {len(found.chunks)} chunks, {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} (UTC), "
        f"after {found.skipped:,} rows of first data. Each chunk is answered before any of its labels is known."
    )
    return f"<h1>{escape(found.service)}: what the loop would have done</h1><p>{escape(told)}</p>"


def _drawn(found: Replayed) -> str:
    window = max(1, len(found.chunks) // _SMOOTH)
    means = f"means over {window} chunks" if window > 1 else "chunk by chunk"
    better = "more" if found.higher else "less"
    return (
        f"<h2>{escape(found.metric)} over time</h2><p class='soft'>{better} is better; {means}</p>"
        f"<figure>{_lines(found, window)}</figure><h2>What happened</h2><figure>{_strips(found)}</figure>"
    )


def _lines(found: Replayed, window: int) -> str:
    drawn = [(place, course, _smooth(course.chunks[found.metric], window)) for place, course in _shown(found)]
    levels = ticks([value for _, _, values in drawn for value in values if not math.isnan(value)])

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - (value - levels[0]) * (HEIGHT - _TOP - _BOTTOM) / (levels[-1] - levels[0])

    parts = [ruled(y(tick), f"{tick:g}", left=LEFT, right=WIDTH - RIGHT) for tick in levels]
    parts += _rows_axis(found, HEIGHT - 8)
    ends = []
    for place, course, values in reversed(drawn):
        points = [(_x(found, chunk), y(value)) for chunk, value in enumerate(values) if not math.isnan(value)]
        path = " ".join(f"{x:.1f},{level:.1f}" for x, level in points)
        parts.append(f'<polyline class="line c{place}" points="{path}"><title>{escape(course.name)}</title></polyline>')
        ends += [(points[-1][1], place, course.name)] if points else []
    parts += _names(ends)
    return svg(f"{found.metric} over time", WIDTH, HEIGHT, parts)


def _shown(found: Replayed) -> list[tuple[int, Course]]:
    """The courses that have the Service's metric, each with its colour."""
    return [(place % 7, one) for place, one in enumerate(found.courses) if not math.isnan(one.total[found.metric])]


def _names(ends: Sequence[tuple[float, int, str]]) -> Iterator[str]:
    """The names beside the lines' ends, moved apart where they would overlap."""
    last = -math.inf
    for level, place, name in sorted(ends):
        last = max(level, last + _LABEL_GAP)
        yield text(WIDTH - RIGHT + 8, last + 4, name, f"name c{place}")


def _strips(found: Replayed) -> str:
    """One row of marks per kind of event, along the rows of the data."""
    height = 24 * len(_STRIPS) + _BOTTOM
    chunk_of = {chunk.end + found.skipped: place for place, chunk in enumerate(found.chunks)}
    parts = []
    for place, (_, name) in enumerate(_STRIPS):
        level = 14 + 24 * place
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{level}" y2="{level}"/>')
        parts.append(text(WIDTH - RIGHT + 8, level + 4, name, "tick"))
    order = [kind for kind, _ in _STRIPS]
    for happening in found.happenings:
        kind = _STRIP_OF.get(happening.kind)
        if kind is None or happening.row not in chunk_of:
            continue
        place = order.index(kind)
        told = escape(f"row {happening.row:,}: {happening.text}")
        x = _x(found, chunk_of[happening.row])
        parts.append(
            f'<circle class="m{(0, 2, 1, 4, 6)[place]}" cx="{x:.1f}" cy="{14 + 24 * place}" r="3.5">'
            f"<title>{told}</title></circle>"
        )
    parts += _rows_axis(found, height - 8)
    return svg("What happened, along the rows", WIDTH, height, parts)


def _x(found: Replayed, chunk: int) -> float:
    return LEFT + (chunk + 0.5) * (WIDTH - LEFT - RIGHT) / len(found.chunks)


def _rows_axis(found: Replayed, level: float) -> Iterator[str]:
    """The time at six places of the x axis; chunks are evenly spread along it."""
    count = len(found.chunks)
    for place in sorted({place * (count - 1) // 5 for place in range(6)}):
        chunk = found.chunks[place]
        span = found.chunks[-1].close - found.chunks[0].close
        named = f"{chunk.close:%Y-%m-%d}" if span.days > 30 else f"row {chunk.end + found.skipped:,}"
        yield text(_x(found, place), level, named, "tick", anchor="middle")


def _smooth(values: Sequence[float], window: int) -> list[float]:
    smoothed = []
    for place in range(len(values)):
        known = [value for value in values[max(0, place - window + 1) : place + 1] if not math.isnan(value)]
        smoothed.append(sum(known) / len(known) if known else math.nan)
    return smoothed


def _policies(found: Replayed) -> str:
    heads = ["policy", *found.courses[0].total, "updates", "swaps", "rows trained on"]
    top = "".join(f"<th{' class=number' if place else ''}>{escape(head)}</th>" for place, head in enumerate(heads))
    rows = "".join(_policy(place % 7, course) for place, course in enumerate(found.courses))
    return f'<h2>Beside simple policies</h2><div class="wide"><table><tr>{top}</tr>{rows}</table></div>{_NOTE}'


_NOTE = (
    '<p class="soft"><i>never</i> fits once on the first data; <i>every N</i> fits anew at every Nth chunk with '
    "nothing held out or judged, and is live at that very moment; <i>last label</i> repeats the newest label known.</p>"
)


def _policy(place: int, course: Course) -> str:
    cells = ["–" if math.isnan(value) else f"{value:.4f}" for value in course.total.values()]
    cells += [str(course.updates), str(course.swaps), f"{course.rows:,}"]
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f'<tr class="c{place}"><td><span class="swatch c{place}"></span>{escape(course.name)}</td>{numbers}</tr>'


def _log(found: Replayed) -> str:
    rows = "".join(map(_entry, found.happenings))
    return (
        f'<details><summary>everything that happened ({len(found.happenings)})</summary><div class="wide"><table>'
        f"<tr><th>time</th><th class=number>row</th><th>what</th><th>why</th></tr>{rows}</table></div></details>"
    )


def _entry(happening: Happening) -> str:
    return (
        f'<tr><td class="number">{happening.time:%Y-%m-%d %H:%M}</td><td class="number">{happening.row:,}</td>'
        f"<td>{escape(happening.kind)}</td><td>{escape(happening.text)}</td></tr>"
    )
