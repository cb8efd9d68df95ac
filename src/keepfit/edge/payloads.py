"""Payloads: requests and answers as other servers write them, read as the inputs and outputs of a Service.

The Open Inference Protocol, KServe's V1 (`instances`, `predictions`), Seldon's (`data` with `ndarray` or `tensor`) and
MLflow's (`dataframe_split`, `dataframe_records`) are understood. Inputs without names are taken in the Signature's
order. What other servers call their outputs is theirs: by the Service's task, a value that is one of its classes is
the prediction, and as many numbers as there are classes are their probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import msgspec
from numpy.typing import NDArray

from keepfit.core.errors import SignatureInvalid
from keepfit.core.nouns import Task
from keepfit.core.service import Specification
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire import Rows

Arrays = dict[str, NDArray[Any]]
_ALIASES = {
    "predict": "prediction",
    "predictions": "prediction",
    "predict_proba": "probabilities",
    "probability": "probabilities",
}


@dataclass(frozen=True)
class Said:
    """One side of an exchange: the id and the version it names ("" and 0 for none), its rows and arrays by name."""

    id: str
    version: int
    rows: int
    arrays: Arrays


@dataclass(frozen=True)
class Contract:
    """What a Service takes and gives, by the Specification in force."""

    specification: Specification

    @cached_property
    def signature(self) -> Signature:
        """Inputs and outputs."""
        return self.specification.signature

    @cached_property
    def _rows(self) -> Rows:
        return Rows(Signature(self.signature.inputs, ()))

    def request(self, payload: Any) -> Said:
        """A request's inputs, but for those it says are masked; SignatureInvalid where they are not this Service's."""
        fields, hidden = self.signature.inputs, _masked(payload)
        if hidden:
            fields = tuple(field for field in fields if field.name not in hidden)
        rows = [_named(row, fields, "input") for row in _records(payload, self.signature, "inputs")]
        reader = Rows(Signature(fields, ())) if hidden else self._rows
        batch = reader.decode(msgspec.json.encode(rows))
        return Said(_id(payload), 0, batch.rows, batch.inputs)

    def response(self, payload: Any) -> Said:
        """An answer's outputs, as many of the Service's as it tells; SignatureInvalid where it tells none."""
        rows = [self._outputs(row) for row in _records(payload, self.signature, "outputs")]
        told = [field for field in self.signature.outputs if all(field.name in row for row in rows)]
        if not told:
            raise SignatureInvalid(
                f"the answer tells none of the outputs: {', '.join(field.name for field in self.signature.outputs)}",
                code="missing_output",
            )
        kept = [{field.name: row[field.name] for field in told} for row in rows]
        batch = Rows(Signature(tuple(told), ())).decode(msgspec.json.encode(kept))
        version = payload.get("model_version") if isinstance(payload, dict) else None
        number = int(version) if isinstance(version, str | int) and str(version).isdecimal() else 0
        return Said(_id(payload), min(number, 2**31 - 1), batch.rows, batch.inputs)

    def _outputs(self, row: Any) -> dict[str, Any]:
        """The outputs one record's answer tells."""
        fields = {field.name: field for field in self.signature.outputs}
        if self.specification.task is None or not isinstance(row, dict):
            return self._meant(row) if self.specification.task else _named(row, self.signature.outputs, "output")
        found = {name: value for name, value in row.items() if name in fields}
        for name, value in row.items():
            if name not in fields and (name in _ALIASES or len(row) == 1):
                found = {**self._meant(value), **found}
        return found

    def _meant(self, value: Any) -> dict[str, Any]:
        """What an answer without a name of ours means, by the task."""
        while isinstance(value, list) and len(value) == 1:
            value = value[0]
        classes = self.specification.classes
        if self.specification.task is Task.REGRESSION:
            return {"prediction": value}
        if isinstance(value, list):
            return self._of_probabilities(value)
        if value in classes:
            return {"prediction": classes[classes.index(value)]}
        if self.specification.task is Task.BINARY and isinstance(value, float) and 0.0 <= value <= 1.0:
            return self._of_probabilities([1.0 - value, value])
        raise SignatureInvalid(f"the answer {value!r:.60} is none of the classes {list(classes)}", code="wrong_output")

    def _of_probabilities(self, values: list[Any]) -> dict[str, Any]:
        classes = self.specification.classes
        if len(values) != len(classes) or not all(isinstance(value, int | float) for value in values):
            raise SignatureInvalid(
                f"expected a probability for each of the {len(classes)} classes, found {len(values)} values",
                code="wrong_output",
            )
        likeliest = classes[max(range(len(values)), key=lambda place: values[place])]
        if self.specification.task is Task.BINARY:
            return {"prediction": likeliest, "probability": values[1]}
        return {"prediction": likeliest, "probabilities": values}


def _id(payload: Any) -> str:
    found = payload.get("id") if isinstance(payload, dict) else None
    return found if isinstance(found, str) else ""


def _masked(payload: Any) -> frozenset[str]:
    """The fields another keepfit left out of what it tells."""
    parameters = payload.get("parameters") if isinstance(payload, dict) else None
    names = parameters.get("masked") if isinstance(parameters, dict) else None
    return frozenset(names.split(",")) if isinstance(names, str) else frozenset()


def _records(payload: Any, signature: Signature, side: str) -> list[Any]:
    """One entry a record: values by name, or without names."""
    if isinstance(payload, dict):
        for keys, read in _FORMS[side].items():
            if keys in payload:
                rows = read(payload[keys], signature)
                if not isinstance(rows, list) or not rows:
                    raise SignatureInvalid(f"'{keys}': expected at least one record in a list", code="empty_batch")
                return rows
    known = ", ".join(f"'{keys}'" for keys in _FORMS[side])
    raise SignatureInvalid(f"expected an object with one of {known}", code="invalid_request")


