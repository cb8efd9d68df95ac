"""Planted cases: two mistakes, made through the doors that people use, which keepfit has to survive.

1. Somebody trains on a file whose labels got shuffled: the gates must refuse the candidate.
2. Somebody trains on a file whose labels are inverted, is refused, and forces it live all the same: the labels that
   arrive afterwards must bring the Version before it back.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keepfit.core.facts import Swapped
from keepfit.edge.demo.flights import Year
from keepfit.edge.demo.story import POLL, Story

SHUFFLED_ON = datetime(2013, 5, 14, 12, tzinfo=UTC)
FORCED_ON = datetime(2013, 8, 13, 12, tzinfo=UTC)
ENOUGH = timedelta(days=60)
"""A year that was asked for until so long after a case's day has to see it through."""
_SHUFFLED_AT, _FORCED_AT = 0.2, 0.4  # shares of the time after which a case is played though its day has not come
_DATA = timedelta(days=45)  # how much of the year before is in a spoilt file
_SHUFFLED = "an export whose labels got shuffled"
_INVERTED = "an export whose labels are inverted"
_FORCED = "trust me, it was better on my laptop"


@dataclass
class Planted:
    """What came of the two cases; 0 and empty until it happened."""

    shuffled: int = 0
    shuffled_refused: str = ""
    forced: int = 0
    forced_live: str = ""
    rolled_back: str = ""
    wrong_for_days: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether both cases came to their end."""
        return bool(self.shuffled_refused and self.rolled_back)


@dataclass(frozen=True)
class Stage:
    """Where the cases are played: the folder, the moment of the year, the share of time spent, how to announce."""

    year: Year
    folder: Path
    service: str
    story: Story
    now: Callable[[], datetime]
    spent: Callable[[], float]
    announce: Callable[[str], None]


async def play(stage: Stage, planted: Planted) -> None:
    """Play both cases when their days have come."""
    await _until(lambda: stage.now() >= SHUFFLED_ON or stage.spent() > _SHUFFLED_AT)
    number = await _candidate(stage, "shuffled.parquet", _SHUFFLED, _shuffled)
    planted.shuffled, planted.shuffled_refused = number, _verdict(stage, number)
    await _until(lambda: stage.now() >= FORCED_ON or stage.spent() > _FORCED_AT)
    number = await _candidate(stage, "inverted.parquet", _INVERTED, _inverted)
    planted.forced = number
    await _until(lambda: not stage.story.is_busy)  # or a candidate made meanwhile would be judged first
    await _run(stage, "swap", stage.service, str(number), "--force", "--reason", _FORCED)
    forced = await _until(lambda: _swap_to(stage, number))
    planted.forced_live = forced.time.isoformat()
    back = await _until(lambda: _swap_from(stage, number))
    planted.rolled_back = back.time.isoformat()
    planted.wrong_for_days = (back.time - forced.time) / timedelta(days=1)


async def _candidate(stage: Stage, file: str, reason: str, spoil: Callable[[pa.Array], pa.Array]) -> int:
    """Write a spoilt file, ask for an update with it, and wait until it was judged; the Version's number."""
    stop = stage.year.rows_before(stage.now() - timedelta(days=2))
    start = stage.year.rows_before(stage.now() - timedelta(days=2) - _DATA)
    rows = stage.year.labelled(start, stop)
    place = rows.column_names.index("late")
    pq.write_table(rows.set_column(place, "late", spoil(rows["late"].combine_chunks())), stage.folder / file)
    await _run(stage, "update", stage.service, "--data", file, "--reason", reason)
    request = await _until(lambda: stage.story.request(reason))
    await _until(lambda: stage.story.answer(request.id))
    return stage.story.version_of(request.id)


def _shuffled(labels: pa.Array) -> pa.Array:
    return labels.take(pa.array(np.random.default_rng(2013).permutation(len(labels))))


def _inverted(labels: pa.Array) -> pa.Array:
    return pc.invert(labels)


def _verdict(stage: Stage, number: int) -> str:
    verdict = stage.story.situation.verdicts.get(number)
    return "; ".join(f"{ruling.gate}: {ruling.reason}" for ruling in verdict.rulings) if verdict else ""


def _swap_to(stage: Stage, number: int) -> Swapped | None:
    return next((swap for swap in stage.story.of(Swapped) if swap.after == number), None)


def _swap_from(stage: Stage, number: int) -> Swapped | None:
    return next((swap for swap in stage.story.of(Swapped) if swap.before == number), None)


async def _run(stage: Stage, *words: str) -> None:
    """Run keepfit's command line as a person would; what it says goes to its own log."""
    stage.announce("$ keepfit " + " ".join(f'"{word}"' if " " in word else word for word in words))
    command = [sys.executable, "-m", "keepfit", *words]
    with (stage.folder / "commands.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, cwd=stage.folder, stdout=log, stderr=log)
        await process.wait()


async def _until(ready: Callable[[], Any]) -> Any:
    while not (found := ready()):  # noqa: ASYNC110  # what is waited for happens in other processes
        await asyncio.sleep(POLL)
    return found
