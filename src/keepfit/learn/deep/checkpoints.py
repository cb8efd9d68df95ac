"""Checkpoints: how far a lesson came, in one file that is replaced whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

EVERY = 5.0
"""Seconds between two checkpoints."""

_NAME = "study.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values; after a crash at any moment the old or the new one is there."""
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{_NAME}.new"
    with fresh.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(folder / _NAME)


def load(folder: Path | None) -> dict[str, Any] | None:
    """The state that was saved last; None where there is none."""
    path = folder / _NAME if folder is not None else None
    if path is None or not path.exists():
        return None
    found: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return found
