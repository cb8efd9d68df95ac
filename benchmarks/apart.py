"""What does it add to an answer that the model is in a process of its own?

The same small class, once in a child process and once in the serving process itself (by a Runtime that only this
benchmark has), in two runners with the same capture; JSON, one row, one connection. Measured as they are deployed, on
both cores, and with everything of a runner held to one, where the two processes also have to take turns.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import bundles, inline, mlserver, place, serve
from benchmarks.detect import _json as body
from benchmarks.harness import Line, Sample, either
from benchmarks.load import Asked
from keepfit.core.places import Places

ROUNDS = either(7, 1)
CORES = {"both cores": [0, 1], "one core": [serve.SERVER_CORE]}


def run() -> list[Line]:
    """Child and serving process asked in turn, on both cores and on one."""
    asked = Asked(mlserver.INFER, [body(x) for x in range(64)])
    return [line for where, cores in CORES.items() for line in _compared(asked, where, cores)]


def _compared(asked: Asked, where: str, cores: list[int]) -> list[Line]:
    child: list[float] = []
    here: list[float] = []
    with place.scratch() as name:
        folder = Path(name)
        apart, within = Places(folder / "apart"), Places(folder / "within")
        with (
            place.runner(apart, cores=cores) as remote,
            place.runner(within, cores=cores, environment=inline.plugged(folder)) as local,
        ):
            remote.swap(1, bundles.code(apart, 1, inline=False))
            local.swap(1, bundles.code(within, 1, inline=True))
            for _ in range(ROUNDS):
                child.append(serve.measure(remote.port, asked, 1).p50 * 1e3)
                here.append(serve.measure(local.port, asked, 1).p50 * 1e3)
    added = Sample(tuple(a - b for a, b in zip(child, here, strict=True)))
    return [
        Line(
            what=f"p50 added by a process of its own, {where}",
            ours=added,
            unit="ms",
            reach="at most 0.25 ms",
            reached=added.median <= 0.25,
        ),
        Line(
            what=f"p50 in a process of its own, {where}",
            ours=Sample(tuple(child)),
            peer=Sample(tuple(here)),
            peer_is="ms, in the serving process",
            unit="ms",
        ),
    ]
