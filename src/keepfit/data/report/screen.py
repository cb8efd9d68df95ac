"""A Profile on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from keepfit.data.profile import NUMBERS, Profile, Statistics, histogram
from keepfit.data.report.words import amount, distinct, number, said, share

_BARS = " ▁▂▃▄▅▆▇█"
_TELLING = 10


def show(found: Profile, console: Console, *, title: str = "") -> None:
    """Print the columns, then slices, correlations and what tells of the label."""
    skipped = f", {found.skipped:,} broken rows left out" if found.skipped else ""
    console.print(f"{escape(title)}: {found.rows:,} rows, {len(found.columns)} columns{skipped}", highlight=False)
    console.print(_columns(found))
    for table in (*_slices(found), *_correlations(found), *_label(found)):
        console.print(table)


def _table(title: str, *names: str) -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in names:
        right = name not in ("column", "kind", "distribution", "value", "other")
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
    return table


def _columns(found: Profile) -> Table:
    table = _table("", "column", "kind", "missing", "distinct", "zeros", "min", "median", "max", "mean", "distribution")
    for column in found.columns:
        table.add_row(*(escape(cell) for cell in _row(column)))
    return table


def _row(column: Statistics) -> tuple[str, ...]:
    what = (column.name, str(column.kind), share(column.missing, column.rows), distinct(column))
    if column.kind in NUMBERS and column.finite:
        low, middle, high = (amount(column, value) for value in column.at([0.0, 0.5, 1.0]))
        zeros = share(column.zeros, column.rows) if column.zeros else ""
        return (*what, zeros, low, middle, high, amount(column, column.mean), _sparkline(column))
    top = column.frequent.top(3)
    told = ", ".join(f"{said(column, value)} {share(count, column.rows)}" for value, count in top)
    lengths = column.valency if column.valency.count else column.lengths
    if not lengths.count:
        return (*what, "", "", "", "", "", told)
    return (*what, "", f"{lengths.shortest:,} long", "", f"{lengths.longest:,} long", number(lengths.mean), told)


def _sparkline(column: Statistics) -> str:
    _, counts = histogram(column, 12)
    most = max(counts, default=0.0)
    if not most:
        return ""
    return "".join(_BARS[max(1, round(8 * count / most)) if count >= 0.5 else 0] for count in counts)


def _slices(found: Profile) -> Iterator[Table]:
    for name in dict.fromkeys(one.column for one in found.slices):
        numbers = [column.name for column in found.columns if column.kind in NUMBERS and column.finite][:6]
        table = _table(f"\nby {escape(name)}", "value", "rows", *(escape(f"mean {one}") for one in numbers))
        for one in found.slices:
            if one.column == name:
                columns = [one.profile.column(number_) for number_ in numbers]
                means = [amount(column, column.mean) if column and column.finite else "" for column in columns]
                table.add_row(escape(one.value or "(missing)"), f"{one.profile.rows:,}", *means)
        yield table


def _correlations(found: Profile) -> Iterator[Table]:
    if found.correlations is None:
        return
    names, matrix = found.correlations.names, found.correlations.matrix()
    pairs = [(matrix[i, j], a, names[j]) for i, a in enumerate(names) for j in range(i) if matrix[i, j] == matrix[i, j]]
    table = _table("\ncorrelations, the strongest", "column", "other", "Pearson's r")
    for value, a, b in sorted(pairs, key=lambda pair: -abs(pair[0]))[:_TELLING]:
        table.add_row(escape(a), escape(b), f"{value:+.3f}")
    yield table


def _label(found: Profile) -> Iterator[Table]:
    if found.relation is None:
        return
    whole = found.relation.entropy()
    title = f"\nwhat tells of {escape(found.relation.names[0])} ({number(whole)} nats)"
    table = _table(title, "column", "mutual information", "of the label")
    for name, value in found.relation.information()[:_TELLING]:
        table.add_row(escape(name), f"{value:.4f} nats", share(min(value, whole), whole))
    yield table
