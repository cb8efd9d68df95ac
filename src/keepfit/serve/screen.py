"""Screen: decoded requests held against what a Version requires of every row.

A column that is in line costs one comparison of all its values together; only one that is not is looked at row by row.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from keepfit.core.nouns import Finding
from keepfit.core.requirements import Requirement, Requirements
from keepfit.core.rows import Look, broken, finding, look, told
from keepfit.core.signature import DType, Field, Signature

Quick = Callable[[NDArray[Any]], bool]

_FEW = 32  # values; for more of them NumPy is quicker than Python
_LARGEST = sys.float_info.max
_WHOLE = frozenset(DType) - {DType.BOOL, DType.BYTES, DType.FP16, DType.FP32, DType.FP64}
_ALIKE = {
    "integer": _WHOLE,
    "float": _WHOLE | {DType.FP16, DType.FP32, DType.FP64},
    "boolean": {DType.BOOL},
    "text": {DType.BYTES},
}
"""The element types whose values are of a kind."""


class Screen:
    """Says what of a request's inputs is out of line with Requirements; inputs they do not name are not looked at."""

    def __init__(self, requirements: Requirements, signature: Signature) -> None:
        fields = {field.name: field for field in signature.inputs}
        self._columns = tuple(
            (one.name, _quick(one, fields[one.name]), one, look(one))
            for one in requirements.columns
            if one.name in fields
        )
        plain = {name for name, field in fields.items() if not field.shape}
        self._rules = tuple((rule, broken(rule)) for rule in requirements.rules if plain.issuperset(rule.columns))

    def __call__(self, inputs: dict[str, NDArray[Any]]) -> tuple[Finding, ...]:
        """One Finding for each anomaly of a column; its count is the rows, its sentence is of the first of them."""
        found: list[Finding] = []
        for name, quick, requirement, wrong in self._columns:
            values = inputs[name]
            if not quick(values):
                found += _findings(requirement, wrong, values)
        for rule, breaks in self._rules:
            count = sum(map(breaks, zip(*(inputs[name].tolist() for name in rule.columns), strict=True)))
            if count:
                found.append(told(rule, count=count))
        return tuple(found)


def _findings(requirement: Requirement, wrong: Look, values: NDArray[Any]) -> Iterator[Finding]:
    found: dict[str, Finding] = {}
    for value in values.tolist():
        fault = wrong(value)
        if fault is None:
            continue
        known = found.get(fault[0])
        found[fault[0]] = finding(requirement, fault) if known is None else replace(known, count=known.count + 1)
    yield from found.values()


def _quick(requirement: Requirement, field: Field) -> Quick:
    """Whether all values of a column are surely in line, without saying what is wrong where they are not."""
    if field.shape or field.dtype not in _ALIKE.get(requirement.kind, ()):
        return _never
    if requirement.kind in ("integer", "float"):
        low = -_LARGEST if requirement.least is None else requirement.least
        high = _LARGEST if requirement.most is None else requirement.most
        return _inside(low, high)
    if requirement.domain is not None and not requirement.pattern:
        return _among(frozenset(requirement.domain) | (frozenset() if requirement.absent else {""}))
    return _never if requirement.pattern or requirement.absent else _always


def _inside(low: float, high: float) -> Quick:
    def quick(values: NDArray[Any]) -> bool:
        if values.size == 1:
            return bool(low <= values.item() <= high)
        if values.size > _FEW:  # where one is NaN, so is the least
            return bool(low <= values.min() and values.max() <= high)
        return all(low <= value <= high for value in values.tolist())

    return quick


def _among(known: frozenset[str]) -> Quick:
    def quick(values: NDArray[Any]) -> bool:
        return known.issuperset(values.tolist())

    return quick


def _always(values: NDArray[Any]) -> bool:
    return True


def _never(values: NDArray[Any]) -> bool:
    return False
