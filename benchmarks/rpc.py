"""How many one-row gRPC requests a second does a runner on one core answer, beside MLServer and a bare grpc.aio echo?

`ModelInfer` of the Open Inference Protocol, GradientBoosting (100 trees, 20 features), raw contents (which is what
Triton's client sends), capture on; the server held to one core, the client on another. All are asked by the client of
`h2.py`, which costs a fraction of what any of the servers does, with the same messages; the echo (grpc.aio on uvloop)
answers with one of keepfit's own answers and reads nothing, so that its messages have the same sizes.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import echo, h2, mlserver, place, serve
from benchmarks.harness import ROOT, Line, either
from benchmarks.load import Asked
from keepfit.core.places import Places
from keepfit.core.service import Serving
from keepfit.serve.wire.protocol import messages

ROUNDS = either(3, 1)
ECHO_PORT = 18340
CONNECTIONS = (1, 8, 64)
LIMIT = dict.fromkeys(CONNECTIONS, 0.8)
TWICE = dict.fromkeys(CONNECTIONS, 2.0)


def message(rows: np.ndarray, *, typed: bool = False) -> bytes:
    """A ModelInferRequest of these rows, in raw contents or in typed ones."""
    request = messages()["ModelInferRequest"](model_name=place.SERVICE)
    tensor = request.inputs.add(name="x", datatype="FP32", shape=list(rows.shape))
    if typed:
        tensor.contents.fp32_contents.extend(rows.ravel().tolist())
    else:
        request.raw_input_contents.append(rows.astype("<f4").tobytes())
    return bytes(request.SerializeToString())


def asked(bodies: list[bytes]) -> Asked:
    """Messages to the one method."""
    return Asked(echo.METHOD, bodies, grpc=True)


def once(port: int, message: bytes) -> bytes:
    """The answer to one message; RuntimeError where it is an error."""
    link = h2.Stream(port)
    link.send(h2.call(echo.METHOD, message), 0, 0.0)
    while (found := link.receive()) is None:
        pass
    link.socket.close()
    if not found[0].startswith(b"HTTP/1.1 2"):
        raise RuntimeError(f"gRPC: {found[0]!r}")
    return found[1]


@contextmanager
def _echo(answer: bytes) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.echo", str(ECHO_PORT)]
    with place.on_cores([serve.SERVER_CORE]):
        process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    process.stdin.write(answer.hex().encode())
    process.stdin.close()
    try:
        place.await_for(lambda: place.listens(ECHO_PORT), process)
        yield ECHO_PORT
    finally:
        place.end(process)


@contextmanager
def _keepfit(places: Places, digest: str, sent: Asked, answers: list[bytes]) -> Any:
    with place.runner(places, cores=[serve.SERVER_CORE], serving=Serving(grpc=True)) as served:
        served.swap(1, digest)
        answers.append(once(served.grpc_port, sent.bodies[0]))
        yield served.grpc_port


@contextmanager
def _mlserver(configured: Path) -> Iterator[int]:
    with mlserver.started(configured, [serve.SERVER_CORE]):
        yield mlserver.GRPC_PORT


def run() -> list[Line]:
    """Each server in turn, in every round started anew."""
    X, _ = place.data()
    sent, typed = (asked([message(X[i : i + 1], typed=said) for i in range(64)]) for said in (False, True))
    seen, answers = serve.Seen(), list[bytes]()
    with place.scratch() as name:
        folder = Path(name)
        places = Places(folder / "store")
        digest = place.bundle(places)
        mlserver.train(folder)
        default = mlserver.configure(folder / "default", {}, {})
        best = mlserver.configure(folder / "best", mlserver.BEST, {})
        for _ in range(ROUNDS):
            serve.note(seen, "keepfit", _keepfit(places, digest, sent, answers), sent, CONNECTIONS)
            serve.note(seen, "typed", _keepfit(places, digest, typed, []), typed, CONNECTIONS)
            serve.note(seen, "echo", _echo(answers[-1]), sent, CONNECTIONS)
            serve.note(seen, "default", _mlserver(default), sent, CONNECTIONS)
            serve.note(seen, "best", _mlserver(best), sent, CONNECTIONS)
    what = "one row, gRPC, one core"
    return [
        *serve.rates(seen, "keepfit", "default", TWICE, what=what, peer_is=f"{mlserver.IS}, default"),
        *serve.rates(seen, "keepfit", "best", TWICE, what=what, peer_is=f"{mlserver.IS}, in process"),
        *serve.rates(seen, "keepfit", "echo", LIMIT, what=what, peer_is="bare grpc.aio echo", limit=True),
        *serve.compared(seen, "typed", "echo", what=f"{what}, typed contents", peer_is="bare grpc.aio echo"),
    ]
