"""Loading: a Bundle directory becomes a Predictor, held against its golden examples and its Signature."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from keepfit.core import registry
from keepfit.core.errors import ModelFault, Refused
from keepfit.core.nouns import OUTPUT_PREFIX, Bundle
from keepfit.core.protocols import Predictor, Runtime
from keepfit.core.service import Serving
from keepfit.core.signature import Field
from keepfit.serve.manifest import manifest
from keepfit.serve.remote import Remote
from keepfit.serve.wire.tables import from_fields, from_table

Arrays = dict[str, NDArray[Any]]

_FEW = 16


def load(directory: Path, *, aside: bool = False, serving: Serving = Serving()) -> tuple[Bundle, Predictor]:
    """Load a verified Bundle directory by the Runtime it names; Refused with the reason where it cannot be served.

    A model that is data is loaded here, one that is code in a process of its own (see `Remote`); `aside` has any model
    loaded in a process of its own, which never takes the processor from anything else. Blocks: not for the event loop.
    """
    bundle = manifest(directory)
    runtime: type[Runtime] = registry.load("keepfit.runtimes", bundle.runtime)
    if getattr(runtime, "inline", False) and not aside:
        return bundle, runtime().load(directory, bundle)
    remote = Remote(directory, bundle, serving=serving, aside=aside)
    remote.start()
    return bundle, remote


def golden(directory: Path, bundle: Bundle) -> tuple[Arrays, Arrays]:
    """The golden examples: inputs, and the outputs expected; Refused (`no_golden`) where there are none."""
    path = directory / "golden.parquet"
    try:
        source = pa.BufferReader(path.read_bytes())
        table = pq.ParquetFile(source, pre_buffer=False).read(use_threads=False)  # a sixth of read_table's time
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise Refused(f"the golden examples cannot be read: {error}", code="no_golden") from error
    if not table.num_rows:
        raise Refused(f"{path} holds no golden examples", code="no_golden")
    return from_table(bundle.signature, table), from_fields(bundle.signature.outputs, table, OUTPUT_PREFIX)


def rehearse(directory: Path, bundle: Bundle, predictor: Predictor) -> float:
    """Run the golden examples; the largest error over all outputs, see `deviation`.

    Refused where there are no examples; ModelFault where the model raises or leaves its Signature.
    """
    return deviation(predictor, *golden(directory, bundle))


def deviation(predictor: Predictor, inputs: Arrays, expected: Arrays) -> float:
    """How far the answers are from those expected, at most.

    Numbers differ by |answer - expected| / max(1, |expected|); anything else that is not equal counts as 1.
    """
    answers = predictor.predict(inputs)
    return max(_error(answers[name], values) for name, values in expected.items())


def _error(answer: NDArray[Any], expected: NDArray[Any]) -> float:
    if expected.dtype.kind != "f":
        return float(np.any(answer != expected))
    both = np.isnan(answer) & np.isnan(expected)
    error = np.abs(answer.astype(np.float64) - expected) / np.maximum(1.0, np.abs(expected))
    return float(np.max(np.where(both, 0.0, np.where(np.isnan(error), np.inf, error))))


def check_output(field: Field, answer: NDArray[Any], rows: int) -> None:
    """ModelFault where an output is not `rows` values of its Field, or a number is missing that must not be."""
    shape = answer.shape
    if (shape[:1] != (rows,) or shape[1:] != field.shape) and not _free(field, answer, rows):
        raise ModelFault(
            f"output '{field.name}': expected shape {[rows, *field.shape]}, the model answered {list(answer.shape)}"
        )
    if answer.dtype.kind != "f":
        return
    flat = answer.reshape(-1)
    # One pass, no temporary: finite only where every value is. To fetch a library's code costs more than a few values.
    total = sum(flat.tolist()) if flat.size <= _FEW else np.dot(flat, flat)
    if math.isfinite(total) or field.nullable:
        return
    if not np.isfinite(flat).all():
        raise ModelFault(f"output '{field.name}': the model answered NaN or infinity")


def _free(field: Field, answer: NDArray[Any], rows: int) -> bool:
    return len(answer.shape) == len(field.shape) + 1 and all(
        expected in (-1, found) for expected, found in zip((rows, *field.shape), answer.shape, strict=True)
    )
