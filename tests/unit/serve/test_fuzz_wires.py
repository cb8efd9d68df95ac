"""Fuzzing, coverage-guided: no bytes at all make a decoder raise anything but an error of keepfit's own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).resolve().parents[2] / "fuzz_wires.py"
RUNS = 60_000


def run(runs: int, *, breaking: str = "pass") -> subprocess.CompletedProcess[str]:
    """The fuzzer in a process of its own: it ends that process by itself."""
    program = f"import sys, fuzz_wires; {breaking}; fuzz_wires.main({runs})"
    command = [sys.executable, "-W", "error", "-c", program]
    found = subprocess.run(command, cwd=FUZZER.parent, capture_output=True, text=True, timeout=300, check=False)
    if found.returncode == 77 and importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed")
    return found


def test_decoders_raise_nothing_else() -> None:
    """In a bounded number of runs over all wires and kinds of fields."""
    found = run(RUNS)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]


def test_the_fuzzer_finds_what_is_there() -> None:
    """A decoder that raises something else is found: a fuzzer that cannot fail says nothing."""
    found = run(RUNS, breaking="fuzz_wires.DECODERS[5] = lambda body, head: 1 // (b'[' not in body)")
    assert found.returncode != 0
    assert "ZeroDivisionError" in found.stdout + found.stderr
