"""Asides: the Work of Runs that belong to no update: looks of Monitors, Marks, compactions."""

from __future__ import annotations

from typing import Any

from keepfit.core.nouns import Digest
from keepfit.core.service import Specification
from keepfit.loop.pipeline import Work
from keepfit.loop.situation import Situation


def watching(monitors: tuple[str, ...], situation: Situation, specification: Specification) -> Work:
    """The Work of a look of these Monitors."""
    swap = situation.swap
    assert swap is not None  # noqa: S101  # plan watches only a live Version
    doubted = {doubt.monitor for doubt in situation.doubts if not doubt.over}
    last = {name for name, watched in situation.watched.items() if watched.findings}
    parameters = {
        "monitors": list(monitors),
        "again": [name for name in monitors if name in last | doubted],
        "since": swap.time.isoformat(),
        "version": situation.live,
        "records": situation.records,
        "labels": situation.labels,
    }
    inputs = {"bundle": situation.bundles[situation.live], "losses": situation.losses.get(situation.live, "")}
    return _aside("watch", parameters, inputs, situation=situation, of=specification)


def marking(on: tuple[str, ...], situation: Situation, specification: Specification) -> Work:
    """The Work of a Mark on labels, records or both: since when, and how many of them came since."""
    swap = situation.swap
    assert swap is not None  # noqa: S101  # plan marks only a live Version
    held = {"labels": situation.labels, "records": situation.records}
    stretches = {}
    for kind in on:
        last = situation.marked.get(kind)
        since, before = (last.mark.time, getattr(last, kind)) if last else (swap.time, getattr(swap, kind))
        stretches[kind] = (since.isoformat(), held[kind] - before)
    parameters = {"as_of": situation.now.isoformat(), "version": situation.live, "on": stretches, **held}
    inputs = {"bundle": situation.bundles[situation.live]}
    return _aside("mark", parameters, inputs, situation=situation, of=specification)


def compacting(records: int, situation: Situation, specification: Specification) -> Work:
    """The Work of moving the segments of so many Records into Parquet, and of erasing what is forgotten."""
    parameters = {"records": records, "without": sorted(situation.forgotten)}
    return _aside("compact", parameters, {}, situation=situation, of=specification)


def _aside(
    step: str, parameters: dict[str, Any], inputs: dict[str, Digest], *, situation: Situation, of: Specification
) -> Work:
    assert situation.applied is not None  # noqa: S101  # only applied Services are planned for
    return Work(
        step=step,
        service=of.service.name,
        update="",
        specification=situation.applied.specification,
        parameters=parameters,
        inputs={name: digest for name, digest in inputs.items() if digest},
        environment=of.environment,
        resources=of.service.recipe.resources,
    )
