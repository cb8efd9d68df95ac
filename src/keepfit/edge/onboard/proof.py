"""Proof: a Bundle answers what it will be asked, in a process of its own, before anyone accepts it.

The answers to the examples become `golden.parquet` and `reference.parquet`: they are computed by the very Runtime that
will serve.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core import registry
from keepfit.core.errors import KeepfitError, ModelFault, Refused
from keepfit.core.nouns import OUTPUT_PREFIX, Bundle
from keepfit.core.protocols import Predictor, Runtime
from keepfit.core.signature import DType, Field
from keepfit.edge.onboard.apart import main
from keepfit.edge.onboard.examples import Arrays, edges, plain
from keepfit.serve.manifest import manifest
from keepfit.serve.wire.tables import from_fields, to_batch

GOLDEN = 32
MANY = 257
_FREE = (1, 4, 32, 224)
_ALIKE = 1e-3
_LARGE = 20_000
"""Numbers in a record from which fewer records are made up."""

_FLOATS = frozenset({DType.FP16, DType.FP32, DType.FP64})


def look(directory: str, given: str) -> dict[str, Any]:
    """Write the golden examples of the Bundle in `directory`, from the rows in the file `given` or made up.

    The answer says whether records may travel together, and the outputs as the model really answers them.
    """
    folder = Path(directory)
    bundle = manifest(folder)
    runtime: Runtime = registry.load("keepfit.runtimes", bundle.runtime)()
    predictor = runtime.load(folder, _relaxed(bundle))
    try:
        return _proved(folder, bundle, predictor, Path(given) if given else None)
    finally:
        predictor.close()


def _relaxed(bundle: Bundle) -> Bundle:
    """The same, but any shape and NaN may be answered, where no task says otherwise: what comes is looked at here."""
    if bundle.task is not None:
        return bundle
    outputs = tuple(
        replace(field, nullable=field.nullable or field.dtype in _FLOATS, shape=(-1,) * len(field.shape))
        for field in bundle.signature.outputs
    )
    return replace(bundle, signature=replace(bundle.signature, outputs=outputs))


def _proved(folder: Path, bundle: Bundle, predictor: Predictor, given: Path | None) -> dict[str, Any]:
    notes: list[str] = []
    if given is not None:
        rows = from_fields(bundle.signature.inputs, pq.read_table(given))
        answers = _each(bundle, predictor, rows)
    else:
        rows, answers = _made_up(bundle, predictor, notes)
    if bundle.signature.batched and not _independent(predictor, rows, answers, notes):
        return {"batched": False, "notes": notes}
    tried = _tried(bundle, predictor, rows)
    outputs = tuple(_observed(field, answers, tried) for field in bundle.signature.outputs)
    proved = replace(bundle, signature=replace(bundle.signature, outputs=outputs))
    total = len(next(iter(rows.values())))
    golden = _spread(_sure(bundle, answers, total), GOLDEN)
    _write(folder / "golden.parquet", proved, rows, answers, golden)
    _write(folder / "reference.parquet", proved, rows, answers, np.arange(total))
    told = [f"output '{f.name}' may be NaN or infinite" for f in outputs if f.nullable and f.dtype in _FLOATS]
    return {
        "batched": True,
        "outputs": registry.to_plain(outputs),
        "notes": notes + told + _unanswered(outputs, tried),
    }


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
    faults: list[str] = []
    fields = bundle.signature.inputs
    free = any(-1 in field.shape for field in fields)
    for size in _FREE if free else _FREE[:1]:
        for rounded in (False, True):
            rows = plain(fields, free=size, rounded=rounded, rows=GOLDEN if _elements(fields, size) < _LARGE else 4)
            kept, answered = _answered(predictor, rows, faults)
            total = len(next(iter(rows.values())))
            if kept and len(kept) < total:
                notes.append(
                    f"the model answered {len(kept)} of {total} made-up records alike, so it does not take every value "
                    f"of its types ({faults[0] if faults else 'its answers differ in shape'}); --sample gives examples "
                    "that it does take"
                )
            if kept:
                return {name: values[kept] for name, values in rows.items()}, answered
    raise Refused(f"the model failed on every made-up record: {faults[0]}; give --sample", code="fails_examples")


def _elements(fields: Sequence[Field], free: int) -> int:
    """Numbers in one record."""
    return sum(prod(free if size < 0 else size for size in field.shape) for field in fields)


def _answered(predictor: Predictor, rows: Arrays, faults: list[str]) -> tuple[list[int], Arrays]:
    kept: list[int] = []
    parts: list[Arrays] = []
    for place in range(len(next(iter(rows.values())))):
        try:
            part = predictor.predict(_slice(rows, place, place + 1))
        except KeepfitError as error:
            faults.append(str(error)[:300])
            continue
        if not parts or all(part[name].shape == parts[0][name].shape for name in part):
            kept.append(place)
            parts.append(part)
    if not parts:
        return [], {}
    return kept, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _independent(predictor: Predictor, rows: Arrays, answers: Arrays, notes: list[str]) -> bool:
    """Whether one record, many, and each alone are answered alike; else they must not travel together."""
    total = len(next(iter(rows.values())))
    size = max(1, sum(values.size for values in (*rows.values(), *answers.values())) // total)
    wanted = max(2, min(MANY, _LARGE * 50 // size))
    tiled = {name: np.concatenate([values] * -(-wanted // total))[:wanted] for name, values in rows.items()}
    try:
        many = predictor.predict(tiled)
    except ModelFault as error:
        notes.append(f"many records together fail ({error}), so a request is one record")
        return False
    few = min(total, wanted, 8)
    alone = [predictor.predict(_slice(rows, i, i + 1)) for i in range(few)]
    for name, values in answers.items():
        single = np.concatenate([part[name] for part in alone])
        if not (_alike(many[name][:few], values[:few]) and _alike(single, values[:few])):
            notes.append(f"output '{name}' differs when records travel together, so a request is one record")
            return False
    return True


def _alike(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype.kind != "f":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, rtol=_ALIKE, atol=_ALIKE, equal_nan=True))


Tried = list[tuple[str, Arrays | str]]
"""What was tried, with the answer, or with what the model said instead."""


def _tried(bundle: Bundle, predictor: Predictor, rows: Arrays) -> Tried:
    """The model's answers to the extremes of its types."""
    made: Tried = []
    for what, record in edges(bundle.signature.inputs, rows):
        try:
            made.append((what, predictor.predict(record)))
        except ModelFault as error:
            made.append((what, str(error)[:200]))
    return made


