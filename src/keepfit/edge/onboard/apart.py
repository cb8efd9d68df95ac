"""Apart: what looks into a model does so in a process of its own, with limits, because a file may crash its loader."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from keepfit.core.errors import KeepfitError, Refused

SECONDS = 60.0
"""How long a model may take to be loaded and to answer its examples."""

MEMORY = 8 * 2**30
"""How many bytes of data it may take for that."""

_REFUSED = 3


def apart(module: str, *arguments: str | Path, seconds: float = SECONDS, memory: int = MEMORY) -> Any:
    """What the function behind `main` of a module answers, in a process of its own.

    Refused with the sentence of the KeepfitError it raised, or saying that it crashed (`crashed`), was too slow
    (`too_slow`), or wanted too much memory.
    """
    with tempfile.TemporaryDirectory() as scratch:
        answer, log = Path(scratch) / "answer.json", Path(scratch) / "log"
        alike = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        alike["PYTHONHASHSEED"] = "0"
        command = [sys.executable, "-m", module, str(answer), str(memory), *map(str, arguments)]
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env={**os.environ, **alike}
            )
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise Refused(f"the model did not answer within {seconds:g} s of loading", code="too_slow") from None
            finally:
                process.kill()
                process.wait()
        if status not in (0, _REFUSED) or not answer.exists():
            raise Refused(_ended(status, log.read_bytes()), code="crashed")
        told = msgspec.json.decode(answer.read_bytes())
    if status == _REFUSED:
        raise Refused(told["sentence"], code=told["code"])
    return told


def _ended(status: int, log: bytes) -> str:
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    last = log.decode(errors="replace").strip().splitlines()[-1:] or ["and said nothing"]
    return f"the process that tried the model ended with {how}: {last[0][:300]}"


def main(look: Callable[..., Any], argv: list[str]) -> int:
    """The process: call `look` with the rest of the arguments and write what it answers as JSON."""
    answer, memory = Path(argv[0]), int(argv[1])
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        told = look(*argv[2:])
    except KeepfitError as error:
        return _refuse(answer, str(error), error.code)
    except MemoryError:
        return _refuse(answer, f"the model wants more than {memory / 2**30:.1f} GB of memory", "insufficient_memory")
    except Exception as error:  # noqa: BLE001  # whatever a model's code raises is the reason why it is refused
        return _refuse(answer, f"{type(error).__name__}: {str(error)[:500]}", "unservable")
    answer.write_bytes(msgspec.json.encode(told))
    return 0


def _refuse(answer: Path, sentence: str, code: str) -> int:
    answer.write_bytes(msgspec.json.encode({"sentence": sentence, "code": code}))
    return _REFUSED
