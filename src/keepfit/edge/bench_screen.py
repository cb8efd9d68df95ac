"""bench_screen: standings on a terminal, growing while runs end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isnan

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from keepfit.learn.accuracies import MEASURES, Interval
from keepfit.loop.standings import Benched, Standing

_WIDE = 160  # columns where nobody looks: a file, a pipe


@contextmanager
def live(*, quiet: bool) -> Iterator[Callable[[Benched], None] | None]:
    """What is to be told of every run that ends: a table that grows, where somebody looks."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with Live(console=console, transient=True, auto_refresh=False) as shown:
        yield lambda found: shown.update(table(found), refresh=True)


def show(found: Benched) -> None:
    """Print the standings, and why runs failed."""
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(width=_WIDE, highlight=False)
    console.print(table(found))
    for one in found.standings:
        if one.failed:
            console.print(f"  {escape(one.name)}: {one.failed} of {found.seeds} runs failed, {escape(one.reason)}")


def table(found: Benched) -> Table:
    """The standings as a table: measures in percent with Student's 95 % interval over the seeds, and costs."""
    runs = len(found.standings) * found.seeds
    done = f", {found.done} of {runs} runs" if found.done < runs else ""
    made = Table(box=None, pad_edge=False, title=f"{found.name}: {len(found.experiences)} experiences, "
                 f"{found.seeds} seeds{done}", title_justify="left", title_style="bold")  # fmt: skip
    made.add_column("learner")
    for head in (*MEASURES, "learning", "CPU", "RAM", "memory", "model", "energy*"):
        made.add_column(head, justify="right", no_wrap=True)
    for one in found.standings:
        made.add_row(escape(one.name), *cells(one))
    made.caption = "percent; * a proxy: CPU-seconds × 10 W, not measured"
    made.caption_justify = "left"
    return made


def cells(one: Standing) -> list[str]:
    """The measures and costs of a learner, as they are shown everywhere."""
    if not one.measures:
        return ["–"] * (len(MEASURES) + 6)
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
