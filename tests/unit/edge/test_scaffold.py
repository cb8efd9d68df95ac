"""What `keepfit init` writes is a service that can be applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepfit.core.errors import Conflict
from keepfit.core.places import Places
from keepfit.edge.apply import declared, specification_at
from keepfit.edge.scaffold import scaffold


def test_the_scaffold_applies_as_it_is(tmp_path: Path) -> None:
    """Twenty-odd lines, real data beside them, also in a folder with a space in its name."""
    service, data = scaffold(tmp_path / "my project")
    assert len(service.read_text().splitlines()) <= 28
    places = Places(tmp_path / "my project" / ".keepfit")
    (one,) = declared(service, places)
    found = specification_at(one.specification, places)
    assert found.source_rows == len(data.read_text().splitlines()) - 1 == 569
    assert found.classes == (False, True)
    assert len(found.inputs) == 30


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """A file of the user's stays as it is, and nothing is written beside it."""
    (tmp_path / "tumours.csv").write_text("mine")
    with pytest.raises(Conflict, match="exists already"):
        scaffold(tmp_path)
    assert (tmp_path / "tumours.csv").read_text() == "mine"
    assert not (tmp_path / "service.py").exists()
