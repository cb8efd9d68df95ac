"""The documentation says what the code says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from keepfit.edge.scaffold import SERVICE

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "src" / "keepfit" / "core"


def _classes(module: str) -> list[str]:
    files = sorted((CORE / module).glob("*.py")) or [CORE / f"{module}.py"]
    nodes = [node for path in files for node in ast.parse(path.read_text(encoding="utf-8")).body]
    return [node.name for node in nodes if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]


@pytest.mark.parametrize("module", ["nouns", "facts", "service", "signature", "protocols", "places", "clock"])
def test_every_noun_is_in_the_glossary(module: str) -> None:
    """A public class of the core is explained in docs/glossary.md under its own name."""
    known = re.findall(r"[*`]([A-Za-z]+)[*`]", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"))
    assert [name for name in _classes(module) if name not in known] == []


def test_the_service_in_the_readme_can_be_declared() -> None:
    """The service file shown in README.md runs, and is short."""
    pytest.importorskip("sklearn")
    code = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    for block in code:
        assert len(block.splitlines()) <= 22
        exec(compile(block, "README.md", "exec"), {})  # noqa: S102 - our own page


def test_the_readme_shows_what_init_writes() -> None:
    """The service file of the front page is the scaffold's, to the letter."""
    assert f"```python\n{SERVICE}```" in (ROOT / "README.md").read_text(encoding="utf-8")
