"""Traces: where Records are found besides the Stream, and what is there when they are taken out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepfit.core.facts import Applied, Forgotten, RunFinished, RunStarted, UpdateOpened, VersionRegistered
from keepfit.core.nouns import OUTPUT_PREFIX, RECORD_ID, Digest
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification
from keepfit.loop.workplace import stored
from keepfit.store.blobs import Blobs
from keepfit.store.ledger import Ledger


@dataclass
class Found:
    """What a search found: by which Dataset each that held one of them is `replaced`, and their `rows`."""

    replaced: dict[Digest, Digest] = field(default_factory=dict)
    rows: list[pa.Table] = field(default_factory=list)


def datasets(service: str, ledger: Ledger, blobs: Blobs) -> dict[Digest, set[Digest]]:
    """Every Dataset of a Service, each with the tables that have a row for each of its rows and no ids."""
    found: dict[Digest, set[Digest]] = {}
    for applied in ledger.facts(service, Applied):
        if blobs.has(applied.fact.specification):
            found.setdefault(specification(applied.fact.specification, blobs).source, set())
    for opened in ledger.facts(service, UpdateOpened):
        if opened.fact.dataset:
            found.setdefault(opened.fact.dataset, set())
    for made in ledger.facts(service, VersionRegistered):
        for digest in made.fact.datasets:
            found.setdefault(digest, set())
    inputs = {row.fact.run: row.fact.inputs for row in ledger.facts(service, RunStarted)}
    for row in ledger.facts(service, RunFinished):
        run = row.fact
        if run.step == "freeze":
            for digest in run.outputs.values():
                found.setdefault(digest, set())
        elif run.step == "evaluate" and "holdout" in inputs.get(run.run, {}):
            found.setdefault(inputs[run.run]["holdout"], set()).add(run.outputs["losses"])
    for before in ledger.facts(service, Forgotten):
        for old, new in before.fact.datasets.items():
            beside = {before.fact.datasets.get(one, one) for one in found.get(old, ())}
            found.setdefault(new, set()).update(beside)
    return found


def specification(digest: Digest, blobs: Blobs) -> Specification:
    """The Specification of that digest."""
    return from_plain(Specification, msgspec.json.decode(blobs.get(digest)))


def redacted(known: Mapping[Digest, set[Digest]], ids: frozenset[str], blobs: Blobs) -> Found:
    """Store every Dataset that holds one of these Records anew without them; the old ones are still there."""
    found, theirs = Found(), pa.array(sorted(ids), pa.string())
    for digest in sorted(known):
        if not blobs.has(digest):
            continue
        held = pq.read_table(blobs.path(digest), columns=[RECORD_ID])
        mask = pc.is_in(held[RECORD_ID].cast(pa.string()), value_set=theirs)
        if not pc.any(mask).as_py():
            continue
        found.rows.append(pq.read_table(blobs.path(digest)).filter(mask))
        for one in (digest, *sorted(known[digest])):
            if blobs.has(one) and (table := pq.read_table(blobs.path(one))).num_rows == held.num_rows:
                found.replaced[one] = stored(table.filter(pc.invert(mask)), blobs)
    return found


def examples(bundle: Path, theirs: Sequence[pa.Table]) -> Iterator[str]:
    """How many rows of a Bundle's examples have the very inputs of one of these Records; they do not say whose."""
    for name, what in (("golden", "golden example(s)"), ("reference", "row(s) of the drift reference")):
        path = bundle / f"{name}.parquet"
        if not path.exists():
            continue
        table = pq.read_table(path)
        table = table.select([one for one in table.column_names if not one.startswith(OUTPUT_PREFIX)])
        wanted = {row for rows in theirs for row in _told(rows, table.schema)}
        count = sum(row in wanted for row in _told(table, table.schema))
        if count:
            yield f"{count} {what}"


def _told(rows: pa.Table, schema: pa.Schema) -> Iterator[tuple[Any, ...]]:
    """The rows' values in the types of a schema; nothing where they have not all of its columns."""
    if not set(schema.names) <= set(rows.column_names):
        return
    try:
        columns = [rows[field.name].cast(field.type, safe=False).to_pylist() for field in schema]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return  # other inputs of the same names
    yield from zip(*([_plain(value) for value in column] for column in columns), strict=True)


def _plain(value: Any) -> Any:
    """A value that equals itself: what is missing is None, however it was written."""
    if isinstance(value, list):
        return tuple(map(_plain, value))
    return None if value is None or value == "" or value != value else value
