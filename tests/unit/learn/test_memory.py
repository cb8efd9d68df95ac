"""Memory on disk: what is written comes back, the same bytes for the same memory, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.errors import Refused
from keepfit.core.nouns import Memory
from keepfit.learn.memory import load, save

REMEMBERED = Memory(
    "Replay",
    pa.table({"_id": ["a", "b"], "x": [1.0, 2.0], "_label": [0, 1], "_logits": [[0.5, 1.5], [2.0, -1.0]]}),
    {"seen": np.array([7]), "weights": np.arange(6, dtype=np.float32).reshape(2, 3)},
)


def test_a_memory_comes_back(tmp_path: Path) -> None:
    """Rows and arrays are read as they were written, types and shapes included."""
    save(REMEMBERED, tmp_path / "memory")
    found = load(tmp_path / "memory", "Replay")
    assert found.rows is not None
    assert found.rows.equals(REMEMBERED.rows)
    assert sorted(found.arrays) == ["seen", "weights"]
    for name, values in REMEMBERED.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], values)
        assert found.arrays[name].dtype == values.dtype


def test_the_same_memory_has_the_same_bytes(tmp_path: Path) -> None:
    """So it has one digest, whenever it was written."""
    for name in ("one", "two"):
        save(REMEMBERED, tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_the_memory_of_another_learner_is_refused(tmp_path: Path) -> None:
    """What one learner means by its arrays is not what another would read into them."""
    save(REMEMBERED, tmp_path / "memory")
    with pytest.raises(Refused, match="written by Replay, this recipe's learner is EWC"):
        load(tmp_path / "memory", "EWC")


@pytest.mark.parametrize("name", ["memory.json", "rows.arrow", "arrays.npz"])
def test_a_damaged_memory_is_refused(tmp_path: Path, name: str) -> None:
    """Bytes that are cut off lead to a refusal, never to a shorter memory."""
    save(REMEMBERED, tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Refused, match="cannot be read"):
        load(tmp_path, "Replay")
