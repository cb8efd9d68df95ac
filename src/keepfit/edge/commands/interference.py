"""keepfit interference: what an update does to serving on this machine."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from keepfit.edge.commands.options import places_of, stored

if TYPE_CHECKING:
    from keepfit.core.places import Places
    from keepfit.edge.interference import Beside, Experiment


@click.command()
@click.argument("service")
@click.option("--rate", default=200.0, show_default=True, help="Requests a second of the open loop.")
@click.option("--seconds", default=10.0, show_default=True, help="How long each loop lasts.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@stored
def interference(service: str, rate: float, seconds: float, as_json: bool, store: Path | None) -> None:
    """Measure the live version of SERVICE beside its own training: none, in the same process, in a second process,
    and as keepfit does it. It is done in a runner of its own; a machine that serves is better left alone.
    """
    from dataclasses import replace

    from keepfit.core.registry import to_plain
    from keepfit.edge.interference import measure

    places = places_of(store)
    experiment = replace(_experiment(service, places), rate=rate, seconds=seconds)
    found = measure(experiment, places, lambda line: click.echo(f"measuring: {line}", err=True))
    if as_json:
        click.echo(json.dumps({"service": service, "rate": rate, "ways": to_plain(found)}, indent=2))
        return
    _show(service, found)


def _experiment(service: str, places: Places) -> Experiment:
    """The live Version of a Service and what it was declared by; Conflict where there is none."""
    import msgspec

    from keepfit.core.errors import Conflict, NotFound
    from keepfit.core.registry import from_plain
    from keepfit.core.service import Specification
    from keepfit.edge.interference import Experiment
    from keepfit.edge.status import Histories
    from keepfit.store.blobs import Blobs
    from keepfit.store.ledger import Ledger

    if not places.ledger.exists():
        raise NotFound(f"{places.root} is no store; name one with --store")
    with closing(Ledger(places.ledger, readonly=True)) as ledger:
        situation = Histories(ledger).of(service)
    if not situation.live or situation.applied is None:
        raise Conflict(f"'{service}' has no live version to measure; `keepfit status` says why")
    digest = situation.applied.specification
    specification = from_plain(Specification, msgspec.json.decode(Blobs(places.blobs).get(digest)))
    return Experiment(
        service=service,
        bundle=situation.bundles[situation.live],
        specification=digest,
        resources=specification.service.recipe.resources,
    )


def _show(service: str, found: tuple[Beside, ...]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{service} beside its own update")
    for name in ("update", "p99", "against none", "requests/s", "kept", "training speed"):
        table.add_column(name, justify="left" if name == "update" else "right")
    alone = found[0]
    for one in found:
        speed = f"{one.speed:.0%}" if one.speed is not None else "-"
        times = f"{one.p99 / alone.p99:.2f} x"
        table.add_row(
            one.way, f"{one.p99 * 1000:.2f} ms", times, f"{one.rate:,.0f}", f"{one.rate / alone.rate:.0%}", speed
        )
    console = Console()
    console.print(table)
    console.print("p99 of an open loop; training speed against training alone with keepfit's care")
    for one in found:
        if one.granted:
            console.print(f"granted to {one.way}: {one.granted}", markup=False)
