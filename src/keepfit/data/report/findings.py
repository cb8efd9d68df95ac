"""Findings, and what a Schema expects, as HTML files that need nothing else; see `page` for what all pages keep to."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from keepfit.core.nouns import Finding, Severity
from keepfit.data.report.pieces import opening, table
from keepfit.data.schema import Change, Expectation, Schema
from keepfit.data.schema.files import plain_schema

_ORDER = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def findings_page(findings: Sequence[Finding], *, title: str, schema: str, rows: int) -> str:
    """All Findings, the gravest first, with the rows in which they lie."""
    counts = {severity: sum(one.severity is severity for one in findings) for severity in _ORDER}
    told = ", ".join(f"{count} of severity {severity}" for severity, count in counts.items() if count) or "no findings"
    head = opening(f"Check of {title}", f"<p>{rows:,} rows held against {escape(schema)}: {told}.</p>", skip="findings")
    heads = ["subject", "rows", "severity", "anomaly", "what was found", "first rows"]
    ordered = sorted(findings, key=lambda one: _ORDER.index(one.severity))
    cells = [(escape(one.subject), _cells(one)) for one in ordered]
    body = table("What is out of line", heads, cells, texts=4) if cells else "<p>Nothing is out of line.</p>"
    return f"{head}{body}</main></body></html>\n"


def _cells(finding: Finding) -> list[str]:
    more = ", …" if finding.count > len(finding.rows) and finding.rows else ""
    rows = ", ".join(map(str, finding.rows)) + more
    return [f"{finding.count:,}", finding.severity.upper(), finding.anomaly, finding.sentence, rows]


def schema_page(schema: Schema, *, title: str) -> str:
    """What is expected of every column, and of the whole."""
    plain = plain_schema(schema)
    columns = plain.pop("columns")
    whole = [(escape(name), [str(value)]) for name, value in plain.items()]
    head = opening(f"Schema {title}", f"<p>{len(columns)} columns.</p>", skip="columns")
    rows = [(escape(column.name), _expected(column, columns[column.name])) for column in schema.columns]
    body = table("What is expected of each column", ["column", "kind", "expected"], rows, texts=2)
    body += table("What is expected of the whole", ["what", "expected"], whole, texts=1) if whole else ""
    return f"{head}{body}</main></body></html>\n"


def _expected(column: Expectation, plain: dict[str, object]) -> list[str]:
    told = (f"{name}: {value}" for name, value in plain.items() if name != "kind")
    return [column.kind or "any", "; ".join(told)]


def changes_page(changes: Sequence[Change], *, title: str) -> str:
    """What one Schema says that another does not."""
    head = opening(f"Changes of {title}", f"<p>{len(changes)} changes.</p>", skip="changes")
    rows = [(escape(one.subject), [one.what, one.before or "–", one.after or "–"]) for one in changes]
    body = table("What changed", ["subject", "what", "before", "after"], rows, texts=3) if rows else "<p>Nothing.</p>"
    return f"{head}{body}</main></body></html>\n"
