"""How large is an installation that serves and controls, and how soon is it awake?

Measured in an environment of its own, `pip install keepfit[serve]` under the committed lock; the peer is MLServer with
its scikit-learn runtime. Times are whole processes, interpreter included.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
import venv
from pathlib import Path

from benchmarks import mlserver
from benchmarks.harness import ROOT, Line, Sample, either, interleave

ROUNDS = either(7, 1)
HEAVY = ("sklearn", "torch", "onnxruntime")
COUNT = "import importlib.metadata as m; print(len({d.name for d in m.distributions()} - {'pip', 'setuptools'}))"


def _size(home: Path) -> float:
    """Bytes in an environment's site-packages, pip left out, in MB (10^6)."""
    packages = next(home.glob("lib/python*/site-packages"))
    files = (path for path in packages.rglob("*") if path.is_file() and path.relative_to(packages).parts[0] != "pip")
    return sum(path.stat().st_size for path in files) / 1e6


def _count(python: Path) -> float:
    return float(subprocess.run([python, "-c", COUNT], check=True, capture_output=True, text=True).stdout)


def _seconds(*command: str | Path) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def _heavy(python: Path, *arguments: str) -> list[str]:
    """Which of the heavy modules a run of the interpreter imports."""
    found = subprocess.run([python, "-X", "importtime", *arguments], check=True, capture_output=True, text=True).stderr
    imported = {line.rpartition("|")[2].strip() for line in found.splitlines() if line.startswith("import time:")}
    return sorted(imported & set(HEAVY))


def run() -> list[Line]:
    """Install, weigh, count, and time the import and the first command."""
    peer = mlserver.python()
    home = Path(tempfile.mkdtemp(prefix="keepfit-install-"))
    try:
        venv.create(home, with_pip=True)
        python = home / "bin" / "python"
        install: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "-qq",
            "-c",
            ROOT / "constraints.txt",
            f"{ROOT}[serve]",
        ]
        subprocess.run(install, check=True)
        return [*_weigh(home, peer), *_wake(python, peer)]
    finally:
        shutil.rmtree(home)


def _weigh(home: Path, peer: Path) -> list[Line]:
    ours, theirs = Sample((_size(home),)), Sample((_size(peer.parent.parent),))
    count, their_count = Sample((_count(home / "bin" / "python"),)), Sample((_count(peer),))
    return [
        Line(
            what="keepfit[serve] installed",
            ours=ours,
            peer=theirs,
            peer_is="MB, MLServer 1.7.1",
            ratio=theirs.median / ours.median,
            unit="MB",
            reach="at most 450 MB",
            reached=ours.median <= 450,
        ),
        Line(
            what="distributions",
            ours=count,
            peer=their_count,
            peer_is="MLServer 1.7.1",
            ratio=their_count.median / count.median,
            reach="at most 55",
            reached=count.median <= 55,
        ),
    ]


def _wake(python: Path, peer: Path) -> list[Line]:
    commands = {"import": ("import keepfit", 0.3), "help": ("keepfit --help", 0.5)}
    asked = {"import": ["-c", "import keepfit"], "help": ["-m", "keepfit.edge.cli", "--help"]}
    for arguments in asked.values():  # the first run compiles what the next ones load
        subprocess.run([python, *arguments], check=True, stdout=subprocess.DEVNULL)
    samples = interleave(
        ROUNDS,
        {
            "import": lambda: _seconds(python, *asked["import"]),
            "help": lambda: _seconds(python, *asked["help"]),
            "peer import": lambda: _seconds(peer, "-c", "import mlserver"),
            "peer help": lambda: _seconds(peer, peer.parent / "mlserver", "--help"),
        },
    )
    lines = []
    for name, (what, most) in commands.items():
        ours, theirs, heavy = samples[name], samples[f"peer {name}"], _heavy(python, *asked[name])
        lines.append(
            Line(
                what=f"{what}{' imports ' + ', '.join(heavy) if heavy else ''}",
                ours=ours,
                peer=theirs,
                peer_is="s, MLServer",
                ratio=statistics.median(theirs.values) / ours.median,
                unit="s",
                reach=f"at most {most} s, importing none of {', '.join(HEAVY)}",
                reached=ours.median <= most and not heavy,
            )
        )
    return lines
