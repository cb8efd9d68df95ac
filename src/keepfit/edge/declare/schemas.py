"""The Schema that a service file names: read, found sound, and fitted to the columns that its Datasets have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from keepfit.core.errors import DataInvalid, KeepfitError
from keepfit.core.nouns import LABEL, RECORD_ID, RECORD_TIME, Check, Severity
from keepfit.core.service import Service
from keepfit.core.signature import DType, Field
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.declarations import unsound
from keepfit.data.profile import Kind, Profile
from keepfit.data.rules import Rule
from keepfit.data.schema import TRAINING, Expectation, Schema, read_schema
from keepfit.edge.declare.mistakes import Misfit
from keepfit.edge.declare.source import Source


def schema_of(service: Service, folder: Path, source: Source, columns: list[str]) -> Schema | list[Misfit] | None:
    """The Schema of a Service under a Dataset's names, None where it names none, or all that is wrong with it.

    `columns` are those of the data. A Dataset has the label as `_label`, the id as `_id`, the time as `_time`, and the
    features; whole numbers of which some are missing are floats there. Columns that are none of these are left out.
    """
    if not service.schema:
        if service.serving.check == Check.OFF:
            return None
        found = f"'{service.serving.check}' needs the Service's schema, which is not given; name one with schema="
        return [Misfit(("serving", "check"), found)]
    try:
        schema = read_schema(folder / service.schema)
    except KeepfitError as error:
        return [Misfit(("schema",), str(error))]
    names = _names(service, source)
    wrong = [Misfit(("schema",), sentence) for sentence in _wrong(schema, names, columns)]
    fields = {field.name: field for field in (*source.inputs, source.label)}
    return wrong or _fitted(schema, names, fields)


def _names(service: Service, source: Source) -> dict[str, str]:
    """What the columns of the data are called in a Dataset."""
    names = {field.name: field.name for field in source.inputs}
    names |= {service.label: LABEL, LABEL: LABEL}
    names |= {name: RECORD_ID for name in (service.id,) if name}
    return names | {name: RECORD_TIME for name in (service.time,) if name}


def _wrong(schema: Schema, names: dict[str, str], columns: list[str]) -> Iterator[str]:
    for finding in unsound(Case(schema=schema, profile=Profile(0, ()))):
        if finding.severity is Severity.ERROR:
            yield finding.sentence
    held = [column for column in schema.columns if schema.holds(column, TRAINING)]
    if not held:
        yield f"it expects nothing in the environment {TRAINING}; name that in 'environments'"
    absent = [column.name for column in held if column.name not in {*columns, *names} and not column.optional]
    if absent:
        yield f"it expects the columns {absent}, which the data does not have; there are: {columns}"
    for text in schema.rules:
        try:
            strangers = sorted(set(Rule(text).columns) - set(names))
        except DataInvalid as error:
            yield str(error)
            continue
        if strangers:
            yield f"the rule '{text}' asks for {strangers}, which are no features, so that no Record has them"
    if schema.time is not None and schema.time.column not in names:
        yield f"its times are in '{schema.time.column}'; expected a feature, or that the Service has time= name it"


def _fitted(schema: Schema, names: dict[str, str], fields: dict[str, Field]) -> Schema:
    kept = [column for column in schema.columns if column.name in names]
    return replace(
        schema,
        columns=tuple(_renamed(column, names[column.name], fields.get(column.name)) for column in kept),
        label=LABEL,
        rules=tuple(Rule(text).renamed(names) for text in schema.rules),
        time=schema.time and replace(schema.time, column=names[schema.time.column]),
        sparse=tuple(one for one in schema.sparse if {one.value, *one.index} <= names.keys()),
        weighted=tuple(one for one in schema.weighted if {one.value, one.weight} <= names.keys()),
    )


def _renamed(column: Expectation, name: str, field: Field | None) -> Expectation:
    """The same of a Dataset's column, which may be of another kind: ids are text there, times are times."""
    if name == RECORD_ID:
        return Expectation(name=name, kind=Kind.TEXT, unique=column.unique, severity=column.severity)
    if name == RECORD_TIME:
        return replace(column, name=name, kind=Kind.TIME)
    floats = field is not None and field.dtype in (DType.FP32, DType.FP64)
    kind = Kind.FLOAT if floats and column.kind is Kind.INTEGER else column.kind
    return replace(column, name=name, kind=kind)
