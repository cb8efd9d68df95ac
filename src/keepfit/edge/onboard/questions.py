"""Questions: what a model's file cannot say and a person has not said, told all at once."""

from __future__ import annotations

from dataclasses import dataclass

from keepfit.core.errors import Invalid
from keepfit.edge.onboard.drafts import Wishes


@dataclass(frozen=True)
class Missing:
    """An option that is lacking, and what it would say."""

    option: str
    meaning: str


class Questions:
    """Collects what is missing, so that one error tells it all."""

    def __init__(self, wishes: Wishes) -> None:
        self._ask = wishes.ask
        self._missing: list[Missing] = []

    def lacks(self, missing: Missing) -> None:
        """Note an option without which the Bundle cannot be made."""
        self._missing.append(missing)

    def closed(self, name: str, words: list[str]) -> bool:
        """Ask whether a column of few different texts can hold no others."""
        if self._ask is None:
            return False
        shown = ", ".join(words)
        answer = self._ask(f"'{name}' holds only: {shown}. Can it hold anything else? [Y/n]", "y")
        return answer.strip().lower() in ("n", "no")

    def require(self) -> None:
        """Invalid (`missing_options`) with every option that is missing."""
        require(tuple(self._missing))


def require(missing: tuple[Missing, ...]) -> None:
    """Invalid (`missing_options`) where any option is missing, naming each."""
    if missing:
        told = "; ".join(f"{one.option} ({one.meaning})" for one in missing)
        raise Lacking(f"the model's file does not say all of it; give: {told}", missing)


class Lacking(Invalid):
    """Options are missing; `missing` names them."""

    code = "missing_options"

    def __init__(self, message: str, missing: tuple[Missing, ...]) -> None:
        super().__init__(message)
        self.missing = missing
