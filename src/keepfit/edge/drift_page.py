"""Drift as one HTML file that needs nothing else: every measurement, and of each finding what moved.

Made of the pieces of a Profile's page, so it is used alike, by keyboard and by screen reader.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from keepfit.core.nouns import Finding, Measurement, Part
from keepfit.data.report.pieces import opening, table
from keepfit.watch.tables import Drift

_WIDTH, _LINE, _NAME = 460, 22, 180


def page(a: str, b: str, found: Sequence[Drift], told: str = "") -> str:
    """The whole page; `told` is what is said of the change as a whole."""
    drifted = sum(bool(one.findings) for one in found)
    first = (
        f"<p>{drifted} of {len(found)} periods have columns that drifted.</p>"
        if len(found) > 1
        else f"<p>{_counted(found[0])}.</p>"
        if found
        else "<p>There was nothing to compare.</p>"
    )
    keys = (
        f'<p><span class="key c0" aria-hidden="true"></span>before: {escape(a)}<br>'
        f'<span class="key c1" aria-hidden="true"></span>now: {escape(b)}</p>'
    )
    whole = f"<p>{escape(told)}</p>" if told else ""
    parts = [*_overview(found), *(part for place, one in enumerate(found) for part in _period(place, one))]
    skipped = "".join(f"<li>{escape(line)}</li>" for line in (found[0].skipped if found else ()))
    if skipped:
        parts.append(f"<h2>Not compared</h2><ul>{skipped}</ul>")
    head = opening(f"Drift of {b} against {a}", first + keys + whole, skip="results")
    return f"{head}{''.join(parts)}</main></body></html>\n"


def _counted(one: Drift) -> str:
    return f"{len(one.findings)} of {len(one.measurements)} columns drifted"


def _overview(found: Sequence[Drift]) -> Iterator[str]:
    """Columns by periods, where there are several: the effect, and the word where it counts."""
    if len(found) < 2:
        return
    names = list(dict.fromkeys(m.subject for one in found for m in one.measurements))
    rows = []
    for name in names:
        cells = [next((m for m in one.measurements if m.subject == name), None) for one in found]
        rows.append((escape(name), ["" if m is None else _brief(m) for m in cells]))
    heads = ["column", *(_short(one.period) for one in found)]
    yield f"<h2>Columns by period</h2>{table('The effect of each period, and whether it drifted', heads, rows)}"


def _brief(measured: Measurement) -> str:
    return f"{measured.effect:.2f}{' drifted' if measured.fired else ''}"


def _short(period: str) -> str:
    """Without a time of day that is midnight.

    >>> _short("2018-02-01T00:00:00")
    '2018-02-01'
    """
    return period.partition("T00:00")[0]


def _period(place: int, one: Drift) -> Iterator[str]:
    title = _short(one.period) or "All rows"
    told = {finding.subject: finding.sentence for finding in one.findings}
    heads = ["column", "effect", "p-value", "threshold", "rows before", "rows now", "drifted", "what moved"]
    rows = [
        (escape(m.subject), [*_numbers(m), "yes" if m.fired else "no", told.get(m.subject, m.note)])
        for m in sorted(one.measurements, key=lambda m: (not m.fired, -m.effect, m.subject))
    ]
    measured = table(f"{title}: {_counted(one)}", heads, rows, texts=2)
    head = f'<h2 id="period-{place}" tabindex="-1">{escape(title)}</h2>'
    yield f'<section aria-labelledby="period-{place}">{head}{measured}'
    yield from (_finding(finding) for finding in one.findings)
    yield "</section>"


def _numbers(m: Measurement) -> list[str]:
    return [f"{m.effect:.3g}", f"{m.p_value:.2g}", f"{m.threshold:.2g}", f"{m.n_reference:,}", f"{m.n_window:,}"]


def _finding(finding: Finding) -> str:
    """One subject: its sentence, and its parts drawn and as a table."""
    moved = finding.moved
    head = f"<h3>{escape(finding.subject)}</h3><p>{escape(finding.sentence)}.</p>"
    if moved is None or not moved.parts:
        return head
    heads = ["value or range", "before", "now", "change"]
    rows = [
        (escape(one.name), [f"{one.before:.1%}", f"{one.now:.1%}", f"{one.now - one.before:+.1%}"])
        for one in moved.parts
    ]
    shares = table(f"Shares of {finding.subject} that changed most", heads, rows)
    return f'{head}<div class="pair">{shares}{_figure(finding.subject, moved.parts)}</div>'


def _figure(name: str, parts: Sequence[Part]) -> str:
    most = max(max(one.before, one.now) for one in parts) or 1.0
    drawn = []
    for at, one in enumerate(parts):
        top, shown = at * 2 * _LINE, one.name if len(one.name) <= 22 else one.name[:21] + "…"
        drawn.append(f'<text x="{_NAME - 8}" y="{top + 16}" text-anchor="end">{escape(shown)}</text>')
        for side, share in enumerate((one.before, one.now)):
            wide, y = (_WIDTH - _NAME - 60) * share / most, top + side * _LINE
            drawn.append(f'<rect class="c{side}" x="{_NAME}" y="{y + 3}" width="{wide:.1f}" height="{_LINE - 6}"/>')
            drawn.append(f'<text x="{_NAME + wide + 6:.1f}" y="{y + 16}">{share:.1%}</text>')
    label = f"Shares of {name} before and now; the table beside it has the same numbers"
    box = f"0 0 {_WIDTH} {2 * _LINE * len(parts) + 4}"
    return f'<figure><svg role="img" aria-label="{escape(label)}" viewBox="{box}">{"".join(drawn)}</svg></figure>'
