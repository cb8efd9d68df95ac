"""Every registered trigger keeps the laws of triggers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from keepfit.core import registry
from keepfit.core.nouns import Decision, Pulse
from keepfit.core.protocols import Trigger
from keepfit.testing import check_trigger
from keepfit.watch.triggers import Labels

ARGUMENTS: dict[str, dict[str, Any]] = {
    "Cron": {"expression": "0 6 * * *", "tz": "Europe/Berlin"},
    "Every": {"interval": timedelta(days=1)},
    "Labels": {"count": 500},
    "Vote": {"triggers": (Labels(5), Labels(6))},
    "Threshold": {"bound": 0.5},
    "Avoidable": {"count": 50},
    "Cost": {"update": 50.0, "per_cpu_second": 2.0},
    "Latency": {"label_seconds": 3600.0},
    "LookAhead": {"ahead": timedelta(days=1)},
    "AnyOf": {"triggers": (Labels(5), Labels(6))},
    "AllOf": {"triggers": (Labels(5), Labels(6))},
}


@pytest.mark.parametrize("name", registry.names("keepfit.triggers"))
def test_laws(name: str) -> None:
    """A registered trigger is silent when nothing happened, fires some day, says why, and can be stored."""
    trigger = registry.load("keepfit.triggers", name)(**ARGUMENTS.get(name, {}))
    assert isinstance(trigger, Trigger)
    check_trigger(trigger)


class Restless:
    """A trigger that always fires."""

    def decide(self, pulse: Pulse) -> Decision:
        return Decision(True, "always")


def test_the_laws_notice_a_restless_trigger() -> None:
    """The suite itself fails on a trigger that fires when nothing happened."""
    with pytest.raises(AssertionError, match="fires though nothing happened"):
        check_trigger(Restless())
