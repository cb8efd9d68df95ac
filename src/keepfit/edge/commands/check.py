"""keepfit check: data held against a Schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.core.errors import DataInvalid
from keepfit.edge.commands.bars import watched
from keepfit.edge.commands.spreading import spread, spread_of

if TYPE_CHECKING:
    from keepfit.core.nouns import Finding
    from keepfit.data.anomalies import Case
    from keepfit.data.anomalies.faults import Fault
    from keepfit.data.profile import Profile
    from keepfit.data.scan import Scan
    from keepfit.data.spread import Spread

FILE = click.Path(dir_okay=False, path_type=Path)
data_argument = click.argument("data")
schema_option = click.option(
    "--schema", "-s", "path", type=FILE, required=True, help="The schema: YAML, JSON, or TFDV's .pbtxt."
)
environment_option = click.option("--environment", "-e", default="", help="Where the data is for, as SERVING.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
html_option = click.option("--html", type=FILE, help="Write a page.")


@click.command()
@data_argument
@schema_option
@environment_option
@click.option("--span", default="", metavar="FIRST..END", help="The times the rows should be of, END excluded.")
@click.option("--previous", default="", metavar="DATA", help="The data before it, for drift and volume.")
@click.option("--serving", default="", metavar="DATA", help="What is served, for skew.")
@click.option("--rows", default=10, show_default=True, help="So many row numbers are told of each finding.")
@click.option("--quarantine", type=FILE, help="Write the rows with findings there (Parquet, or CSV by its name).")
@click.option("--skip-broken", is_flag=True, help="Leave rows out that cannot be read.")
@json_option
@html_option
@spread
@click.pass_context
def check(ctx: click.Context, /, data: str, path: Path, as_json: bool, html: Path | None, **given: Any) -> None:
    """Hold DATA against a schema. The exit code is 1 if there is an ERROR."""
    from keepfit.core.imports import do_without
    from keepfit.core.nouns import Severity
    from keepfit.data.check import examine

    do_without("pandas")
    scanned, elsewhere = _scanned(data, given), spread_of(given)
    source = scanned if elsewhere else watched(scanned)
    case = _case(source, path, given, elsewhere)
    most = None if given["quarantine"] else given["rows"]
    faults = examine(case, source, most=most, workers=elsewhere)
    findings = [fault.pinned(given["rows"]) for fault in faults]
    for reason in scanned.reasons:
        click.echo(f"left out: {reason}", err=True)
    if given["quarantine"] is not None:
        count = _quarantined(scanned, faults, given["quarantine"])
        click.echo(f"wrote {count} rows to {given['quarantine']}", err=True)
    if html is not None:
        from keepfit.data.report.findings import findings_page

        page = findings_page(findings, title=data, schema=str(path), rows=case.profile.rows)
        html.write_text(page, encoding="utf-8")
    _told(findings, {"data": data, "schema": str(path), "rows": case.profile.rows}, as_json=as_json, html=html)
    if any(finding.severity is Severity.ERROR for finding in findings):
        ctx.exit(1)


def _told(findings: list[Finding], about: dict[str, Any], *, as_json: bool, html: Path | None) -> None:
    from keepfit.core.registry import to_plain

    if as_json:
        click.echo(json.dumps({**about, "findings": to_plain(findings)}, indent=2))
    elif html is not None:
        click.echo(f"wrote {html}")
    else:
        _show(findings, about["rows"])


def _scanned(data: str, given: dict[str, Any]) -> Scan:
    from keepfit.data.check import again
    from keepfit.data.scan import scan

    return again(scan(data, skip_broken=given["skip_broken"], encoded=True))


def _case(source: Scan, path: Path, given: dict[str, Any], elsewhere: Spread | None) -> Case:
    from keepfit.data.anomalies import Case
    from keepfit.data.profile import profile
    from keepfit.data.schema import read_schema

    schema = read_schema(path)
    return Case(
        schema=schema,
        profile=profile(source, workers=elsewhere),
        previous=profiled(given["previous"]),
        serving=profiled(given["serving"]),
        environment=given["environment"],
        span=_span(given["span"]),
        now=datetime.now(UTC),
    )


def profiled(data: str) -> Profile | None:
    """The Profile of DATA, which may be one already; None of nothing."""
    if not data:
        return None
    from keepfit.data.profile import profile
    from keepfit.data.report.plain import from_json, is_profile
    from keepfit.data.scan import scan

    path = Path(data)
    if path.suffix == ".json" and path.is_file() and is_profile(path.read_bytes()):
        return from_json(path.read_bytes())
    return profile(watched(scan(data, encoded=True)))


def _span(text: str) -> tuple[datetime, datetime] | None:
    if not text:
        return None
    first, _, end = text.partition("..")
    try:
        return datetime.fromisoformat(first), datetime.fromisoformat(end)
    except ValueError as error:
        raise DataInvalid(f"--span is {text!r}; expected as 2024-01-01..2024-02-01") from error


def _quarantined(scanned: Scan, faults: tuple[Fault, ...], path: Path) -> int:
    import pyarrow.csv
    import pyarrow.parquet

    from keepfit.data.check import quarantine

    kept = quarantine(scanned, faults)
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(kept, path)
    else:
        pyarrow.parquet.write_table(kept, path)
    return int(kept.num_rows)


def _show(findings: list[Finding], rows: int) -> None:
    for finding in findings:
        click.echo(f"{finding.severity.upper():7} {finding.anomaly}: {finding.sentence}")
        if finding.rows:
            more = ", ..." if finding.count > len(finding.rows) else ""
            click.echo(f"        rows {', '.join(map(str, finding.rows))}{more}")
    click.echo(f"{rows} rows, {len(findings)} findings")
