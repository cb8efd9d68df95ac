"""How many requests of 64 rows x 100 FP32 features a second does a runner on one core answer, sent as raw tensors?

Logistic regression, as ONNX here and as scikit-learn in the peer, so that it is the wire which costs; capture on, 1 and
8 connections, the server held to one core. MLServer 1.7.1 has no raw tensors over HTTP: it is sent the same rows as
JSON, in its best setting (in process, no debug logging, no batching: a request has 64 rows). Raw contents over gRPC,
which it has, stand below, on both sides through one light client.
"""

from __future__ import annotations

import json
from pathlib import Path

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


def run() -> list[Line]:
    """Ours and the peer, each asked over HTTP and over gRPC, in turn."""
    from sklearn.linear_model import LogisticRegression

    seen, core = serve.Seen(), [serve.SERVER_CORE]
    grpc = rpc.asked([rpc.message(rows) for rows in _rows()])
    with place.scratch() as name:
        folder = Path(name)
        places = Places(folder / "store")
        digest = place.bundle(places, model=LogisticRegression(max_iter=1000), width=WIDTH)
        mlserver.train(folder, model=MODEL, width=WIDTH)
        best = mlserver.configure(folder / "best", mlserver.BEST, {})
        for _ in range(ROUNDS):
            with place.runner(places, cores=core, serving=Serving(grpc=True)) as served:
                served.swap(1, digest)
                for many in REACH:
                    for kind, port, asked in (
                        ("raw", served.port, _raw()),
                        ("json", served.port, _json()),
                        ("grpc", served.grpc_port, grpc),
                    ):
                        seen.setdefault(kind, {}).setdefault(many, []).append(serve.measure(port, asked, many))
            with mlserver.started(best, core) as port:
                for many in REACH:
                    for kind, at, asked in (
                        ("mlserver json", port, _json()),
                        ("mlserver grpc", mlserver.GRPC_PORT, grpc),
                    ):
                        seen.setdefault(kind, {}).setdefault(many, []).append(serve.measure(at, asked, many))
    what = f"{ROWS} rows x {WIDTH} features, one core, raw"
    return [
        *serve.rates(seen, "raw", "mlserver json", REACH, what=what, peer_is=f"{mlserver.IS}, JSON"),
        *serve.compared(seen, "raw", "json", what=what, peer_is="keepfit, JSON"),
        *serve.compared(seen, "grpc", "mlserver grpc", what=f"{what}, gRPC", peer_is=f"{mlserver.IS}, raw, gRPC"),
    ]
