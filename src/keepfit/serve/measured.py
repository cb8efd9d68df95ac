"""What a front worker measured of itself, as Prometheus text."""

from __future__ import annotations

import os

from keepfit.serve.exposition import Text
from keepfit.serve.plane import Plane


def measured(plane: Plane) -> str:
    """Everything counted."""
    slots = plane.slots
    text = Text({"service": slots.service, "worker": os.getpid()})
    plane.tally.tell(text)
    captures = {"": plane.capture, "shadow_": plane.shadow}
    for of, capture in captures.items():
        if capture is not None:
            text.number(f"keepfit_{of}records_captured_total", capture.captured, "Records given to the Stream.")
            text.number(f"keepfit_{of}records_lost_total", capture.lost, "Records there was no room for.")
            text.number(f"keepfit_{of}records_skipped_total", capture.skipped, "Records left out by the sample.")
    counts = {
        "labels": (plane.intake.accepted if plane.intake else 0, "Labels taken."),
        "model_faults": (plane.tally.answers[500], "Answers with status 500."),
        "mirrored": (plane.mirrored, "Requests the shadow answered too."),
        "unmirrored": (plane.unmirrored, "Requests the shadow went without."),
        "drain_breaches": (slots.breaches, "Versions that left and did not drain in time."),
    }
    for name, (value, help) in counts.items():
        text.number(f"keepfit_{name}_total", value, help)
    if plane.cache is not None:
        text.number("keepfit_cache_hits_total", plane.cache.hits, "Requests answered from the cache.")
        text.number("keepfit_cache_misses_total", plane.cache.misses, "Requests the cache had no answer for.")
    if plane.events is not None:
        text.number("keepfit_events_sent_total", plane.events.sent, "Exchanges the sink was told of.")
        text.number("keepfit_events_dropped_total", plane.events.dropped, "Exchanges it was not told of.")
    _tell_now(plane, text)
    return str(text)


def _tell_now(plane: Plane, text: Text) -> None:
    slots = plane.slots
    first = slots.majors.get(1)
    live = first.live if first else None
    text.number("keepfit_ready", int(live is not None), "Whether there is a live Version.")
    text.number("keepfit_live_version", live.version if live else 0, "The live Version.")
    routings = [routing for deployment in slots.majors.values() for routing in deployment.all]
    leases = sum(routing.leases for routing in routings)
    text.number("keepfit_leases", leases, "Requests being answered off the event loop.")
    waiting = sum(getattr(routing.predictor, "waiting", 0) for routing in routings)
    text.number("keepfit_queue_depth", waiting, "Requests that wait for a model's process.")
    text.number("keepfit_draining", slots.draining, "Versions that left and are still answering.")
