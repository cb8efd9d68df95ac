"""Forgetting: Records are taken out of every Memory that an update would go on with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.facts import Answered, Fact, Forgotten, Requested, RunFinished, RunStarted
from keepfit.core.nouns import RECORD_ID, Digest
from keepfit.learn.memory import without
from keepfit.loop.situation import Situation

if TYPE_CHECKING:
    from keepfit.loop.perform import Hands


def forget(request: Requested, situation: Situation, hands: Hands) -> tuple[Fact, ...]:
    """Replace every Memory that holds one of the Records, and name the Versions that learnt from them.

    What replaces what is a fact before the old Memories are removed from the store, at the next turn: so a crash leaves
    neither a Memory that is missing nor one that was to be gone. A Version cannot unlearn: it is named, people decide.
    """
    known = hands.ledger.last(Forgotten, request.service, subject=request.id)
    return (_forgotten(request, situation, hands) if known is None else _removed(known, hands),)


def _removed(known: Forgotten, hands: Hands) -> Answered:
    for digest in known.memories:
        hands.trees.remove(digest)
    named = ", ".join(f"v{number}" for number in known.versions) or "no version"
    told = f"{known.rows} remembered rows were taken out of {len(known.memories)} memories; {named} learnt from them"
    return Answered(service=known.service, time=hands.clock.now(), request=known.request, done=True, reason=told)


def _forgotten(request: Requested, situation: Situation, hands: Hands) -> Forgotten:
    ids = frozenset(request.records)
    replaced: dict[Digest, Digest] = {}
    rows = 0
    for digest in sorted({version.memory for version in situation.versions.values() if version.memory}):
        with TemporaryDirectory() as folder:
            left = Path(folder) / "memory"
            gone = without(hands.trees.path(digest), ids, left)
            if gone:
                replaced[digest] = hands.trees.put(left)
                rows += gone
    versions = tuple(_influenced(request.service, ids, replaced, situation=situation, hands=hands))
    return Forgotten(
        service=request.service,
        time=hands.clock.now(),
        request=request.id,
        rows=rows,
        memories=replaced,
        versions=versions,
    )


def _influenced(
    service: str, ids: frozenset[str], replaced: dict[Digest, Digest], *, situation: Situation, hands: Hands
) -> Iterator[int]:
    """The Versions whose Datasets or Memory held one of the Records, and those that went on from such a one."""
    tainted: set[Digest] = set()
    parents = _parents(service, hands)
    for number, version in sorted(situation.versions.items()):
        held = version.memory in replaced or any(_holds(digest, ids, hands) for digest in version.datasets)
        if held or parents.get(version.update) in tainted:
            tainted.add(version.digest)
            yield number


def _holds(dataset: Digest, ids: frozenset[str], hands: Hands) -> bool:
    table = pq.read_table(hands.blobs.path(dataset), columns=[RECORD_ID])
    return not ids.isdisjoint(table[RECORD_ID].cast(pa.string()).to_pylist())


def _parents(name: str, hands: Hands) -> dict[str, Digest]:
    """The Bundle that the training of each update went on from, where it did."""
    inputs = {row.fact.run: row.fact.inputs for row in hands.ledger.facts(name, RunStarted)}
    trained = [row.fact for row in hands.ledger.facts(name, RunFinished) if row.fact.step == "train"]
    return {run.update: inputs.get(run.run, {}).get("parent", "") for run in trained}
