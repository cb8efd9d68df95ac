"""worker: one process per Run, which makes itself the least important process on the machine."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from keepfit.core.errors import KeepfitError
from keepfit.core.imports import do_without
from keepfit.core.places import Places
from keepfit.core.registry import canonical, from_plain
from keepfit.edge.aside import step_aside
from keepfit.loop.executors import Ended
from keepfit.loop.pipeline import Work


def main(argv: list[str]) -> int:
    """Run one step: `worker RUN_DIR STORE`."""
    folder, places = Path(argv[0]), Places(Path(argv[1]))
    work = from_plain(Work, msgspec.json.decode((folder / "request.json").read_bytes()))
    given = step_aside(work.resources, runners(places))
    _write(folder, "granted.json", given)
    print(f"step {work.step} of {work.service}: {given}", flush=True)
    began = time.monotonic()
    if work.step not in ("outlook", "train"):  # only estimators see data frames
        do_without("pandas")
    try:
        from keepfit.loop.steps import perform_step  # after the priority was lowered: imports cost the most

        made = perform_step(work, places, folder)
        ended = Ended(outputs=made.outputs, result=made.result, granted=given)
    except KeepfitError as error:
        print(f"{error.code}: {error}", flush=True)
        ended = Ended(code=error.code, reason=str(error), granted=given)
    except MemoryError as error:
        traceback.print_exc()
        ended = Ended(code="memory", reason=_too_little(error, given.memory), granted=given)
    except Exception as error:  # noqa: BLE001  # user code may raise anything; it becomes the Run's failure
        traceback.print_exc()
        ended = Ended(code="raised", reason=f"{type(error).__name__}: {error}", granted=given)
    ended = replace(ended, cpu_seconds=sum(os.times()[:4]), wall_seconds=time.monotonic() - began)
    print(f"ended after {ended.wall_seconds:.2f} s ({ended.cpu_seconds:.2f} s of CPU) {ended.code}", flush=True)
    _write(folder, "result.json", ended)
    return 1 if ended.code else 0


def runners(places: Places) -> Iterator[int]:
    """The process ids of the store's runners."""
    for path in places.deployment("any").parent.glob("*/runner.json"):
        try:
            yield int(json.loads(path.read_bytes())["pid"])
        except (OSError, ValueError, KeyError):
            continue  # it is being written, or was never finished


def _too_little(error: MemoryError, memory: int | None) -> str:
    limit = f"its limit of {memory:,} bytes" if memory is not None else "what the machine has"
    return (
        f"the step needs more memory than {limit} ({error or 'MemoryError'}); raise Resources.memory or take less data"
    )


def _write(folder: Path, name: str, thing: Any) -> None:
    """Write a file which is there whole or not at all, whatever happens to the machine."""
    partial = folder / f"{name}.partial"
    with partial.open("wb") as file:
        file.write(canonical(thing))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / name)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
