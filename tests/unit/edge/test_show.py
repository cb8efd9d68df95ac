"""What a terminal is shown of a service: its slots, its processes, and what is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from keepfit.edge.show import lines
from keepfit.edge.status import ServiceStatus, slots_of

NOW = datetime(2013, 2, 1, tzinfo=UTC)


def worker(**more: Any) -> dict[str, Any]:
    """What one front worker says."""
    return {"requests": 10, "errors": 0, "p99_ms": 1.5, "rss": 100 * 2**20, **more}


def shown(workers: list[dict[str, Any]], majors: dict[str, Any], **more: Any) -> str:
    runner = {"url": "http://here", "pid": 7, "live": {"version": 1}, "majors": majors, "workers": workers, **more}
    one = ServiceStatus(
        service="toy", time=NOW, specification="", live=1, previous=0, doing="waiting", runner=runner,
        slots=slots_of("toy", runner, {}),
    )  # fmt: skip
    return "\n".join(lines(one))


LIVE = {"live": {"version": 1}, "canary": None, "shadow": None}


def test_slots_are_shown_with_what_all_workers_answered() -> None:
    """A canary with its share and key; each Slot's requests summed over the workers; what the shadow missed."""
    seated = {**LIVE, "canary": {"version": 2}, "shadow": {"version": 3}, "share": 0.25, "key": "customer"}
    answered = [
        {"model": "toy", "slot": "live", "version": 1, "requests": 6, "failed": 0},
        {"model": "toy", "slot": "canary", "version": 2, "requests": 2, "failed": 1},
        {"model": "toy@2", "slot": "live", "version": 4, "requests": 5, "failed": 0},
    ]
    told = shown(
        [worker(answered=answered, mirrored=7, unmirrored=1), worker(answered=answered[:1], mirrored=3)],
        {"1": seated, "2": {"live": {"version": 4}}},
    )
    assert "slot     live: v1, 12 answered\n" in told
    assert "slot     canary: v2 25% of the requests by customer, 2 answered, [red]1 failed[/red]" in told
    assert "slot     shadow: v3\n" in told
    assert "slot     live@2: v4, 5 answered" in told
    assert "mirror   10 requests answered by a shadow too, 1 not" in told


def test_a_live_slot_alone_needs_no_table() -> None:
    """The first line says it already; pace and memory stand beside the address."""
    told = shown([worker(), worker(p99_ms=4.0)], {"1": LIVE}, models=50 * 2**20)
    assert "slot" not in told
    assert "20 requests, 0 errors, p99 4.0 ms, 200 MiB (models 50)" in told


def test_what_is_wrong_is_shown() -> None:
    """Versions that do not leave, a worker that cannot load, and what a process of user code was not granted."""
    granted = {"version": 1, "uid": 60001, "memory": 2**30, "missing": ["no uid of its own: not root"]}
    told = shown([worker(breaches=2, fault="v1 is damaged", granted=[granted])], {"1": LIVE})
    assert "2 versions took too long to leave" in told
    assert "v1 is damaged" in told
    assert "process  v1: uid 60001, memory 1,073,741,824; [yellow]no uid of its own: not root[/yellow]" in told


def test_without_a_runner_slots_are_those_of_the_ledger() -> None:
    """What is known is shown, without counts."""
    (slot,) = slots_of("toy", {}, {"1": {"canary": {"version": 2}, "share": 0.1, "key": ""}})
    assert (slot.slot, slot.version, slot.share, slot.answered) == ("canary", 2, 0.1, None)
