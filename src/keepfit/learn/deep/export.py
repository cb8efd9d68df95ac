"""Export: a fitted network as ONNX nodes."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from keepfit.learn.deep.torches import undisturbed
from keepfit.learn.foreign import spliced
from keepfit.learn.graph import OPSET, Answer, Columns, Graph, Kind, Unconvertible, proto

if TYPE_CHECKING:
    from keepfit.learn.deep.network import Network


def emit(network: Network, graph: Graph, columns: Columns) -> Answer:
    """Scaling, module, and probabilities or numbers; Unconvertible for heads, and for what torch cannot export."""
    if network.heads is not None:
        raise Unconvertible("a Network with heads by task")
    given = _scaled(network, graph, columns)
    (scores,) = spliced(graph, _exported(network), given)
    found = graph.add("Cast", [scores], to=proto().DOUBLE)
    if network.classifies:
        return Answer(probabilities=graph.add("Softmax", [found], axis=1))
    spread = graph.add("Mul", [found, graph.constant(network.scaling_.spread)])
    return Answer(value=graph.add("Add", [spread, graph.constant(network.scaling_.middle)]))


def _scaled(network: Network, graph: Graph, columns: Columns) -> str:
    scaling, name = network.scaling_, graph.matrix(columns, Kind.DOUBLE).name
    if scaling.mean is not None and scaling.deviation is not None:
        name = graph.add("Sub", [name, graph.constant(scaling.mean)])
        name = graph.add("Div", [name, graph.constant(scaling.deviation)])
    name = graph.add("Cast", [name], to=proto().FLOAT)
    return graph.add("Where", [graph.add("IsNaN", [name]), graph.constant(0.0, np.float32), name])


def _exported(network: Network) -> Any:
    """The module's graph, traced on two rows; by torch's older exporter, the newer one needs two more packages."""
    import onnx

    rows = torch.zeros(2, *network.shape_)
    into = io.BytesIO()
    try:
        with undisturbed(1), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network.scorer().eval().cpu(),
                (rows,),
                into,  # type: ignore[arg-type]  # the older exporter writes to any file
                dynamo=False,
                opset_version=OPSET,
                input_names=["rows"],
                dynamic_axes={"rows": {0: "n"}},
            )
    except Exception as error:
        raise Unconvertible(f"{type(error).__name__}: {error}") from error
    return onnx.load_model_from_string(into.getvalue()).graph
