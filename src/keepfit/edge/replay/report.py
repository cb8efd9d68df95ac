"""replay: the command that runs a service file's loop over history, and reports.

What goes to standard output and into the files is the same, byte by byte, for the same input and seed; what was
measured (CPU seconds) goes to standard error.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from keepfit.core.errors import NotFound, SpecInvalid
from keepfit.core.places import Places
from keepfit.core.registry import to_plain
from keepfit.loop.courses import Course
from keepfit.loop.replay import Happening, Replayed, Terms, replay

_WIDTH = 120  # columns of the report: always the same, so that the bytes are
_BARS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 60


def replayed(file: Path, data: Path, *, name: str, terms: Terms, quiet: bool = True) -> Replayed:
    """Load the service file in a process of its own, read the data, replay; everything in a temporary store."""
    from keepfit.data.read import read
    from keepfit.edge.apply import declared, specification_at
    from keepfit.edge.declare.given import fitted

    with TemporaryDirectory(prefix="keepfit-replay-") as folder:
        places = Places(Path(folder))
        chosen = _chosen(declared(file, places), name, file)
        rows = fitted(read(data), specification_at(chosen, places))
        return replay(chosen, rows, places, terms=terms, tell=None if quiet else _tell)


def _chosen(services: Sequence[Any], name: str, file: Path) -> str:
    names = [one.service for one in services]
    if name and name not in names:
        raise NotFound(f"{file} declares no service '{name}'; there are: {', '.join(names)}")
    if not name and len(names) > 1:
        raise SpecInvalid(f"{file} declares {', '.join(names)}; choose one with --service")
    return str(next(one.specification for one in services if one.service == (name or names[0])))


def _tell(line: str) -> None:
    sys.stderr.write(f"\r\x1b[K{line}")
    sys.stderr.flush()


def report(found: Replayed, console: Console) -> None:
    """Print what a replay found; nothing in it differs between two runs."""
    first, last = found.chunks[0].close, found.chunks[-1].close
    console.print(
        f"{found.service}: {found.rows:,} rows in {len(found.chunks)} chunks, {first:%Y-%m-%d %H:%M} to "
        f"{last:%Y-%m-%d %H:%M}, after {found.skipped:,} rows of first data; monitors looked {found.looks} times"
    )
    console.print(_table(found))
    for course in found.courses:
        console.print(f"  {course.name:>12} {_spark(course.chunks[found.metric], found)}", highlight=False)
    console.print(f"  {'':>12} {found.metric}, {'more' if found.higher else 'less'} is better, from first row to last")
    console.print()
    for happening in found.happenings:
        console.print(_event(happening), highlight=False, soft_wrap=True, markup=False)


def _table(found: Replayed) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("policy")
    for head in (*found.courses[0].total, "updates", "swaps", "rows trained on"):
        table.add_column(head, justify="right")
    for course in found.courses:
        measured = [_number(value) for value in course.total.values()]
        table.add_row(course.name, *measured, str(course.updates), str(course.swaps), f"{course.rows:,}")
    return table


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"


def _spark(values: Sequence[float], found: Replayed) -> str:
    """The metric over time as a line of blocks, on one scale for all policies."""
    every = [value for course in found.courses for value in course.chunks[found.metric] if not math.isnan(value)]
    low, high = min(every), max(every)
    width = min(_COLUMNS, len(values))
    shown = []
    for column in range(width):
        part = values[column * len(values) // width : (column + 1) * len(values) // width]
        known = [value for value in part if not math.isnan(value)]
        level = (sum(known) / len(known) - low) / (high - low) if known and high > low else 0.0
        shown.append(_BARS[1 + round(level * 7)] if known else " ")
    return "".join(shown)


def _event(happening: Happening) -> str:
    return f"{happening.time:%Y-%m-%d %H:%M}  row {happening.row:>7,}  {happening.kind:<10} {happening.text}"


def costs(courses: Sequence[Course]) -> str:
    """What the policies cost on this machine: measured, and different in every run."""
    each = ", ".join(f"{course.name} {course.cpu_seconds:.1f}" for course in courses if course.updates or course.rows)
    return f"CPU seconds (measured; keepfit's with checks, conversion, evaluation and looks): {each}"


def plain(found: Replayed) -> dict[str, Any]:
    """The result as plain data, without what was measured."""
    made: dict[str, Any] = to_plain(found)
    for course in made["courses"]:
        del course["cpu_seconds"]
    return made


def _periods(text: str) -> tuple[int, ...]:
    try:
        periods = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        periods = (0,)
    if any(period < 1 for period in periods):
        raise SpecInvalid(f"--every: expected numbers of chunks such as 1,5,10, found {text!r}")
    return periods


@click.command(name="keepfit replay", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("service_file", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--service", default="", help="Which service of the file, where it declares several.")
@click.option("--chunk", default="1%", show_default=True, help="Rows, a share, or day, week, month, quarter, year.")
@click.option("--delay", default=0, show_default=True, help="Chunks after which labels are known, beyond their own.")
@click.option("--step", default=60.0, show_default=True, help="Seconds between rows, where the service names no time.")
@click.option("--every", default="1,2,5,10", show_default=True, help="Chunks between updates of the baselines.")
@click.option("--seed", type=int, help="Instead of the recipe's own.")
@click.option("--compare", is_flag=True, help="Compare all services of the file, over several seeds.")
@click.option("--seeds", default=5, show_default=True, help="How many seeds a comparison takes.")
@click.option("--oracle/--no-oracle", default=True, show_default=True, help="Find the best schedules in hindsight.")
@click.option("--html", type=click.Path(path_type=Path), help="Where to draw it; replay-SERVICE.html by default.")
@click.option("--json", "json_", type=click.Path(path_type=Path), help="Where to write everything as JSON.")
def command(
    service_file: Path, data: Path, *, service: str, html: Path | None, json_: Path | None, **given: Any
) -> None:
    """Run the loop of SERVICE_FILE over the rows of DATA, as if they came one after the other, and report.

    Rows of DATA which are the service's first data are not replayed. With --compare the file declares several services,
    policies side by side, and each is replayed with every seed.
    """
    from keepfit.edge.replay.page import page

    terms = Terms(
        chunk=given["chunk"],
        delay=given["delay"],
        step=timedelta(seconds=given["step"]),
        periods=_periods(given["every"]),
        seed=given["seed"],
    )
    if given["compare"]:
        _compare(service_file, data, terms, given, html=html, json_=json_)
        return
    found = replayed(service_file, data, name=service, terms=terms, quiet=not sys.stderr.isatty())
    if sys.stderr.isatty():
        _tell("")
    report(found, Console(width=_WIDTH, force_terminal=False, color_system=None))
    drawn = html or Path(f"replay-{found.service}.html")
    drawn.write_text(page(found), encoding="utf-8")
    if json_:
        json_.write_bytes(msgspec.json.format(msgspec.json.encode(plain(found)), indent=1))
    click.echo(costs(found.courses), err=True)
    click.echo(f"drawn: {drawn}", err=True)


def _compare(
    file: Path, data: Path, terms: Terms, given: dict[str, Any], *, html: Path | None, json_: Path | None
) -> None:
    from keepfit.edge.replay.compared import (
        compare_file,
        compare_page,
        comparison_costs,
        plain_comparison,
        tell_comparison,
    )

    if given["seeds"] < 1:
        raise SpecInvalid(f"--seeds: expected at least 1, found {given['seeds']}")
    begin = given["seed"] or 0
    seeds = tuple(range(begin, begin + given["seeds"]))
    tell = _tell if sys.stderr.isatty() else lambda line: None
    found = compare_file(file, data, terms=terms, seeds=seeds, oracle=given["oracle"], tell=tell)
    if sys.stderr.isatty():
        _tell("")
    tell_comparison(found, Console(width=_WIDTH, force_terminal=False, color_system=None))
    drawn = html or Path(f"compare-{file.stem}.html")
    drawn.write_text(compare_page(found, file.stem), encoding="utf-8")
    if json_:
        json_.write_bytes(msgspec.json.format(msgspec.json.encode(plain_comparison(found)), indent=1))
    click.echo(comparison_costs(found), err=True)
    click.echo(f"drawn: {drawn}", err=True)


def main(argv: list[str]) -> int:
    """The command; exit code 1 where it failed, 2 for wrong input."""
    try:
        command.main(argv, prog_name="keepfit replay", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return 2
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return 0
