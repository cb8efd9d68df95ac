"""What torch keeps for the whole process, left as it was found: threads and random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def undisturbed(threads: int, *, seed: int | None = None, device: str = "cpu") -> Iterator[None]:
    """Let torch use so many threads, and with a `seed` random numbers of its own, inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, threads))
    try:
        if seed is None:
            yield
            return
        devices = [torch.device(device)] if device.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices):
            torch.default_generator.manual_seed(seed)
            if devices:
                torch.cuda.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
