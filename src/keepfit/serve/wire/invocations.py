"""MLflow's scoring protocol: a data frame or tensors in, `{"predictions": …}` out, for one Signature.

Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/#json-input. As there, columns that the model
does not know are left aside.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.elements import (
    arrays_of,
    elements_type,
    enough,
    misfit,
    oneofs,
    parsed,
    plain,
    refuse_duplicates,
    settle,
    wrong_value,
)

_FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
_encode = msgspec.json.Encoder().encode
Columns = dict[str, list[Any]]


class Invocations:
    """Decodes invocations to and encodes predictions of one Signature."""

    def __init__(self, signature: Signature) -> None:
        self._fields = signature.inputs
        self._outputs = signature.outputs
        self._batched = signature.batched
        self._groups = oneofs(signature.inputs)
        names = [field.name for field in signature.outputs]
        self._only = names[0] if len(names) == 1 else "prediction" if "prediction" in names else ""

    def decode(self, body: bytes) -> tuple[int, dict[str, NDArray[Any]]]:
        """Rows and arrays of a JSON body; SignatureInvalid with its machine code where it does not fit."""
        said = parsed(body)
        if not isinstance(said, dict):
            raise _unfit(f"expected an object with one of {', '.join(_FORMS)}, found {type(said).__name__}")
        refuse_duplicates(body)
        forms = [form for form in _FORMS if form in said]
        if len(forms) != 1:
            raise _unfit(f"expected exactly one of {', '.join(_FORMS)}, found {', '.join(forms) or 'none'}")
        if said.get("params"):
            raise SignatureInvalid("'params' are not offered here; leave them out", code="unsupported_parameter")
        return self._arrays(self._columns(forms[0], said[forms[0]]))

    def decode_csv(self, body: bytes) -> tuple[int, dict[str, NDArray[Any]]]:
        """Rows and arrays of comma-separated values with a header; an empty cell is a missing value."""
        try:
            lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True))
        except UnicodeDecodeError as error:
            raise SignatureInvalid(f"the body is not UTF-8: {error.reason}", code="not_utf8") from error
        except csv.Error as error:
            raise SignatureInvalid(f"the body is no CSV: {error}", code="invalid_csv") from error
        if not lines:
            raise SignatureInvalid("the request has no rows; send a header and at least one", code="empty_batch")
        columns = _split(lines[0], [line for line in lines[1:] if line])
        return self._arrays({field.name: _typed(field, columns) for field in self._fields if field.name in columns})

    def encode(self, outputs: Mapping[str, NDArray[Any]]) -> bytes:
        """The predictions: those of `prediction`, or of the only output, one after another; else one object a row."""
        if self._only:
            field = next(field for field in self._outputs if field.name == self._only)
            return _encode({"predictions": plain(field, outputs[self._only])})
        columns = [plain(field, outputs[field.name]) for field in self._outputs]
        names = [field.name for field in self._outputs]
        return _encode({"predictions": [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]})

    def _columns(self, form: str, data: Any) -> Columns:
        if form == "dataframe_split":
            if not isinstance(data, dict) or not isinstance(data.get("data"), list):
                raise _unfit("dataframe_split: expected an object with 'columns' and 'data'")
            return _split(data.get("columns", [field.name for field in self._fields]), data["data"])
        if isinstance(data, list) and (form == "dataframe_records" or (data and isinstance(data[0], dict))):
            return _records(data)
        if form == "inputs" and isinstance(data, dict):
            if not all(isinstance(values, list) for values in data.values()):
                raise _unfit("inputs: expected a list of values for each name")
            return data
        if not isinstance(data, list):
            raise _unfit(f"{form}: expected a list, found {type(data).__name__}")
        if len(self._fields) != 1:
            raise _unfit(f"{form}: a plain list is for models of one input, this one has {len(self._fields)}")
        return {self._fields[0].name: data}

    def _arrays(self, columns: Columns) -> tuple[int, dict[str, NDArray[Any]]]:
        inputs: dict[str, NDArray[Any]] = {}
        rows = len(next((columns[field.name] for field in self._fields if field.name in columns), ()))
        for field in self._fields:
            if field.name not in columns and not field.oneof:
                told = ", ".join(map(str, columns)) or "nothing"
                raise SignatureInvalid(f"input '{field.name}' is missing; sent: {told:.200}", code="missing_input")
            if field.name in columns:
                if len(columns[field.name]) != rows:
                    raise _misshapen(field, f"{len(columns[field.name])} rows, others have {rows}")
                enough(rows)
                inputs[field.name] = _array(field, columns[field.name])
        enough(rows)
        settle(self._groups, inputs, rows)
        if not self._batched and rows > 1:
            raise SignatureInvalid(f"this model takes one row a request, found {rows}", code="one_record")
        return rows, inputs


def _split(names: Any, lines: list[Any]) -> Columns:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _unfit("columns: expected a list of names")
    if len(set(names)) < len(names):
        raise SignatureInvalid("a column is there twice", code="duplicate_input")
    wrong = next((n for n, line in enumerate(lines) if not isinstance(line, list) or len(line) != len(names)), None)
    if wrong is not None:
        raise SignatureInvalid(f"row {wrong}: expected a list of {len(names)} values", code="wrong_shape")
    return dict(zip(names, map(list, zip(*lines, strict=True)), strict=True)) if lines else {name: [] for name in names}


def _records(rows: list[Any]) -> Columns:
    wrong = next((number for number, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        raise SignatureInvalid(f"row {wrong}: expected an object", code="wrong_type")
    names = dict.fromkeys(rows[0]) if rows else {}
    lost = next(
        (f"row {n}: input '{name:.60}'" for n, row in enumerate(rows) for name in names if name not in row), None
    )
    if lost is not None:
        raise SignatureInvalid(f"{lost} is missing; send null where a value is missing", code="missing_input")
    return {name: [row[name] for row in rows] for name in names}


def _typed(field: Field, columns: Columns) -> list[Any]:
    """The values of a column of texts."""
    cells = [None if cell == "" else cell for cell in columns[field.name]]
    if field.dtype is DType.BYTES:
        return cells
    try:
        found: list[Any] = msgspec.convert(cells, elements_type(field), strict=False)
    except msgspec.ValidationError:
        return cells  # whose type is told below
    if field.dtype.startswith("FP"):  # here "nan" and "inf" were read as numbers
        return [None if value != value else cell if value in (math.inf, -math.inf) else value
                for cell, value in zip(cells, found, strict=True)]  # fmt: skip
    return found


def _array(field: Field, values: list[Any]) -> NDArray[Any]:
    """The array of a column: values, or nested lists of the Field's shape."""
    shape = [len(values)]
    for size in field.shape:
        lengths = {len(value) if isinstance(value, list) else -1 for value in values}
        if len(lengths) != 1 or min(lengths) < 1 or (size >= 0 and lengths != {size}):
            raise _misshapen(field, "lists of other lengths" if -1 not in lengths else "values that are no lists")
        values = [element for value in values for element in value]
        shape.append(lengths.pop())
    wrong, found = misfit(field, values)
    if wrong:
        raise wrong_value(field.name, field, found)
    return np.asarray(arrays_of(field)(values)).reshape(shape)


def _misshapen(field: Field, found: str) -> SignatureInvalid:
    expected = ["n", *("any" if size < 0 else str(size) for size in field.shape)]
    return SignatureInvalid(
        f"input '{field.name}': expected shape [{', '.join(expected)}], found {found}", code="wrong_shape"
    )


def _unfit(sentence: str) -> SignatureInvalid:
    return SignatureInvalid(sentence, code="invalid_request")
