"""The demo: a year of flights through `keepfit up`, over HTTP, on a clock that runs some days per second."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from keepfit.core.clock import SharedClock
from keepfit.core.errors import MissingExtra, Unavailable
from keepfit.core.places import Places
from keepfit.core.registry import to_plain
from keepfit.edge.demo import flights, planted, score, story
from keepfit.edge.demo.connection import Connection
from keepfit.edge.demo.flights import Year
from keepfit.edge.demo.page import page
from keepfit.edge.demo.planted import Planted, Stage
from keepfit.edge.demo.report import Report, report, show
from keepfit.edge.demo.screen import Screen
from keepfit.edge.demo.story import Story
from keepfit.edge.demo.traffic import Pace, Traffic
from keepfit.loop.situation import Situation
from keepfit.store.blobs import Trees

SERVICE = "late-arrival"
BEGIN = datetime(2013, 2, 1, 5, tzinfo=UTC)  # midnight in New York
END = datetime(2014, 1, 1, 5, tzinfo=UTC)
_IDLE, _BUSY = 4.0, 1.0  # days of 2013 per second, while the loop has nothing to do and while it works
_DAY = 86400.0
_YEAR_IS_OVER = 208.0  # seconds after the beginning: what remains of four minutes is for the report
_GRACE = 1.1  # of the time given: how long planted cases under way may delay the end
_START_PATIENCE = 300.0  # seconds until the first Version has to be live
_STOP_PATIENCE = 40.0


@dataclass(frozen=True)
class Wishes:
    """What the command line asked for."""

    out: Path
    keep: Path | None
    until: datetime
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Play the demo and write its report; 0 when nothing was lost and both planted cases ended as they must."""
    wishes = _wishes(arguments)
    console = _console()
    began = time.monotonic()
    _needs()
    found = asyncio.run(_demo(wishes, console, began))
    wishes.out.mkdir(parents=True, exist_ok=True)
    (wishes.out / "demo-report.json").write_bytes(msgspec.json.format(msgspec.json.encode(to_plain(found)), indent=2))
    (wishes.out / "demo-report.html").write_text(page(found), encoding="utf-8")
    show(found, console)
    console.print(f"\nwritten: {wishes.out / 'demo-report.json'} and {wishes.out / 'demo-report.html'}")
    return 0 if found.is_whole else 1


def _console() -> Console:
    """The terminal as it is; what is no terminal gets lines long enough for the tables."""
    console = Console()
    return console if console.is_terminal else Console(width=120)


