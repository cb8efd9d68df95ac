"""The verbs of slots: swap, rollback, promote, abort.

Where `keepfit serve` made the deployment they go straight to its runner, else through the control process.
"""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.edge.commands.options import client_of, end, places_of, shared, slotted, stored

if TYPE_CHECKING:
    from keepfit.edge.serving import Standalone


def _alone(service: str, store: Path | None) -> Standalone | None:
    """The deployment of that name where `keepfit serve` made it: what is wished goes straight to its runner."""
    from keepfit.edge.serving import Standalone, is_standing
    from keepfit.loop.targets import Local

    places = places_of(store)
    return Standalone(Local(places=places), service) if is_standing(places, service) else None


@click.command()
@click.argument("service")
@click.argument("version", type=int)
@stored
@slotted("live", "canary", "shadow")
@shared
@click.option("--reason", default="", help="Why; it is recorded.")
@click.option("--force", is_flag=True, help="Override a missing or negative verdict; needs --reason.")
def swap(service: str, version: int, store: Path | None, reason: str, force: bool, **seat: Any) -> None:
    """Put VERSION of SERVICE into a slot: live, or canary for a share of the requests, or shadow."""
    from keepfit.core.facts import slot_name
    from keepfit.core.nouns import SlotName
    from keepfit.edge.asked import Swap

    slot, share = SlotName(seat["slot"]), seat["percent"] / 100
    alone = _alone(service, store)
    if alone:
        share = share if slot is SlotName.CANARY else 0.0
        click.echo(alone.swap(version, slot=slot_name(slot, seat["major"]), share=share, key=seat["key"]))
        return
    wish = Swap(
        version=version,
        actor=getpass.getuser(),
        reason=reason,
        forced=force,
        slot=slot,
        share=share,
        key=seat["key"],
        major=seat["major"],
    )
    with client_of(store) as client:
        end(client.swap(service, wish))


@click.command()
@click.argument("service")
@stored
@click.option("--major", default=1, show_default=True, help="The contract it is about: 2 is SERVICE@2.")
@click.option("--reason", default="", help="Why; it is recorded.")
def rollback(service: str, store: Path | None, major: int, reason: str) -> None:
    """Put the version that was live before into the live slot of SERVICE."""
    from keepfit.edge.asked import Rollback

    alone, actor = _alone(service, store), getpass.getuser()
    if alone:
        click.echo(alone.rollback(major))
        return
    with client_of(store) as client:
        end(client.rollback(service, Rollback(reason=reason or f"{actor} asked for it", actor=actor, major=major)))


@click.command()
@click.argument("service")
@stored
@slotted("canary", "shadow")
@click.option("--reason", default="", help="Why; it is recorded.")
@click.option("--force", is_flag=True, help="Override a missing or negative verdict; needs --reason.")
def promote(service: str, store: Path | None, slot: str, major: int, reason: str, force: bool) -> None:
    """Have the canary (or the shadow) of SERVICE go live."""
    from keepfit.core.nouns import SlotName
    from keepfit.edge.asked import Promote

    alone = _alone(service, store)
    if alone:
        click.echo(alone.promote(SlotName(slot), major))
        return
    wish = Promote(slot=SlotName(slot), reason=reason, actor=getpass.getuser(), forced=force, major=major)
    with client_of(store) as client:
        end(client.promote(service, wish))


@click.command()
@click.argument("service")
@stored
@slotted("canary", "shadow", "live")
@click.option("--reason", default="", help="Why; it is recorded.")
def abort(service: str, store: Path | None, slot: str, major: int, reason: str) -> None:
    """Empty the canary (or the shadow) slot of SERVICE; with --slot live --major 2 take that major away."""
    from keepfit.core.nouns import SlotName
    from keepfit.edge.asked import Abort

    alone = _alone(service, store)
    if alone:
        click.echo(alone.abort(SlotName(slot), major))
        return
    with client_of(store) as client:
        end(client.abort(service, Abort(slot=SlotName(slot), reason=reason, actor=getpass.getuser(), major=major)))
