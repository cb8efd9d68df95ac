"""The Slots: prepared beside what answers, committed by one assignment, let go after the last lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

import toys
from keepfit.core.errors import Conflict, ModelFault, NotFound, Refused, Unavailable
from keepfit.core.nouns import Held, Placement, Preserve
from keepfit.core.service import Serving
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.slot import Between, Slots

NARROW = Signature((Field("count", DType.INT64),), toys.COLUMNS.outputs)


def held(version: int) -> Held:
    return Held(version, f"d{version}")


def slots_of(tmp_path: Path, *versions: int, serving: Serving = Serving()) -> Slots:
    """Slots that find toys under the digests `d<version>`."""
    for version in versions:
        toys.bundle(tmp_path / f"d{version}", bias=version / 10)
    return Slots("toy", lambda digest: tmp_path / digest, serving)


def play(story: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await story()

    asyncio.run(run())


async def become(slots: Slots, placed: Placement, major: int = 1) -> None:
    await slots.prepare({**slots.placements, major: placed})
    slots.commit()


def test_a_version_is_let_go_with_its_last_lease(tmp_path: Path) -> None:
    """Two swaps later it still answers those who lease it, is counted as draining, and then answers no more."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2, 3)
        await become(slots, Placement(held(1)))
        first = slots.majors[1].routing()
        slots.lease(first)
        await become(slots, Placement(held(2), held(1)))
        await become(slots, Placement(held(3), held(2)))
        assert slots.draining == 1
        inputs = toys.examples(toys.TENSOR)
        np.testing.assert_allclose(
            first.predictor.predict(inputs)["probability"], toys.probability(toys.TENSOR, inputs, 0.1), atol=1e-6
        )
        slots.release(first)
        assert slots.draining == 0
        await slots.close()
        with pytest.raises(ModelFault):
            first.predictor.predict(inputs)

    play(story)


def test_nothing_changes_before_commit(tmp_path: Path) -> None:
    """What is prepared does not answer, can be discarded, and only what is prepared can be committed."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2)
        await become(slots, Placement(held(1)))
        await slots.prepare({1: Placement(held(2), held(1))})
        assert slots.majors[1].routing().version == 1
        await slots.discard()
        with pytest.raises(Conflict):
            slots.commit()
        assert slots.majors[1].routing().version == 1
        await slots.close()

    play(story)


def test_going_back_needs_no_loading(tmp_path: Path) -> None:
    """The Version before is the very Routing that answered, and the one that left is kept in its turn."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2)
        await become(slots, Placement(held(1)))
        first = slots.majors[1].routing()
        await become(slots, Placement(held(2), held(1)))
        second = slots.majors[1].routing()
        await become(slots, Placement(held(1), held(2)))
        assert slots.majors[1].live is first
        assert slots.majors[1].previous is second
        await slots.close()

    play(story)


def test_a_failed_swap_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """The live Version answers on, and the one before, let go to make room, is loaded again to go back to."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2)
        toys.bundle(tmp_path / "d3", golden=1.0)
        await become(slots, Placement(held(1)))
        await become(slots, Placement(held(2), held(1)))
        with pytest.raises(Refused) as caught:
            await slots.prepare({1: Placement(held(3), held(2))})
        assert caught.value.code == "golden"
        deployment = slots.majors[1]
        assert deployment.live is not None
        assert deployment.previous is not None
        assert (deployment.live.version, deployment.previous.version) == (2, 1)
        await slots.close()

    play(story)


def test_only_ever_one_version_where_memory_is_dear(tmp_path: Path) -> None:
    """Preserving resources, callers wait while the old Version is gone, and are answered by the new one."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2, serving=Serving(preserve=Preserve.RESOURCES))
        await become(slots, Placement(held(1)))
        first = slots.majors[1].routing()
        await slots.prepare({1: Placement(held(2), held(1))})
        with pytest.raises(ModelFault):
            first.predictor.predict(toys.examples(toys.TENSOR))
        with pytest.raises(Between) as caught:
            slots.majors[1].routing()
        slots.commit()
        await asyncio.wait_for(caught.value.done, 1)
        assert slots.majors[1].routing().version == 2
        await slots.close()

    play(story)


