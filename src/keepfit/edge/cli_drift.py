"""`keepfit drift`: what changed between two files, or from month to month."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from keepfit.watch.tables import Drift


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--by", default="", metavar="PERIOD", help="Compare each hour, day, week, month, quarter or year of B.")
@click.option("--time", "column", default="", help="The column of times to go by; the first one where none is named.")
@click.option("--detector", default="Auto", show_default=True, help="A detector by its name.")
@click.option("--column", "columns", multiple=True, help="Compare only this column; may be repeated.")
@click.option("--effect", default=0.1, show_default=True, help="The smallest effect that counts, 0 to 1.")
@click.option("--fdr", default=0.01, show_default=True, help="The share of false ones among the columns found.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write a page to FILE.")
@click.option("--fail", is_flag=True, help="Exit 1 where something drifted.")
@click.pass_context
def drift(
    ctx: click.Context,
    a: str,
    b: str,
    *,
    by: str,
    column: str,
    detector: str,
    columns: tuple[str, ...],
    effect: float,
    fdr: float,
    as_json: bool,
    page: Path | None,
    fail: bool,
) -> None:
    """Say which columns of B are distributed otherwise than in A, and what moved in them."""
    from keepfit.core import registry
    from keepfit.core.registry import to_plain
    from keepfit.data.read import read
    from keepfit.watch import tables

    limits = tables.Limits(registry.load("keepfit.detectors", detector)(), fdr, effect)
    chosen = columns or None
    old, new = read(a), read(b)
    if by:
        found = tables.drift_by(old, new, by=by, column=column, columns=chosen, limits=limits)
    else:
        found = (tables.drift(old, new, columns=chosen, limits=limits),)
    if page is not None:
        page.write_text(_page(a, b, found), encoding="utf-8")
    click.echo(json.dumps(to_plain(found), indent=1) if as_json else "\n".join(_lines(found)))
    if fail and any(one.findings for one in found):
        ctx.exit(1)


def _lines(found: tuple[Drift, ...]) -> list[str]:
    lines = []
    for one in found:
        begin = f"{one.period}: " if one.period else ""
        lines.append(f"{begin}{len(one.findings)} of {len(one.measurements)} columns drifted")
        lines += [f"  {finding.sentence}" for finding in one.findings]
    lines += [f"not compared: {line}" for line in (found[0].skipped if found else ())]
    return lines


def _page(a: str, b: str, found: tuple[Drift, ...]) -> str:
    """Every measurement in a table per period, plain enough for a screen reader."""
    parts = [f"<h1>{escape(b)} against {escape(a)}</h1>"]
    for one in found:
        told = {finding.subject: finding.sentence for finding in one.findings}
        rows = "".join(
            f'<tr><th scope="row">{escape(m.subject)}</th><td>{"drifted" if m.fired else "no"}</td>'
            f"<td>{m.effect:.3g}</td><td>{m.p_value:.2g}</td><td>{m.threshold:.2g}</td>"
            f"<td>{m.n_reference:,} / {m.n_window:,}</td><td>{escape(told.get(m.subject, ''))}</td></tr>"
            for m in sorted(one.measurements, key=lambda m: (not m.fired, -m.effect))
        )
        heads = "".join(
            f'<th scope="col">{name}</th>'
            for name in ("column", "drifted", "effect", "p-value", "threshold", "rows", "what moved")
        )
        title = f"{one.period or 'all rows'}: {len(one.findings)} of {len(one.measurements)} columns drifted"
        parts.append(f"<table><caption>{escape(title)}</caption><thead><tr>{heads}</tr></thead>{rows}</table>")
    style = "body{font:16px system-ui;margin:2rem}td,th{padding:.2rem .6rem;text-align:left}caption{text-align:left}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Drift</title><style>{style}</style>'
        f"<main>{''.join(parts)}</main></html>\n"
    )
