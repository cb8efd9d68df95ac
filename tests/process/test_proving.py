"""Proving: what would harm a front worker shows in a process of its own."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

import toys
from keepfit.core.errors import Refused
from keepfit.core.nouns import Held
from keepfit.serve.proving import Claim, Proof, prove


def proved(directory: Path, **claim: int) -> Proof:
    return asyncio.run(prove(Claim("toy", Held(1, "d1"), str(directory), **claim)))


def test_a_sound_version_is_measured(tmp_path: Path) -> None:
    """Bytes and seconds of loading come back; nothing of it stays."""
    found = proved(toys.bundle(tmp_path / "b"))
    assert 0 < found.memory < 500 * 2**20
    assert found.seconds > 0


def test_no_room_is_found_before_loading(tmp_path: Path) -> None:
    """A file larger than the Service's memory is refused by its size alone, with the reason."""
    directory = toys.bundle(tmp_path / "b")
    with (directory / "model.onnx").open("ab") as file:
        file.truncate(10 * 2**30)  # a hole: ten gigabytes that nobody has to write
    with pytest.raises(Refused) as caught:
        proved(directory, limit=2**30)
    assert caught.value.code == "insufficient_memory"


def test_no_room_is_found_by_measuring(tmp_path: Path) -> None:
    """What fits by the size of its files, and not by what loading really takes in all copies, is refused too."""
    directory = toys.bundle(tmp_path / "b")
    with pytest.raises(Refused) as caught:
        proved(directory, copies=100, limit=100 * 2**20)
    assert caught.value.code == "insufficient_memory"


def test_missed_examples_are_found(tmp_path: Path) -> None:
    """A Version that does not reproduce its golden examples never reaches a front worker."""
    with pytest.raises(Refused) as caught:
        proved(toys.bundle(tmp_path / "b", golden=1.0))
    assert caught.value.code == "golden"


def test_a_loader_that_crashes_takes_nothing_with_it(tmp_path: Path) -> None:
    """A process that dies while it loads is a refusal that names the signal."""
    directory = toys.bundle(tmp_path / "b")

    async def story() -> None:
        proving = asyncio.create_task(prove(Claim("toy", Held(1, "d1"), str(directory))))
        while not (children := psutil.Process().children()):  # noqa: ASYNC110  # the system tells nobody
            await asyncio.sleep(0)
        children[0].send_signal(signal.SIGSEGV)
        await proving

    with pytest.raises(Refused) as caught:
        asyncio.run(story())
    assert caught.value.code == "crashed"
    assert "SIGSEGV" in str(caught.value)
