"""Graph: an ONNX graph under construction, and columns of it that are gathered only when something needs a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError, MissingExtra

OPSET = 17
ML_OPSET = 3
IR_VERSION = 8
"""Old enough for every onnxruntime the extras admit; TreeEnsemble* take doubles from ML_OPSET 3 on."""


class Unconvertible(KeepfitError):
    """An estimator, or a setting of it, which has no faithful form in ONNX here; the model is served natively."""

    code = "unconvertible"


class Kind(StrEnum):
    """What a tensor of the graph holds; numbers are computed as the estimator does, in double precision."""

    TEXT = "text"
    DOUBLE = "double"
    SINGLE = "single"


@dataclass(frozen=True)
class Tensor:
    """A named matrix of the graph, shape (n, width)."""

    name: str
    kind: Kind
    width: int


@dataclass(frozen=True)
class Columns:
    """Columns picked from tensors, in order; `names` are those a DataFrame would have, empty for bare matrices."""

    picks: tuple[tuple[Tensor, int], ...]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.picks)

    def take(self, positions: Sequence[int]) -> Columns:
        """Some of the columns, in the order given."""
        names = tuple(self.names[i] for i in positions) if self.names else ()
        return Columns(tuple(self.picks[i] for i in positions), names)

    def is_text(self, position: int) -> bool:
        """Whether a column holds text."""
        return self.picks[position][0].kind is Kind.TEXT


def all_of(tensor: Tensor) -> Columns:
    """Every column of a tensor."""
    return Columns(tuple((tensor, i) for i in range(tensor.width)))


def beside(parts: Sequence[Columns]) -> Columns:
    """Columns side by side, as `numpy.hstack` does."""
    return Columns(tuple(pick for part in parts for pick in part.picks))


@dataclass(frozen=True)
class Answer:
    """What a predictor answers, as names of tensors.

    A regressor has `value`, (n, 1) or (n,). A classifier has `probabilities` (n, classes of the estimator), and its
    label as `label` (n,) of the classes' own type, or as `place` (n,) among the classes, or neither: the most probable.
    """

    value: str = ""
    probabilities: str = ""
    label: str = ""
    place: str = ""


@dataclass
class Graph:
    """Nodes and constants of a graph that is being built; names are made in order, so that bytes repeat."""

    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)
    prefix: str = ""
    _count: int = 0

    def fresh(self, hint: str) -> str:
        """A name nothing else in the graph has."""
        self._count += 1
        return f"{self.prefix}{hint}_{self._count}"

    def add(self, op: str, inputs: Sequence[str], *, domain: str = "", into: str = "", **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        output = into or self.fresh(op)
        self.nodes.append(onnx_helper().make_node(op, list(inputs), [output], domain=domain, **attributes))
        return output

    def constant(self, values: Any, dtype: Any = np.float64) -> str:
        """A constant tensor's name."""
        from onnx import numpy_helper

        name = self.fresh("constant")
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype=dtype), name))
        return name

    def cast(self, tensor: Tensor, kind: Kind) -> Tensor:
        """The tensor as single or double precision numbers; itself where it already is."""
        if tensor.kind is kind:
            return tensor
        if Kind.TEXT in (tensor.kind, kind):
            raise Unconvertible("text where the estimator needs numbers: encode it in the pipeline")
        to = proto().DOUBLE if kind is Kind.DOUBLE else proto().FLOAT
        return Tensor(self.add("Cast", [tensor.name], to=to), kind, tensor.width)

    def matrix(self, columns: Columns, kind: Kind = Kind.DOUBLE) -> Tensor:
        """One tensor of all the columns, gathered and joined only where they do not already lie so."""
        parts = [self._gathered(tensor, positions, kind) for tensor, positions in _runs(columns)]
        if len(parts) == 1:
            return parts[0]
        name = self.add("Concat", [part.name for part in parts], axis=1)
        return Tensor(name, kind, len(columns))

    def _gathered(self, tensor: Tensor, positions: list[int], kind: Kind) -> Tensor:
        if positions != list(range(tensor.width)):
            name = self.add("Gather", [tensor.name, self.constant(positions, np.int64)], axis=1)
            tensor = Tensor(name, tensor.kind, len(positions))
        return self.cast(tensor, kind)


def _runs(columns: Columns) -> list[tuple[Tensor, list[int]]]:
    """Neighbouring columns of one tensor together."""
    runs: list[tuple[Tensor, list[int]]] = []
    for tensor, position in columns.picks:
        if runs and runs[-1][0] == tensor:
            runs[-1][1].append(position)
        else:
            runs.append((tensor, [position]))
    return runs


def onnx_helper() -> Any:
    """The module `onnx.helper`; MissingExtra where onnx is not installed."""
    try:
        from onnx import helper
    except ImportError as error:
        raise MissingExtra("onnx", "onnx") from error
    return helper


def proto() -> Any:
    """The names of ONNX element types."""
    from onnx import TensorProto

    return TensorProto


def doubles(name: str, values: NDArray[Any]) -> Any:
    """A double tensor for an attribute ending in `_as_tensor`."""
    from onnx import numpy_helper

    return numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float64), name)
