"""How many one-row requests a second does a model that cannot be converted answer, beside FastAPI with scikit-learn?

GradientBoosting (100 trees, 20 features) as skops, in a child process which answers together what waits; JSON, capture
on. The runner whole (supervisor, front worker and child) is held to the one core which the peer has too: one uvicorn
worker with the same model on a NumPy array, one call of `predict_proba` a request. Unbatched is
`Serving(batch_rows=1)`. Peer, batched and unbatched are all up, and asked in turn.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import bundles, mlserver, place, serve
from benchmarks.harness import HERE, Line, either, peer
from benchmarks.load import Asked
from keepfit.core.places import Places
from keepfit.core.service import Serving

ROUNDS = either(5, 1)
PORT = 18330
REACH = {8: 2.5, 64: 8.0}


def python() -> Path:
    """The peer's interpreter."""
    releases = ("scikit-learn==1.9.1", "numpy==2.4.6")
    return peer("fastapi", "fastapi==0.121.2", "uvicorn[standard]", "joblib", *releases)


def run() -> list[Line]:
    """Three servers on one core, asked in turn over 1, 8 and 64 connections."""
    ours, theirs = Asked(mlserver.INFER, place.bodies()), Asked("/infer", place.bodies())
    core, seen = [serve.SERVER_CORE], serve.Seen()
    with place.scratch() as name:
        folder = Path(name)
        batched, unbatched = Places(folder / "batched"), Places(folder / "unbatched")
        mlserver.train(folder, interpreter=python())
        (folder / "fast.py").write_text((HERE / "fast.py").read_text())
        command: list[str | Path] = [python(), "-m", "uvicorn", "fast:app", "--port", str(PORT), "--no-access-log"]
        with (
            place.runner(batched, cores=core) as together,
            place.runner(unbatched, cores=core, serving=Serving(batch_rows=1)) as single,
            place.server(command, port=PORT, path="/ready", cores=core, folder=folder),
        ):
            together.swap(1, bundles.native(batched))
            single.swap(1, bundles.native(unbatched))
            asked = {"batched": (together.port, ours), "unbatched": (single.port, ours), "fastapi": (PORT, theirs)}
            for _ in range(ROUNDS):
                for many in serve.CONNECTIONS:
                    for kind, (port, sent) in asked.items():
                        seen.setdefault(kind, {}).setdefault(many, []).append(serve.measure(port, sent, many))
    what, peer_is = "one row, JSON, native scikit-learn in a child, one core", "FastAPI, uvicorn, scikit-learn"
    return [
        *serve.rates(seen, "batched", "fastapi", REACH, what=what, peer_is=peer_is),
        *serve.rates(seen, "batched", "unbatched", {1: 0.95}, what=what, peer_is="unbatched", limit=True),
        *serve.compared(seen, "batched", "unbatched", what=what, peer_is="unbatched"),
        *serve.compared(seen, "unbatched", "fastapi", what=f"{what}, unbatched", peer_is=peer_is),
    ]
