"""show: the status of services on a terminal."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from rich.console import Console
from rich.markup import escape

from keepfit.core.clock import SystemClock
from keepfit.core.places import Places
from keepfit.edge.asked import RunStatus
from keepfit.edge.client import Client
from keepfit.edge.desk import Desk
from keepfit.edge.serving import Standalone, is_standing, standing
from keepfit.edge.status import Histories, ServiceStatus, VersionStatus
from keepfit.edge.telling import beside
from keepfit.loop.targets import Local
from keepfit.store.ledger import Ledger

_EVENTS = 6  # lines of what happened lately


def statuses(places: Places, service: str | None = None) -> tuple[str, tuple[ServiceStatus, ...]]:
    """The control process's address (empty: none runs) and the services, which can be read without one too.

    Deployments that no control process looks after are among them.
    """
    client = Client.of(places)
    if client is not None:
        with client:
            if service and is_standing(places, service):
                return client.address, (Standalone(Local(places=places), service).status(),)
            names = [service] if service else client.services()
            alone = (
                () if service else tuple(Standalone(Local(places=places), name).status() for name in standing(places))
            )
            return client.address, (*(client.status(name) for name in names), *alone)
    return "", _read(places, service)


def _read(places: Places, service: str | None) -> tuple[ServiceStatus, ...]:
    """The services of the ledger, and the deployments that none looks after, without a control process."""
    alone = [service] if service and is_standing(places, service) else [] if service else standing(places)
    found = tuple(Standalone(Local(places=places), name).status() for name in alone)
    if not places.ledger.exists() or (service and found):
        return found
    with closing(Ledger(places.ledger, readonly=True)) as ledger:
        desk = Desk(
            places=places,
            ledger=ledger,
            clock=SystemClock(),
            target=Local(places=places),
            new_id=lambda: uuid.uuid4().hex,
            histories=Histories(ledger),
        )
        names = [service] if service else desk.histories.services()
        return (*(desk.status(name) for name in names), *found)


def show(control: str, found: Sequence[ServiceStatus]) -> None:
    """Print services, slots, versions, what the loop is doing and why."""
    _print([f"control: {control or 'not running (start it with: keepfit up)'}"])
    if not found:
        _print(["no service was applied yet (keepfit apply FILE)"])
    for one in found:
        _print(["", *lines(one), *_versions(one.versions)])


def lines(one: ServiceStatus) -> list[str]:
    """What is said of a service before the table of its versions, as rich markup."""
    live = f"v{one.live}" if one.live else "empty"
    counts = f"{one.records:,} records, {one.labels:,} labels"
    before = f" (before: v{one.previous})" if one.previous else ""
    found = [
        f"[bold]{one.service}[/bold]  live: [bold]{live}[/bold]{before}  {counts}",
        f"  runner   {_runner(one)}",
        *(f"  {line}" for line in _slots(one)),
        *(f"  {line}" for line in _processes(one.runner)),
        f"  loop     {escape(one.doing)}",
    ]
    if one.update:
        steps = "  ".join(f"{name} {state}" for name, state in one.update.steps)
        found.append(
            f"  steps    {escape(steps)}"
            + (f"  (log: keepfit logs {one.service} {one.update.run} -f)" if one.update.run else "")
        )
    if one.beside:
        found.append(f"  training {escape('; '.join(one.beside))}")
    found += [f"  wish     {escape(wish)}" for wish in one.waiting]
    found += [f"  {time:%m-%d %H:%M}  {escape(event)}" for time, event in one.events[-_EVENTS:]]
    return found


def _slots(one: ServiceStatus) -> list[str]:
    """What every Slot holds, where there is more than a live one."""
    found = []
    for slot in one.slots:
        share = f" {slot.share:.0%} of the requests{f' by {slot.key}' if slot.key else ''}" if slot.share else ""
        answered = f", {slot.answered:,} answered" if slot.answered is not None else ""
        failed = f", [red]{slot.failed:,} failed[/red]" if slot.failed else ""
        found.append(f"slot     {slot.slot}: v{slot.version}{share}{answered}{failed}")
    workers = one.runner.get("workers", ())
    mirrored, dropped = (sum(worker.get(key) or 0 for worker in workers) for key in ("mirrored", "unmirrored"))
    if mirrored or dropped:
        found.append(f"mirror   {mirrored:,} requests answered by a shadow too, {dropped:,} not")
    return found if len(one.slots) > 1 or mirrored or dropped else []


def _processes(runner: dict[str, Any]) -> list[str]:
    """What processes of models were granted, and what they were not."""
    found: dict[str, None] = {}
    for worker in runner.get("workers", ()):
        for told in worker.get("granted", ()):
            lacking = f"; [yellow]{escape('; '.join(told['missing']))}[/yellow]" if told.get("missing") else ""
            limits = ", ".join(
                f"{name} {told[name]:,}" for name in ("memory", "files", "processes") if told.get(name) is not None
            )
            found[f"process  v{told['version']}: uid {told['uid']}, {limits or 'no limits'}{lacking}"] = None
    return list(found)


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
    pace = f"p99 {slowest:.1f} ms" if slowest else "idle"
    told = f"{sums['requests']:,} requests, {sums['errors']:,} errors, {pace}, {_memory(runner)}"
    late = sum(worker.get("breaches") or 0 for worker in workers)
    breached = f", [red]{late:,} versions took too long to leave[/red]" if late else ""
    faults = "".join(f", [red]{escape(w['fault'])}[/red]" for w in workers if w.get("fault"))
    return f"{runner['url']}  process {runner['pid']}, {told}{lost}{breached}{apart}{faults}"


def _memory(runner: dict[str, Any]) -> str:
    taken = sum(worker.get("rss") or 0 for worker in runner.get("workers", ()))
    models = f" (models {runner['models'] / 2**20:,.0f})" if runner.get("models") else ""
    return f"{taken / 2**20:,.0f} MiB{models}"


def _versions(versions: Sequence[VersionStatus]) -> list[str]:
    rows = [("version", "made", "from", "bundle", "verdict", "state")]
    for one in versions:
        state = "[green]live[/green]" if one.live else "[red]quarantine[/red]" if one.quarantined else ""
        approved = f"approved: {escape(one.approved)}" if one.approved else ""
        rows.append(
            (
                f"v{one.number}",
                f"{one.time:%Y-%m-%d %H:%M}",
                f"v{one.parent}" if one.parent else "outside" if one.origin else "scratch",
                one.digest[:12],
                str(one.verdict or "none"),
                " ".join(filter(None, (state, approved))),
            )
        )
    return _aligned(rows) if versions else ["  no version yet"]


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows as lines of equal columns; only the last column may hold markup. The first row is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [f"  [dim]{padded[0]}[/dim]", *(f"  {line}" for line in padded[1:])]


def show_versions(found: Sequence[ServiceStatus]) -> None:
    """Print the versions with the reasons of their verdicts."""
    for one in found:
        reasons = [f"  v{version.number}  {escape(reason)}" for version in one.versions for reason in version.reasons]
        _print([*_versions(one.versions), *reasons])


def show_runs(runs: Sequence[RunStatus]) -> None:
    """Print runs, the newest last."""
    rows = [("run", "step", "update", "state", "started", "seconds", "cpu", "granted or reason")]
    for run in runs:
        told = escape("; ".join(filter(None, (run.reason, str(run.granted), *_beside(run)))))
        times = (f"{run.started[:10]} {run.started[11:19]}", f"{run.seconds:.1f}", f"{run.cpu_seconds:.1f}")
        rows.append((run.run, run.step, run.update, run.state, *times, told))
    _print(_aligned(rows) if runs else ["  no run yet"])


def _beside(run: RunStatus) -> tuple[str, ...]:
    return tuple(beside(run, run.seconds)) if run.state == "finished" else ()


def _print(lines: Sequence[str]) -> None:
    console = Console(highlight=False)
    for line in lines:
        console.print(line, soft_wrap=True)
