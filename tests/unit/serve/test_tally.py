"""Tally: what is counted is what happened; percentiles are those of the last ten seconds."""

from __future__ import annotations

import numpy as np
import pytest

from keepfit.serve.tally import Tally, merged


def test_percentiles_are_known_to_a_tenth() -> None:
    """The histogram's percentiles agree with exact ones within its bucket width."""
    seconds = np.random.default_rng(0).lognormal(-7, 1, 20_000)
    tally = Tally()
    for second in seconds:
        tally.add(200, float(second))
    for share, found in zip((0.5, 0.99), tally.percentiles(0.5, 0.99), strict=True):
        assert found == pytest.approx(np.quantile(seconds, share), rel=0.1)


def test_percentiles_forget_and_counts_do_not() -> None:
    """After ten seconds a slow second is over; totals stay."""
    tally = Tally()
    tally.add(500, 3.0)
    for _ in range(10):
        tally.tick()
    assert tally.percentiles(0.5) == [None]
    tally.add(200, 0.001)
    assert tally.percentiles(0.99) == [pytest.approx(0.001, rel=0.1)]
    assert (tally.requests, tally.errors) == (2, 1)


def test_extremes_are_counted() -> None:
    """No time at all and an hour are answers too."""
    tally = Tally()
    tally.add(200, 0.0)
    tally.add(200, 3600.0)
    assert tally.requests == 2
    assert tally.percentiles(1.0)[0] >= 60  # type: ignore[operator]


def test_prometheus_counts_every_answer_once() -> None:
    """Buckets are cumulative and end with all; several workers' texts become one."""
    tally = Tally()
    for seconds in (0.0005, 0.003, 100.0):
        tally.add(200, seconds)
    text = "\n".join(tally.prometheus('worker="1"')) + "\n"
    counts = [int(line.split()[-1]) for line in text.splitlines() if "_bucket" in line]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 3)
    both = merged([text, text.replace('"1"', '"2"')])
    assert both.count("# TYPE keepfit_requests_total counter") == 1
    assert both.count('status="200"} 3') == 2
    assert both.splitlines()[1:3] == [line for line in both.splitlines() if line.startswith("keepfit_requests_total")]
