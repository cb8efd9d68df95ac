"""The page: the report as one HTML file which needs nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape

from keepfit.edge.demo.charts import Line, Mark, lines, table, tiles, timeline
from keepfit.edge.demo.report import WAYS, Report, mean_of

_ROWS = ("findings", "updates", "refused", "swaps", "swapped back")
_ROW_OF = {"finding": 0, "update": 1, "refused": 2, "swap": 3, "rollback": 4}

_STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --ink: #16160f; --soft: #6a6a62; --rule: #e4e4de; --card: #ffffff;
  --keepfit: #1f6fd0; --monthly: #d9622b; --frozen: #8b8b84; --good: #1a7f4b; --bad: #c8323a;
  --odd: #cfe0f5; --even: #e6eefa; }
@media (prefers-color-scheme: dark) { :root { --page: #15161a; --ink: #f0f0ec; --soft: #a0a09a; --rule: #303238;
  --card: #1d1f24; --keepfit: #5a9ff0; --monthly: #ee8650; --frozen: #8f8f8a; --good: #47b97c; --bad: #ef6a70;
  --odd: #24405f; --even: #1f3048; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 820px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 8px; } h2 { font-size: 19px; margin: 40px 0 4px; }
p { margin: 4px 0 12px; } .lead { font-size: 18px; } .soft, small { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; margin: 24px 0; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 14px; }
.tile b { display: block; font-size: 24px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 14px; }
figure { margin: 12px 0; background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg .grid { stroke: var(--rule); } svg .tick, svg .row { fill: var(--soft); } svg .name { font-weight: 600; }
svg .line { fill: none; stroke-width: 2.25; stroke-linejoin: round; } svg .target { fill: transparent; stroke: none; }
svg .keepfit { stroke: var(--keepfit); } svg .monthly { stroke: var(--monthly); } svg .frozen { stroke: var(--frozen); }
svg .point circle { fill: var(--card); stroke-width: 1.75; } svg .point .target { fill: transparent; stroke: none; }
svg text.keepfit { fill: var(--keepfit); stroke: none; } svg text.monthly { fill: var(--monthly); stroke: none; }
svg text.frozen { fill: var(--frozen); stroke: none; } svg .inband { fill: var(--ink); font-size: 12px; }
svg .odd rect { fill: var(--odd); } svg .even rect { fill: var(--even); } svg .harmful rect { fill: var(--bad); }
svg .mark circle { fill: var(--keepfit); } svg .mark.finding circle { fill: var(--monthly); }
svg .mark.refused circle { fill: var(--card); stroke: var(--ink); stroke-width: 1.75; }
svg .mark.rollback circle { fill: var(--bad); } svg .mark.swap circle { fill: var(--good); }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 10px 5px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; color: var(--soft); } td.number, th.number { text-align: right; } .wide { overflow-x: auto; }
.case { border-left: 4px solid var(--good); padding: 2px 0 2px 14px; margin: 14px 0; }
.case.bad { border-color: var(--bad); } details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); }
"""


def page(found: Report) -> str:
    """The whole page."""
    parts = [_head(found), _quality(found), _year(found), _cases(found), _serving(found), _details(found)]
    title = "keepfit demo: a year of flights"
    opening = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{opening}{view}<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"


def _head(found: Report) -> str:
    told = (
        f"{found.flights:,} real departures from New York in 2013 were asked about over HTTP: will this flight arrive "
        f"15 minutes late, or later? The true arrivals came back hours after. Until {_last_day(found)}, keepfit made "
        f"{found.updates} candidates beside the traffic, put {found.swaps - found.rollbacks} of them live without "
        f"stopping, refused {found.refused} and swapped back {found.rollbacks}."
    )
    numbers = {
        "requests": f"{found.requests:,}",
        "failed": str(found.failed_requests),
        "torn answers": str(found.torn_answers),
        "labels": f"{found.labels:,}",
        "updates": str(found.updates),
        "swaps": str(found.swaps),
        "refused": str(found.refused),
        "rollbacks": str(found.rollbacks),
    }
    return f'<h1>A year of flights through the closed loop</h1><p class="lead">{escape(told)}</p>{tiles(numbers)}'


