"""The conformance folder of hostile requests: see tests/hostile/README.md."""

from __future__ import annotations

import gzip
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("hostile") / "requests"


@dataclass(frozen=True)
class Hostile:
    """One case."""

    name: str
    status: int
    code: str
    says: str
    content: dict[str, Any]

    @property
    def sent(self) -> bytes:
        """Every byte."""
        if "raw" in self.content:
            return _joined(self.content["raw"])
        body = _joined(self.content["body"])
        if self.content.get("packed"):
            body = gzip.compress(body, mtime=0)
        told = (f"content-length: {len(body)}", "host: x", "connection: close")
        lines = (self.content["line"], *self.content["headers"], *told)
        return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def _joined(pieces: list[list[Any]]) -> bytes:
    return b"".join(text.encode("latin-1") * times for text, times in pieces)


def read(path: Path) -> Hostile:
    """The case of one file."""
    content = tomllib.loads(path.read_text())
    return Hostile(path.stem, content["status"], content["code"], content["says"], content)


CASES = [read(path) for path in sorted(FOLDER.glob("*.toml"))]
