"""forget: erase a person's records."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from keepfit.edge.commands.options import client_of, end, stored


@click.command()
@click.argument("service")
@stored
@click.option("--id", "ids", multiple=True, help="A record's id; may be given again.")
@click.option("--entity", default="", help="All records with this value in the service's entity column.")
@click.option("--reason", default="", help="Why; it is recorded.")
@click.option("--wait", default=60, show_default=True, help="Seconds to wait for the end.")
def forget(service: str, store: Path | None, ids: tuple[str, ...], entity: str, reason: str, wait: int) -> None:
    """Erase records of SERVICE from its stream, datasets, memories and checkpoints, and say what remains.

    The versions that learnt from them are named, and the golden examples that hold them; both stay.
    """
    from keepfit.edge.asked import Forget

    wish = Forget(ids=ids, entity=entity, reason=reason, actor=getpass.getuser())
    with client_of(store) as client:
        end(client.forget(service, wish, wait=wait))
