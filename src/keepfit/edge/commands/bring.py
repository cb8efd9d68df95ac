"""Bringing a model from outside to a Service that runs: what the Service knows of it, and asking for its Verdict."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from keepfit.edge.commands.options import client_of, end, places_of

if TYPE_CHECKING:
    from keepfit.core.nouns import Digest
    from keepfit.core.signature import Signature


def known(service: str, store: Path | None) -> tuple[dict[str, str], Signature]:
    """What the Service says of every model of its own: options by name, as a person gives them, and its Signature."""
    from keepfit.edge.apply import specification_at

    with client_of(store) as client:
        found = specification_at(client.status(service).specification, places_of(store))
    classes = ",".join(str(value) for value in found.classes)
    return {"task": found.task.value, "label": found.label.name, "classes": classes}, found.signature


def register(service: str, digest: Digest, origin: str, *, store: Path | None, wait: int) -> None:
    """Ask for the Bundle to become a Version, and tell its Verdict; exit 1 where it was refused."""
    from keepfit.edge.asked import Register

    wish = Register(digest=digest, origin=origin, actor=getpass.getuser())
    with client_of(store) as client:
        end(client.register(service, wish, wait=wait))
