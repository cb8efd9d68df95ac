"""What does recording every exchange cost: requests a second with capture on and off?

Two runners of the same Bundle on the same core, one with and one without capture, are asked in turn; 8 connections,
one row, JSON.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import place, serve
from benchmarks.harness import Line, either, interleave
from benchmarks.load import Asked
from keepfit.core.places import Places
from keepfit.store.streams import Stream

ROUNDS, CONNECTIONS = either(7, 1), 8


def run() -> list[Line]:
    """Alternate between the two, and make sure that one did record and that the other did not."""
    asked = Asked(f"/v2/models/{place.SERVICE}/infer", place.bodies())
    with place.scratch() as name:
        folder = Path(name)
        on, off = Places(folder / "on"), Places(folder / "off")
        digests = {places: place.bundle(places) for places in (on, off)}
        core = [serve.SERVER_CORE]
        with place.runner(on, cores=core) as with_, place.runner(off, cores=core, capture=False) as without:
            with_.swap(1, digests[on])
            without.swap(1, digests[off])
            rates = interleave(
                ROUNDS,
                {
                    "on": lambda: serve.measure(with_.port, asked, CONNECTIONS).rate,
                    "off": lambda: serve.measure(without.port, asked, CONNECTIONS).rate,
                },
            )
        recorded, not_recorded = (Stream(places.stream(place.SERVICE)).counts().records for places in (on, off))
    if not recorded or not_recorded:
        raise RuntimeError(f"{recorded} records with capture on and {not_recorded} with capture off")
    ratio = rates["on"].median / rates["off"].median
    return [
        Line(
            what=f"capture on, {recorded:,} records kept",
            ours=rates["on"],
            peer=rates["off"],
            peer_is="capture off",
            ratio=ratio,
            unit="requests/s",
            reach="at most 5 % fewer",
            reached=ratio >= 0.95,
        )
    ]
