"""replay --compare: every service of a file over one history, told on the terminal and drawn as one HTML page."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from keepfit.core.places import Places
from keepfit.core.registry import to_plain
from keepfit.edge.figures import ruled, svg, text, ticks
from keepfit.edge.replay.page import HEIGHT, LEFT, RIGHT, WIDTH, framed
from keepfit.loop.compare import Comparison, Entry, Spread
from keepfit.loop.contest import contest
from keepfit.loop.replay import Terms

_TOP, _FOOT = 12, 44


def compare_file(
    file: Path, data: Path, *, terms: Terms, seeds: tuple[int, ...], oracle: bool, tell: Callable[[str], None]
) -> Comparison:
    """Load the services of a file in a process of its own, read the data, and replay them all."""
    from keepfit.data.read import read
    from keepfit.edge.apply import declared, specification_at
    from keepfit.edge.declare.given import fitted

    with TemporaryDirectory(prefix="keepfit-compare-") as folder:
        places = Places(Path(folder) / "store")
        rows = read(data)
        entrants = {}
        for one in declared(file, places):
            digest = str(one.specification)
            entrants[one.service] = (digest, fitted(rows, specification_at(digest, places)))
        return contest(entrants, places, terms=terms, seeds=seeds, oracle=oracle, tell=tell)


def tell_comparison(found: Comparison, console: Console) -> None:
    """Print the table, which is the same for the same input and seeds."""
    console.print(
        f"{found.rows:,} rows in {len(found.chunks)} chunks after {found.skipped:,} rows of first data; "
        f"{len(found.seeds)} seeds, 95 % intervals"
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("policy")
    for head in (found.metric, "updates", "rows trained on", "regret"):
        table.add_column(head, justify="right")
    for entry in found.entries:
        table.add_row(entry.name, *_cells(entry))
    console.print(table)
    if found.ideal:
        console.print(_ideal(found), highlight=False, soft_wrap=True)


def _cells(entry: Entry) -> list[str]:
    return [
        _shown(entry.metric, 4),
        _shown(entry.updates, 1),
        f"{entry.rows.mean:,.0f}",
        _shown(entry.regret, 4),
    ]


def _shown(spread: Spread, digits: int) -> str:
    if math.isnan(spread.mean):
        return "–"
    half = spread.high - spread.mean
    return f"{spread.mean:.{digits}f}" + (f" ± {half:.{digits}f}" if half else "")


def _ideal(found: Comparison) -> str:
    assert found.ideal is not None  # noqa: S101  # the caller looked
    count, loss = found.ideal.best()
    few = ", ".join(f"{k}: {found.ideal.losses[k]:.4f}" for k in (0, 1, 2, 5, 10, 20) if k < len(found.ideal.losses))
    return f"best schedules in hindsight, loss per record by updates: {few}; the least is {loss:.4f}, with {count}"


def comparison_costs(found: Comparison) -> str:
    """What the policies cost on this machine, per seed: measured, and different in every run."""
    known = [entry for entry in found.entries if entry.cpu_seconds.mean]
    each = ", ".join(f"{entry.name} {_shown(entry.cpu_seconds, 1)}" for entry in known)
    return f"CPU seconds per seed (measured; a service's with checks, conversion, evaluation and looks): {each}"


def plain_comparison(found: Comparison) -> dict[str, Any]:
    """The result as plain data, without what was measured."""
    made: dict[str, Any] = to_plain(found)
    for entry in made["entries"]:
        del entry["cpu_seconds"]
    return made


def compare_page(found: Comparison, title: str) -> str:
    """The comparison as one HTML file which needs nothing else."""
    first, last = found.chunks[0].close, found.chunks[-1].close
    told = (
        f"{found.rows:,} rows in {len(found.chunks)} chunks, {first:%Y-%m-%d} to {last:%Y-%m-%d}, "
        f"{len(found.seeds)} seeds; bars are 95 % intervals. {'More' if found.higher else 'Less'} is better."
    )
    body = (
        f"<h1>{escape(title)}: policies compared</h1><p>{escape(told)}</p>"
        f"<h2>{escape(found.metric)} against updates</h2><figure>{_scatter(found)}</figure>{_table(found)}"
    )
    return framed(f"{title}: comparison", body)


def _scatter(found: Comparison) -> str:
    """One point per policy: how many updates it made, how good its answers were."""
    entries = [entry for entry in found.entries if not math.isnan(entry.metric.mean)]
    levels = ticks([value for entry in entries for value in (entry.metric.low, entry.metric.high)])
    across = ticks([0.0, *(entry.updates.high for entry in entries)])

    def y(value: float) -> float:
        return HEIGHT - _FOOT - (value - levels[0]) * (HEIGHT - _TOP - _FOOT) / (levels[-1] - levels[0])

    def x(value: float) -> float:
        return LEFT + 8 + (value - across[0]) * (WIDTH - LEFT - RIGHT - 8) / (across[-1] - across[0])

    parts = [ruled(y(level), f"{level:g}", left=LEFT, right=WIDTH - RIGHT) for level in levels]
    parts += [text(x(tick), HEIGHT - 24, f"{tick:g}", "tick", anchor="middle") for tick in across]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, "updates", "tick", anchor="middle"))
    for entry in entries:
        colour = 1 if entry.simple else 0
        spot, level = x(entry.updates.mean), y(entry.metric.mean)
        bar = f'x1="{spot:.1f}" x2="{spot:.1f}" y1="{y(entry.metric.low):.1f}" y2="{y(entry.metric.high):.1f}"'
        parts.append(f'<line class="line c{colour}" {bar}/>')
        parts.append(f'<circle class="m{colour}" cx="{spot:.1f}" cy="{level:.1f}" r="4"/>')
        parts.append(text(spot + 7, level + 4, entry.name, f"c{colour}"))
    return svg(f"{found.metric} against updates", WIDTH, HEIGHT, parts)


def _table(found: Comparison) -> str:
    heads = ("policy", found.metric, "updates", "rows trained on", "regret")
    top = "".join(f"<th{' class=number' if place else ''}>{escape(head)}</th>" for place, head in enumerate(heads))
    rows = "".join(_row(entry) for entry in found.entries)
    ideal = f"<p class='soft'>{escape(_ideal(found))}.</p>" if found.ideal else ""
    return f'<div class="wide"><table><tr>{top}</tr>{rows}</table></div>{_NOTE}{ideal}'


_NOTE = (
    '<p class="soft">Regret is the loss per record above that of the best schedule with as many updates, chosen in '
    "hindsight by dynamic programming over every model that could have been fitted and every chunk after it.</p>"
)


def _row(entry: Entry) -> str:
    cells = "".join(f'<td class="number">{escape(cell)}</td>' for cell in _cells(entry))
    colour = 1 if entry.simple else 0
    return f'<tr class="c{colour}"><td><span class="swatch c{colour}"></span>{escape(entry.name)}</td>{cells}</tr>'
