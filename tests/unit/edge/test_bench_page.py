"""The page and the table of an experiment: complete, self-contained, readable by machines and by people."""

from __future__ import annotations

from html.parser import HTMLParser
from io import StringIO
from math import nan

from rich.console import Console

from keepfit.edge.bench.page import page
from keepfit.edge.bench.screen import table
from keepfit.learn.accuracies import Accuracies
from keepfit.learn.walk import Cost, Walk
from keepfit.loop.standings import Benched, Tried, standings

COST = Cost(seconds=1.5, cpu_seconds=1.25, ram=5 * 2**20, model=2048, memory=0)


def _benched() -> Benched:
    good = [Walk(Accuracies(((0.9, 0.1), (gone, 0.8)), (0.5, 0.5)), COST) for gone in (0.7, 0.5)]
    tried = [Tried("<b>good</b>", seed, one) for seed, one in enumerate(good)]
    tried += [Tried("broken", 0, code="raised", reason="experience 'a': boom"), Tried("half", 0, good[0])]
    return standings("a & b", ("first", "second"), tried, seeds=2, runs=6)


class _Parts(HTMLParser):
    """What a page has: its tags with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_whole_and_needs_nothing() -> None:
    """Every tag is closed, nothing is loaded, names are text and no markup, and it has a title and a language."""
    parts = _Parts(page(_benched()))
    assert parts.open == []
    assert not any(name in ("src", "href") for _, attributes in parts.tags for name in attributes)
    assert "script" not in [tag for tag, _ in parts.tags]
    assert parts.tags[0] == ("html", {"lang": "en"})
    assert "<b>good</b>" in parts.words
    assert "a & b" in parts.words


def test_a_heat_map_is_a_table_with_numbers() -> None:
    """Colour is never alone: every cell has its number, every row and column its head, every map its caption."""
    parts = _Parts(page(_benched()))
    maps = [attributes for tag, attributes in parts.tags if tag == "table" and attributes.get("class") == "map"]
    assert len(maps) == 2  # what failed has none
    assert sum(tag == "caption" for tag, _ in parts.tags) == 2
    heads = [attributes.get("scope") for tag, attributes in parts.tags if tag == "th"]
    assert None not in heads
    shades = [attributes["style"] for tag, attributes in parts.tags if tag == "td" and "style" in attributes]
    assert len(shades) == 2 * 4
    assert "60" in parts.words  # the mean of 0.7 and 0.5
    assert parts.words.count("boom") == 1


def _printed(width: int) -> str:
    console = Console(width=width, file=StringIO())
    console.print(table(_benched(), width))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_narrow_terminal_shows_the_names_and_what_matters_most() -> None:
    """In 80 columns nothing is cut off: fewer columns are shown, and it is said where the others are."""
    told = _printed(80)
    assert "…" not in told
    assert "<b>good</b>" in told
    assert "forgetting" in told
    assert "anytime" not in told
    assert "--html" in told


def test_what_failed_comes_last_and_the_best_first() -> None:
    """The order is by final accuracy; a learner without a run is last, with dashes."""
    assert [one.name for one in _benched().standings] == ["half", "<b>good</b>", "broken"]
    told = _printed(200)
    assert "4 of 6 runs" in told
    assert "70.0 ± 63.5" in told  # t with one degree of freedom is 12.7
    assert told.index("half") < told.index("<b>good</b>") < told.index("broken")
    assert "5.0 MB" in told
    assert str(nan) not in told
