"""show: the status of services on a terminal."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keepfit.core.clock import SystemClock
from keepfit.core.places import Places
from keepfit.edge.asked import RunStatus
from keepfit.edge.client import Client
from keepfit.edge.desk import Desk
from keepfit.edge.status import Histories, ServiceStatus, VersionStatus
from keepfit.loop.targets import Local
from keepfit.store.ledger import Ledger

_EVENTS = 6  # lines of what happened lately


def statuses(places: Places, service: str | None = None) -> tuple[str, tuple[ServiceStatus, ...]]:
    """The control process's address (empty: none runs) and the services, which can be read without one too."""
    client = Client.of(places)
    if client is not None:
        with client:
            names = [service] if service else client.services()
            return client.address, tuple(client.status(name) for name in names)
    if not places.ledger.exists():
        return "", ()
    with closing(Ledger(places.ledger, readonly=True)) as ledger:
        desk = Desk(
            places=places,
            ledger=ledger,
            clock=SystemClock(),
            target=Local(places=places),
            new_id=lambda: uuid.uuid4().hex,
            histories=Histories(ledger),
        )
        return "", tuple(desk.status(name) for name in ([service] if service else desk.histories.services()))


def show(control: str, found: Sequence[ServiceStatus]) -> None:
    """Print services, slots, versions, what the loop is doing and why."""
    console = Console(highlight=False)
    console.print(f"control: {control or 'not running (start it with: keepfit up)'}", soft_wrap=True)
    if not found:
        console.print("no service was applied yet (keepfit apply FILE)")
    for one in found:
        console.print()
        for line in lines(one):
            console.print(line, soft_wrap=True)
        console.print(_table(one.versions))


def lines(one: ServiceStatus) -> list[str]:
    """What is said of a service before the table of its versions, as rich markup."""
    live = f"v{one.live}" if one.live else "empty"
    counts = f"{one.records:,} records, {one.labels:,} labels"
    before = f" (before: v{one.previous})" if one.previous else ""
    found = [
        f"[bold]{one.service}[/bold]  live: [bold]{live}[/bold]{before}  {counts}",
        f"  runner   {_runner(one)}",
        f"  loop     {escape(one.doing)}",
    ]
    if one.update:
        steps = "  ".join(f"{name} {state}" for name, state in one.update.steps)
        found.append(
            f"  steps    {escape(steps)}"
            + (f"  (log: keepfit logs {one.service} {one.update.run} -f)" if one.update.run else "")
        )
    found += [f"  wish     {escape(wish)}" for wish in one.waiting]
    found += [f"  {time:%m-%d %H:%M}  {escape(event)}" for time, event in one.events[-_EVENTS:]]
    return found


def _runner(one: ServiceStatus) -> str:
    runner = one.runner
    if not runner:
        return "not running"
    workers = runner.get("workers", ())
    sums = {key: sum(worker.get(key) or 0 for worker in workers) for key in ("requests", "errors", "lost")}
    slowest = max((worker.get("p99_ms") or 0.0 for worker in workers), default=0.0)
    lost = f", [red]{sums['lost']:,} records lost[/red]" if sums["lost"] else ""
    served = runner["live"]["version"] if runner.get("live") else 0
    apart = f", [red]serves v{served}[/red]" if served != one.live else ""
    told = f"{sums['requests']:,} requests, {sums['errors']:,} errors, p99 {slowest:.1f} ms"
    return f"{runner['url']}  process {runner['pid']}, {told}{lost}{apart}"


def _table(versions: Sequence[VersionStatus]) -> Table:
    table = Table(box=None, pad_edge=True, header_style="dim")
    for name in ("version", "made", "from", "bundle", "verdict", "state"):
        table.add_column(name)
    for one in versions:
        state = "[green]live[/green]" if one.live else "[red]quarantine[/red]" if one.quarantined else ""
        approved = f"approved: {escape(one.approved)}" if one.approved else ""
        table.add_row(
            f"v{one.number}",
            f"{one.time:%Y-%m-%d %H:%M}",
            f"v{one.parent}" if one.parent else "scratch",
            one.digest[:12],
            str(one.verdict or "none"),
            " ".join(filter(None, (state, approved))),
        )
    return table


def show_versions(found: Sequence[ServiceStatus]) -> None:
    """Print the versions with the reasons of their verdicts."""
    console = Console(highlight=False)
    for one in found:
        console.print(_table(one.versions))
        for version in one.versions:
            for reason in version.reasons:
                console.print(f"  v{version.number}  {escape(reason)}", soft_wrap=True)


def show_runs(runs: Sequence[RunStatus]) -> None:
    """Print runs, the newest last."""
    table = Table(box=None, header_style="dim")
    for name in ("run", "step", "update", "state", "started", "seconds", "cpu", "granted or reason"):
        table.add_column(name)
    for run in runs:
        told = escape(run.reason or run.granted)
        table.add_row(
            run.run,
            run.step,
            run.update,
            run.state,
            run.started[:19],
            f"{run.seconds:.1f}",
            f"{run.cpu_seconds:.1f}",
            told,
        )
    Console(highlight=False).print(table)
