"""Every how-to does what it says: its blocks are run in order, and print what it says that they print."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pages
import pytest

ROOT = Path(__file__).resolve().parents[2]
HOWTO = ROOT / "docs" / "howto"
PAGES = (
    "onboard-a-model",
    "look-at-a-bundle",
    "serve-and-swap",
    "run-a-deployment",
    "validate-data",
    "explain-drift",
    "choose-a-trigger",
    "move-from-mlserver",
    "move-from-mlflow",
    "move-from-acumos",
    "write-a-learner",
    "watch-a-service-served-elsewhere",
)
LONGEST = 150


Followed = dict[str, Future[list[str]]]


@pytest.fixture(scope="module")
def followed(request: pytest.FixtureRequest) -> Iterator[Followed]:
    """What came of the pages that are asked for, followed two at a time: they mostly wait for processes."""
    asked = [item.callspec.params.get("name") for item in request.session.items if hasattr(item, "callspec")]
    with ThreadPoolExecutor(2) as two, tempfile.TemporaryDirectory() as folder:
        yield {name: two.submit(follow, name, Path(folder) / name) for name in PAGES if name in asked}


def follow(name: str, folder: Path) -> list[str]:
    """The blocks of a page that could not be run here, and why; AssertionError where one does not do what it says."""
    left: list[str] = []
    folder.mkdir()
    reader = pages.Reader(folder)
    try:
        for block in pages.blocks(HOWTO / f"{name}.md"):
            if lacking := pages.missing(block):
                left.append(f"line {block.line} ({', '.join(lacking)})")
                continue
            code, printed = reader.follow(block)
            where = f"{name}.md:{block.line}\n{block.code}\nended with {code} and printed:\n{printed}"
            assert (code != 0) == block.refused, where
            if block.printed is not None:
                assert pages.says(block.printed, printed), f"{where}\nexpected:\n{block.printed}"
    finally:
        reader.end()
    return left


@pytest.mark.parametrize("name", PAGES)
def test_a_page_does_what_it_says(name: str, followed: Followed) -> None:
    """Each block ends as the page says, and prints what it says; blocks that need what is not here are told."""
    if left := followed[name].result():
        pytest.skip(f"the rest of the page holds; not run for what is absent here: {'; '.join(left)}")


@pytest.mark.parametrize("page", sorted(HOWTO.glob("*.md")), ids=lambda page: page.stem)
def test_a_page_is_one_page(page: Path) -> None:
    """No how-to is longer than somebody reads at once, and what it links to is there."""
    text = page.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST
    assert [target for target in pages.links(text) if not (page.parent / target).exists()] == []


def test_the_readme_leads_to_every_page() -> None:
    """A how-to that nobody finds helps nobody."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in PAGES if f"docs/howto/{name}.md" not in text] == []


@pytest.mark.parametrize(
    ("expected", "found", "holds"),
    [
        ("a\n", "a\n", True),
        ("a …\n", "a 12 s\n", True),
        ("a\n…\nz\n", "a\nb\nc\nz\n", True),
        ("a\n…\nz\n", "a\nz\n", True),
        ("a\n", "a\nb\n", False),
        ("a … c\n", "a b\n", False),
        ("(a)\n", "a\n", False),
    ],
)
def test_what_is_printed_is_compared(expected: str, found: str, holds: bool) -> None:
    """Only `…` stands for something else; a line more or less is a difference."""
    assert pages.says(expected, found) is holds


def test_a_block_that_fails_ends_the_page(tmp_path: Path) -> None:
    """A failing command in the middle of a block is seen, in both languages; one marked as refused has to fail."""
    (tmp_path / "page").mkdir()
    reader = pages.Reader(tmp_path / "page")
    try:
        assert reader.follow(pages.Block("sh", "X=1\necho one", 1)) == (0, "one\n")
        assert reader.follow(pages.Block("sh", "echo $X; false # refused", 2)) == (1, "1\n")
        code, printed = reader.follow(pages.Block("python", "print(2)\n1 / 0", 3))
        assert (code, printed.splitlines()[0], "ZeroDivisionError" in printed) == (1, "2", True)
        code, printed = reader.follow(pages.Block("sh", "echo $X; false\necho never", 4))
        assert (code, printed) == (1, "1\n")
    finally:
        reader.end()
