"""The same question in one place after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import DataInvalid
from keepfit.learn.scenarios.classes import named
from keepfit.learn.scenarios.parts import Examples, Experience, Rows, groups, numbered, parted


@dataclass(frozen=True)
class DomainIncremental:
    """Every experience asks the same question about rows from elsewhere.

    With a `column` of a table, the domains are its values, the most frequent `count` of them in order, or, where it has
    more than 20 and they are numbers, `count` ranges with equally many rows. Without one, the domains are groups of
    classes and the label becomes a class's place in its group: the domain-incremental scenario of van de Ven and Tolias
    (2019), on Split MNIST *even or odd*.
    """

    column: str = ""
    count: int = 5

    def experiences(self, examples: Examples, seed: int) -> tuple[Experience, ...]:
        """One experience per domain."""
        train, test = parted(examples, seed)
        return numbered(list(self._by_column(train, test) if self.column else self._by_class(examples, train, test)))

    def _by_class(self, examples: Examples, train: Rows, test: Rows) -> Iterator[Experience]:
        for group in groups(examples.classes, self.count, seed=None):
            parts = (_placed(rows.of(group), group) for rows in (train, test))
            learnt, asked = parts
            yield Experience(name=named(group), task=0, train=learnt, test=asked, seen=())

    def _by_column(self, train: Rows, test: Rows) -> Iterator[Experience]:
        if self.column not in getattr(train.X, "columns", ()):
            raise DataInvalid(
                f"DomainIncremental: the examples have no column '{self.column}'; "
                f"they have {list(getattr(train.X, 'columns', ()))[:20]}"
            )
        for name, belongs in _domains(np.asarray(train.X[self.column]), self.count):
            learnt, asked = (
                rows.take(np.flatnonzero(belongs(np.asarray(rows.X[self.column])))) for rows in (train, test)
            )
            yield Experience(name=f"{self.column} {name}", task=0, train=learnt, test=asked, seen=())


def _placed(rows: Rows, group: tuple[Any, ...]) -> Rows:
    places = {one: place for place, one in enumerate(group)}
    return Rows(rows.X, np.array([places[one] for one in rows.y.tolist()], dtype=np.int64))


def _domains(values: NDArray[Any], count: int) -> Iterator[tuple[str, Any]]:
    """The domains of a column by name, each with what says which values belong to it."""
    known, often = np.unique(values, return_counts=True)
    if len(known) > 20 and np.issubdtype(values.dtype, np.number):
        edges = np.quantile(values, np.linspace(0, 1, count + 1)[1:-1])
        for place in range(count):
            low = edges[place - 1] if place else -np.inf
            high = edges[place] if place < len(edges) else np.inf
            yield f"{low:g} to {high:g}", lambda given, low=low, high=high: (given >= low) & (given < high)
        return
    for value in sorted(known[np.argsort(-often, kind="stable")[:count]].tolist()):
        yield str(value), lambda given, value=value: given == value
