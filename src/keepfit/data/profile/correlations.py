"""Correlations: Pearson's, of every pair of numeric columns, over the rows where both have a finite number."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.data.profile.kinds import Kind, kind_of
from keepfit.data.profile.numbers import plain_numbers

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Correlations:
    """For each pair (i, j): rows with both, the mean and squares of i over them, and the sum of products.

    All four as matrices of little-endian doubles, row by row.
    """

    names: tuple[str, ...]
    rows: bytes
    means: bytes
    squares: bytes
    products: bytes

    def __or__(self, other: Correlations) -> Correlations:
        """Both together, pair by pair, by Chan, Golub and LeVeque (1979)."""
        if self.names != other.names:
            raise DataInvalid(f"correlations of {self.names} and of {other.names} cannot be added")
        (n, mean, square, product), (m, their, more, products) = self._matrices(), other._matrices()
        rows = n + m
        share = np.divide(m, rows, out=np.zeros_like(rows), where=rows > 0)
        gap = their - mean
        squares = square + more + gap * gap * n * share
        return _frozen(self.names, rows, mean + gap * share, squares, product + products + gap * gap.T * n * share)

    def matrix(self) -> Matrix:
        """The coefficients, NaN where a column does not vary over the pair's rows."""
        _, _, squares, products = self._matrices()
        scale = np.sqrt(squares * squares.T)
        found = np.divide(products, scale, out=np.full_like(scale, np.nan), where=scale > 0)
        return np.clip(found, -1.0, 1.0)

    def of(self, a: str, b: str) -> float | None:
        """The coefficient of two columns, None where there is none."""
        found = float(self.matrix()[self.names.index(a), self.names.index(b)])
        return None if np.isnan(found) else found

    def _matrices(self) -> tuple[Matrix, Matrix, Matrix, Matrix]:
        side = len(self.names)
        kept = (self.rows, self.means, self.squares, self.products)
        rows, means, squares, products = (np.frombuffer(one, "<f8").reshape(side, side) for one in kept)
        return rows, means, squares, products


def correlate(batch: pa.RecordBatch) -> Correlations:
    """Measure the correlations in a batch."""
    names = [field.name for field in batch.schema if kind_of(field.type) in (Kind.INTEGER, Kind.FLOAT)]
    columns = np.empty((len(names), batch.num_rows))
    for place, name in enumerate(names):
        columns[place] = numbers_of(batch.column(name))
    known = np.isfinite(columns)
    mask = known.astype(np.float64)
    columns[~known] = 0.0
    rows = _products(mask, mask)
    seen = mask.sum(1)
    centres = np.divide(columns.sum(1), seen, out=np.zeros(len(names)), where=seen > 0)
    columns -= centres[:, None]
    columns[~known] = 0.0
    means = np.divide(_products(columns, mask), rows, out=np.zeros_like(rows), where=rows > 0)
    squares = np.maximum(_products(columns * columns, mask) - rows * means * means, 0.0)
    products = _products(columns, columns) - rows * means * means.T
    return _frozen(tuple(names), rows, means + centres[:, None], squares, products)


def _products(a: Matrix, b: Matrix) -> Matrix:
    """Row by row; not by BLAS, whose last bits hang on how many threads it has."""
    return np.asarray(np.einsum("ri,si->rs", a, b))


def numbers_of(column: pa.Array) -> Matrix:
    """One float per row, NaN for what is missing."""
    if not column.null_count:
        return plain_numbers(column).astype(np.float64)
    found = np.full(len(column), np.nan)
    found[np.asarray(column.is_valid())] = plain_numbers(column.drop_null())
    return found


def _frozen(names: tuple[str, ...], *matrices: Matrix) -> Correlations:
    rows, means, squares, products = (matrix.astype("<f8", copy=False).tobytes() for matrix in matrices)
    return Correlations(names, rows, means, squares, products)
