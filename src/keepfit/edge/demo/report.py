"""The report: what the year was like, as data, as JSON and on the terminal."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from datetime import datetime
from os import cpu_count
from typing import Any

from rich.console import Console
from rich.table import Table

from keepfit.core.facts import Judged, RunFinished, Swapped, UpdateOpened, VersionRegistered, Watched
from keepfit.edge.demo.planted import ENOUGH, FORCED_ON, SHUFFLED_ON, Planted
from keepfit.edge.demo.score import Latency, Month
from keepfit.edge.demo.story import Event, Story
from keepfit.edge.demo.traffic import Log

WAYS = {"frozen": "frozen January", "monthly": "monthly retrain", "keepfit": "keepfit"}


@dataclass(frozen=True)
class Promotion:
    """One Version that was live: since when, why, and how it compared with the one before it."""

    version: int
    since: str
    cause: str
    reason: str


@dataclass(frozen=True)
class Report:
    """Everything the demo found out; `demo-report.json` is this, field by field."""

    requests: int
    failed_requests: int
    torn_answers: int
    flights: int
    labels: int
    updates: int
    swaps: int
    refused: int
    held: int
    failed_updates: int
    confirmations: int
    rollbacks: int
    looks: int
    months: tuple[Month, ...]
    p50_ms_steady: float
    p99_ms_steady: float
    p50_ms_swapping: float
    p99_ms_swapping: float
    requests_swapping: int
    promotions: tuple[Promotion, ...]
    planted: Planted
    events: tuple[Event, ...]
    failures: tuple[str, ...]
    training_cpu_seconds: float
    until: str
    asked_until: str
    seconds: float
    machine: str
    notes: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost, and the planted cases ended as they must, where the year was to go so far."""
        until = datetime.fromisoformat(self.asked_until)
        refused = bool(self.planted.shuffled_refused) or until < SHUFFLED_ON + ENOUGH
        brought_back = bool(self.planted.rolled_back) or until < FORCED_ON + ENOUGH
        return refused and brought_back and not (self.failed_requests or self.torn_answers)


def report(
    log: Log, story: Story, *, months: list[Month], latency: Latency, planted: Planted, rest: dict[str, Any]
) -> Report:
    """Add everything up; `rest` are the fields nobody else knows: torn answers, until, seconds, notes."""
    swaps = story.of(Swapped)
    confirming = [opened for opened in story.of(UpdateOpened) if opened.confirms]
    return Report(
        requests=log.requests,
        failed_requests=log.failed,
        flights=log.flights,
        labels=log.labels,
        updates=len(story.of(UpdateOpened)) - len(confirming),
        swaps=len([swap for swap in swaps if swap.before]),
        refused=len(story.closed("refused")),
        held=len(story.closed("held")),
        failed_updates=len(story.closed("failed")),
        confirmations=len(confirming),
        rollbacks=len([swap for swap in swaps if swap.cause == "rollback"]),
        looks=len(story.of(Watched)),
        months=tuple(months),
        promotions=tuple(_promotion(swap, story) for swap in swaps),
        planted=planted,
        events=tuple(story.events),
        failures=tuple(log.reasons),
        training_cpu_seconds=round(sum(run.cpu_seconds for run in story.of(RunFinished)), 1),
        machine=f"{platform.machine()}, {cpu_count()} cores, Python {platform.python_version()}",
        **asdict(latency),
        **rest,
    )


def _promotion(swap: Swapped, story: Story) -> Promotion:
    made = next((one for one in story.of(VersionRegistered) if one.number == swap.after), None)
    opened = next((one for one in story.of(UpdateOpened) if made and one.update == made.update), None)
    judged = next((one for one in story.of(Judged) if one.version == swap.after), None)
    why = opened.reason if swap.cause == "promote" and opened else swap.reason
    gates = "; ".join(ruling.reason for ruling in judged.rulings[:1]) if judged and swap.cause == "promote" else ""
    return Promotion(swap.after, swap.time.isoformat(), swap.cause, f"{why} ({gates})" if gates else why)


def show(found: Report, console: Console) -> None:
    """Print the report."""
    console.print()
    console.print(_months(found))
    console.print(_loop(found))
    console.print(_serving(found))
    for note in (*found.notes, *(f"failed: {reason}" for reason in found.failures)):
        console.print(f"  {note}", style="dim", highlight=False)


def _months(found: Report) -> Table:
    table = Table(
        title="How good the answers were (AUC: more is better; log-loss: less is better)", title_justify="left"
    )
    table.add_column("month")
    for name in ("flights", "late"):
        table.add_column(name, justify="right")
    for kind in ("AUC", "log-loss"):
        for way in WAYS.values():
            table.add_column(f"{way}\n{kind}", justify="right")
    for month in found.months:
        shares = [f"{month.flights:,}", f"{month.late_share:.0%}"]
        table.add_row(month.month, *shares, *_best(month.auc, 1), *_best(month.log_loss, -1))
    if found.months:
        auc = {way: mean_of(found, "auc", way) for way in WAYS}
        lost = {way: mean_of(found, "log_loss", way) for way in WAYS}
        table.add_section()
        table.add_row("mean", "", "", *_best(auc, 1), *_best(lost, -1))
    return table


def mean_of(found: Report, metric: str, way: str) -> float:
    """The mean of a metric over the months."""
    values = [getattr(month, metric)[way] for month in found.months]
    return float(sum(values) / len(values)) if values else float("nan")


def _best(values: dict[str, float], sign: int) -> list[str]:
    best = max(values.values(), key=lambda value: sign * round(value, 3))
    return [f"[bold]{v:.3f}[/]" if round(v, 3) == round(best, 3) else f"{v:.3f}" for v in (values[way] for way in WAYS)]


def _loop(found: Report) -> Table:
    table = Table(title="What the loop did", title_justify="left", show_header=False)
    table.add_row("updates", f"{found.updates} ({found.training_cpu_seconds:.0f} s of CPU in workers)")
    table.add_row(
        "swaps", f"{found.swaps}, all under traffic; {found.confirmations} re-judgings on labels that came later"
    )
    table.add_row(
        "refused by the gates",
        f"{found.refused}, held for lack of evidence {found.held}, failed {found.failed_updates}",
    )
    table.add_row("looks of monitors", str(found.looks))
    shuffled, forced = found.planted, found.planted
    told = f"v{shuffled.shuffled} refused" if shuffled.shuffled_refused else "NOT refused"
    table.add_row("planted: shuffled labels", told)
    back = (
        f"v{forced.forced} was forced live, {forced.wrong_for_days:.1f} days of 2013 later swapped back by its labels"
    )
    table.add_row("planted: harmful, forced", back if forced.rolled_back else "NOT rolled back")
    return table


def _serving(found: Report) -> Table:
    table = Table(title="How it was served", title_justify="left", show_header=False)
    table.add_row("flights, labels", f"{found.flights:,} and {found.labels:,} until {found.until[:10]}")
    table.add_row("requests", f"{found.requests:,}, failed {found.failed_requests}, torn answers {found.torn_answers}")
    table.add_row("latency, steady", f"p50 {found.p50_ms_steady:.1f} ms, p99 {found.p99_ms_steady:.1f} ms")
    swapping = f"p50 {found.p50_ms_swapping:.1f} ms, p99 {found.p99_ms_swapping:.1f} ms"
    table.add_row("latency, around swaps", f"{swapping} ({found.requests_swapping:,} requests)")
    table.add_row("took", f"{found.seconds:.0f} s on {found.machine}")
    return table
