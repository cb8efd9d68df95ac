"""Every registered gate keeps the laws of gates."""

from __future__ import annotations

from typing import Any

import pytest

from keepfit.core import registry
from keepfit.core.nouns import Evidence, Outcome, Ruling
from keepfit.core.protocols import Gate
from keepfit.testing import check_gate

ARGUMENTS: dict[str, dict[str, Any]] = {"Floor": {"metric": "auc", "minimum": 0.6}}


@pytest.mark.parametrize("name", registry.names("keepfit.gates"))
def test_laws(name: str) -> None:
    """A registered gate fails closed, is repeatable, says why, and can be stored and read back."""
    gate = registry.load("keepfit.gates", name)(**ARGUMENTS.get(name, {}))
    assert isinstance(gate, Gate)
    check_gate(gate)


class Open:
    """A gate that is no gate."""

    def judge(self, evidence: Evidence) -> Ruling:
        return Ruling("Open", Outcome.PASS, "always")


def test_the_laws_notice_an_open_gate() -> None:
    """The suite itself fails on a gate that passes everything."""
    with pytest.raises(AssertionError, match="lets a candidate in on no evidence"):
        check_gate(Open())
