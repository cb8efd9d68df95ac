"""Rules that hold in every row: `dropoff >= pickup`, `total == fare + tip`, `fare > 0 or distance == 0`.

Columns by name (in backticks where a name is no word), numbers, texts in quotes, `+ - * /`, comparisons, `and`, `or`,
`not`. A row in which a value is missing (null, NaN, empty text) is not held to the rule.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import datetime
from functools import reduce
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from keepfit.core.errors import DataInvalid

_QUOTED = re.compile(r"`([^`]+)`")
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.GtE: pc.greater_equal,
    ast.Gt: pc.greater,
    ast.LtE: pc.less_equal,
    ast.Lt: pc.less,
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
}
_RECKONED: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: pc.add,
    ast.Sub: pc.subtract,
    ast.Mult: pc.multiply,
    ast.Div: pc.divide,
}


class Rule:
    """A rule, read once; DataInvalid says what in it cannot be read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._names: dict[str, str] = {}
        try:
            self._tree = ast.parse(_QUOTED.sub(self._named, text), mode="eval").body
        except SyntaxError as error:
            raise DataInvalid(
                f"the rule {text!r} cannot be read: {error.msg}; write as in: dropoff >= pickup"
            ) from error
        self.columns = tuple(sorted({self._name(n) for n in ast.walk(self._tree) if isinstance(n, ast.Name)}))

    def broken(self, table: pa.Table | Mapping[str, Any]) -> Any:
        """For each row whether it breaks the rule, as Arrow booleans; DataInvalid where kinds do not fit."""
        try:
            held = self._value(self._tree, table)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, TypeError) as error:
            raise DataInvalid(f"the rule {self.text!r} does not fit the kinds of its columns: {error}") from error
        return pc.invert(pc.fill_null(held, True))

    def renamed(self, names: Mapping[str, str]) -> str:
        """The text of the rule with its columns under other names.

        >>> Rule("dropoff >= pickup").renamed({"pickup": "_time"})
        '`dropoff` >= `_time`'
        """
        return self._written(lambda name: f"`{names.get(name, name)}`")

    @property
    def expression(self) -> str:
        """The rule as Python says it, the columns being c0, c1, … in their order.

        >>> Rule("`drop off` >= pickup and not fare < 0").expression
        'c0 >= c2 and (not c1 < 0)'
        """
        return self._written(lambda name: f"c{self.columns.index(name)}")

    def _written(self, called: Callable[[str], str]) -> str:
        tree = deepcopy(self._tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = called(self._name(node))
        return ast.unparse(tree)

    def _named(self, found: re.Match[str]) -> str:
        word = f"_column_{len(self._names)}"
        self._names[word] = found[1]
        return word

    def _name(self, node: ast.Name) -> str:
        return self._names.get(node.id, node.id)

    def _value(self, node: ast.expr, table: Any) -> Any:
        match node:
            case ast.Name():
                return _known(table[self._name(node)])
            case ast.Constant(value=str() | int() | float() | bool() as value):
                return _constant(value)
            case ast.UnaryOp(op=ast.USub(), operand=inner):
                return pc.negate(self._value(inner, table))
            case ast.UnaryOp(op=ast.Not(), operand=inner):
                return pc.invert(self._value(inner, table))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _RECKONED:
                return _RECKONED[type(op)](self._value(left, table), self._value(right, table))
            case ast.Compare(left=first, ops=ops, comparators=rest):
                values = [self._value(one, table) for one in (first, *rest)]
                parts = [_COMPARED[type(op)](a, b) for op, a, b in zip(ops, values, values[1:], strict=False)]
                return reduce(pc.and_kleene, parts)
            case ast.BoolOp(op=op, values=inner):
                return reduce(
                    pc.and_kleene if isinstance(op, ast.And) else pc.or_kleene,
                    [self._value(one, table) for one in inner],
                )
            case _:
                raise DataInvalid(f"the rule {self.text!r} has {ast.unparse(node)!r}; expected columns, numbers, texts")


def _known(column: Any) -> Any:
    """A column in which NaN and empty text are missing, as they are everywhere else."""
    if pa.types.is_floating(column.type):
        return pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return pc.if_else(pc.equal(column, ""), pa.scalar(None, column.type), column)
    return column


def _constant(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return pa.scalar(datetime.fromisoformat(value))
        except ValueError:
            return pa.scalar(value)
    return pa.scalar(value)
