"""Who goes first, and in pages of which size: what the system granted, read back from it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import toys
from keepfit.core.nouns import Held, Placement
from keepfit.serve.courtesy import come_first, pace_of, step_back
from keepfit.serve.runtimes.memory import with_large_pages
from keepfit.serve.slot import Slots

TURN = re.compile(r"^se\.slice\s*:\s*(\d+)", re.MULTILINE)
LARGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
TAKEN = """
held = bytearray(2**26)
held[::4096] = b"x" * (2**26 // 4096)
print(next(line.split()[1] for line in open("/proc/self/smaps_rollup") if line.startswith("AnonHugePages")))
"""


def on_a_thread(work: Callable[[], object]) -> object:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]


def turn() -> str:
    """The calling thread's turn in nanoseconds, as the kernel tells it; "" where it does not."""
    match = TURN.search(Path(f"/proc/self/task/{threading.get_native_id()}/sched").read_text(encoding="utf-8"))
    return match[1] if match else ""


@pytest.mark.skipif(not Path("/proc/self/sched").exists(), reason="this kernel does not tell how threads take turns")
def test_who_comes_first_has_a_short_turn_and_those_it_starts_have_not() -> None:
    """Its niceness stays; a thread started by it has the turn that all threads had before."""

    def first() -> tuple[str, bool, str, str, object]:
        before, granted = turn(), come_first()
        return before, granted, turn(), pace_of(), on_a_thread(turn)

    before, granted, after, pace, started = on_a_thread(first)  # type: ignore[misc]  # a tuple of five
    if not before:
        pytest.skip("this kernel does not tell the turns of threads (before Linux 6.12)")
    assert granted
    assert int(after) == 100_000 < int(before)
    assert pace == on_a_thread(pace_of)
    assert started == before


def test_who_steps_back_and_then_comes_first_stays_back() -> None:
    """A short turn is no way around being nice."""

    def both() -> tuple[str, str]:
        step_back()
        before = pace_of()
        come_first()
        return before, pace_of()

    before, after = on_a_thread(both)  # type: ignore[misc]  # a tuple of two
    assert before == after


@pytest.mark.skipif(
    not LARGE.exists() or "[never]" in LARGE.read_text(), reason="this system has no large pages (never)"
)
def test_large_blocks_come_in_large_pages() -> None:
    """A process with that environment has most of 64 MB in pages of 2 MB; what the user said of glibc is kept."""
    environment = with_large_pages()
    taken = subprocess.run([sys.executable, "-c", TAKEN], env=environment, capture_output=True, text=True, check=True)
    assert int(taken.stdout) > 2**15, taken.stdout


def test_what_was_said_of_the_c_library_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings stay beside ours, and who chose large pages or none chose."""
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=3")
    assert with_large_pages()["GLIBC_TUNABLES"] == "glibc.malloc.tcache_count=3:glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    assert with_large_pages()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=0"
    monkeypatch.delenv("GLIBC_TUNABLES")
    assert with_large_pages()["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"


def test_a_version_is_let_go_by_a_thread_that_does_not_step_back(tmp_path: Path) -> None:
    """Its memory is given back under the interpreter's lock: whoever is answered waits for that thread."""
    paces: list[str] = []

    async def story() -> None:
        for version in (1, 2):
            toys.bundle(tmp_path / f"d{version}", bias=version / 10)
        slots = Slots("toy", lambda digest: tmp_path / digest)
        await slots.prepare({1: Placement(Held(1, "d1"))})
        slots.commit()
        predictor = slots.majors[1].routing().predictor
        close = predictor.close

        def closed() -> None:
            paces.append(pace_of())
            close()

        predictor.close = closed  # type: ignore[method-assign]  # to see who calls it
        await slots.close()

    asyncio.run(story())
    assert paces == [on_a_thread(pace_of)]
