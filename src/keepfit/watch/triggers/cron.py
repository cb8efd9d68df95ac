"""Cron: at the times of a calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, Pulse


@dataclass(frozen=True)
class Cron:
    """At the times of a cron expression in an IANA time zone, as Debian's cron keeps them when clocks change.

    >>> from datetime import timedelta
    >>> at = datetime(2013, 7, 1, 3, 59, tzinfo=UTC)
    >>> Cron("0 6 * * *", "Europe/Berlin").decide(Pulse(now=at + timedelta(minutes=1), since=at)).fire
    True
    """

    expression: str
    tz: str = "UTC"

    def __post_init__(self) -> None:
        try:
            next(CronSim(self.expression, datetime(2000, 1, 1, tzinfo=UTC)))
        except (CronSimError, StopIteration) as error:
            raise SpecInvalid(
                f"Cron.expression: expected five fields such as '0 6 * * *' that come true some day, "
                f"found {self.expression!r} ({error or 'never'})"
            ) from error
        try:
            ZoneInfo(self.tz)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SpecInvalid(f"Cron.tz: expected an IANA name such as 'Europe/Berlin', found {self.tz!r}") from error

    def decide(self, pulse: Pulse) -> Decision:
        """Fire when a tick lies after `pulse.since` and not after `pulse.now`."""
        tick = next(CronSim(self.expression, pulse.since.astimezone(ZoneInfo(self.tz))))
        if tick <= pulse.now:
            return Decision(True, f"it was due at {tick.isoformat()} ({self.expression})")
        return Decision(False, f"next due at {tick.isoformat()} ({self.expression})")
