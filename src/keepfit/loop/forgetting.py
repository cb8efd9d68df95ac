"""Forgetting: Records are taken out of Memories, Datasets and the Stream, and what they influenced is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa

from keepfit.core.facts import Answered, Applied, Fact, Forgotten, Requested, RunFinished, RunStarted
from keepfit.core.nouns import Digest
from keepfit.core.registry import canonical
from keepfit.learn.memory import has_arrays, without
from keepfit.loop.situation import Situation
from keepfit.loop.traces import Found, datasets, examples, redacted, specification
from keepfit.store.streams import Stream

if TYPE_CHECKING:
    from keepfit.loop.perform import Hands


def forget(request: Requested, situation: Situation, hands: Hands) -> tuple[Fact, ...]:
    """Replace every Memory and Dataset that holds one of the Records, and name the Versions that learnt from them.

    What replaces what is a fact first; then a Run erases them from the Stream, and at last the old Memories and
    Datasets and what work left on its way are removed. Whatever crashes, nothing is missing, and what was to go goes at
    the next turn. A Version cannot unlearn, and what a Bundle holds stays: both are named, people decide.
    """
    known = hands.ledger.last(Forgotten, request.service, subject=request.id)
    if known is None:
        return _forgotten(request, situation, hands)
    return (_removed(known, situation, hands),)


def _removed(known: Forgotten, situation: Situation, hands: Hands) -> Answered:
    for digest in known.memories:
        hands.trees.remove(digest)
    for digest in known.datasets:
        hands.blobs.remove(digest)
    for key in known.checkpoints:
        shutil.rmtree(hands.places.checkpoint(key), ignore_errors=True)
    for run in known.runs:
        for path in hands.places.run(run).glob("*/"):  # Bundles and Memories as they were made
            shutil.rmtree(path, ignore_errors=True)
    told = "; ".join(_told(known, situation.erased[1] if situation.erased else 0))
    return Answered(service=known.service, time=hands.clock.now(), request=known.request, done=True, reason=told)


def _told(known: Forgotten, left: int) -> Iterator[str]:
    """What was erased where, what remains, and what was influenced."""
    yield f"{known.records} records were erased from the stream with their labels"
    if left:
        yield f"{left} of these rows are in files that are being written, and go a minute after the next record"
    yield f"{known.rows} remembered rows were taken out of {len(known.memories)} memories"
    yield f"{len(known.datasets)} datasets and tables beside them were written anew without them"
    if known.checkpoints:
        yield f"checkpoints and working copies of {len(known.checkpoints)} trainings were removed"
    yield f"{', '.join(f'v{number}' for number in known.versions) or 'no version'} learnt from them"
    if known.remains:
        yield f"what remains: {', '.join(known.remains)}"


def _forgotten(request: Requested, situation: Situation, hands: Hands) -> tuple[Fact, ...]:
    ids, service, now = frozenset(request.records), request.service, hands.clock.now()
    rows, replaced = _memories(situation, ids, hands)
    found = redacted(datasets(service, hands.ledger, hands.blobs), ids, hands.blobs)
    streamed = Stream(hands.places.stream(service)).rows_of(ids)
    versions = tuple(_influenced(service, found, replaced, situation=situation, hands=hands))
    saw = [run for run in _trainings(service, hands) if {*found.replaced, *replaced} & set(run.inputs.values())]
    forgotten = Forgotten(
        service=service,
        time=now,
        request=request.id,
        rows=rows,
        memories=replaced,
        versions=versions,
        datasets=found.replaced,
        checkpoints=tuple(sorted({run.key for run in saw})),
        runs=tuple(run.run for run in saw),
        records=streamed.num_rows,
        remains=tuple(_remains([streamed, *found.rows], versions, situation=situation, hands=hands)),
    )
    return (*_applied(found, situation, hands), forgotten)


def _applied(found: Found, situation: Situation, hands: Hands) -> Iterator[Applied]:
    """The specification in force with the first data that it has now."""
    applied = situation.applied
    assert applied is not None  # noqa: S101  # only applied Services are planned for
    if not hands.blobs.has(applied.specification):
        return
    old = specification(applied.specification, hands.blobs)
    if old.source in found.replaced:
        new = replace(old, source=found.replaced[old.source])
        told = "records were taken out of the first data, which were to be forgotten"
        digest = hands.blobs.put(canonical(new))
        yield replace(applied, time=hands.clock.now(), specification=digest, actor="keepfit", changes=(told,))


def _memories(situation: Situation, ids: frozenset[str], hands: Hands) -> tuple[int, dict[Digest, Digest]]:
    """How many remembered rows were theirs, and by which Memory each that had some is replaced."""
    replaced: dict[Digest, Digest] = {}
    rows = 0
    for digest in sorted({version.memory for version in situation.versions.values() if version.memory}):
        with TemporaryDirectory() as folder:
            left = Path(folder) / "memory"
            gone = without(hands.trees.path(digest), ids, left)
            if gone:
                replaced[digest] = hands.trees.put(left)
                rows += gone
    return rows, replaced


def _influenced(
    service: str, found: Found, replaced: dict[Digest, Digest], *, situation: Situation, hands: Hands
) -> Iterator[int]:
    """The Versions whose Datasets or Memory held one of the Records, and those that went on from such a one."""
    tainted: set[Digest] = set()
    parents = {run.update: run.inputs.get("parent", "") for run in _trainings(service, hands)}
    for number, version in sorted(situation.versions.items()):
        held = version.memory in replaced or not found.replaced.keys().isdisjoint(version.datasets)
        if held or parents.get(version.update) in tainted:
            tainted.add(version.digest)
            yield number


def _trainings(service: str, hands: Hands) -> list[RunStarted]:
    """How the trainings began, each as often as an update used it."""
    began = {row.fact.run: row.fact for row in hands.ledger.facts(service, RunStarted) if row.fact.step == "train"}
    ended = [row.fact for row in hands.ledger.facts(service, RunFinished) if row.fact.step == "train"]
    used = [replace(began[run.run], update=run.update) for run in ended if run.run in began]
    return [*used, *(run for run in began.values() if run.run not in {one.run for one in ended})]


def _remains(rows: list[pa.Table], versions: tuple[int, ...], *, situation: Situation, hands: Hands) -> Iterator[str]:
    """Where something of the Records stays, as a person is told."""
    theirs = [table for table in rows if table.num_rows]
    for number, version in sorted(situation.versions.items()):
        if theirs and hands.trees.has(version.digest):
            for told in examples(hands.trees.path(version.digest), theirs):
                yield f"{told} in the bundle of v{number}"
        if number in versions and version.memory and has_arrays(hands.trees.path(version.memory)):
            yield f"arrays in the memory of v{number}, made of many records together"
    if theirs:
        yield "your own data files"
    yield "the ids in the ledger, by which they are kept out of later updates"