def _quality(found: Report) -> str:
    if not found.months:
        return "<h2>How good the answers were</h2><p>No month had labels.</p>"
    places = [datetime.fromisoformat(f"{month.month}-01").strftime("%b") for month in found.months]
    charts = ""
    for metric, name, better in (("auc", "AUC", "more"), ("log_loss", "Log-loss", "less")):
        drawn = [Line(way, title, [getattr(m, metric)[way] for m in found.months]) for way, title in WAYS.items()]
        means = ", ".join(f"{title} {mean_of(found, metric, way):.3f}" for way, title in WAYS.items())
        charts += f"<h2>{name} by month</h2><p class='soft'>{better.capitalize()} is better. Mean of the months: "
        charts += f"{escape(means)}.{_dip(found)}</p><figure>{lines(places, drawn, title=f'{name} by month')}</figure>"
    rows = [
        [m.month, f"{m.flights:,}", f"{m.late_share:.1%}"]
        + [f"{m.auc[way]:.3f}" for way in WAYS]
        + [f"{m.log_loss[way]:.3f}" for way in WAYS]
        for m in found.months
    ]
    head = ["month", "flights", "late", *(f"AUC {w}" for w in WAYS.values()), *(f"log-loss {w}" for w in WAYS.values())]
    return f"{charts}<details><summary>The numbers</summary>{table(head, rows)}</details>"


def _dip(found: Report) -> str:
    case = found.planted
    if not case.rolled_back:
        return ""
    month = f"{datetime.fromisoformat(case.forced_live):%B}"
    return f" In {month}, the planted harmful version answered for {case.wrong_for_days:.1f} days of keepfit's."


def _year(found: Report) -> str:
    versions = [
        (datetime.fromisoformat(one.since), one.version, one.version == found.planted.forced)
        for one in found.promotions
    ]
    if not versions:
        return ""
    marks = [
        Mark(event.time, _ROW_OF[event.kind], event.kind, event.text[:300])
        for event in found.events
        if event.kind in _ROW_OF
    ]
    end = datetime.fromisoformat(found.until)
    drawn = timeline(versions[0][0], end, versions=versions, rows=_ROWS, marks=marks)
    told = "Point at a mark to read what happened. The red band is the harmful version that was forced in."
    return f"<h2>The year</h2><p class='soft'>{told}</p><figure>{drawn}</figure>"


def _cases(found: Report) -> str:
    case = found.planted
    refused = case.shuffled_refused or "It was not refused."
    back = (
        f"v{case.forced}, trained on inverted labels, was refused by the gates too; an operator forced it live on "
        f"{_day(case.forced_live)}. The labels of its own answers brought the version before back on "
        f"{_day(case.rolled_back)}, {case.wrong_for_days:.1f} days of 2013 later, and it is in quarantine."
        if case.rolled_back
        else "The harmful version was not swapped back."
    )
    shuffled = (
        f"v{case.shuffled}, trained on shuffled labels, was refused. {refused}" if case.shuffled_refused else refused
    )
    return (
        "<h2>Two mistakes, planted</h2>"
        f'<div class="case{"" if case.shuffled_refused else " bad"}">{escape(shuffled)}</div>'
        f'<div class="case{"" if case.rolled_back else " bad"}">{escape(back)}</div>'
    )


def _serving(found: Report) -> str:
    rows = [
        ["outside of swaps", f"{found.p50_ms_steady:.1f} ms", f"{found.p99_ms_steady:.1f} ms"],
        ["around swaps", f"{found.p50_ms_swapping:.1f} ms", f"{found.p99_ms_swapping:.1f} ms"],
    ]
    told = (
        "One request asks for all departures of an airport in an hour, 17 flights on average; the first flight of "
        "every hour is asked for alone. Client, server and training share the machine."
    )
    latency = table(["prediction requests", "p50", "p99"], rows)
    return f"<h2>Latency</h2><p class='soft'>{told}</p>{latency}"


def _details(found: Report) -> str:
    lived = [[f"v{p.version}", p.since[:16].replace("T", " "), p.cause, p.reason] for p in found.promotions]
    events = [[f"{event.time:%Y-%m-%d %H:%M}", event.kind, event.text] for event in found.events]
    notes = "".join(f"<li>{escape(note)}</li>" for note in (*found.notes, *found.failures))
    spent = f"training, judging and looking used {found.training_cpu_seconds:.0f} s of CPU"
    ran = f"Took {found.seconds:.0f} s on {found.machine}; {spent}."
    versions, everything = table(["version", "since", "cause", "why"], lived), table(["when", "what", "told"], events)
    return (
        f"<h2>How it was done</h2><ul>{notes}</ul><p class='soft'>{escape(ran)}</p>"
        f"<details><summary>Versions that were live</summary>{versions}</details>"
        f"<details><summary>Everything that happened</summary>{everything}</details>"
    )


def _last_day(found: Report) -> str:
    """The last day that was replayed, in New York."""
    return _day((datetime.fromisoformat(found.until) - timedelta(hours=6)).isoformat())


def _day(moment: str) -> str:
    return f"{datetime.fromisoformat(moment):%d %B}".lstrip("0") if moment else "-"
