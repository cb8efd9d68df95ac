"""Skips: broken rows that were left out instead of refused, with their reasons."""

from __future__ import annotations

from keepfit.core.errors import DataInvalid

TOLD = 20
"""So many reasons are kept."""


class Skips:
    """Refuses a broken row, or counts it where broken rows may be left out."""

    def __init__(self, *, allowed: bool = False) -> None:
        self.allowed = allowed
        self.count = 0
        self.reasons: list[str] = []

    def broken(self, reason: str, *, rows: int = 1) -> None:
        """Raise DataInvalid with the reason, or count it."""
        if not self.allowed:
            raise DataInvalid(reason)
        self.count += rows
        if len(self.reasons) < TOLD:
            self.reasons.append(reason)

    def clear(self) -> None:
        """Begin again."""
        self.count = 0
        self.reasons.clear()
