"""Limits proposed from what was measured before."""

from __future__ import annotations

import numpy as np

from keepfit.core.nouns import Measurement
from keepfit.watch.history import proposed_effects


def look(subject: str, effect: float, fired: bool = False) -> Measurement:
    return Measurement("m", subject, 0.0, 0.5, effect, 0.01, 1000, 1000, fired)


def test_proposed_effects() -> None:
    """A restless subject gets a higher floor than a quiet one, alarms teach nothing, and few looks propose nothing."""
    restless = [look("restless", effect) for effect in np.linspace(0.1, 0.3, 50)]
    quiet = [look("quiet", 0.001)] * 30
    alarms = [look("quiet", 0.9, fired=True)] * 30
    proposed = proposed_effects([*restless, *quiet, *alarms, *([look("new", 0.5)] * 19)])
    assert proposed == {"quiet": 0.05, "restless": 0.33}
