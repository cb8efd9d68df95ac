"""Pipelines: which steps an update consists of, and the key under which each Run's result is found again.

A Run's key is the digest of its code, parameters (with the seed), input digests and environment lock. A finished Run
with the same key whose outputs still match their digests is used instead of running again: caching, resuming at the
unfinished step, reproducibility and lineage are this one mechanism.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import keepfit
from keepfit.core.facts import RunFinished, UpdateOpened, VersionRegistered
from keepfit.core.nouns import Choice, Digest, Resources
from keepfit.core.registry import digest_of, to_plain
from keepfit.core.service import Specification
from keepfit.judge.evaluate import Terms
from keepfit.learn.selection import OF_PARENT

UPDATE = ("freeze", "check", "train", "evaluate", "judge")
"""An update: parent Version + Dataset + Recipe → a judged candidate."""

CONFIRM = ("freeze", "evaluate", "judge")
"""A live Version is judged again on the labels that arrived for its own answers, a given Bundle on the newest."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """One step to be run: everything a worker needs to know, as plain data.

    `specification` and `code` say where to find the declaration; only what is in `parameters`, `inputs` and the code
    itself decides the result and enters the key.
    """

    step: str
    service: str
    update: str
    specification: Digest
    parameters: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Digest] = field(default_factory=dict)
    environment: Digest = ""
    resources: Resources = Resources()

    @property
    def key(self) -> Digest:
        """The digest which names the result of this work."""
        return digest_of(code_digest(), self.step, self.service, self.parameters, self.inputs, self.environment)


@dataclass(frozen=True)
class Made:
    """What a step made: artifacts by name, and a small plain result for people and for `plan`."""

    outputs: dict[str, Digest]
    result: dict[str, Any]


@cache
def code_digest() -> Digest:
    """The digest of keepfit's own sources: a changed program does not reuse results."""
    root = Path(keepfit.__file__).parent
    hasher = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        hasher.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return hasher.hexdigest()


def steps_of(opened: UpdateOpened) -> tuple[str, ...]:
    """The steps of an update, or those by which a Bundle that is there already is judged."""
    return CONFIRM if opened.confirms or opened.bundle else UPDATE


def work(
    step: str,
    opened: UpdateOpened,
    specification: Specification,
    *,
    done: Mapping[str, RunFinished],
    versions: Mapping[int, VersionRegistered],
) -> Work:
    """The Work of one step of an update, given what its earlier steps made.

    `versions` are the Service's by number.
    """
    parameters, inputs = _PARTS[step](opened, specification, done, versions)
    return Work(
        step=step,
        service=opened.service,
        update=opened.update,
        specification=opened.specification,
        parameters=parameters,
        inputs={name: digest for name, digest in inputs.items() if digest},
        environment=specification.environment,
        resources=specification.service.recipe.resources,
    )


Parts = tuple[dict[str, Any], dict[str, Digest]]
Done = Mapping[str, RunFinished]
Versions = Mapping[int, VersionRegistered]


def _freeze(opened: UpdateOpened, specification: Specification, done: Done, versions: Versions) -> Parts:
    recipe = specification.service.recipe
    parameters: dict[str, Any] = {
        "as_of": opened.as_of.isoformat(),
        "window": to_plain(recipe.window),
        "holdout": recipe.holdout,
        "answered_by": opened.confirms,
        "columns": [field.name for field in specification.inputs],
    }
    if opened.left_out:
        parameters["left_out"] = [to_plain(span) for span in opened.left_out]
    return parameters, {"source": specification.source, "given": opened.dataset}


def _check(opened: UpdateOpened, specification: Specification, done: Done, versions: Versions) -> Parts:
    parameters: dict[str, Any] = {"columns": [field.name for field in specification.inputs]}
    frozen = done["freeze"].outputs
    inputs = {"train": frozen["train"], "holdout": frozen["holdout"] if specification.service.recipe.refit else ""}
    if specification.schema:
        return {**parameters, "as_of": opened.as_of.isoformat()}, {**inputs, "schema": specification.schema}
    return parameters, {**inputs, "source": specification.source}


def _train(opened: UpdateOpened, specification: Specification, done: Done, versions: Versions) -> Parts:
    service = specification.service
    parent = versions.get(opened.parent) if service.recipe.base == "warm" or service.recipe.learner else None
    parameters = {
        "recipe": to_plain(service.recipe),
        "task": specification.task,
        "classes": list(specification.classes),
        "signature": to_plain(specification.signature),
        "module": specification.module,
        "requirements": to_plain(specification.requirements),
    }
    frozen = done["freeze"].outputs
    inputs = {
        "train": frozen["train"],
        "holdout": frozen["holdout"],
        "code": specification.code,
        "parent": parent.digest if parent else "",
        "memory": parent.memory if parent else "",
    }
    return parameters, {**inputs, **_chooser(opened, specification, versions)}


def _chooser(opened: UpdateOpened, specification: Specification, versions: Versions) -> dict[str, Digest]:
    """What the Recipe's Selection needs of the parent: its answers, or what it has learnt from."""
    parent, by = versions.get(opened.parent), specification.service.recipe.selection.by
    if parent is None:
        return {}
    if by is Choice.NEW:
        return {f"seen{place}": digest for place, digest in enumerate(parent.datasets)}
    return {"chooser": parent.digest} if by in OF_PARENT else {}


def _evaluate(opened: UpdateOpened, specification: Specification, done: Done, versions: Versions) -> Parts:
    given = versions[opened.confirms].digest if opened.confirms else opened.bundle
    made = {"bundle": given} if given else done["train"].outputs
    terms = Terms.of(specification)
    parameters = {"terms": to_plain(terms), "metric": terms.metrics[0], "signature": to_plain(specification.signature)}
    inputs = {
        "candidate": made.get("twin", made["bundle"]),
        "released": made["bundle"] if "twin" in made else "",
        "incumbent": versions[opened.parent].digest if opened.parent in versions else "",
        "holdout": done["freeze"].outputs["holdout"],
    }
    return parameters, inputs


def _judge(opened: UpdateOpened, specification: Specification, done: Done, versions: Versions) -> Parts:
    service = specification.service
    parameters = {
        "gates": to_plain(service.gates),
        "confirms": bool(opened.confirms),
        "margin": service.rollout.margin,
    }
    return parameters, {"evidence": done["evaluate"].outputs["evidence"]}


def _outlook(opened: UpdateOpened, specification: Specification, done: Done, versions: Versions) -> Parts:
    parameters, inputs = _train(opened, specification, done, versions)
    terms = Terms.of(specification)
    incumbent = versions[opened.parent].digest if opened.parent in versions else ""
    return {**parameters, "terms": to_plain(terms), "metric": terms.metrics[0]}, {**inputs, "incumbent": incumbent}


_PARTS = {
    "freeze": _freeze,
    "check": _check,
    "outlook": _outlook,
    "train": _train,
    "evaluate": _evaluate,
    "judge": _judge,
}
