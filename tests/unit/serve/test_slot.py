"""The Slot: prepared beside the live Version, committed by one assignment, let go after the last lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

import toys
from keepfit.core.errors import Conflict, ModelFault, Refused
from keepfit.serve.slot import Slot


def slot_of(tmp_path: Path, *versions: int) -> Slot:
    """A Slot that finds toys under the digests `d<version>`."""
    for version in versions:
        toys.bundle(tmp_path / f"d{version}", bias=version / 10)
    return Slot("toy", lambda digest: tmp_path / digest)


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await story()

    asyncio.run(run())


async def swap(slot: Slot, version: int) -> None:
    await slot.prepare(version, f"d{version}")
    slot.commit(version)


def test_a_version_is_let_go_with_its_last_lease(tmp_path: Path) -> None:
    """Two swaps later it still answers those who lease it, and then no more."""

    async def story() -> None:
        slot = slot_of(tmp_path, 1, 2, 3)
        await swap(slot, 1)
        first = slot.live
        assert first is not None
        slot.lease(first)
        await swap(slot, 2)
        await swap(slot, 3)
        inputs = toys.examples(toys.TENSOR)
        np.testing.assert_allclose(
            first.predictor.predict(inputs)["probability"], toys.probability(toys.TENSOR, inputs, 0.1), atol=1e-6
        )
        slot.release(first)
        await slot.close()
        with pytest.raises(ModelFault):
            first.predictor.predict(inputs)

    play(story)


def test_nothing_changes_before_commit(tmp_path: Path) -> None:
    """What is prepared does not answer, can be discarded, and only it can be committed."""

    async def story() -> None:
        slot = slot_of(tmp_path, 1, 2)
        await swap(slot, 1)
        await slot.prepare(2, "d2")
        assert slot.live is not None
        assert slot.live.version == 1
        with pytest.raises(Conflict):
            slot.commit(3)
        await slot.discard()
        with pytest.raises(Conflict):
            slot.commit(2)
        await slot.close()

    play(story)


def test_a_number_means_one_bundle(tmp_path: Path) -> None:
    """A resident Version cannot come again with other bytes."""

    async def story() -> None:
        slot = slot_of(tmp_path, 1, 2)
        await swap(slot, 1)
        with pytest.raises(Conflict):
            await slot.prepare(1, "d2")
        await slot.close()

    play(story)


def test_the_bundle_of_another_service_is_refused(tmp_path: Path) -> None:
    """A digest handed to the wrong runner does not answer there."""

    async def story() -> None:
        toys.bundle(tmp_path / "d1")
        with pytest.raises(Refused) as caught:
            await Slot("other", lambda digest: tmp_path / digest).prepare(1, "d1")
        assert caught.value.code == "wrong_service"

    play(story)