def test_a_failed_swap_brings_the_only_version_back(tmp_path: Path) -> None:
    """Preserving resources, a Version that was let go for one that is refused answers again."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, serving=Serving(preserve=Preserve.RESOURCES))
        toys.bundle(tmp_path / "d2", golden=1.0)
        await become(slots, Placement(held(1)))
        with pytest.raises(Refused):
            await slots.prepare({1: Placement(held(2), held(1))})
        assert slots.majors[1].routing().version == 1
        await slots.close()

    play(story)


def test_a_breaking_version_needs_a_major_of_its_own(tmp_path: Path) -> None:
    """Beside the live one it is refused with the list; under a new major both answer."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1)
        toys.bundle(tmp_path / "d2", signature=toys.COLUMNS)
        await become(slots, Placement(held(1)))
        for placed in (Placement(held(2), held(1)), Placement(held(1), canary=held(2), share=0.5)):
            with pytest.raises(Refused) as caught:
                await slots.prepare({1: placed})
            assert caught.value.code == "breaking"
            assert "input 'x' was removed" in str(caught.value)
        await become(slots, Placement(held(2)), major=2)
        assert [deployment.routing().version for deployment in slots.majors.values()] == [1, 2]
        assert slots.majors[2].name == "toy@2"
        await slots.close()

    play(story)


def test_a_shadow_cannot_be_asked(tmp_path: Path) -> None:
    """Canary and previous answer those who name their number; a shadow is never heard."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2, 3)
        with pytest.raises(Unavailable):
            slots.majors[1].routing()
        await become(slots, Placement(held(1), canary=held(2), share=0.1, shadow=held(3)))
        deployment = slots.majors[1]
        assert deployment.routing("2").version == 2
        with pytest.raises(NotFound) as caught:
            deployment.routing("3")
        assert caught.value.code == "unknown_version"
        await slots.close()

    play(story)


def test_a_canary_is_chosen_by_an_input_there_is(tmp_path: Path) -> None:
    """A key that no caller sends is refused before it could fail any request."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2)
        await become(slots, Placement(held(1)))
        with pytest.raises(Refused) as caught:
            await slots.prepare({1: Placement(held(1), canary=held(2), share=0.5, key="customer")})
        assert caught.value.code == "unknown_input"
        await become(slots, Placement(held(1), canary=held(2), share=0.5, key="x"))
        await slots.close()

    play(story)


def test_a_late_version_is_reported_once(tmp_path: Path) -> None:
    """A lease that is held longer than draining may take is a breach, counted once; the model stays for it."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2, 3, serving=Serving(drain=0.001))
        await become(slots, Placement(held(1)))
        first = slots.majors[1].routing()
        slots.lease(first)
        await become(slots, Placement(held(2), held(1)))
        await become(slots, Placement(held(3), held(2)))
        slots.tick()
        slots.tick()
        assert slots.breaches == 1
        first.predictor.predict(toys.examples(toys.TENSOR))
        slots.release(first)
        await slots.close()

    play(story)


def test_a_number_means_one_bundle(tmp_path: Path) -> None:
    """A resident Version cannot come again with other bytes."""

    async def story() -> None:
        slots = slots_of(tmp_path, 1, 2)
        await become(slots, Placement(held(1)))
        with pytest.raises(Conflict):
            await slots.prepare({1: Placement(Held(1, "d2"))})
        await slots.close()

    play(story)


def test_the_bundle_of_another_service_is_refused(tmp_path: Path) -> None:
    """A digest handed to the wrong runner does not answer there."""

    async def story() -> None:
        toys.bundle(tmp_path / "d1")
        with pytest.raises(Refused) as caught:
            await Slots("other", lambda digest: tmp_path / digest).prepare({1: Placement(held(1))})
        assert caught.value.code == "wrong_service"

    play(story)
