"""keepfit drift: what changed between two files, or from month to month."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.edge.commands.bars import busy, watched

if TYPE_CHECKING:
    import pyarrow as pa

    from keepfit.watch.cause import Told
    from keepfit.watch.tables import Drift


@dataclass(frozen=True)
class _Wanted:
    """The options."""

    by: str
    column: str
    season: str | None
    tz: str
    detector: str
    columns: tuple[str, ...]
    effect: float
    fdr: float
    label: str
    as_json: bool
    html: Path | None
    fail: bool


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--by", default="", metavar="PERIOD", help="Compare each hour, day, week, month, quarter or year of B.")
@click.option("--time", "column", default="", help="The column of times to go by; the first one where none is named.")
@click.option(
    "--season",
    type=click.Choice(["hour", "weekday", "hour-of-week"]),
    help="Compare only with rows of A of the same hours, weekdays, or both.",
)
@click.option("--tz", default="UTC", show_default=True, help="The clocks that seasons go by.")
@click.option("--detector", default="Auto", show_default=True, help="A detector by its name.")
@click.option("--column", "columns", multiple=True, help="Compare only this column; may be repeated.")
@click.option("--label", default="", metavar="COLUMN", help="Say whether inputs, labels or what joins them moved.")
@click.option("--effect", default=0.1, show_default=True, help="The smallest effect that counts, 0 to 1.")
@click.option("--fdr", default=0.01, show_default=True, help="The share of false ones among the columns found.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@click.option("--fail", is_flag=True, help="Exit 1 where something drifted.")
@click.pass_context
def drift(ctx: click.Context, /, a: str, b: str, **given: Any) -> None:
    """Say which columns of B are distributed otherwise than in A, and what moved in them."""
    from keepfit.core.imports import do_without
    from keepfit.core.registry import to_plain

    if given["detector"] == "Auto":  # somebody else's detector may need it
        do_without("pandas")
    wanted = _Wanted(**given)
    old, new = _read(a), _read(b)
    with busy(f"comparing {len(new.column_names)} columns"):
        found = _compared(old, new, wanted)
        told = _cause(old, new, wanted)
    if wanted.html is not None:
        from keepfit.edge.drift_page import page

        wanted.html.write_text(page(Path(a).name or a, Path(b).name or b, found, _whole(told)), encoding="utf-8")
        click.echo(f"wrote {wanted.html}", err=True)
    click.echo(json.dumps(to_plain(found), indent=1) if wanted.as_json else "\n".join(_lines(found, told)))
    if wanted.fail and any(one.findings for one in found):
        ctx.exit(1)


def _read(data: str) -> pa.Table:
    from keepfit.data.scan import scan

    return watched(scan(data)).table().combine_chunks()


def _compared(old: pa.Table, new: pa.Table, wanted: _Wanted) -> tuple[Drift, ...]:
    from keepfit.core import registry
    from keepfit.core.nouns import Season
    from keepfit.watch import tables

    limits = tables.Limits(
        registry.load("keepfit.detectors", wanted.detector)(),
        wanted.fdr,
        wanted.effect,
        season=Season((wanted.season or "none").replace("-", " ")),
        tz=wanted.tz,
    )
    chosen = wanted.columns or None
    if wanted.by:
        return tables.drift_by(old, new, by=wanted.by, column=wanted.column, columns=chosen, limits=limits)
    return (tables.drift(old, new, columns=chosen, limits=limits, column=wanted.column),)


def _cause(old: pa.Table, new: pa.Table, wanted: _Wanted) -> Told | None:
    """Why the tables differ as a whole, if they have the label that was named."""
    if not wanted.label:
        return None
    from keepfit.core.errors import DataInvalid
    from keepfit.watch.cause import cause_of
    from keepfit.watch.tables import joint

    for table in (old, new):
        if wanted.label not in table.column_names:
            raise DataInvalid(f"--label {wanted.label}: there is no such column; there are {table.column_names}")
    return cause_of(joint(old, wanted.label), joint(new, wanted.label))


def _whole(told: Told | None) -> str:
    return "" if told is None else f"cause: {told.cause or 'not told'} ({told.reason})"


def _lines(found: tuple[Drift, ...], told: Told | None) -> list[str]:
    lines = []
    for one in found:
        begin = f"{one.period}: " if one.period else ""
        lines.append(f"{begin}{len(one.findings)} of {len(one.measurements)} columns drifted")
        lines += [f"  {finding.sentence}" for finding in one.findings]
        notes = {measured.note: measured.subject for measured in reversed(one.measurements) if measured.note}
        lines += [f"  {subject} was not judged: {note}" for note, subject in notes.items()]
    lines += [f"not compared: {line}" for line in (found[0].skipped if found else ())]
    return lines + ([_whole(told)] if told else [])
