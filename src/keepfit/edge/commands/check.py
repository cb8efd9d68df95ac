"""keepfit check and keepfit schema: data held against a Schema, and the Schema's own life."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.core.errors import DataInvalid

if TYPE_CHECKING:
    import pyarrow as pa

    from keepfit.core.nouns import Finding
    from keepfit.data.anomalies import Case
    from keepfit.data.anomalies.faults import Fault
    from keepfit.data.profile import Profile
    from keepfit.data.schema import Change, Schema

_FILE = click.Path(dir_okay=False, path_type=Path)
_data = click.argument("data")
_schema = click.option(
    "--schema", "-s", "path", type=_FILE, required=True, help="The schema: YAML, JSON, or TFDV's .pbtxt."
)
_environment = click.option("--environment", "-e", default="", help="Where the data is for, as SERVING.")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@_data
@_schema
@_environment
@click.option("--span", default="", metavar="FIRST..END", help="The times the rows should be of, END excluded.")
@click.option("--previous", default="", metavar="DATA", help="The data before it, for drift and volume.")
@click.option("--serving", default="", metavar="DATA", help="What is served, for skew.")
@click.option("--rows", default=10, show_default=True, help="So many row numbers are told of each finding.")
@click.option("--quarantine", type=_FILE, help="Write the rows with findings there (Parquet, or CSV by its name).")
@click.option("--skip-broken", is_flag=True, help="Leave rows out that cannot be read.")
@_json
@click.pass_context
def check(ctx: click.Context, /, data: str, path: Path, as_json: bool, **given: Any) -> None:
    """Hold DATA against a schema. The exit code is 1 if there is an ERROR."""
    from keepfit.core.imports import do_without
    from keepfit.core.nouns import Severity
    from keepfit.core.registry import to_plain
    from keepfit.data.check import examine

    do_without("pandas")
    case = _case(data, path, given)
    faults = examine(case)
    findings = [fault.pinned(given["rows"]) for fault in faults]
    if given["quarantine"] is not None and case.table is not None:
        count = _quarantined(case.table, faults, given["quarantine"])
        click.echo(f"wrote {count} rows to {given['quarantine']}", err=True)
    if as_json:
        told = {"data": data, "schema": str(path), "rows": case.profile.rows, "findings": to_plain(findings)}
        click.echo(json.dumps(told, indent=2))
    else:
        _show(findings, case.profile.rows)
    if any(finding.severity is Severity.ERROR for finding in findings):
        ctx.exit(1)


def _case(data: str, path: Path, given: dict[str, Any]) -> Case:
    from keepfit.data.anomalies import Case
    from keepfit.data.profile import profile
    from keepfit.data.read import read
    from keepfit.data.schema import read_schema

    schema = read_schema(path)
    table = read(data, skip_broken=given["skip_broken"])
    return Case(
        schema=schema,
        profile=profile(table),
        table=table,
        previous=_profiled(given["previous"]),
        serving=_profiled(given["serving"]),
        environment=given["environment"],
        span=_span(given["span"]),
        now=datetime.now(UTC),
    )


def _profiled(data: str) -> Profile | None:
    if not data:
        return None
    from keepfit.data.profile import profile
    from keepfit.data.report.plain import from_json, is_profile
    from keepfit.data.scan import scan

    path = Path(data)
    if path.suffix == ".json" and path.is_file() and is_profile(path.read_bytes()):
        return from_json(path.read_bytes())
    return profile(scan(data, encoded=True))


def _span(text: str) -> tuple[datetime, datetime] | None:
    if not text:
        return None
    first, _, end = text.partition("..")
    try:
        return datetime.fromisoformat(first), datetime.fromisoformat(end)
    except ValueError as error:
        raise DataInvalid(f"--span is {text!r}; expected as 2024-01-01..2024-02-01") from error


def _quarantined(table: pa.Table, faults: tuple[Fault, ...], path: Path) -> int:
    import pyarrow.csv
    import pyarrow.parquet

    from keepfit.data.check import quarantine

    kept = quarantine(table, faults)
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


@click.group()
def schema() -> None:
    """Infer a schema, accept findings into it, compare two."""


@schema.command()
@_data
@click.option("-o", "--output", type=_FILE, help="Where to write it: .yaml, .json, or .pbtxt for TFDV.")
@click.option("--label", default="_label", show_default=True, help="The column that is the label.")
@click.option("--strict", is_flag=True, help="To the letter, as TFDV infers: no slack, no ranges.")
@click.option("--force", is_flag=True, help="Write over a schema that is there.")
def infer(data: str, output: Path | None, label: str, strict: bool, force: bool) -> None:
    """Expect of later data what DATA shows."""
    from keepfit.data.schema import infer as inferred
    from keepfit.data.schema import to_yaml, write_schema

    profiled = _profiled(data)
    if profiled is None:
        raise click.UsageError("DATA is empty; name a file, a folder or a URL")
    if output is not None and output.exists() and not force:
        raise DataInvalid(f"{output} is there already; change it with 'keepfit schema accept', or give --force")
    found = inferred(profiled, label=label, strict=strict)
    if output is None:
        click.echo(to_yaml(found), nl=False)
        return
    write_schema(found, output)
    click.echo(f"wrote {output}: {len(found.columns)} columns; read it, it is what later data is held to")


@schema.command()
@_data
@_schema
@_environment
@click.option(
    "--finding", "chosen", multiple=True, metavar="COLUMN[:ANOMALY]", help="Accept this one; may be repeated."
)
@click.option("--all", "everything", is_flag=True, help="Accept all that can be.")
@_json
def accept(data: str, path: Path, environment: str, chosen: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Change the schema so that findings in DATA, chosen by name, are none any more; says what it changed."""
    from keepfit.data.check import check as checked
    from keepfit.data.profile import profile
    from keepfit.data.read import read
    from keepfit.data.schema import accept as accepted
    from keepfit.data.schema import diff as differences
    from keepfit.data.schema import read_schema, write_schema

    if bool(chosen) == everything:
        raise click.UsageError("say which findings to accept: --finding COLUMN[:ANOMALY], or --all")
    old, table = read_schema(path), read(data)
    found = checked(table, old, environment=environment)
    wanted = [f for f in found if everything or f.subject in chosen or f"{f.subject}:{f.anomaly}" in chosen]
    unmet = [one for one in chosen if not any(one in (f.subject, f"{f.subject}:{f.anomaly}") for f in wanted)]
    if unmet:
        raise DataInvalid(f"no finding is called {unmet}; there are {[f'{f.subject}:{f.anomaly}' for f in found]}")
    new = accepted(old, wanted, profile(table), environment=environment)
    write_schema(new, path)
    _show_changes(differences(old, new), as_json=as_json)


@schema.command("import")
@click.argument("suite", type=_FILE)
@click.option("-o", "--output", type=_FILE, required=True, help="Where to write it.")
def import_(suite: Path, output: Path) -> None:
    """Make a schema of a SUITE of pandera (YAML, JSON) or Great Expectations (JSON)."""
    from keepfit.data.schema import write_schema
    from keepfit.data.suites import read_suite

    found = read_suite(suite)
    write_schema(found.schema, output)
    for one in found.not_understood:
        click.echo(f"not understood: {one}", err=True)
    click.echo(
        f"wrote {output}: {len(found.schema.columns)} columns, {len(found.not_understood)} things not understood"
    )


@schema.command()
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@_json
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Say what schema NEW says that OLD does not."""
    from keepfit.data.schema import diff as differences
    from keepfit.data.schema import read_schema

    before: Schema = read_schema(old)
    _show_changes(differences(before, read_schema(new)), as_json=as_json)


def _show_changes(changes: tuple[Change, ...], *, as_json: bool) -> None:
    from keepfit.core.registry import to_plain

    if as_json:
        click.echo(json.dumps(to_plain(changes), indent=2))
        return
    for change in changes:
        click.echo(str(change))
    if not changes:
        click.echo("nothing changed")
