"""Answers: how one Bundle answers the golden examples of another; in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from keepfit.core import registry
from keepfit.core.errors import Refused, SignatureInvalid
from keepfit.core.nouns import OUTPUT_PREFIX
from keepfit.core.protocols import Runtime
from keepfit.edge.onboard.apart import main
from keepfit.serve.manifest import manifest
from keepfit.serve.wire.tables import from_fields, from_table


def look(model: str, asked: str) -> dict[str, Any]:
    """One sentence per output that both have; Refused where the inputs do not fit."""
    folder = Path(model)
    bundle, other = manifest(folder), manifest(Path(asked))
    golden = pq.read_table(Path(asked) / "golden.parquet")
    try:
        rows = from_table(bundle.signature, golden)
    except SignatureInvalid as error:
        raise Refused(f"do not fit its inputs: {error}") from error
    runtime: Runtime = registry.load("keepfit.runtimes", bundle.runtime)()
    predictor = runtime.load(folder, bundle)
    try:
        answers = predictor.predict(rows)
    finally:
        predictor.close()
    expected = from_fields(other.signature.outputs, golden, OUTPUT_PREFIX)
    return {"sentences": [_sentence(name, answers[name], expected[name]) for name in expected if name in answers]}


def _sentence(name: str, answer: Any, expected: Any) -> str:
    if answer.shape != expected.shape:
        return f"'{name}' has the shape {list(answer.shape)}, was {list(expected.shape)}"
    if expected.dtype.kind == "f" and answer.dtype.kind == "f":
        gaps = np.abs(answer.astype(np.float64) - expected)
        return f"'{name}' differs by at most {np.nanmax(gaps, initial=0.0):.3g} in {len(expected)} examples"
    differ = int(np.sum(np.any((answer != expected).reshape(len(expected), -1), axis=1)))
    return f"'{name}' differs in {differ} of {len(expected)} examples"


if __name__ == "__main__":
    sys.exit(main(look, sys.argv[1:]))
