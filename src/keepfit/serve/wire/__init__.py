"""Wires: Open Inference Protocol, plain rows, labels and Arrow tables to and from the arrays a Predictor takes."""

from keepfit.serve.wire.inference import Call, Inference
from keepfit.serve.wire.labels import Labels
from keepfit.serve.wire.rows import Rows
from keepfit.serve.wire.tables import arrow_type, from_batch, from_table, numpy_type, to_batch, to_columns

__all__ = [
    "Call",
    "Inference",
    "Labels",
    "Rows",
    "arrow_type",
    "from_batch",
    "from_table",
    "numpy_type",
    "to_batch",
    "to_columns",
]
