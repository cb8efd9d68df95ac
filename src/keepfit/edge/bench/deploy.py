"""The learner that won becomes a Service's recipe, the same object by name, through the door of apply."""

from __future__ import annotations

import inspect
import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pyarrow.parquet as pq

from keepfit.core.clock import SystemClock
from keepfit.core.errors import Conflict, Invalid, KeepfitError, NotFound, Refused
from keepfit.core.facts import Applied
from keepfit.core.nouns import Digest, Lesson
from keepfit.core.own import is_own
from keepfit.core.places import Places
from keepfit.core.registry import canonical, from_plain
from keepfit.core.service import Specification
from keepfit.edge.apply import Applying, locked, record, specification_at
from keepfit.edge.declare.declaration import local
from keepfit.learn.native import threads
from keepfit.learn.tables import arrays, frame, labels, spread
from keepfit.loop.apart import apart
from keepfit.loop.bench import Contender, Experiment
from keepfit.loop.standings import Benched
from keepfit.loop.steps import declared
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.ledger import Ledger

ROWS = 400
"""Rows of the Service's first data on which the learner is tried with the Service's estimator."""


def winner(experiment: Experiment, found: Benched, asked: Sequence[str]) -> Contender:
    """The best of the learners asked for by final accuracy; a baseline that nobody named cannot win."""
    contenders = {one.name: one for one in experiment.contenders if one.name in asked}
    for one in found.standings:
        if one.name in contenders and one.measures:
            return contenders[one.name]
    raise Invalid("there is nothing to deploy: name at least one learner that ends well")


def deploy(chosen: Contender, service: str, places: Places, *, experiment: str, actor: str) -> Applying:
    """Put the Service's specification in force anew, with this learner in its recipe; nothing else changes.

    Conflict where the Service's own estimator cannot be trained by it; NotFound where the Service was never applied.
    """
    if not places.ledger.exists():
        raise NotFound(f"{places.root} is no store; apply the service there first (keepfit apply FILE)")
    with closing(Ledger(places.ledger, readonly=True)) as ledger:
        applied = ledger.last(Applied, service)
    if applied is None:
        raise NotFound(f"'{service}' was never applied here; keepfit apply FILE does it")
    before = specification_at(applied.specification, places)
    recipe = replace(before.service.recipe, learner=chosen.learner)
    after = replace(before, service=replace(before.service, recipe=recipe), experiment=experiment)
    if is_own(type(chosen.learner)):
        after = replace(after, code=_with_code(before, type(chosen.learner), places))
    written = canonical(after)
    read = from_plain(Specification, msgspec.json.decode(written))  # as control and workers will read it
    _rehearse(_Rehearsal(read, places), chosen.name)
    digest = Blobs(places.blobs).put(written)
    from keepfit.edge.client import Client  # httpx takes a tenth of a second

    client = Client.of(places)
    if client is not None:
        with client:
            return client.apply(digest, actor=actor)
    with locked(places), closing(Ledger(places.ledger)) as ledger:
        return record(digest, places, ledger, actor=actor, clock=SystemClock())


def _with_code(before: Specification, kind: type, places: Places) -> Digest:
    """The Service's code with the file of the learner, and what it imports beside it."""
    file, trees = Path(inspect.getfile(kind)).resolve(), Trees(places.trees)
    with TemporaryDirectory() as folder:
        made = Path(folder) / "code"
        shutil.copytree(trees.path(before.code), made)
        for path in sorted(local(file)):
            goal = made / path.relative_to(file.parent)
            if goal.exists() and goal.read_bytes() != path.read_bytes() and path != file:
                raise Conflict(
                    f"the service's code has another {goal.name} than the learner; give one of them a new name"
                )
            goal.parent.mkdir(parents=True, exist_ok=True)
            goal.unlink(missing_ok=True)
            shutil.copyfile(path, goal)
        return trees.put(made)


@dataclass(frozen=True)
class _Rehearsal:
    """Whether the learner of a Specification can train what its Service declares."""

    specification: Specification
    places: Places


def _rehearse(asked: _Rehearsal, name: str) -> None:
    for _, ended in apart(_learnt_twice, [asked], 1):
        if isinstance(ended, KeepfitError):
            service = asked.specification.service.name
            raise Conflict(
                f"{name} cannot train the estimator of '{service}': {ended}; compare learners with the service's own "
                "(--estimator SERVICE_FILE.py:NAME)",
                code="learner_misfit",
            )


def _learnt_twice(asked: _Rehearsal) -> None:
    """Learn a few rows, and go on with them; runs the Service's code, so in a process of its own."""
    specification, places = asked.specification, asked.places
    code = Trees(places.trees).path(specification.code)
    estimator = declared(code, specification.module, specification.service.name).estimator
    table = pq.read_table(Blobs(places.blobs).path(specification.source))
    table = table.take(spread(table.num_rows, ROWS))
    lesson = Lesson(
        X=frame(arrays(table, specification.inputs), specification.inputs),
        y=labels(table, specification.label),
        classes=specification.classes,
        seed=specification.service.recipe.seed,
    )
    learner = specification.service.recipe.learner
    assert learner is not None  # noqa: S101  # it is what is rehearsed
    try:
        with threads(specification.service.recipe.resources.threads):
            first = learner.learn(estimator, lesson)
            learner.learn(estimator, replace(lesson, parent=first.model, memory=first.memory))
    except KeepfitError:
        raise
    except Exception as error:
        raise Refused(f"{type(error).__name__}: {error}", code="raised") from error
