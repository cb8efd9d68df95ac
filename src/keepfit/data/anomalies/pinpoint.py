"""Pinpoint: the rows in which an anomaly that was found in a Profile lies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.nouns import Finding
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.faults import Fault, Mask, absent_in, floats_of, is_text, truths_of, whole
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import Kind
from keepfit.data.schema import Between, Expectation

Pin = Callable[[Case, pa.Array, Expectation], Mask | None]


def pinpointed(case: Case, finding: Finding) -> Fault:
    """The Finding with its rows, if it is about values and the table is at hand."""
    pin = _PINS.get(Anomaly(finding.anomaly))
    expected = case.schema.column(finding.subject)
    if case.table is None or pin is None or expected is None or finding.subject not in case.table.column_names:
        return Fault(finding)
    return Fault.at(finding, pin(case, whole(case.table, finding.subject), expected))


def _below(_: Case, column: pa.Array, expected: Expectation) -> Mask | None:
    return None if expected.minimum is None else floats_of(column) < expected.minimum


def _above(_: Case, column: pa.Array, expected: Expectation) -> Mask | None:
    return None if expected.maximum is None else floats_of(column) > expected.maximum


def _missing(_: Case, column: pa.Array, __: Expectation) -> Mask | None:
    return absent_in(column)


def _unknown(case: Case, column: pa.Array, expected: Expectation) -> Mask | None:
    domain = case.schema.domain(expected) or ()
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.string())
    return ~truths_of(pc.is_in(column, pa.array(domain, column.type))) & ~absent_in(column)


def _neither(_: Case, column: pa.Array, expected: Expectation) -> Mask | None:
    if is_text(column):
        truths = expected.truths
        known = pa.array([truths.true, truths.false] if truths else [], column.type)
        return ~truths_of(pc.is_in(column, known)) & ~absent_in(column)
    values = floats_of(column)
    odd: Mask = (values != 0) & (values != 1) & truths_of(pc.is_valid(column))
    return odd


def _no_number(_: Case, column: pa.Array, expected: Expectation) -> Mask | None:
    kind: type[int] | type[float] = int if expected.holds is Kind.INTEGER else float

    def odd(value: str) -> bool:
        try:
            kind(value)
        except ValueError:
            return True
        return False

    return np.array([bool(value) and odd(value) for value in column.to_pylist()], np.bool_)


def _not_utf8(_: Case, column: pa.Array, __: Expectation) -> Mask | None:
    def odd(value: bytes | None) -> bool:
        try:
            (value or b"").decode()
        except UnicodeDecodeError:
            return True
        return False

    raw = column.view(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
    return np.array([odd(value) for value in raw.to_pylist()], np.bool_)


def _too_long(_: Case, column: pa.Array, expected: Expectation) -> Mask | None:
    most = (*expected.lengths, Between())[0].most
    return None if most is None or not _is_list(column) else truths_of(pc.greater(pc.list_value_length(column), most))


def _too_short(_: Case, column: pa.Array, expected: Expectation) -> Mask | None:
    least = (*expected.lengths, Between())[0].least
    return None if least is None or not _is_list(column) else truths_of(pc.less(pc.list_value_length(column), least))


def _is_list(column: pa.Array) -> bool:
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def _infinite(_: Case, column: pa.Array, __: Expectation) -> Mask | None:
    return np.asarray(np.isinf(floats_of(column))) if pa.types.is_floating(column.type) else None


def _nan(_: Case, column: pa.Array, __: Expectation) -> Mask | None:
    return truths_of(pc.is_nan(column)) if pa.types.is_floating(column.type) else None


def _woken(_: Case, column: pa.Array, expected: Expectation) -> Mask | None:
    if not expected.constant:
        return ~absent_in(column)
    if is_text(column):
        return truths_of(pc.not_equal(column, expected.constant))
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return np.asarray(floats_of(column) != float(expected.constant))
    return None


_PINS: dict[Anomaly, Pin] = {
    Anomaly.FLOAT_TYPE_BIG_FLOAT: _above,
    Anomaly.INT_TYPE_BIG_INT: _above,
    Anomaly.FLOAT_TYPE_SMALL_FLOAT: _below,
    Anomaly.INT_TYPE_SMALL_INT: _below,
    Anomaly.FEATURE_TYPE_LOW_FRACTION_PRESENT: _missing,
    Anomaly.FEATURE_TYPE_LOW_NUMBER_PRESENT: _missing,
    Anomaly.FEATURE_TYPE_NOT_PRESENT: _missing,
    Anomaly.EMPTY_COLUMN: _missing,
    Anomaly.ENUM_TYPE_UNEXPECTED_STRING_VALUES: _unknown,
    Anomaly.ENUM_TYPE_INVALID_UTF8: _not_utf8,
    Anomaly.BOOL_TYPE_UNEXPECTED_STRING: _neither,
    Anomaly.BOOL_TYPE_UNEXPECTED_FLOAT: _neither,
    Anomaly.BOOL_TYPE_BIG_INT: _neither,
    Anomaly.BOOL_TYPE_SMALL_INT: _neither,
    Anomaly.INT_TYPE_NOT_INT_STRING: _no_number,
    Anomaly.FLOAT_TYPE_STRING_NOT_FLOAT: _no_number,
    Anomaly.FEATURE_TYPE_HIGH_NUMBER_VALUES: _too_long,
    Anomaly.FEATURE_TYPE_LOW_NUMBER_VALUES: _too_short,
    Anomaly.FLOAT_TYPE_HAS_INF: _infinite,
    Anomaly.FLOAT_TYPE_HAS_NAN: _nan,
    Anomaly.FEATURE_ALIVE: _woken,
}
