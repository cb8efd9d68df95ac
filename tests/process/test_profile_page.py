"""The page of a profile in a real browser: its names, its keyboard, its contrast, and that it needs nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from keepfit.data.profile import profile
from keepfit.data.report.page import page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def html() -> str:
    random = np.random.default_rng(0)
    sides = []
    for shift in (0, 2):
        table = pa.table(
            {
                "x": random.normal(shift, 1, 3000),
                "<b>town</b>": random.choice(["Oslo", "Rome", '"><script>alert(1)</script>'], 3000),
                "when": pa.array(random.integers(0, 10**15, 3000), pa.timestamp("us")),
                "v": [[1.0, 2.0], [3.0], []] * 1000,
                "flag": random.random(3000) < 0.5,
                "nothing": pa.nulls(3000),
                "still": [7] * 3000,
                **({"new": [1.5] * 3000} if shift else {}),
            }
        )
        sides.append(profile(table, slices=["flag"], label="flag", correlate=True))
    return page(sides[0], title="before", against=("after", sides[1]))


class Outline(HTMLParser):
    """The tags of a page, in order, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_one_file_that_needs_nothing(html: str) -> None:
    """No script, nothing loaded from elsewhere, and what the data say stays text."""
    outline = Outline(html)
    assert not [tag for tag, _ in outline.tags if tag in ("script", "link", "img", "iframe", "b")]
    links = [one for _, attributes in outline.tags for name, one in attributes.items() if name in ("href", "src")]
    assert all(link is not None and link.startswith("#") for link in links)
    ids = {attributes["id"] for _, attributes in outline.tags if "id" in attributes}
    assert {link[1:] for link in links if link} <= ids
    assert not re.search(r"url\(|@import|https?://", html)


def test_every_chart_is_a_table_too(html: str) -> None:
    """Each chart has a name in words and the same numbers as a table; tables have captions, and headers with scope."""
    outline = Outline(html)
    tags = [tag for tag, _ in outline.tags]
    charts = [attributes for tag, attributes in outline.tags if tag == "svg"]
    assert len(charts) == tags.count("figure") == tags.count("details") == tags.count("summary") >= 7
    assert all(one["role"] == "img" and one["aria-label"] for one in charts)
    assert tags.count("caption") == tags.count("table")
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in outline.tags if tag == "th")
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


class Browser:
    """A headless browser on a pipe, spoken to in the DevTools protocol."""

    def __init__(self, folder: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = f"exec {BROWSER} --headless --no-sandbox --disable-gpu --remote-debugging-pipe "
        command += f"--user-data-dir={folder} about:blank 3<&{theirs_in} 4>&{theirs_out}"
        fds = (theirs_in, theirs_out)
        self._process = subprocess.Popen(["bash", "-c", command], pass_fds=fds, stderr=subprocess.DEVNULL)
        for fd in fds:
            os.close(fd)
        self._turn, self._rest, self._session = 0, b"", ""
        targets = self.ask("Target.getTargets")["targetInfos"]
        page = next(one for one in targets if one["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=page["targetId"], flatten=True)["sessionId"]

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._turn += 1
        message = {"id": self._turn, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                piece = os.read(self._in, 1 << 20)
                assert piece, "the browser has ended"
                self._rest += piece
            one, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(one)
            if answer.get("id") == self._turn:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found

    def value(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def close(self) -> None:
        self._session = ""
        os.close(self._out)
        self._process.wait(180)
        os.close(self._in)


@pytest.fixture
def browser(html: str, tmp_path: Path) -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("no chromium to open the page in")
    path = tmp_path / "page.html"
    path.write_text(html)
    found = Browser(tmp_path / "user")
    found.ask("Page.enable")
    found.ask("Page.navigate", url=path.as_uri())
    while found.value("document.readyState") != "complete" or found.value("!document.querySelector('main')"):
        pass
    yield found
    found.close()


def test_names_a_screen_reader_says(browser: Browser) -> None:
    """In the accessibility tree every image, table, link, region and folded table has a name."""
    nodes = browser.ask("Accessibility.getFullAXTree")["nodes"]
    named: dict[str, list[str]] = {}
    for node in nodes:
        if not node["ignored"]:
            named.setdefault(node["role"]["value"], []).append(node.get("name", {}).get("value", ""))
    images = named.get("image", []) + named.get("img", [])
    assert any("Distribution of x: 20 bins from" in name for name in images)
    for role in ("table", "link", "region", "DisclosureTriangle", "heading"):
        assert named[role], role
        assert all(named[role]), role
    assert len(images) >= 7
    assert all(images)
    assert "Statistics of x" in named["table"]


CONTRAST = """
(() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, at) => sum + v * [0.2126, 0.7152, 0.0722][at], 0);
  const behind = node => { for (; node; node = node.parentElement) {
    const found = parts(getComputedStyle(node).backgroundColor); if (found.length < 4 || found[3] > 0) return found; }
    return [255, 255, 255]; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), low = []; let count = 0;
  while (walker.nextNode()) { const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim()) continue;
    const style = getComputedStyle(node), svg = node.namespaceURI.endsWith('svg'); count++;
    const [a, b] = [light(parts(svg ? style.fill : style.color)), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(node.tagName + ' ' + node.textContent.slice(0, 40)); }
  return [count, low];
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Browser, scheme: str) -> None:
    """Every piece of text stands out from what is behind it by 4.5 : 1 (WCAG AA), by day and by night."""
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    count, low = browser.value(CONTRAST)
    assert count > 200
    assert low == []


def test_keyboard(browser: Browser) -> None:
    """Tab reaches first the skip link, then links, tables and folded tables in the page's order; Enter unfolds one."""
    browser.value("window.all = [...document.querySelectorAll('*')]")
    places, tags = [], []
    for _ in range(60):
        for kind in ("keyDown", "keyUp"):
            browser.ask("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        places.append(browser.value("window.all.indexOf(document.activeElement)"))
        tags.append(browser.value("document.activeElement.tagName"))
        if tags[-1] == "SUMMARY":
            break
    assert browser.value(f"window.all[{places[0]}].className") == "skip"
    assert places == sorted(places)
    assert {"A", "DIV", "SUMMARY"} <= set(tags)
    for kind, text in (("keyDown", "\r"), ("keyUp", "")):
        browser.ask("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text=text)
    assert browser.value("document.activeElement.parentElement.open") is True
