"""keepfit profile: what is in a file, a folder, a query's answer, or a Span of a Stream."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.edge.commands.bars import watched
from keepfit.edge.commands.options import places_of, stored
from keepfit.edge.commands.spreading import spread, spread_of

if TYPE_CHECKING:
    from keepfit.data.profile import Profile
    from keepfit.data.scan import Scan

_STREAM = "stream:"


@click.command()
@click.argument("data")
@click.option("--slice", "slices", multiple=True, metavar="COLUMN", help="Profile the rows of each of its values, too.")
@click.option("--weight", default="", metavar="COLUMN", help="Count every row by this column's number.")
@click.option("--label", default="", metavar="COLUMN", help="Say how much every other column tells of this one.")
@click.option("--correlations", is_flag=True, help="Correlate all numeric columns.")
@click.option("--against", default="", metavar="DATA", help="Show this data's distributions beside it (with --html).")
@click.option("--query", default="", metavar="SQL", help="What to ask a database: DATA is then its URL.")
@click.option(
    "--spans", default="", metavar="FIRST..LAST", help="The spans or dates of a pattern, or a stream's times."
)
@click.option("--skip-broken", is_flag=True, help="Leave broken rows out and count them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; such a file can be given as DATA again.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@spread
@stored
def profile(data: str, as_json: bool, html: Path | None, against: str, **given: Any) -> None:
    """Profile DATA: a file (CSV, JSON Lines, Parquet, Arrow, TFRecord), a folder, a glob, a pattern with {DATE} or
    {SPAN}, a URL, a database's URL with --query, or stream:SERVICE.
    """
    from keepfit.core.imports import do_without

    do_without("pandas")
    if against and html is None:
        raise click.UsageError("--against shows two profiles on a page; give --html FILE as well")
    found = _measured(data, given)
    if html is not None:
        from keepfit.data.report.page import page

        title, beside = _named(data, against)
        other = (beside, _measured(against, given)) if against else None
        html.write_text(page(found, title=title, against=other), encoding="utf-8")
    if as_json:
        from keepfit.data.report.plain import to_json

        click.echo(to_json(found))
    elif html is not None:
        click.echo(f"wrote {html}")
    else:
        from rich.console import Console

        from keepfit.data.report.screen import show

        console = Console()
        show(found, console if console.is_terminal else Console(width=200), title=data)


def _named(data: str, against: str) -> tuple[str, str]:
    """What two sources are called on a page: their last parts, where these differ."""
    short, beside = Path(data).name, Path(against).name
    return (short or data, beside) if short != beside else (data, against)


def _measured(data: str, given: dict[str, Any]) -> Profile:
    from keepfit.data.profile import profile as measure
    from keepfit.data.report.plain import from_json, is_profile

    path = Path(data)
    if path.suffix == ".json" and path.is_file():
        written = path.read_bytes()
        if is_profile(written):
            return from_json(written)
    scanned, elsewhere = _scanned(data, given), spread_of(given)
    found = measure(
        scanned if elsewhere else watched(scanned),
        weight=given["weight"],
        slices=given["slices"],
        label=given["label"],
        correlate=given["correlations"],
        workers=elsewhere,
    )
    for reason in scanned.reasons:
        click.echo(f"left out: {reason}", err=True)
    return found


def _scanned(data: str, given: dict[str, Any]) -> Scan:
    from keepfit.data.scan import scan
    from keepfit.data.sources import spans_of

    spans = spans_of(given["spans"]) if given["spans"] else None
    if data.startswith(_STREAM):
        from keepfit.edge.spans import scan_span

        return scan_span(places_of(given["store"]), data.removeprefix(_STREAM), spans)
    return scan(data, skip_broken=given["skip_broken"], spans=spans, query=given["query"], encoded=True)
