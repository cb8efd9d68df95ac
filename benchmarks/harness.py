"""What benchmarks share: interleaved rounds, medians with their range, the table, the JSON, the peers' environments."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PEERS = ROOT / ".peers"
SHOWN = ("granian", "grpcio", "msgspec", "numpy", "onnxruntime", "pyarrow", "scikit-learn", "uvloop")
SHORT = os.environ.get("BENCH_SHORT", "") not in ("", "0")

T = TypeVar("T")


def either(full: T, short: T) -> T:
    """`full`; or `short` where the environment has BENCH_SHORT=1, for a run that shows only that everything works."""
    return short if SHORT else full


@dataclass(frozen=True)
class Sample:
    """One quantity measured in several rounds: its median, and its range in brackets."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        return f"{number(self.median)} ({number(low)}-{number(high)})" if low < high else number(self.median)


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a result: what was measured, ours and the peer's, their ratio, and what is to be reached.

    `reached` is None where nothing is asked: the line is printed for comparison.
    """

    what: str
    ours: Sample
    peer: Sample | None = None
    peer_is: str = ""
    ratio: float | None = None
    unit: str = ""
    reach: str = ""
    reached: bool | None = None
    versions: tuple[tuple[str, str], ...] = ()


def number(value: float) -> str:
    """A number in about three digits, thousands kept whole."""
    if value == 0 or value != value:
        return f"{value:g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def interleave(rounds: int, measured: Mapping[str, Callable[[], float]]) -> dict[str, Sample]:
    """Measure each thing once per round, in turn, so that a slow minute of the machine falls on all of them."""
    values: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(rounds):
        for name, measure in measured.items():
            values[name].append(measure())
    return {name: Sample(tuple(found)) for name, found in values.items()}


def show(lines: Iterable[Line]) -> None:
    """Print the table."""
    rows = [("what", "ours", "peer", "ratio", "reach", "")]
    for line in lines:
        peer = f"{line.peer} {line.peer_is}".strip() if line.peer else line.peer_is
        mark = {True: "reached", False: "MISSED", None: ""}[line.reached]
        ratio = "" if line.ratio is None else f"{line.ratio:.3g}"
        rows.append((line.what, f"{line.ours} {line.unit}".strip(), peer, ratio, line.reach, mark))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)


def keep(path: Path, lines: Iterable[Line]) -> None:
    """Write the result as JSON: a list of what, ours, peer, ratio, reach, reached, with ranges, versions, machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([_plain(line) for line in lines], indent=1) + "\n", encoding="utf-8")


def _plain(line: Line) -> dict[str, Any]:
    return {
        "what": line.what,
        "ours": line.ours.median,
        "peer": line.peer.median if line.peer else None,
        "ratio": line.ratio,
        "reach": line.reach,
        "reached": line.reached,
        "unit": line.unit,
        "peer_is": line.peer_is,
        "ours_rounds": list(line.ours.values),
        "peer_rounds": list(line.peer.values) if line.peer else [],
        "versions": {**versions(), **dict(line.versions)},
        "machine": machine(),
    }


def versions() -> dict[str, str]:
    """The releases that matter to a number, ours first."""
    found = {"python": platform.python_version()}
    for name in ("keepfit", *SHOWN):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """The processor, how many of it, the memory, and the kernel."""
    model = platform.processor()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"processor": model, "cores": os.cpu_count(), "memory": memory, "system": platform.platform()}


def peer(name: str, *requirements: str) -> Path:
    """The interpreter of a peer's own environment, made on first use; what is installed is kept in its `freeze.txt`."""
    home = PEERS / name
    python = home / "bin" / "python"
    if not (home / "freeze.txt").exists():
        print(f"  installing {' '.join(requirements)} into {home.relative_to(ROOT)}", flush=True)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-qq", *requirements], check=True)
        frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
        (home / "freeze.txt").write_text(frozen, encoding="utf-8")
    return python


def quiet() -> None:
    """Say so on standard error when other work makes the machine too busy to measure on."""
    load, cores = os.getloadavg()[0], os.cpu_count() or 1
    if load > 0.5 * cores:
        print(
            f"  note: the load is {load:.1f} on {cores} cores; these numbers are not a quiet machine's", file=sys.stderr
        )