def _wishes(arguments: Sequence[str] | None) -> Wishes:
    parser = argparse.ArgumentParser(prog="keepfit demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(), help="where the report goes; default: here")
    parser.add_argument(
        "--keep", type=Path, help="a new folder for the store, kept afterwards; default: a temporary one"
    )
    parser.add_argument("--until", type=datetime.fromisoformat, default=END, help="the last moment of 2013 to replay")
    parser.add_argument("--seconds", type=float, default=200.0, help="how long the year may take; default: 200")
    given = parser.parse_args(arguments)
    return Wishes(given.out, given.keep, given.until.replace(tzinfo=UTC), given.seconds)


def _needs() -> None:
    for module, extra in (
        ("granian", "serve"),
        ("httptools", "serve"),
        ("onnxruntime", "onnx"),
        ("sklearn", "sklearn"),
        ("pandas", "sklearn"),
    ):
        try:
            __import__(module)
        except ImportError as error:
            raise MissingExtra(module, extra) from error


async def _demo(wishes: Wishes, console: Console, began: float) -> Report:
    with _folder(wishes.keep) as folder, Screen(console) as screen:
        screen.say("keepfit demo: will a flight from New York arrive 15 minutes late, or later? All flights of 2013.")
        year = flights.load()
        clock = _prepare(folder, year)
        places = Places(folder / ".keepfit")
        screen.say("$ keepfit up service.py        (trains v1 on January, starts control and runner)")
        with ExitStack() as beside:
            with _control(folder, places):
                from keepfit.edge.demo.baselines import Baselining  # scikit-learn and pandas, while control starts

                others = beside.enter_context(closing(Baselining(_months(wishes.until))))
                told, sent, cases = await _live(wishes, year, folder=folder, clock=clock, screen=screen, began=began)
            screen.say("Every answer is computed once more with the Bundle it names; the baselines are fitted …", "dim")
            trees = Trees(places.trees)
            torn, fitted = await asyncio.gather(
                asyncio.to_thread(score.torn, year, sent.log, trees, told.situation.bundles),
                asyncio.to_thread(others.finish, year),
            )
        ways = {"frozen": fitted.frozen, "monthly": fitted.monthly, "keepfit": sent.log.probability}
        return _report(year, ways, told=told, sent=sent, cases=cases, rest=_rest(wishes, sent, torn=torn, began=began))


def _months(until: datetime) -> list[int]:
    """The months from February that begin before a moment."""
    return [month for month in range(2, 13) if BEGIN.replace(month=month) < until]


def _prepare(folder: Path, year: Year) -> SharedClock:
    """The service file, its first data and the clock, as a user would have them in a folder."""
    shutil.copy(Path(__file__).with_name("service.py"), folder / "service.py")
    january = year.labelled(0, int(np.searchsorted(year.month, 2)))
    pq.write_table(january, folder / "january.parquet")
    return SharedClock.create(folder / "clock", BEGIN)


async def _live(
    wishes: Wishes, year: Year, *, folder: Path, clock: SharedClock, screen: Screen, began: float
) -> tuple[Story, Traffic, Planted]:
    """Replay the year against what `keepfit up` started."""
    address, token = await _soon(lambda: story.control(folder / ".keepfit" / "control.json"), folder)
    told, cases = Story(Situation(now=BEGIN)), Planted()
    pace = Pace(_IDLE * _DAY, _BUSY * _DAY, wishes.until, wishes.seconds)

    def look() -> None:
        screen.events(told)
        pace.is_busy = told.is_busy
        pace.is_harmed = bool(cases.forced) and told.situation.live == cases.forced

    following = asyncio.create_task(story.follow(told, address, token, SERVICE, look))
    try:
        await _soon(lambda: following.done() or told.situation.live, folder)
        sent = Traffic(year, await _runner(address, token, folder), SERVICE, clock)
        pace.start(min(wishes.seconds, max(60.0, _YEAR_IS_OVER - (time.monotonic() - began))))
        stage = Stage(
            year, folder, SERVICE, told, lambda: sent.now, lambda: pace.spent, lambda text: screen.say(text, "bold")
        )
        playing = asyncio.create_task(planted.play(stage, cases))
        showing = asyncio.create_task(_show(screen, told, sent, pace))
        start, stop = int(np.searchsorted(year.month, 2)), year.rows_before(wishes.until)
        await _while(sent.replay(start, stop, pace, until=lambda: _is_late(pace, cases)), following)
        _end(showing)
        _end(playing)
        sent.close()
    finally:
        _end(following)
    return told, sent, cases


def _is_late(pace: Pace, cases: Planted) -> bool:
    """Whether the year has to end here: time is over, and the planted cases are too, or had their chance."""
    return pace.spent > (1.0 if cases.is_over else _GRACE)


async def _show(screen: Screen, told: Story, sent: Traffic, pace: Pace) -> None:
    while True:
        screen.progress(told, sent, pace, BEGIN)
        await asyncio.sleep(0.25)


async def _while(work: Any, condition: asyncio.Task[None]) -> None:
    """Wait for the work, unless what it depends on ends first, which raises what ended it."""
    working = asyncio.ensure_future(work)
    await asyncio.wait({working, condition}, return_when=asyncio.FIRST_COMPLETED)
    if condition.done() and not working.done():
        _end(working)
        condition.result()
    await working


def _end(task: asyncio.Future[Any]) -> None:
    """Cancel a task; one that failed raises here what it failed with."""
    if not task.cancel() and not task.cancelled():
        task.result()


async def _soon(ready: Callable[[], Any], folder: Path) -> Any:
    """What `ready` gives as soon as it does; Unavailable with the end of the control process' log otherwise."""
    deadline = time.monotonic() + _START_PATIENCE
    while time.monotonic() < deadline:
        if found := ready():
            return found
        await asyncio.sleep(0.05)
    tail = (folder / "control.log").read_text(errors="replace")[-2000:]
    raise Unavailable(f"keepfit up did not get ready within {_START_PATIENCE:g} s; its log ends with:\n{tail}")


async def _runner(address: str, token: str, folder: Path) -> str:
    """The address of the runner, as soon as it is ready."""
    line = Connection(address, token)
    deadline = time.monotonic() + _START_PATIENCE
    while time.monotonic() < deadline:
        reply = await line.ask("GET", f"/v1/services/{SERVICE}/status")
        url = msgspec.json.decode(reply.body).get("runner", {}).get("url", "")
        with suppress(OSError):
            if url and (await Connection(url).ask("GET", "/v2/health/ready")).status == 200:
                line.close()
                return str(url)
        await asyncio.sleep(0.1)
    raise Unavailable(f"the runner did not get ready; its log is in {folder}")


def _rest(wishes: Wishes, sent: Traffic, *, torn: int, began: float) -> dict[str, Any]:
    """What of the report only this module knows."""
    until = min(wishes.until, sent.now + timedelta(hours=1))
    early = (
        f"The time was over before the year was: it ends on {until:%d %B}; a quicker or idler machine gets further.",
    )
    return {
        "torn_answers": torn,
        "until": until.isoformat(),
        "asked_until": wishes.until.isoformat(),
        "seconds": round(time.monotonic() - began, 1),
        "notes": (*(early if until < wishes.until - timedelta(days=1) else ()), *_NOTES),
    }


def _report(
    year: Year, ways: dict[str, np.ndarray], *, told: Story, sent: Traffic, cases: Planted, rest: dict[str, Any]
) -> Report:
    start, stop = int(np.searchsorted(year.month, 2)), year.rows_before(datetime.fromisoformat(rest["until"]))
    months = score.months(year, ways, start, stop)
    return report(sent.log, told, months=months, latency=score.latency(sent.log), planted=cases, rest=rest)


_NOTES = (
    f"The year runs at {_IDLE:g} to {2.5 * _IDLE:g} days per second, and at {_BUSY:g} to {2 * _BUSY:g} while the loop "
    "works on a model, since training takes as long on any clock; what a candidate is late by is in keepfit's numbers.",
    "keepfit's candidates never train on the latest 4,000 labelled flights, which judge them; "
    "'monthly retrain' trains on everything and is live in no time.",
    "keepfit's numbers include the days on which the planted harmful version answered.",
    "'Around swaps' is from 2 seconds before to 1 second after the first answer of another version.",
)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="keepfit-demo-") as folder:
        yield Path(folder)


@contextmanager
def _control(folder: Path, places: Places) -> Iterator[None]:
    """`keepfit up` as a process of its own, for as long as the demo needs it."""
    command = [
        sys.executable,
        "-m",
        "keepfit",
        "up",
        "service.py",
        "--store",
        str(places.root),
        "--clock",
        str(folder / "clock"),
    ]
    with (folder / "control.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(_STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
