"""`keepfit drift` as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np


def write(path: Path, mean: float, seed: int) -> Path:
    rng = np.random.default_rng(seed)
    lines = [f"2018-0{1 + i // 300}-02,{rng.normal(mean + 3 * (i >= 300) * (seed == 2)):.3f}" for i in range(600)]
    path.write_text("day,fare\n" + "\n".join(lines) + "\n")
    return path


def keepfit(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "keepfit", *map(str, arguments)], capture_output=True, text=True)


def test_drift_command(tmp_path: Path) -> None:
    """The column that moved is named, by month the month as well; --fail is exit 1; JSON and page hold the same."""
    a, same, moved = (write(tmp_path / f"{i}.csv", 10.0, i) for i in range(3))
    calm = keepfit("drift", a, same, "--column", "fare", "--fail")
    assert calm.returncode == 0, calm.stderr
    assert "0 of 1 columns drifted" in calm.stdout
    found = keepfit("drift", a, moved, "--by", "month", "--fail", "--html", tmp_path / "page.html")
    assert found.returncode == 1, found.stderr
    january, february, sentence = found.stdout.splitlines()[:3]
    assert january.startswith("2018-01-01")
    assert "0 of 1" in january
    assert "1 of 1" in february
    assert "fare: median" in sentence
    assert ", since 2018-02-01" in sentence
    plain = json.loads(keepfit("drift", a, moved, "--column", "fare", "--json", "--detector", "PSI").stdout)
    assert plain[0]["findings"][0]["subject"] == "fare"
    assert plain[0]["findings"][0]["moved"]["parts"][0]["now"] > 0
    wrong = keepfit("drift", a, moved, "--detector", "Oracle")
    assert wrong.returncode in (1, 2)
    assert "no plug-in 'Oracle'" in wrong.stderr


def test_drift_of_nights(tmp_path: Path) -> None:
    """A night differs from days; with --season it is held against nights, and hours never seen before are told."""
    rng = np.random.default_rng(5)

    def logged(name: str, first: int, hours: range) -> Path:
        rows = [
            f"2018-01-{first + day:02d} {hour:02d}:{minute:02d}:00,{rng.normal(20 if hour < 6 else 10, 2):.2f}"
            for day in range(1 if first > 1 else 14)
            for hour in hours
            for minute in range(0, 60, 6)
        ]
        path = tmp_path / f"{name}.csv"
        path.write_text("at,fare\n" + "\n".join(rows) + "\n")
        return path

    before, night = logged("before", 1, range(24)), logged("night", 15, range(6))
    days = logged("days", 1, range(6, 24))
    assert keepfit("drift", before, night, "--column", "fare", "--fail").returncode == 1
    calm = keepfit("drift", before, night, "--season", "hour", "--fail")
    assert calm.returncode == 0, calm.stderr
    assert calm.stdout.splitlines() == ["0 of 1 columns drifted"]
    unseen = keepfit("drift", days, night, "--season", "hour", "--tz", "UTC", "--fail")
    assert unseen.returncode == 0, unseen.stderr
    assert "fare was not judged: 0 rows before of hours 0, 1, 2, 3, 4, 5 UTC, 60 in the window" in unseen.stdout
    wrong = keepfit("drift", before, night, "--season", "hour", "--tz", "Mars")
    assert wrong.returncode in (1, 2)
    assert "expected an IANA name such as 'Europe/Berlin', found 'Mars'" in wrong.stderr


class _Page(HTMLParser):
    """What a screen reader meets: headings, header cells and captions, images without a name, links into the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_drift_page(tmp_path: Path) -> None:
    """The page says what was found; headers have scopes, pictures have names, and the skip link has a goal."""
    a, moved = write(tmp_path / "a<b>.csv", 10.0, 0), write(tmp_path / "moved.csv", 10.0, 2)
    done = keepfit("drift", a, moved, "--by", "month", "--html", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    written = (tmp_path / "page.html").read_text()
    page = _Page()
    page.feed(written)
    assert "fare: median" in page.text
    assert "a<b>.csv" in page.text
    assert "<b>" not in written
    assert all(one.get("scope") in ("col", "row") for one in page.of("th"))
    assert len(page.of("caption")) == len(page.of("table")) >= 4
    assert page.of("svg")
    assert all(one.get("role") == "img" and one.get("aria-label") for one in page.of("svg"))
    assert [one["href"] for one in page.of("a")] == ["#results"]
    assert [one["id"] for one in page.of("main")] == ["results"]
    assert len(page.of("h1")) == 1


def test_drift_cause(tmp_path: Path) -> None:
    """With --label the change as a whole is told by its cause; a label that is not there is named."""
    rng = np.random.default_rng(4)
    paths = []
    for name, flip in (("a", 0.0), ("b", 0.5)):
        x = rng.normal(size=3000)
        y = (x > 0) ^ (rng.random(3000) < flip)
        path = tmp_path / f"{name}.csv"
        path.write_text("x,y\n" + "".join(f"{one:.4f},{int(two)}\n" for one, two in zip(x, y, strict=True)))
        paths.append(path)
    told = keepfit("drift", *paths, "--label", "y")
    assert told.returncode == 0, told.stderr
    assert told.stdout.splitlines()[-1].startswith("cause: concept (labels or losses moved")
    absent = keepfit("drift", *paths, "--label", "nope")
    assert absent.returncode in (1, 2)
    assert "there is no such column; there are ['x', 'y']" in absent.stderr