def _observed(field: Field, answers: Arrays, tried: Tried) -> Field:
    """An output as it is: dimensions that vary are free, and numbers may be missing where the examples' are."""
    values = answers[field.name]
    shapes = [values.shape[1:], *(found[field.name].shape[1:] for _, found in tried if isinstance(found, dict))]
    shape = tuple(size if all(seen[place] == size for seen in shapes) else -1 for place, size in enumerate(field.shape))
    odd = field.dtype in _FLOATS and not np.isfinite(values).all()
    return replace(field, shape=shape, nullable=field.nullable or odd)


def _unanswered(outputs: Sequence[Field], tried: Tried) -> list[str]:
    """What of the extremes of its types the model does not answer; such a request gets an error, and no other does."""
    told: dict[str, list[str]] = {}
    for what, found in tried:
        if isinstance(found, dict):
            odd = [f.name for f in outputs if f.dtype in _FLOATS and not f.nullable]
            names = [name for name in odd if not np.isfinite(found[name]).all()]
            sentence = f"{', '.join(names)} would be NaN or infinite, so the request is refused" if names else ""
        else:
            sentence = found
        if sentence:
            told.setdefault(sentence, []).append(what)
    return [f"{' and '.join(whats)}: {sentence}" for sentence, whats in told.items()]


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
