"""Rhythm: updates come due as regularly as they did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from statistics import median

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, Pulse
from keepfit.watch.triggers.series import require, rounded


@dataclass(frozen=True)
class Rhythm:
    """When the next release is due by the rhythm of those before, less `lead`: so that it is ready in time.

    The rhythm is the median of the intervals between the last `window` Versions that went live; there have to be
    `at_least` intervals, so that another trigger leads at first.
    """

    lead: timedelta = timedelta(0)
    at_least: int = 3
    window: int = 10

    def __post_init__(self) -> None:
        if self.lead < timedelta(0):
            raise SpecInvalid(f"Rhythm.lead: expected a timedelta of at least zero, found {self.lead!r}")
        require("Rhythm.at_least", self.at_least, self.at_least >= 1, "at least 1")
        require("Rhythm.window", self.window, self.window >= self.at_least, "at least Rhythm.at_least")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once the forecast release is no farther than the lead, if nothing was updated since the last one."""
        releases = pulse.releases[-self.window - 1 :]
        between = [(later - earlier).total_seconds() for earlier, later in pairwise(releases)]
        if len(between) < self.at_least:
            return Decision(False, f"{len(between)} of {self.at_least} intervals between releases are known")
        usual = timedelta(seconds=median(between))
        due = max(releases[-1], pulse.since) + usual - self.lead
        told = f"releases came every {rounded(usual)}"
        return Decision(pulse.now >= due, f"{told}; the next one is due at {due.isoformat(timespec='seconds')}")
