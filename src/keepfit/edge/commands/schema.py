"""keepfit schema: a Schema's own life."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keepfit.core.errors import DataInvalid
from keepfit.edge.commands.bars import watched
from keepfit.edge.commands.check import (
    FILE,
    data_argument,
    environment_option,
    html_option,
    json_option,
    profiled,
    schema_option,
)

if TYPE_CHECKING:
    from keepfit.data.schema import Change, Schema


@click.group()
def schema() -> None:
    """Infer a schema, accept findings into it, compare two."""


@schema.command()
@data_argument
@click.option("-o", "--output", type=FILE, help="Where to write it: .yaml, .json, or .pbtxt for TFDV.")
@click.option("--label", default="_label", show_default=True, help="The column that is the label.")
@click.option("--strict", is_flag=True, help="To the letter, as TFDV infers: no slack, no ranges.")
@click.option("--force", is_flag=True, help="Write over a schema that is there.")
@json_option
@html_option
def infer(data: str, output: Path | None, as_json: bool, html: Path | None, **given: Any) -> None:
    """Expect of later data what DATA shows."""
    from keepfit.data.schema import infer as inferred
    from keepfit.data.schema import plain_schema, to_yaml, write_schema

    measured = profiled(data)
    if measured is None:
        raise click.UsageError("DATA is empty; name a file, a folder or a URL")
    if output is not None and output.exists() and not given["force"]:
        raise DataInvalid(f"{output} is there already; change it with 'keepfit schema accept', or give --force")
    found = inferred(measured, label=given["label"], strict=given["strict"])
    if html is not None:
        from keepfit.data.report.findings import schema_page

        html.write_text(schema_page(found, title=f"of {data}"), encoding="utf-8")
    if output is not None:
        write_schema(found, output)
    if as_json:
        click.echo(json.dumps(plain_schema(found), indent=2))
    elif output is not None:
        click.echo(f"wrote {output}: {len(found.columns)} columns; read it, it is what later data is held to")
    elif html is not None:
        click.echo(f"wrote {html}")
    else:
        click.echo(to_yaml(found), nl=False)


@schema.command()
@data_argument
@schema_option
@environment_option
@click.option(
    "--finding", "chosen", multiple=True, metavar="COLUMN[:ANOMALY]", help="Accept this one; may be repeated."
)
@click.option("--all", "everything", is_flag=True, help="Accept all that can be.")
@json_option
@html_option
def accept(data: str, path: Path, environment: str, chosen: tuple[str, ...], everything: bool, **shown: Any) -> None:
    """Change the schema so that findings in DATA, chosen by name, are none any more; says what it changed."""
    from keepfit.data.anomalies import Case
    from keepfit.data.check import again, examine
    from keepfit.data.profile import profile
    from keepfit.data.scan import scan
    from keepfit.data.schema import accept as accepted
    from keepfit.data.schema import diff as differences
    from keepfit.data.schema import read_schema, write_schema

    if bool(chosen) == everything:
        raise click.UsageError("say which findings to accept: --finding COLUMN[:ANOMALY], or --all")
    old, source = read_schema(path), watched(again(scan(data, encoded=True)))
    measured = profile(source)
    case = Case(schema=old, profile=measured, environment=environment)
    found = [fault.finding for fault in examine(case, source, most=0)]
    wanted = [f for f in found if everything or f.subject in chosen or f"{f.subject}:{f.anomaly}" in chosen]
    unmet = [one for one in chosen if not any(one in (f.subject, f"{f.subject}:{f.anomaly}") for f in wanted)]
    if unmet:
        raise DataInvalid(f"no finding is called {unmet}; there are {[f'{f.subject}:{f.anomaly}' for f in found]}")
    new = accepted(old, wanted, measured, environment=environment)
    write_schema(new, path)
    _show_changes(differences(old, new), str(path), **shown)


@schema.command("import")
@click.argument("suite", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, help="Where to write it.")
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
@click.argument("old", type=FILE)
@click.argument("new", type=FILE)
@json_option
@html_option
def diff(old: Path, new: Path, **shown: Any) -> None:
    """Say what schema NEW says that OLD does not."""
    from keepfit.data.schema import diff as differences
    from keepfit.data.schema import read_schema

    before: Schema = read_schema(old)
    _show_changes(differences(before, read_schema(new)), f"{old} to {new}", **shown)


def _show_changes(changes: tuple[Change, ...], title: str, *, as_json: bool, html: Path | None) -> None:
    from keepfit.core.registry import to_plain
    from keepfit.data.report.findings import changes_page

    if html is not None:
        html.write_text(changes_page(changes, title=title), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(to_plain(changes), indent=2))
        return
    for change in changes:
        click.echo(str(change))
    if not changes:
        click.echo("nothing changed")
