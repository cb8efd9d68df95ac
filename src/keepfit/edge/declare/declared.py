"""What the process that loads a service file says to the one that started it."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.nouns import Digest
from keepfit.edge.declare.mistakes import Mistake


@dataclass(frozen=True)
class Declared:
    """One Service of a file as it was stored, with what one should know about its first data."""

    service: str
    specification: Digest
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The Services of a file, or its mistakes."""

    services: tuple[Declared, ...] = ()
    mistakes: tuple[Mistake, ...] = ()
