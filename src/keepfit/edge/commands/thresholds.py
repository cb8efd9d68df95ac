"""keepfit thresholds: limits for a service's monitors, proposed from what they measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.edge.commands.options import client_of, places_of, stored

if TYPE_CHECKING:
    from keepfit.core.nouns import Measurement
    from keepfit.core.service import Monitor
    from keepfit.edge.client import Client
    from keepfit.watch.history import Proposal


@click.command()
@click.argument("service")
@stored
@click.option("--false-alarms", default=0.01, show_default=True, help="The share of calm looks that may alarm, 0 to 1.")
@click.option("--confidence", default=0.95, show_default=True, help="How sure a proposal is to keep to that.")
@click.option("--fired", is_flag=True, help="Learn from looks that alarmed, too: you know that they were false.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def thresholds(service: str, store: Path | None, as_json: bool, **given: Any) -> None:
    """Propose a smallest effect for every subject of SERVICE's monitors, beside the one it has now."""
    from keepfit.core.registry import to_plain
    from keepfit.edge.apply import specification_at
    from keepfit.watch.history import proposals

    with client_of(store) as client:
        found = proposals(_measured(client, service), **given)
        specification = specification_at(client.status(service).specification, places_of(store))
    monitors = {one.name: one for one in specification.service.monitors}
    if as_json:
        now = {name: one.minimum_effect for name, one in monitors.items()}
        plain = [{**to_plain(one), "now": now.get(one.monitor)} for one in found]
        click.echo(json.dumps(plain, indent=1))
        return
    for line in _lines(found, monitors):
        click.echo(line)


def _measured(client: Client, service: str) -> list[Measurement]:
    """Every measurement there is, page by page."""
    from keepfit.core.nouns import Measurement
    from keepfit.core.registry import from_plain

    found: list[Measurement] = []
    after = 0
    while facts := client.facts(service, "Watched", after=after):
        found += [from_plain(Measurement, one) for fact in facts for one in fact["measurements"]]
        after = facts[-1]["seq"]
    return found


def _lines(found: tuple[Proposal, ...], monitors: dict[str, Monitor]) -> list[str]:
    """Monitor by monitor, with what would do for all of its subjects."""
    if not found:
        return ["no subject has been looked at often enough yet; 20 looks are the least"]
    lines = []
    for name in dict.fromkeys(one.monitor for one in found):
        own = [one for one in found if one.monitor == name]
        present = f"now {monitors[name].minimum_effect:.3g}" if name in monitors else "no longer declared"
        lines.append(f"{name}: minimum_effect {max(one.proposed for one in own):.3g} would do for all ({present})")
        lines += [f"  {one.subject}: {one.proposed:.3g} ({_evidence(one)})" for one in own]
    return lines


def _evidence(one: Proposal) -> str:
    return f"{one.looks} looks, quantile {one.quantile:.3g}, {one.confidence:.0%} sure"
