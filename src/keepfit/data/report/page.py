"""A Profile, or two side by side, as one HTML file that needs nothing else.

Everything a chart shows stands in a table as well; headings, captions and header cells say what is what, links and
folded tables are reached by keyboard in the order they are read, colours are never the only sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from itertools import zip_longest

from keepfit.data.profile import NUMBERS, Kind, Profile, Statistics
from keepfit.data.report.charts import Bars, values_bars, width_bars
from keepfit.data.report.pieces import opening, table
from keepfit.data.report.words import distinct, facts, number, share

Named = tuple[str, Profile]


def page(found: Profile, *, title: str, against: Named | None = None) -> str:
    """The whole page; with `against` its distributions stand beside those of another Profile."""
    sides: list[Named] = [(title, found), *([against] if against else [])]
    heading = f"Profile of {title}" + (f" beside {against[0]}" if against else "")
    head = opening(heading, _told(sides), skip="columns")
    names = list(dict.fromkeys(column.name for _, profile in sides for column in profile.columns))
    parts = [_overview(names, sides), *_slices(sides), *_relations(sides)]
    parts += [_section(place, name, sides) for place, name in enumerate(names)]
    return f"{head}{''.join(parts)}</main></body></html>\n"


def _told(sides: Sequence[Named]) -> str:
    lines = []
    for place, (name, profile) in enumerate(sides):
        key = f'<span class="key c{place}" aria-hidden="true"></span>' if len(sides) > 1 else ""
        skipped = f"; {profile.skipped:,} broken rows were left out" if profile.skipped else ""
        lines.append(f"<p>{key}{escape(name)}: {profile.rows:,} rows, {len(profile.columns)} columns{skipped}.</p>")
    return "".join(lines)


def _overview(names: Sequence[str], sides: Sequence[Named]) -> str:
    heads = ["column", "kind"]
    for name, _ in sides:
        suffix = f", {name}" if len(sides) > 1 else ""
        heads += [f"missing{suffix}", f"distinct{suffix}", f"mean{suffix}"]
    rows = []
    for place, name in enumerate(names):
        columns = [profile.column(name) for _, profile in sides]
        kind = next(str(column.kind) for column in columns if column is not None)
        cells = [kind, *(cell for column in columns for cell in _brief(column))]
        rows.append((f'<a href="#column-{place}">{escape(name)}</a>', cells))
    return f"<h2>Columns</h2>{table('All columns; each name leads to its details', heads, rows)}"


def _brief(column: Statistics | None) -> tuple[str, str, str]:
    if column is None:
        return "absent", "", ""
    mean = number(column.mean) if column.kind in (Kind.INTEGER, Kind.FLOAT) and column.finite else ""
    return share(column.missing, column.rows), distinct(column), mean


def _section(place: int, name: str, sides: Sequence[Named]) -> str:
    columns = [profile.column(name) for _, profile in sides]
    told = [list(facts(column)) if column is not None else [("kind", "absent")] for column in columns]
    keys = list(dict.fromkeys(key for side in told for key, _ in side))
    rows = [(escape(key), [dict(side).get(key, "") for side in told]) for key in keys]
    heads = ["what", *([side for side, _ in sides] if len(sides) > 1 else ["value"])]
    drawn = "".join(_figure(name, bars, [side for side, _ in sides]) for bars in _bars(columns))
    return (
        f'<section aria-labelledby="column-{place}"><h2 id="column-{place}" tabindex="-1">{escape(name)}</h2>'
        f'<div class="pair">{table(f"Statistics of {name}", heads, rows)}<div>{drawn}</div></div></section>'
    )


def _bars(columns: Sequence[Statistics | None]) -> Iterator[Bars]:
    known = [column for column in columns if column is not None]
    if any(column.kind in NUMBERS and column.finite for column in known):
        yield width_bars(columns)
    elif any(column.frequent.values for column in known):
        yield values_bars(columns)
    elements = [None if column is None else column.elements for column in columns]
    if any(elements):
        yield from _bars(elements)


def _figure(name: str, bars: Bars, sides: Sequence[str]) -> str:
    """A chart, and folded under it the same as a table."""
    label = f"{bars.title} of {name}: {bars.sentence}"
    rows = [(escape(row[0]), list(row[1])) for row in zip(bars.names, zip_longest(*bars.told), strict=True)]
    heads = [bars.what, *(sides if len(sides) > 1 else ["rows"])]
    box = f"0 0 {bars.width} {bars.height}"
    return (
        f'<figure><svg role="img" aria-label="{escape(label)}" viewBox="{box}">{bars.svg}</svg>'
        f"<figcaption class='soft'>{escape(bars.title)}. {escape(bars.sentence)}</figcaption>"
        f"<details><summary>{escape(bars.title)} of {escape(name)} as a table</summary>"
        f"{table(f'{bars.title} of {name}', heads, rows)}</details></figure>"
    )


def _slices(sides: Sequence[Named]) -> Iterator[str]:
    for side, profile in sides:
        numbers = [column.name for column in profile.columns if column.kind in (Kind.INTEGER, Kind.FLOAT)][:8]
        for sliced in dict.fromkeys(one.column for one in profile.slices):
            rows = []
            for one in profile.slices:
                if one.column == sliced:
                    columns = [one.profile.column(name) for name in numbers]
                    means = [number(column.mean) if column and column.finite else "" for column in columns]
                    rows.append((escape(one.value or "(missing)"), [f"{one.profile.rows:,}", *means]))
            heads = [sliced, "rows", *(f"mean {name}" for name in numbers)]
            yield f"<h2>Slices by {escape(sliced)}</h2>{table(f'Slices of {side} by {sliced}', heads, rows)}"


def _relations(sides: Sequence[Named]) -> Iterator[str]:
    for side, profile in sides:
        if profile.correlations is not None and profile.correlations.names:
            names, matrix = profile.correlations.names, profile.correlations.matrix()
            rows = [
                (escape(name), ["–" if value != value else f"{value:+.2f}" for value in row.tolist()])
                for name, row in zip(names, matrix, strict=True)
            ]
            yield f"<h2>Correlations</h2>{table(f'Pearson correlations in {side}', ['column', *names], rows)}"
        if profile.relation is not None:
            whole, label = profile.relation.entropy(), profile.relation.names[0]
            rows = [
                (escape(name), [f"{value:.4f}", share(min(value, whole), whole)])
                for name, value in profile.relation.information()
            ]
            heads = ["column", "mutual information (nats)", "of the label"]
            yield f"<h2>What tells of {escape(label)}</h2>{table(f'Mutual information with {label}', heads, rows)}"
