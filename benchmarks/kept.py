"""Kept: what a long benchmark has found so far, so that a stop loses nothing; by the digest of what it depends on."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from benchmarks.harness import HERE, PEERS, ROOT, SHORT, versions

KEPT = PEERS / "kept"


def kept(benchmark: str, part: str, make: Callable[[], Any], folder: Path = KEPT) -> Any:
    """What `make` gives, as JSON gives it back; from before where keepfit, the benchmark and the releases are the same.

    The data beside the repository is taken never to change. Nothing is kept of short runs.
    """
    if SHORT:
        return json.loads(json.dumps(make()))
    path = folder / f"{benchmark}-{part}-{code(benchmark)}.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(make()), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def code(benchmark: str) -> str:
    """The digest of all that a number depends on but for the data."""
    digest = blake2b(repr(versions()).encode(), digest_size=8)
    for path in (HERE / f"{benchmark}.py", *sorted((ROOT / "src").rglob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()
