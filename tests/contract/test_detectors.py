"""Every registered detector keeps the laws of detectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keepfit.core import registry
from keepfit.core.nouns import Score
from keepfit.core.protocols import Detector
from keepfit.testing import check_detector


@pytest.mark.parametrize("name", registry.names("keepfit.detectors"))
def test_laws(name: str) -> None:
    """A registered detector is bounded, repeatable, honest without a change, sees one, and can be stored."""
    detector = registry.load("keepfit.detectors", name)()
    assert isinstance(detector, Detector)
    check_detector(detector)


class Nervous:
    """A detector that takes every difference for a change."""

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        return Score(1.0, 0.0, 1.0)


class Blind:
    """A detector that sees nothing."""

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        return Score(0.0, 1.0, 0.0)


class Greedy:
    """A detector that sorts its arguments where they lie."""

    def score(self, reference: NDArray[Any], window: NDArray[Any]) -> Score:
        window.sort()
        return Score(0.0, float(np.mean(window) < 0.5), 0.5)


@pytest.mark.parametrize(
    ("detector", "law"), [(Nervous(), "called different"), (Blind(), "does not see"), (Greedy(), "changes its")]
)
def test_the_laws_notice(detector: Detector, law: str) -> None:
    """The suite itself fails on detectors that are nervous, blind or careless."""
    with pytest.raises(AssertionError, match=law):
        check_detector(detector)