def _tensors(tensors: Any, signature: Signature) -> list[Any]:
    """The Open Inference Protocol's tensors."""
    columns: dict[str, list[Any]] = {}
    for tensor in tensors if isinstance(tensors, list) else []:
        if not isinstance(tensor, dict) or not isinstance(tensor.get("name"), str):
            raise SignatureInvalid("a tensor is an object with a name, a shape and data", code="invalid_request")
        columns[tensor["name"]] = _column(tensor, signature.batched)
    counts = {len(column) for column in columns.values()}
    if len(counts) != 1:
        raise SignatureInvalid(f"tensors have different numbers of records: {sorted(counts)}", code="wrong_shape")
    if len(columns) == 1 and not _known(columns, signature):
        return list(*columns.values())
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _known(columns: Mapping[str, object], signature: Signature) -> bool:
    names = {field.name for field in (*signature.inputs, *signature.outputs)}
    return bool(names & columns.keys()) or bool(_ALIASES.keys() & columns.keys())


def _column(tensor: Mapping[str, Any], batched: bool) -> list[Any]:
    name, shape, data = tensor["name"], tensor.get("shape"), tensor.get("data")
    if not isinstance(data, list):
        raise SignatureInvalid(f"tensor '{name}' has no data in JSON; have the logger write JSON", code="no_data")
    if not isinstance(shape, list) or not all(isinstance(size, int) and size >= 0 for size in shape):
        raise SignatureInvalid(f"tensor '{name}': expected a shape of whole numbers", code="wrong_shape")
    flat = _flat(data)
    if prod(shape) != len(flat):
        raise SignatureInvalid(f"tensor '{name}': {len(flat)} values for shape {shape}", code="wrong_shape")
    sizes = shape if batched else [1, *shape]
    if len(sizes) < 2:
        return flat
    width = prod(sizes[1:])
    return [flat[place : place + width] for place in range(0, len(flat), width)] if width else []


def _seldon(data: Any, signature: Signature) -> list[Any]:
    """Seldon's `data`."""
    names = data.get("names") if isinstance(data, dict) else None
    rows: Any
    if isinstance(data, dict) and isinstance(data.get("tensor"), dict):
        tensor = {"name": "tensor", "shape": data["tensor"].get("shape"), "data": data["tensor"].get("values")}
        rows = _column(tensor, True)
    else:
        rows = data.get("ndarray") if isinstance(data, dict) else None
    if not isinstance(rows, list):
        raise SignatureInvalid("'data': expected 'ndarray' or 'tensor'", code="invalid_request")
    fields = {field.name for field in signature.inputs}
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names) and fields & set(names)):
        return list(rows)
    fits = all(isinstance(row, list) and len(row) == len(names) for row in rows)
    return [dict(zip(names, row, strict=True)) for row in rows] if fits else list(rows)


def _split(frame: Any, signature: Signature) -> list[Any]:
    """MLflow's `dataframe_split`."""
    try:
        return [dict(zip(frame["columns"], row, strict=True)) for row in frame["data"]]
    except (TypeError, KeyError, ValueError) as error:
        raise SignatureInvalid(
            f"'dataframe_split': expected columns and data: {error}", code="invalid_request"
        ) from error


_FORMS: dict[str, dict[str, Callable[[Any, Signature], Any]]] = {
    "inputs": {
        "inputs": _tensors,
        "instances": lambda rows, _: rows,
        "data": _seldon,
        "dataframe_split": _split,
        "dataframe_records": lambda rows, _: rows,
    },
    "outputs": {"outputs": _tensors, "predictions": lambda rows, _: rows, "data": _seldon},
}


def _named(row: Any, fields: Sequence[Field], side: str) -> dict[str, Any]:
    """One record's values by name; the flat list of its elements where a field is a tensor."""
    if not isinstance(row, dict):
        row = _placed(row, fields, side)
    return {field.name: _fitted(field, row[field.name]) for field in fields if field.name in row}


def _fitted(field: Field, value: Any) -> Any:
    """A value as the Signature writes it: who puts all columns into one tensor sends 3.0 for 3 and 1 for true."""
    if isinstance(value, list) and field.shape:
        return [_fitted(field, item) for item in _flat(value)]
    if isinstance(value, list) and len(value) == 1:  # a column as a tensor of [n, 1]
        value = value[0]
    if field.dtype is DType.BOOL and type(value) in (int, float) and value in (0, 1):
        return bool(value)
    if "INT" in field.dtype and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _placed(row: Any, fields: Sequence[Field], side: str) -> dict[str, Any]:
    if len(fields) == 1:
        only = row if fields[0].shape or not isinstance(row, list) or len(row) != 1 else row[0]
        return {fields[0].name: only}
    if not isinstance(row, list) or len(row) != len(fields):
        found = f"{len(row)} values" if isinstance(row, list) else "one value"
        raise SignatureInvalid(
            f"a record without names: expected one value for each of the {len(fields)} {side}s, found {found}",
            code="wrong_shape",
        )
    return {field.name: value for field, value in zip(fields, row, strict=True)}


def _flat(data: list[Any]) -> list[Any]:
    while any(isinstance(item, list) for item in data):
        data = [leaf for item in data for leaf in (item if isinstance(item, list) else [item])]
    return data
