"""Bundles: a fitted estimator as one directory from which it can be served, checked and watched."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keepfit.core.errors import KeepfitError, Refused
from keepfit.core.nouns import OUTPUT_PREFIX, Bundle
from keepfit.core.registry import canonical
from keepfit.core.service import Specification
from keepfit.learn.card import card, lock
from keepfit.learn.convert import Converted, Session, convert
from keepfit.learn.graph import Unconvertible
from keepfit.learn.native import answers
from keepfit.learn.parity import TOLERANCE, parity, tolerance
from keepfit.learn.tables import Arrays, arrays, column, spread

GOLDEN = 32
REFERENCE = 5_000
COMPARED = 2_000
"""Rows, at most, of golden examples, of the reference sample, and of held-out rows for parity."""


@dataclass(frozen=True)
class _Served:
    """The form a model is served in, the answers of that form, and what the manifest says of it."""

    converted: Converted | None
    session: Session | None
    parity: float | None
    note: str
    tolerance: float


def make(
    estimator: Any,
    specification: Specification,
    *,
    train: pa.Table,
    holdout: pa.Table,
    code: Path | None,
    into: Path,
) -> Bundle:
    """Write the Bundle directory `into` of a fitted estimator; the same arguments give the same bytes.

    The model is served as ONNX where the conversion agrees with the estimator on held-out rows, else natively, and
    the manifest's note says why. Refused where the estimator answers nothing usable.
    """
    held = holdout if holdout.num_rows else train
    compared = arrays(held.take(pa.array(spread(held.num_rows, COMPARED))), specification.inputs)
    native = answers(estimator, specification, compared)
    _check_answers(native)
    served = _served(estimator, specification, compared, native)
    into.mkdir(parents=True, exist_ok=True)
    bundle = _bundle(estimator, specification, served)
    if served.converted is not None:
        (into / "model.onnx").write_bytes(served.converted.model)
    (into / "estimator.pickle").write_bytes(_pickled(estimator))
    if code is not None:
        shutil.copytree(code, into / "code", ignore=shutil.ignore_patterns("__pycache__"))
    answer = served.session or (lambda inputs: answers(estimator, specification, inputs))
    _write(into / "golden.parquet", compared, answer(compared), _golden_rows(native))
    sample = arrays(train.take(pa.array(spread(train.num_rows, REFERENCE))), specification.inputs)
    _write(into / "reference.parquet", sample, answer(sample), spread(train.num_rows, REFERENCE).argsort())
    (into / "environment.lock").write_text(lock(), encoding="utf-8")
    made = f"trained on {train.num_rows:,} rows, held against {holdout.num_rows:,} later ones"
    (into / "card.md").write_text(card(bundle, made=(made,)), encoding="utf-8")
    (into / "bundle.json").write_bytes(canonical(bundle))
    return bundle


def _check_answers(native: Arrays) -> None:
    for name, values in native.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise Refused(f"the fitted estimator answers NaN or infinity: {bad} of {values.size} values of '{name}'")


def _served(estimator: Any, specification: Specification, compared: Arrays, native: Arrays) -> _Served:
    allowed = tolerance(specification, native)
    try:
        converted = convert(estimator, specification)
        session = Session(converted, specification)
        found = parity(estimator, session, specification, compared, native)
    except Unconvertible as error:
        return _Served(None, None, None, f"served natively: {error}", allowed)
    except KeepfitError:
        raise
    except Exception as error:  # noqa: BLE001  # a conversion that breaks must not break the update: it is served natively
        note = f"served natively: the conversion raised {type(error).__name__}: {error}"
        return _Served(None, None, None, note, allowed)
    if found.error > allowed:
        note = (
            f"served natively: converted, it differs by {found.error:.3g} from the estimator (allowed: {allowed:.3g})"
        )
        return _Served(None, None, found.error, note, allowed)
    return _Served(converted, session, found.error, found.note, allowed)


def _bundle(estimator: Any, specification: Specification, served: _Served) -> Bundle:
    service = specification.service
    return Bundle(
        service=service.name,
        runtime="onnx" if served.converted else "python",
        task=specification.task,
        signature=specification.signature,
        label=specification.label,
        classes=specification.classes,
        columns=served.converted.columns if served.converted else (),
        tolerance=max(TOLERANCE, served.tolerance),
        parity=served.parity,
        note=served.note,
        environment=specification.environment,
        pickle="" if served.converted else "trained by keepfit",
        recipe=canonical(service.recipe).decode(),
        requirements=specification.requirements,
    )


def _pickled(estimator: Any) -> bytes:
    try:
        return pickle.dumps(estimator, protocol=5)
    except Exception as error:
        raise Refused(
            f"the fitted estimator cannot be pickled: {error}; use functions of a module, no lambdas"
        ) from error


def _golden_rows(native: Arrays) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Evenly spread rows, without those whose label hangs on a rounding error."""
    rows = np.arange(len(native["prediction"]))
    if "probability" in native:
        rows = rows[np.abs(native["probability"] - 0.5) > 1e-3]
    elif "probabilities" in native:
        ordered = np.sort(native["probabilities"], axis=1)
        rows = rows[ordered[:, -1] - ordered[:, -2] > 1e-3]
    rows = rows if len(rows) else np.arange(len(native["prediction"]))
    return rows[spread(len(rows), GOLDEN)]


def _write(path: Path, inputs: Arrays, outputs: Arrays, rows: np.ndarray[Any, np.dtype[np.int64]]) -> None:
    columns = {name: column(values[rows]) for name, values in inputs.items()}
    columns |= {f"{OUTPUT_PREFIX}{name}": column(values[rows]) for name, values in outputs.items()}
    pq.write_table(pa.table(columns), path, compression="zstd")
