"""Memory: what loading a Bundle will cost, known before it is loaded; and how to make the C library give it back."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

_M_MMAP_THRESHOLD = -3  # <malloc.h>
_LARGE = 2**20


@cache
def large_blocks_are_given_back() -> None:
    """Make malloc map every block of a megabyte by itself, once per process, where the C library is glibc.

    glibc raises the size from which it maps with every mapped block that is freed (to 32 MB), so that the weights of
    the second model lie in the heap, whose middle is never given back.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _LARGE)
