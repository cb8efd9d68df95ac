"""Examples to make scenarios of: the digits of scikit-learn, folders in MNIST's format, any table."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid, MissingExtra, NotFound
from keepfit.learn.scenarios.parts import Examples, Rows

_IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def digits() -> Examples:
    """1,797 handwritten digits of 8 × 8 pixels (Alpaydin and Kaynak 1998, from scikit-learn), values from 0 to 1."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingExtra("sklearn", "sklearn") from error
    X, y = load_digits(return_X_y=True)
    train = Rows((X / 16.0).astype(np.float32), y.astype(np.int64))
    return Examples(name="digits", train=train, classes=tuple(range(10)))


def mnist(folder: Path) -> Examples:
    """The images of a folder in MNIST's format, values from 0 to 1.

    That is `mnist.npz` (`x_train`, `y_train`, `x_test`, `y_test`), or the four files of LeCun, Cortes and Burges
    (`train-images-idx3-ubyte`, …, also as .gz, a dot for the second hyphen allowed). NotFound lists what is missing.
    """
    if folder.suffix == ".npz" or (folder / "mnist.npz").is_file():
        path = folder if folder.suffix == ".npz" else folder / "mnist.npz"
        with np.load(path, allow_pickle=False) as file:
            lacking = [name for name in ("x_train", "y_train", "x_test", "y_test") if name not in file.files]
            if lacking:
                raise DataInvalid(f"{path} has no {lacking}; it has {file.files}")
            parts = [file[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    else:
        names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
        parts = [idx(_found(folder, name)) for name in names]
    train, test = (_images(folder, *parts[place : place + 2]) for place in (0, 2))
    classes = tuple(np.unique(train.y).tolist())
    return Examples(name="mnist" if len(classes) == 10 else folder.name, train=train, test=test, classes=classes)


def idx(path: Path) -> NDArray[Any]:
    """The array of an IDX file (LeCun's format), as it is or as .gz; DataInvalid where it is none, or cut off."""
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _IDX_TYPES:
        raise DataInvalid(f"{path}: expected an IDX file (two zero bytes, a type, dimensions), found {content[:4]!r}")
    dimensions = content[3]
    shape = struct.unpack(f">{dimensions}I", content[4 : 4 + 4 * dimensions])
    values = np.frombuffer(content, dtype=_IDX_TYPES[content[2]], offset=4 + 4 * dimensions)
    if values.size != np.prod(shape, dtype=np.int64):
        raise DataInvalid(f"{path}: its head says {shape}, but {values.size:,} values follow; copy the file anew")
    return values.reshape(shape)


def _found(folder: Path, name: str) -> Path:
    for stem in (f"{name}-ubyte", f"{name}-ubyte".replace("-idx", ".idx")):
        for path in (folder / stem, folder / f"{stem}.gz"):
            if path.is_file():
                return path
    raise NotFound(f"{folder} has neither mnist.npz nor {name}-ubyte(.gz); give the folder with MNIST's four files")


def _images(folder: Path, images: NDArray[Any], labels: NDArray[Any]) -> Rows:
    if len(images) != len(labels):
        raise DataInvalid(f"{folder}: {len(images):,} images have {len(labels):,} labels; expected one for each")
    return Rows(images.reshape(len(images), -1).astype(np.float32) / 255, labels.astype(np.int64))


def from_table(table: pa.Table, label: str, *, name: str) -> Examples:
    """The rows of a table in their order, its other columns as features in a DataFrame.

    Rows without a label are left out; times are no features. DataInvalid where there is no such label, or where it is a
    number to be regressed: scenarios and their measures are about classes.
    """
    if label not in table.column_names:
        raise DataInvalid(f"{name} has no column '{label}' for a label; it has {table.column_names}")
    truth = table.column(label)
    table = table.filter(truth.is_valid())
    column = table.column(label)
    if pa.types.is_floating(column.type):
        raise DataInvalid(f"{name}: '{label}' holds fractions; scenarios are about classes")
    column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    y = column.to_numpy(zero_copy_only=False)
    kept = [field.name for field in table.schema if field.name != label and not pa.types.is_temporal(field.type)]
    X = table.select(kept).to_pandas()
    return Examples(name=name, train=Rows(X, y), classes=tuple(sorted(_distinct(column))))


def _distinct(column: pa.ChunkedArray) -> Iterator[Any]:
    known = column.unique().to_pylist()
    if len(known) > 1000:
        raise DataInvalid(f"the label has {len(known):,} different values; expected at most 1,000 classes")
    yield from known
