"""trainer: trains a Service's Recipe over and over, one byte into a file for each time: `trainer JSON`.

What `keepfit interference` sets beside serving, with the care a worker takes (`aside`) or with none. In the process of
a front worker itself it runs as a thread, which is how not to do it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from keepfit.core.places import Places
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is trained: a stored Specification, on how many rows of its first data; where it is counted; how."""

    store: str
    specification: str
    rows: int
    count: str
    aside: bool = False
    runners: tuple[int, ...] = ()


def prepared(told: Told) -> Callable[[], None]:
    """One training, ready to begin; everything expensive has been imported and read by then."""
    import pyarrow.parquet as pq

    from keepfit.core.nouns import Lesson
    from keepfit.learn.estimators import cloned
    from keepfit.learn.learners import Refit
    from keepfit.learn.tables import arrays, frame, labels
    from keepfit.loop.steps import declared
    from keepfit.store.blobs import Blobs, Trees

    places = Places(Path(told.store))
    specification = from_plain(Specification, msgspec.json.decode(Blobs(places.blobs).get(told.specification)))
    service = specification.service
    code = Trees(places.trees).path(specification.code)
    estimator = declared(code, specification.module, service.name).estimator
    rows = pq.read_table(Blobs(places.blobs).path(specification.source)).slice(0, told.rows)
    X = frame(arrays(rows, specification.inputs), specification.inputs)
    lesson = Lesson(X=X, y=labels(rows, specification.label), classes=specification.classes, seed=service.recipe.seed)
    learner = service.recipe.learner or Refit()

    def train() -> None:
        learner.learn(cloned(estimator), lesson)

    return train


def go_on(told: Told, train: Callable[[], None]) -> None:
    """Train until somebody ends the process."""
    with Path(told.count).open("ab", buffering=0) as count:
        while True:
            train()
            count.write(b".")


def main(argv: list[str]) -> int:
    """A process that does nothing else."""
    plain: dict[str, Any] = json.loads(argv[0])
    told = from_plain(Told, plain)
    if told.aside:
        from keepfit.edge.aside import step_aside
        from keepfit.store.blobs import Blobs

        stored = Blobs(Places(Path(told.store)).blobs).get(told.specification)
        recipe = from_plain(Specification, msgspec.json.decode(stored)).service.recipe
        print(step_aside(recipe.resources, told.runners), flush=True)
    go_on(told, prepared(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
