"""Folders in MNIST's format: written byte by byte as LeCun describes them, and the real ones."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from keepfit.core.errors import DataInvalid
from keepfit.learn.scenarios.sources import idx, mnist


def _idx(values: np.ndarray) -> bytes:
    head = struct.pack(">BBBB", 0, 0, 0x08, values.ndim) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.astype(np.uint8).tobytes()


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_four_files_become_examples(tmp_path: Path, packed: bool, dotted: bool) -> None:
    """The four files, plain or .gz, with a hyphen or a dot: images as rows from 0 to 1, labels as numbers."""
    random = np.random.default_rng(0)
    sets = {"train": 30, "t10k": 10}
    for name, rows in sets.items():
        images, labels = random.integers(0, 256, (rows, 5, 5)), np.arange(rows) % 3
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            stem = f"{name}-{kind}-ubyte".replace("-idx", ".idx") if dotted else f"{name}-{kind}-ubyte"
            content = _idx(values)
            (tmp_path / (f"{stem}.gz" if packed else stem)).write_bytes(gzip.compress(content) if packed else content)
    found = mnist(tmp_path)
    assert found.train.X.shape == (30, 25)
    assert found.test is not None
    assert found.test.y.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    np.testing.assert_allclose(found.test.X[0] * 255, images[0].ravel(), atol=1e-4)
    assert found.classes == (0, 1, 2)


@pytest.mark.parametrize("content", [b"", b"PK\3\4rest", _idx(np.zeros((3, 2)))[:-1]])
def test_what_is_no_idx_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Empty, something else, cut off: DataInvalid with the file's name."""
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataInvalid, match="train-images"):
        idx(path)


def test_mnist_itself(shared_data: Path) -> None:
    """The real images: 60,000 and 10,000 rows of 784 values, every class about a tenth."""
    found = mnist(shared_data / "mnist")
    assert (found.train.X.shape, found.test.X.shape if found.test else ()) == ((60000, 784), (10000, 784))
    assert found.classes == tuple(range(10))
    assert np.bincount(found.train.y).min() > 0.08 * 60000
