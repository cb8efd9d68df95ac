"""How many requests of 64 rows x 100 FP32 features a second does a runner on one core answer, sent as raw tensors?

Logistic regression, as ONNX here and as scikit-learn in the peer, so that it is the wire which costs; capture on, 1 and
8 connections, the server held to one core. MLServer 1.7.1 has no raw tensors over HTTP: it is sent the same rows as
JSON, as it comes (what is to be reached refers to that) and in its best setting (in process, no debug logging, no
batching: a request has 64 rows). Raw contents over gRPC, which it has, stand below, on both sides through one light
client. Without capture is what recording 26 kB of every request costs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import mlserver, place, rpc, serve
from benchmarks.harness import Line, either
from benchmarks.load import Asked
from keepfit.core.places import Places
from keepfit.core.service import Serving

ROUNDS, ROWS, WIDTH = either(3, 1), 64, 100
MODEL = "LogisticRegression(max_iter=1000)"
REACH = {1: 15.0, 8: 15.0}


def _rows(count: int = 8) -> list[np.ndarray]:
    X, _ = place.data(width=WIDTH)
    return [X[at * ROWS : (at + 1) * ROWS] for at in range(count)]


def _raw() -> Asked:
    """The binary tensor extension, its answers in raw tensors as well."""
    size = {"binary_data_size": ROWS * WIDTH * 4}
    tensor = {"name": "x", "shape": [ROWS, WIDTH], "datatype": "FP32", "parameters": size}
    head = json.dumps({"parameters": {"binary_data_output": True}, "inputs": [tensor]}).encode()
    headers = (("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", str(len(head))))
    return Asked(mlserver.INFER, [head + rows.tobytes() for rows in _rows()], headers)


def _json() -> Asked:
    bodies = []
    for rows in _rows():
        data = [round(float(value), 4) for value in rows.ravel()]
        tensor = {"name": "x", "shape": [ROWS, WIDTH], "datatype": "FP32", "data": data}
        bodies.append(json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode())
    return Asked(mlserver.INFER, bodies)


def _model() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def _note(seen: serve.Seen, kind: str, port: int, asked: Asked) -> None:
    for many in REACH:
        seen.setdefault(kind, {}).setdefault(many, []).append(serve.measure(port, asked, many))


def run() -> list[Line]:
    """Ours and the peer, each asked over HTTP and over gRPC, in turn."""
    seen, core = serve.Seen(), [serve.SERVER_CORE]
    grpc = rpc.asked([rpc.message(rows) for rows in _rows()])
    with place.scratch() as name:
        folder = Path(name)
        places = Places(folder / "store")
        digest = place.bundle(places, model=_model(), width=WIDTH)
        mlserver.train(folder, model=MODEL, width=WIDTH)
        default = mlserver.configure(folder / "default", {}, {})
        best = mlserver.configure(folder / "best", mlserver.BEST, {})
        for _ in range(ROUNDS):
            with place.runner(places, cores=core, serving=Serving(grpc=True)) as served:
                served.swap(1, digest)
                _note(seen, "raw", served.port, _raw())
                _note(seen, "json", served.port, _json())
                _note(seen, "grpc", served.grpc_port, grpc)
            with place.runner(Places(folder / "silent"), cores=core, capture=False) as silent:
                silent.swap(1, place.bundle(Places(folder / "silent"), model=_model(), width=WIDTH))
                _note(seen, "silent", silent.port, _raw())
            with mlserver.started(default, core) as port:
                _note(seen, "default json", port, _json())
            with mlserver.started(best, core) as port:
                _note(seen, "best json", port, _json())
                _note(seen, "best grpc", mlserver.GRPC_PORT, grpc)
    what = f"{ROWS} rows x {WIDTH} features, one core, raw"
    return [
        *serve.rates(seen, "raw", "default json", REACH, what=what, peer_is=f"{mlserver.IS}, default, JSON"),
        *serve.compared(seen, "raw", "best json", what=what, peer_is=f"{mlserver.IS}, in process, JSON"),
        *serve.compared(seen, "raw", "json", what=what, peer_is="keepfit, JSON"),
        *serve.compared(seen, "raw", "silent", what=what, peer_is="keepfit without capture"),
        *serve.compared(seen, "grpc", "best grpc", what=f"{what}, gRPC", peer_is=f"{mlserver.IS}, raw, gRPC"),
    ]
