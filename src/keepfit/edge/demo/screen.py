"""The screen: the year as it goes by; a live panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from datetime import datetime

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from keepfit.edge.demo.story import Event, Story
from keepfit.edge.demo.traffic import Pace, Traffic

_MARKS = {
    "swap": ("⇄", "bold green"),
    "rollback": ("↩", "bold red"),
    "quarantine": ("⊘", "bold red"),
    "refused": ("✗", "yellow"),
    "update": ("↻", "cyan"),
    "finding": ("~", "magenta"),
    "request": ("»", "bold"),
    "failed": ("!", "bold red"),
}
_RECENT = 2000  # requests the shown p99 is of
_PLAIN_EVERY = 15.0  # seconds between two lines of progress without a terminal


class Screen:
    """Shows progress and events; close it, or use it in a `with`."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._shown = 0
        self._said_at = time.monotonic()

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        """Print one line above the panel."""
        self.console.print(escape(text), style=style, highlight=False, soft_wrap=not self._live)

    def events(self, story: Story) -> None:
        """Print the events that are new."""
        for event in story.events[self._shown :]:
            self._event(event)
        self._shown = len(story.events)

    def _event(self, event: Event) -> None:
        mark, style = _MARKS[event.kind]
        self.console.print(
            f"{event.time:%b %d %H:%M} [{style}]{mark}[/] {escape(event.text)}",
            highlight=False,
            soft_wrap=not self._live,
        )

    def progress(self, story: Story, traffic: Traffic, pace: Pace, begin: datetime) -> None:
        """Show how far the year is; without a terminal, a line now and then."""
        if self._live:
            self._live.update(_panel(story, traffic, pace, begin))
        elif time.monotonic() - self._said_at >= _PLAIN_EVERY:
            self._said_at = time.monotonic()
            self.say(f"{traffic.now:%b %d}       {_sent(traffic)}; {_doing(story)}")


def _panel(story: Story, traffic: Traffic, pace: Pace, begin: datetime) -> Panel:
    total, gone = (pace.end - begin).total_seconds(), (traffic.now - begin).total_seconds()
    rows = Table.grid(padding=(0, 2))
    rows.add_row("live", f"[bold]v{story.situation.live}[/] of {len(story.situation.versions)} versions")
    rows.add_row("loop", escape(_doing(story)))
    rows.add_row("sent", escape(_sent(traffic)))
    speed = f"{pace.speed(traffic.now) / 86400:.1f} days of 2013 per second"
    bar = ProgressBar(total=total, completed=max(0.0, gone))
    return Panel(Group(bar, rows), title=f"{traffic.now:%A %d %B %Y, %H:%M} UTC", subtitle=speed)


def _sent(traffic: Traffic) -> str:
    log = traffic.log
    recent = [exchange.seconds for exchange in log.exchanges[-_RECENT:]]
    p99 = f"{np.percentile(recent, 99) * 1e3:.1f} ms" if recent else "-"
    return (
        f"{log.flights:,} flights and {log.labels:,} labels in {log.requests:,} requests, "
        f"{log.failed} failed, p99 {p99}"
    )


def _doing(story: Story) -> str:
    update = story.situation.update
    if update is None:
        return "monitors look at the stream" if story.situation.aside else "nothing to do"
    step = f": {update.running.step}" if update.running else ""
    what = f"judging v{update.opened.confirms} again" if update.opened.confirms else "an update beside serving"
    return what + step
