"""Pieces of pages: one look for all of them, and tables that keyboards and screen readers can use."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --ink: #16160f; --soft: #5c5c55; --rule: #d8d8d0; --card: #ffffff;
  --c0: #1f6fd0; --c1: #b3541e; --mark: #0b57d0; }
@media (prefers-color-scheme: dark) { :root { --page: #15161a; --ink: #f0f0ec; --soft: #b0b0aa; --rule: #3a3c42;
  --card: #1d1f24; --c0: #5a9ff0; --c1: #ee8650; --mark: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, header { max-width: 1080px; margin: 0 auto; padding: 24px 24px 0; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 8px; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 40px 0 8px; overflow-wrap: anywhere; } h3 { font-size: 16px; margin: 24px 0 4px; }
a { color: var(--mark); } :focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 24px; top: 8px; background: var(--card); padding: 8px; }
.soft { color: var(--soft); } .wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; background: var(--card); }
caption { text-align: left; color: var(--soft); padding: 4px 0; }
th, td { text-align: left; padding: 4px 12px 4px 8px; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.number, th.number { text-align: right; } td.number { white-space: nowrap; } td { overflow-wrap: anywhere; }
.pair { display: flex; flex-wrap: wrap; gap: 24px; align-items: flex-start; }
.pair > * { flex: 1 1 420px; min-width: 0; }
figure { margin: 0; } svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); }
svg .c0 { fill: var(--c0); } svg .c1 { fill: var(--c1); } svg .rule { stroke: var(--rule); }
summary { cursor: pointer; padding: 4px 0; }
.key { display: inline-block; width: 12px; height: 12px; margin: 0 6px 0 0; }
.key.c0 { background: var(--c0); } .key.c1 { background: var(--c1); }
"""

_NUMBER = ' class="number"'


def opening(heading: str, told: str, *, skip: str) -> str:
    """A page down to its `main`, which `skip` names: title, style, a link past the header, and what is told first."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(heading)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f'<a class="skip" href="#{skip}">Skip to the {skip}</a>'
        f'<header><h1>{escape(heading)}</h1>{told}</header><main id="{skip}">'
    )


def table(caption: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], *, texts: int = 0) -> str:
    """A table whose first cells are headers of their rows, given as HTML; all others are text, numbers but the last
    `texts` ones.
    """
    last = len(heads) - texts
    top = "".join(
        f'<th scope="col"{_NUMBER if 0 < place < last else ""}>{escape(head)}</th>' for place, head in enumerate(heads)
    )
    body = "".join(
        f'<tr><th scope="row">{first}</th>'
        + "".join(
            f"<td{_NUMBER if place < last else ''}>{escape(cell)}</td>" for place, cell in enumerate(cells, start=1)
        )
        + "</tr>"
        for first, cells in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption)}"><table><caption>{escape(caption)}'
        f"</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )
