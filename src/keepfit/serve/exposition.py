"""Exposition: counts as Prometheus text, and one text of all front workers, which come and go.

What one worker says has a label `worker` on every line. Together, counters, histograms and summaries are summed
without that label, and what a worker that is gone had counted stays in the sum: a counter never goes down while the
runner lives (`process_start_time_seconds` says since when that is). Gauges of workers that are gone are gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
_WORKER = re.compile(r'(?:^|,)worker="[^"]*"')
_SUMMED = ("counter", "histogram", "summary")

Series = dict[str, float]


@dataclass
class Family:
    """All series of one metric: its type, what it means, and values by name and labels."""

    kind: str
    help: str = ""
    series: Series = field(default_factory=dict)


Families = dict[str, Family]


class Text:
    """Prometheus text in the making; `labels` are on every line."""

    def __init__(self, labels: Mapping[str, object]) -> None:
        self._labels = dict(labels)
        self._families: Families = {}

    def number(self, name: str, value: float, help: str, **labels: object) -> None:
        """One counter (its name ends in `_total`) or gauge."""
        self.series(name, "counter" if name.endswith("_total") else "gauge", help, {"": value}, **labels)

    def series(self, name: str, kind: str, help: str, values: Mapping[str, float], **labels: object) -> None:
        """The lines of one series by the end of their names; `_bucket` lines name their edge behind a space."""
        family = self._families.setdefault(name, Family(kind, help))
        for end, value in values.items():
            end, _, edge = end.partition(" ")
            said = {**self._labels, **labels} | ({"le": edge} if edge else {})
            shown = ",".join(f'{label}="{_escaped(content)}"' for label, content in said.items())
            family.series[f"{name}{end}{{{shown}}}" if shown else name + end] = value

    def __str__(self) -> str:
        return rendered(self._families)


class Totals:
    """What all front workers of a runner counted, also those that are gone; `started` in seconds since 1970."""

    def __init__(self, started: float = 0.0) -> None:
        self._started = started
        self._past: Families = {}
        self._heard: dict[int, str] = {}

    def count(self, name: str, help: str, **labels: object) -> None:
        """Count something that the runner itself did."""
        text = Text(labels)
        text.number(name, 1, help)
        _add(self._past, read(str(text)))

    def hear(self, process: int, text: str) -> None:
        """Take what a worker says now, in place of what it said before."""
        self._heard[process] = text

    def forget(self, process: int) -> None:
        """A worker has ended: what it had counted when it was heard last stays."""
        families = read(self._heard.pop(process, ""))
        _add(self._past, {name: one for name, one in families.items() if one.kind in _SUMMED})

    def __str__(self) -> str:
        whole: Families = {}
        _add(whole, self._past)
        for text in self._heard.values():
            _add(whole, read(text))
        if self._started:
            began = Family("gauge", "When the runner started, in seconds since 1970.")
            began.series["process_start_time_seconds"] = self._started
            whole["process_start_time_seconds"] = began
        return rendered(whole)


def read(text: str) -> Families:
    """The families of a Prometheus text."""
    families: Families = {}
    helps: dict[str, str] = {}
    family = Family("untyped")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, _, helps[name] = line[7:].partition(" ")
        elif line.startswith("# TYPE "):
            name, _, kind = line[7:].partition(" ")
            family = families.setdefault(name, Family(kind, helps.get(name, "")))
        elif match := _LINE.fullmatch(line):
            family.series[f"{match[1]}{{{match[2]}}}" if match[2] else match[1]] = float(match[3])
    return families


def rendered(families: Families) -> str:
    """The text of families: the lines of each together, its meaning and type said once."""
    lines = []
    for name, family in families.items():
        lines += [f"# HELP {name} {family.help}"] if family.help else []
        lines.append(f"# TYPE {name} {family.kind}")
        lines += [f"{series} {_number(value)}" for series, value in family.series.items()]
    return "".join(f"{line}\n" for line in lines)


def merged(texts: Iterable[str]) -> str:
    """One text of what several workers say at one moment."""
    totals = Totals()
    for process, text in enumerate(texts):
        totals.hear(process, text)
    return str(totals)


def _add(whole: Families, part: Families) -> None:
    for name, one in part.items():
        family = whole.setdefault(name, Family(one.kind, one.help))
        for series, value in one.series.items():
            shown = _unnamed(series) if one.kind in _SUMMED else series
            family.series[shown] = family.series.get(shown, 0) + value


def _unnamed(series: str) -> str:
    """The series without the worker it is of."""
    name, brace, labels = series.partition("{")
    if not brace:
        return series
    labels = _WORKER.sub("", labels[:-1]).removeprefix(",")
    return f"{name}{{{labels}}}" if labels else name


def _escaped(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else f"{value:.9g}" if abs(value) < 1e6 else repr(value)
