"""Limits proposed from what was measured before."""

from __future__ import annotations

import numpy as np
import pytest

from keepfit.core.nouns import Measurement
from keepfit.watch.history import proposals


def look(subject: str, effect: float, *, fired: bool = False, rows: int = 1000, note: str = "") -> Measurement:
    return Measurement("m", subject, 0.0, 0.5, effect, 0.01, rows, rows, fired, note)


def test_proposals() -> None:
    """A restless subject gets a higher limit than a quiet one; alarms, empty looks and few looks teach nothing."""
    restless = [look("restless", effect) for effect in np.linspace(0.1, 0.3, 50)]
    quiet = [look("quiet", 0.001)] * 30
    nothing = [look("quiet", 0.9, fired=True), look("quiet", 0.9, rows=0), look("quiet", 0.9, note="too few")] * 30
    found = {one.subject: one for one in proposals([*restless, *quiet, *nothing, *([look("new", 0.5)] * 19)])}
    assert set(found) == {"quiet", "restless"}
    assert found["restless"].proposed == pytest.approx(0.3)
    assert found["quiet"].proposed == 0.001
    assert found["restless"].looks == 50
    false = proposals([*quiet, look("quiet", 0.9, fired=True)], fired=True)
    assert false[0].proposed == 0.9


def test_confidence_is_kept() -> None:
    """A proposal is above the true quantile in as many of 400 histories as its confidence says."""
    random = np.random.default_rng(0)
    kept, told = 0, 0.0
    for _ in range(400):
        (one,) = proposals([look("x", effect) for effect in random.random(500)], false_alarms=0.02)
        kept, told = kept + (one.proposed >= 0.98), one.confidence
    assert 0.95 <= told < 0.99
    assert kept / 400 == pytest.approx(told, abs=0.04)


def test_too_few_for_certainty() -> None:
    """With too few looks for the confidence asked for, the largest is proposed and its own confidence said."""
    (one,) = proposals([look("x", effect) for effect in np.linspace(0, 0.2, 100)])
    assert one.proposed == pytest.approx(0.2)
    assert one.confidence == pytest.approx(1 - 0.99**100)
