"""Standings on a terminal, growing while runs end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isnan

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from keepfit.learn.accuracies import MEASURES, Interval
from keepfit.learn.walk import WATTS
from keepfit.loop.standings import Benched, Standing

HEADS = (*MEASURES, "learning", "CPU", "RAM", "memory", "model", "energy*")
"""What is said of a learner, in this order."""

PROXY = f"a proxy: CPU-seconds × {WATTS:g} W, not measured"

_WIDE = 160  # columns where nobody looks: a file, a pipe
_ALL = 140  # columns that all of it needs
_FIRST = ("ACC", "BWT", "forgetting", "CPU", "memory")


@contextmanager
def live(*, quiet: bool) -> Iterator[Callable[[Benched], None] | None]:
    """What is to be told of every run that ends: a table that grows, where somebody looks."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Live(console=console, transient=True, auto_refresh=False) as shown:
        yield lambda found: shown.update(table(found, console.width), refresh=True)


def show(found: Benched) -> None:
    """Print the standings, and why runs failed."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=_WIDE, highlight=False)
    console.print(table(found, console.width))
    for one in found.standings:
        if one.failed:
            console.print(f"  {escape(one.name)}: {one.failed} of {found.seeds} runs failed, {escape(one.reason)}")


def table(found: Benched, width: int) -> Table:
    """The standings as a table for so many columns: measures in percent with Student's 95 % interval, and costs."""
    narrow = width < _ALL
    heads = [head for head in HEADS if not narrow or head in _FIRST]
    done = f", {found.done} of {found.runs} runs" if found.done < found.runs else ""
    made = Table(box=None, pad_edge=False, title_justify="left", title_style="bold", caption_justify="left")
    made.title = f"{escape(found.name)}: {len(found.experiences)} experiences, {found.seeds} seeds{done}"
    made.caption = "percent; a wider terminal, --html and --json show more" if narrow else f"percent; * {PROXY}"
    made.add_column("learner", min_width=12, overflow="fold")
    for head in heads:
        made.add_column(head, justify="right", no_wrap=True)
    for one in found.standings:
        shown = dict(zip(HEADS, cells(one), strict=True))
        made.add_row(escape(one.name), *(shown[head] for head in heads))
    return made


def cells(one: Standing) -> list[str]:
    """The measures and costs of a learner under HEADS, as they are shown everywhere."""
    if not one.measures:
        return ["–"] * len(HEADS)
    costs = {key: value.mean for key, value in one.costs.items()}
    return [
        *(percent(one.measures[name]) for name in MEASURES),
        f"{costs['seconds']:.2f} s",
        f"{costs['cpu_seconds']:.2f} s",
        *(size(costs[key]) for key in ("ram", "memory", "model")),
        f"{costs['joules']:.0f} J",
    ]


def percent(value: Interval) -> str:
    """A share in percent, with half its interval's width.

    >>> percent(Interval(0.913, 0.901, 0.925, 5)), percent(Interval(float("nan"), 0.0, 0.0, 1))
    ('91.3 ± 1.2', '–')
    """
    if isnan(value.mean):
        return "–"
    half = "" if isnan(value.high) else f" ± {100 * (value.high - value.mean):.1f}"
    return f"{100 * value.mean:.1f}{half}"


def size(count: float) -> str:
    """Bytes as people say them.

    >>> size(0), size(2048), size(3.5 * 2**20)
    ('–', '2 kB', '3.5 MB')
    """
    if count < 1:
        return "–"
    return f"{count / 2**20:.1f} MB" if count >= 2**20 else f"{count / 2**10:.0f} kB"
