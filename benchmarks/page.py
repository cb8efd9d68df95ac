"""The page of results: every kept result as a table, between two marks in `benchmarks/README.md`."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

from benchmarks.harness import Sample

HERE = Path(__file__).parent
BEGIN, END = "<!-- results: written by make bench -->", "<!-- end of results -->"


def write(page: Path = HERE / "README.md", results: Path = HERE / "results") -> None:
    """Put the tables of all results in place of those between the marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "\n".join(table(path) for path in sorted(results.glob("*.json")))
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n{END}{after}", encoding="utf-8")


def table(result: Path) -> str:
    """One result as a section: the question, the table, the machine and the releases."""
    lines = json.loads(result.read_text(encoding="utf-8"))
    rows = ["| what | ours | peer | ratio | reach | reached |", "|---|---|---|---|---|---|", *map(_row, lines)]
    machine, versions = lines[0]["machine"], lines[0]["versions"]
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB"
    releases = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"### {result.stem}\n\n{_question(result.stem)}\n\n" + "\n".join(rows) + f"\n\n{where}; {releases}.\n"


def _question(name: str) -> str:
    source = HERE / f"{name}.py"
    said = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8"))) if source.exists() else None
    return said or ""


def _row(line: dict[str, Any]) -> str:
    ours = f"{Sample(tuple(line['ours_rounds']))} {line['unit']}".strip()
    peer = f"{Sample(tuple(line['peer_rounds']))} {line['peer_is']}" if line["peer_rounds"] else line["peer_is"]
    ratio = "" if line["ratio"] is None else f"{line['ratio']:.3g}"
    reached = {True: "yes", False: "**no**", None: ""}[line["reached"]]
    return f"| {line['what']} | {ours} | {peer} | {ratio} | {line['reach']} | {reached} |"
