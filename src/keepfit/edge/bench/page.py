"""An experiment as one HTML file which needs nothing else: the standings, and a heat map per learner."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from keepfit.edge.bench.screen import HEADS, PROXY, cells
from keepfit.edge.replay.page import STYLE
from keepfit.learn.accuracies import MEASURES
from keepfit.loop.standings import COSTS, Benched, Standing

_OWN = """
.maps { display: grid; grid-template-columns: repeat(auto-fit, minmax(var(--map), 1fr)); gap: 16px; }
.maps figure { margin: 0; }
.map { width: auto; } .map caption { text-align: left; font-weight: 600; padding-bottom: 6px; }
.map th { font-size: 12px; font-weight: 400; padding: 2px 6px; border: 0; white-space: nowrap; }
.map td { text-align: right; padding: 4px 7px; border: 1px solid var(--card); }
.map td.own { outline: 2px solid var(--ink); outline-offset: -3px; }
dl { font-size: 14px; } dt { font-weight: 600; float: left; clear: left; width: 110px; } dd { margin: 0 0 4px 120px; }
"""


def page(found: Benched) -> str:
    """The whole page; the same experiment is the same bytes, but for what was measured of time and memory."""
    title = escape(f"{found.name}: learners beside each other")
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    body = "".join((_head(found), _table(found), _maps(found), _words()))
    return f"{head}{view}<style>{STYLE}{_OWN}</style></head><body><main>{body}</main></body></html>\n"


def _head(found: Benched) -> str:
    steps = ", ".join(found.experiences)
    told = f"{len(found.experiences)} experiences, one after the other ({steps}), {found.seeds} seeds."
    return f"<h1>{escape(found.name)}</h1><p>{escape(told)}</p>"


def _table(found: Benched) -> str:
    heads = "".join(f'<th scope="col" class="number">{escape(head)}</th>' for head in HEADS)
    rows = "".join(_row(one) for one in found.standings)
    note = f"Measures in percent, with Student's 95 % interval over the seeds. * {PROXY}."
    return (
        f'<h2>Standings</h2><p class="soft">{note}</p><div class="wide" tabindex="0" role="region" '
        f'aria-label="Standings"><table><thead><tr><th scope="col">learner</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(one: Standing) -> str:
    numbers = "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells(one))
    failed = f'<br><span class="soft">{one.failed} failed: {escape(one.reason)}</span>' if one.failed else ""
    return f'<tr><th scope="row">{escape(one.name)}{failed}</th>{numbers}</tr>'


def _maps(found: Benched) -> str:
    width = min(960, 110 + 36 * len(found.experiences))  # of a map without a scroll bar
    drawn = "".join(f"<figure>{_map(one, found.experiences)}</figure>" for one in found.standings if one.matrix)
    return (
        '<h2>What was known when</h2><p class="soft">Accuracy in percent on the experience of the column, after the '
        "experience of the row was learnt. Framed: just learnt.</p>"
        f'<div class="maps" style="--map:{width}px">{drawn}</div>'
    )


def _map(one: Standing, experiences: Sequence[str]) -> str:
    top = "".join(f'<th scope="col" title="{escape(name)}">{place + 1}</th>' for place, name in enumerate(experiences))
    rows = "".join(
        f'<tr><th scope="row" title="{escape(name)}">after {place + 1}</th>{_cells(row, place)}</tr>'
        for place, (name, row) in enumerate(zip(experiences, one.matrix, strict=True))
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Accuracies of {escape(one.name)}">'
        f'<table class="map"><caption>{escape(one.name)}</caption><thead><tr><td></td>{top}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cells(row: Sequence[float], place: int) -> str:
    return "".join(
        f'<td{" class=own" if column == place else ""} style="background:rgb(31 111 208 / {62 * value:.0f}%)">'
        f"{100 * value:.0f}</td>"
        for column, value in enumerate(row)
    )


def _words() -> str:
    told = {name: words for name, (words, _) in MEASURES.items()}
    told |= zip(HEADS[len(MEASURES) :], COSTS.values(), strict=True)
    lines = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in told.items())
    return f"<h2>What the words mean</h2><dl>{lines}</dl>"
