"""JavaScript programs beside protobufjs, where the machine has node and npm."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


def protobufjs(folder: Path) -> Path:
    """A folder whose programs may `require("protobufjs")`; skips, visibly, where it cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("no node and npm on this machine")
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent", "protobufjs@7"]
    installed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install protobufjs: {installed.stderr.strip()[-200:]}")
    return folder


def run(folder: Path, program: str, *arguments: str, said: str = "") -> str:
    """What a program prints; its errors fail the test."""
    (folder / "program.js").write_text(program)
    command = ["node", "program.js", *arguments]
    done = subprocess.run(command, cwd=folder, input=said, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
