"""Triggers: everything that starts an update. Each says why, also when it does not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Decision, Finding, FindingKind, Pulse, Severity
from keepfit.core.protocols import Trigger

_CHANGES = frozenset({FindingKind.DRIFT, FindingKind.SKEW, FindingKind.ALIVE, FindingKind.DEAD})


@dataclass(frozen=True)
class Cron:
    """At the times of a cron expression in an IANA time zone, as Debian's cron keeps them when clocks change.

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


@dataclass(frozen=True)
class Every:
    """When `interval` has passed since the last update."""

    interval: timedelta

    def __post_init__(self) -> None:
        if self.interval <= timedelta(0):
            raise SpecInvalid(f"Every.interval: expected a timedelta above zero, found {self.interval!r}")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once the interval is over."""
        passed = pulse.now - pulse.since
        if passed >= self.interval:
            return Decision(True, f"{_rounded(passed)} passed since the last update, {self.interval} is the interval")
        return Decision(False, f"{_rounded(passed)} of {self.interval} passed since the last update")


@dataclass(frozen=True)
class Labels:
    """When `count` labels have arrived since the last update."""

    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise SpecInvalid(f"Labels.count: expected at least 1, found {self.count}")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once there are enough labels."""
        if pulse.labels >= self.count:
            return Decision(True, f"{pulse.labels} labels arrived since the last update, {self.count} were awaited")
        return Decision(False, f"{pulse.labels} of {self.count} labels arrived since the last update")


@dataclass(frozen=True)
class Drifted:
    """When at least `at_least` subjects drifted from an earlier Span or from training, woke up or went still."""

    at_least: int = 1

    def __post_init__(self) -> None:
        if self.at_least < 1:
            raise SpecInvalid(f"Drifted.at_least: expected at least 1, found {self.at_least}")

    def decide(self, pulse: Pulse) -> Decision:
        """Fire once enough subjects were found to have moved since the last update."""
        moved = {finding.subject: finding for finding in pulse.findings if _alarming(finding, _CHANGES)}
        if len(moved) < self.at_least:
            return Decision(False, f"{len(moved)} of {self.at_least} subjects drifted since the last update")
        more = f" (and {len(moved) - 3} more)" if len(moved) > 3 else ""
        told = "; ".join(finding.sentence for finding in list(moved.values())[:3])
        return Decision(True, f"{len(moved)} subjects drifted, {self.at_least} were awaited: {told}{more}")


@dataclass(frozen=True)
class Decayed:
    """When late labels said that the live Version became worse."""

    def decide(self, pulse: Pulse) -> Decision:
        """Fire on a decay found since the last update."""
        found = [finding for finding in pulse.findings if _alarming(finding, frozenset({FindingKind.DECAY}))]
        if found:
            return Decision(True, f"decay: {found[-1].sentence}")
        return Decision(False, f"no decay in {pulse.labels} labels since the last update")


@dataclass(frozen=True)
class AnyOf:
    """When one of several triggers fires."""

    triggers: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        _require_some("AnyOf", self.triggers)

    def decide(self, pulse: Pulse) -> Decision:
        """Fire with the reasons of those which fire."""
        decisions = [trigger.decide(pulse) for trigger in self.triggers]
        fired = [decision for decision in decisions if decision.fire]
        return Decision(bool(fired), " or ".join(decision.reason for decision in fired or decisions))


@dataclass(frozen=True)
class AllOf:
    """When several triggers fire together."""

    triggers: tuple[Trigger, ...]

    def __post_init__(self) -> None:
        _require_some("AllOf", self.triggers)

    def decide(self, pulse: Pulse) -> Decision:
        """Fire with all reasons; else with the reasons of those which do not."""
        decisions = [trigger.decide(pulse) for trigger in self.triggers]
        waiting = [decision for decision in decisions if not decision.fire]
        return Decision(not waiting, " and ".join(decision.reason for decision in waiting or decisions))


def _require_some(name: str, triggers: tuple[Trigger, ...]) -> None:
    if not triggers:
        raise SpecInvalid(f"{name}.triggers: expected at least one trigger, found none; it would never mean anything")


def _alarming(finding: Finding, kinds: frozenset[FindingKind]) -> bool:
    return finding.kind in kinds and finding.severity is not Severity.INFO


def _rounded(passed: timedelta) -> timedelta:
    """Whole seconds: a reason that changes every microsecond would be a new fact every microsecond."""
    return timedelta(seconds=int(passed.total_seconds()))
