"""Proof: a Bundle answers what it will be asked, in a process of its own, before anyone accepts it.

The answers to the examples become `golden.parquet` and `reference.parquet`: they are computed by the very Runtime that
will serve.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core import registry
from keepfit.core.errors import KeepfitError, ModelFault, Refused
from keepfit.core.nouns import OUTPUT_PREFIX, Bundle
from keepfit.core.protocols import Predictor, Runtime
from keepfit.edge.onboard.apart import main
from keepfit.edge.onboard.examples import Arrays, edges, plain
from keepfit.serve.manifest import manifest
from keepfit.serve.wire.tables import from_fields, to_batch

GOLDEN = 32
MANY = 257
_FREE = (1, 4, 32, 224)
_ALIKE = 1e-3


def look(directory: str, given: str) -> dict[str, Any]:
    """Write the golden examples of the Bundle in `directory`, from the rows in the file `given` or made up."""
    folder = Path(directory)
    bundle = manifest(folder)
    runtime: Runtime = registry.load("keepfit.runtimes", bundle.runtime)()
    predictor = runtime.load(folder, bundle)
    try:
        return _proved(folder, bundle, predictor, Path(given) if given else None)
    finally:
        predictor.close()


def _proved(folder: Path, bundle: Bundle, predictor: Predictor, given: Path | None) -> dict[str, Any]:
    notes: list[str] = []
    if given is not None:
        rows = from_fields(bundle.signature.inputs, pq.read_table(given))
        answers = _each(bundle, predictor, rows)
    else:
        rows, answers = _made_up(bundle, predictor, notes)
    total = len(next(iter(rows.values())))
    if bundle.signature.batched and not _independent(predictor, rows, answers, notes):
        return {"batched": False, "notes": notes}
    golden = _spread(_sure(bundle, answers, total), GOLDEN)
    _write(folder / "golden.parquet", bundle, rows, answers, golden)
    _write(folder / "reference.parquet", bundle, rows, answers, np.arange(total))
    return {"batched": True, "notes": notes + _tried(bundle, predictor, rows)}


def _answer(predictor: Predictor, rows: Arrays) -> Arrays:
    return predictor.predict(rows)


def _each(bundle: Bundle, predictor: Predictor, rows: Arrays) -> Arrays:
    """The answers to all rows: together where the Signature is batched, else one after another."""
    total = len(next(iter(rows.values())))
    if bundle.signature.batched:
        return _told(predictor, rows, "the examples")
    parts = [_told(predictor, _slice(rows, i, i + 1), f"example {i + 1}") for i in range(total)]
    try:
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    except ValueError as error:
        raise Refused(f"the answers to the examples differ in shape ({error}); give examples of one shape") from error


def _told(predictor: Predictor, rows: Arrays, what: str) -> Arrays:
    try:
        return predictor.predict(rows)
    except ModelFault as error:
        raise Refused(f"the model failed on {what}: {error}", code="fails_examples") from error


def _made_up(bundle: Bundle, predictor: Predictor, notes: list[str]) -> tuple[Arrays, Arrays]:
    """Made-up records the model answers; Refused where it answers none of them."""
    first: KeepfitError | None = None
    free = any(-1 in field.shape for field in bundle.signature.inputs)
    for size in _FREE if free else _FREE[:1]:
        for rounded in (False, True):
            rows = plain(bundle.signature.inputs, free=size, rounded=rounded)
            kept, answered = _answered(bundle, predictor, rows)
            if kept:
                if len(kept) < len(next(iter(rows.values()))):
                    notes.append(
                        f"the model answered {len(kept)} of {len(next(iter(rows.values())))} made-up records; "
                        "it takes not every value of its types: give --sample for examples it does take"
                    )
                return {name: values[kept] for name, values in rows.items()}, answered
            first = first or _first_fault(predictor, rows)
    raise Refused(f"the model failed on every made-up record: {first}; give --sample", code="fails_examples")


def _answered(bundle: Bundle, predictor: Predictor, rows: Arrays) -> tuple[list[int], Arrays]:
    kept, parts = [], []
    for place in range(len(next(iter(rows.values())))):
        try:
            part = predictor.predict(_slice(rows, place, place + 1))
        except KeepfitError:
            continue
        if not parts or all(part[name].shape == parts[0][name].shape for name in part):
            kept.append(place)
            parts.append(part)
    if not parts:
        return [], {}
    return kept, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _first_fault(predictor: Predictor, rows: Arrays) -> KeepfitError:
    try:
        predictor.predict(_slice(rows, 0, 1))
    except KeepfitError as error:
        return error
    raise AssertionError("a model that failed now answers")


def _independent(predictor: Predictor, rows: Arrays, answers: Arrays, notes: list[str]) -> bool:
    """Whether one record, many, and each alone are answered alike; else they must not travel together."""
    total = len(next(iter(rows.values())))
    tiled = {name: np.concatenate([values] * -(-MANY // total))[:MANY] for name, values in rows.items()}
    try:
        many = predictor.predict(tiled)
    except ModelFault as error:
        notes.append(f"many records together fail ({error}), so a request is one record")
        return False
    few = min(total, 8)
    alone = [predictor.predict(_slice(rows, i, i + 1)) for i in range(few)]
    for name, values in answers.items():
        single = np.concatenate([part[name] for part in alone])
        if not (_alike(many[name][:few], values[:few]) and _alike(single, values[:few])):
            notes.append(f"output '{name}' differs when records travel together, so a request is one record")
            return False
    return True


def _alike(one: Any, other: Any) -> bool:
    if one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, rtol=_ALIKE, atol=_ALIKE, equal_nan=True))


def _tried(bundle: Bundle, predictor: Predictor, rows: Arrays) -> list[str]:
    """What of the extremes of its types the model does not answer."""
    notes = []
    for what, record in edges(bundle.signature.inputs, rows):
        try:
            predictor.predict(record)
        except ModelFault as error:
            notes.append(f"{what}: {str(error)[:200]}")
    return notes


def _sure(bundle: Bundle, answers: Arrays, total: int) -> Any:
    """The rows whose label does not hang on a rounding error."""
    places = np.arange(total)
    if bundle.task is not None and "probability" in answers:
        edge = 0.5 if bundle.threshold is None else bundle.threshold
        places = places[np.abs(answers["probability"] - edge) > 1e-3]
    elif bundle.task is not None and "probabilities" in answers:
        ordered = np.sort(answers["probabilities"], axis=1)
        places = places[ordered[:, -1] - ordered[:, -2] > 1e-3]
    return places if len(places) else np.arange(total)


def _spread(places: Any, most: int) -> Any:
    if len(places) <= most:
        return places
    return places[np.unique(np.linspace(0, len(places) - 1, most).round().astype(np.int64))]


def _slice(rows: Arrays, start: int, end: int) -> Arrays:
    return {name: values[start:end] for name, values in rows.items()}


def _write(path: Path, bundle: Bundle, rows: Arrays, answers: Arrays, places: Any) -> None:
    """Inputs and answers, typed by the Signature; the same rows are the same bytes."""
    inputs = to_batch(bundle.signature.inputs, {name: values[places] for name, values in rows.items()})
    outputs = to_batch(bundle.signature.outputs, {name: values[places] for name, values in answers.items()})
    columns = dict(zip(inputs.schema.names, inputs.columns, strict=True))
    columns |= {f"{OUTPUT_PREFIX}{n}": c for n, c in zip(outputs.schema.names, outputs.columns, strict=True)}
    pq.write_table(pa.table(columns), path, compression="zstd")


if __name__ == "__main__":
    sys.exit(main(look, sys.argv[1:]))
