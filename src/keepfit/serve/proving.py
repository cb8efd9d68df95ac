"""Proving: a Version is loaded and rehearsed in a process of its own before a front worker sees it.

A file that crashes its loader, takes all memory or computes for seconds does so here, at low priority, and the front
workers only ever load what has been loaded before; what loading took is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from keepfit.core import registry
from keepfit.core.errors import KeepfitError, Refused
from keepfit.core.imports import stay_lean
from keepfit.core.nouns import Held
from keepfit.core.registry import canonical, from_plain, to_plain
from keepfit.serve.admission import expect_room, room
from keepfit.serve.manifest import manifest
from keepfit.serve.runtimes.memory import memory, with_large_pages

_PATIENCE = 270.0  # seconds that loading and rehearsing may take


@dataclass(frozen=True)
class Claim:
    """A Version that is to be served by `copies` front workers.

    `used` bytes of the Service's `limit` are taken; `freed` bytes will be given back before it is loaded.
    """

    service: str
    held: Held
    directory: str
    copies: int = 1
    used: int = 0
    freed: int = 0
    limit: int | None = None


@dataclass(frozen=True)
class Proof:
    """What one copy of a Version takes: bytes, measured where it is loaded here and else predicted, and seconds."""

    memory: int
    seconds: float


async def prove(claim: Claim) -> Proof:
    """Have a Version loaded and rehearsed apart; Refused with the reason where it may not answer or the process dies.

    A model that answers from a process of its own is only looked at: it will be loaded in that process.
    """
    command = [sys.executable, "-m", "keepfit.serve.proving", canonical(claim).decode()]
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, env=with_large_pages())
    try:
        told, _ = await asyncio.wait_for(process.communicate(), _PATIENCE)
    except TimeoutError as error:
        raise Refused(f"v{claim.held.version} was not loaded after {_PATIENCE:g} s", code="deadline") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _proof(claim.held, told, process.returncode or 0)


def _proof(held: Held, told: bytes, code: int) -> Proof:
    try:
        answer: dict[str, Any] = msgspec.json.decode(told.splitlines()[-1] if told.strip() else b"")
    except msgspec.DecodeError as error:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        raise Refused(f"v{held.version} ended the process that loaded it ({how})", code="crashed") from error
    if "error" in answer:
        raise Refused(answer["error"], code=answer["code"])
    return from_plain(Proof, answer)


def main(argv: list[str]) -> int:
    """Load and rehearse what the Claim `argv[0]` names, and print what that took, or why it may not answer."""
    from keepfit.serve.courtesy import step_back

    out, sys.stdout = sys.stdout, sys.stderr  # what a model's code prints belongs to the log
    step_back()
    stay_lean()  # as the front worker that will load what is proved here
    claim = from_plain(Claim, json.loads(argv[0]))
    version = f"v{claim.held.version}"
    try:
        answer = to_plain(_proved(claim, version))
    except KeepfitError as error:
        answer = {"error": str(error), "code": error.code}
    except MemoryError:
        answer = {"error": f"{version} needs more memory than there is", "code": "insufficient_memory"}
    except Exception as error:  # noqa: BLE001  # whatever a loader raises is a reason not to load it
        answer = {"error": f"{version} cannot be loaded: {type(error).__name__}: {error}", "code": "corrupt"}
    out.write(json.dumps(answer) + "\n")
    out.flush()
    return 0


def _proved(claim: Claim, version: str) -> Proof:
    from keepfit.core.service import Serving
    from keepfit.serve.routing import open_routing

    directory = Path(claim.directory)
    bundle = manifest(directory)
    runtime = registry.load("keepfit.runtimes", bundle.runtime)
    predicted = memory(directory, bundle)
    expect_room(version, predicted * claim.copies, room(claim.limit, claim.used, claim.freed))
    if not runtime.inline:
        return Proof(predicted, 0.0)
    before, began = _resident(), time.perf_counter()
    routing = open_routing(claim.service, claim.held, directory, False, Serving())
    proof = Proof(max(0, _resident() - before), round(time.perf_counter() - began, 3))
    expect_room(version, proof.memory * claim.copies, room(claim.limit, claim.used, claim.freed))
    routing.predictor.close()
    return proof


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
