"""Conversion: a scikit-learn object as ONNX, where it answers the sample's rows alike; in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from keepfit.core.errors import KeepfitError
from keepfit.core.nouns import Task
from keepfit.core.service import Service, Specification
from keepfit.core.signature import DType, Field
from keepfit.edge.onboard.apart import main
from keepfit.edge.onboard.estimators import _skops, _unpickled
from keepfit.learn.convert import Session, convert
from keepfit.learn.native import answers
from keepfit.learn.parity import parity, tolerance
from keepfit.learn.tables import arrays
from keepfit.serve.manifest import manifest

COMPARED = 2_000


def look(directory: str, given: str, scratch: str) -> dict[str, Any]:
    """Convert the estimator of the Bundle in `directory` and measure it on the rows in the file `given`."""
    folder = Path(directory)
    specification = _specification(folder)
    skops = folder / "model.skops"
    estimator = _skops(skops) if skops.exists() else _unpickled(folder / "estimator.pickle", Path(scratch))
    rows = arrays(pq.read_table(given).slice(0, COMPARED), specification.inputs)
    native = answers(estimator, specification, rows)
    allowed = tolerance(specification, native)
    try:
        converted = convert(estimator, specification)
        session = Session(converted, specification)
        found = parity(estimator, session, specification, rows, native)
    except KeepfitError as error:
        return {"note": f"served natively: {error}"}
    if not found.error <= allowed:
        told = f"converted to ONNX it differs by {found.error:.3g}, allowed are {allowed:.3g}"
        return {"note": f"served natively: {told}", "parity": found.error}
    (Path(scratch) / "model.onnx").write_bytes(converted.model)
    return {
        "columns": converted.columns,
        "parity": found.error,
        "tolerance": max(allowed, 1e-4),
        "note": found.note,
    }


def _specification(folder: Path) -> Specification:
    """What learning would know of the Service, from the manifest."""
    bundle = manifest(folder)
    return Specification(
        service=Service(name=bundle.service, label="label"),
        code="",
        module="",
        source="",
        source_rows=0,
        task=bundle.task or Task.REGRESSION,
        classes=bundle.classes,
        inputs=bundle.signature.inputs,
        outputs=bundle.signature.outputs,
        label=bundle.label or Field("label", DType.FP64),
    )


if __name__ == "__main__":
    sys.exit(main(look, sys.argv[1:]))
