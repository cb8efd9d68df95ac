"""Schema: expectations on values; inferred from a Profile, kept as a file people edit, changed only on purpose."""

from keepfit.data.schema.changes import Change, accept, diff
from keepfit.data.schema.expectations import (
    SERVING,
    TRAINING,
    UNCHECKED,
    Apart,
    Between,
    Expectation,
    Images,
    Schema,
    Sparse,
    Stage,
    TimeOrder,
    Token,
    Tokens,
    Truths,
    WeightedBy,
)
from keepfit.data.schema.files import from_yaml, plain_schema, read_schema, to_yaml, write_schema
from keepfit.data.schema.inferring import infer

__all__ = [
    "SERVING",
    "TRAINING",
    "UNCHECKED",
    "Apart",
    "Between",
    "Change",
    "Expectation",
    "Images",
    "Schema",
    "Sparse",
    "Stage",
    "TimeOrder",
    "Token",
    "Tokens",
    "Truths",
    "WeightedBy",
    "accept",
    "diff",
    "from_yaml",
    "infer",
    "plain_schema",
    "read_schema",
    "to_yaml",
    "write_schema",
]
