"""Tally: what is counted is what happened; percentiles are those of the last ten seconds."""

from __future__ import annotations

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from keepfit.serve.exposition import Text, Totals, merged
from keepfit.serve.tally import Tally


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


def told(tally: Tally, worker: int = 1) -> str:
    text = Text({"service": "toy", "worker": worker})
    tally.tell(text)
    text.number("keepfit_ready", 1, "Whether it is ready.")
    return str(text)


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample, read by another's parser, which also refuses what is no Prometheus text."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.type in ("counter", "gauge", "histogram", "summary"), family
        for sample in family.samples:
            key = sample.name, tuple(sorted(sample.labels.items()))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


def of(text: str, name: str, **labels: object) -> float:
    wanted = tuple(sorted((k, str(v)) for k, v in labels.items()))
    return values(text)[name, wanted]


def test_prometheus_counts_every_answer_once() -> None:
    """Buckets are cumulative and end with all; several workers' counts are summed."""
    tally = Tally()
    for seconds in (0.0005, 0.003, 100.0):
        tally.add(200, seconds)
    text = told(tally)
    counts = [int(line.split()[-1]) for line in text.splitlines() if "seconds_bucket" in line]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 3)
    both = merged([text, told(tally, 2)])
    assert of(both, "keepfit_requests_total", service="toy", status=200) == 6
    assert of(both, "keepfit_request_seconds_count", service="toy") == 6
    assert of(both, "keepfit_request_seconds_bucket", service="toy", le="0.00390625") == 4
    assert of(both, "keepfit_ready", service="toy", worker=2) == 1


def test_the_names_of_mlserver_are_there_with_its_labels() -> None:
    """Requests by path and status, inferences by model and version, and the queues: dashboards go on working."""
    tally = Tally()
    way = tally.way("POST", "/v2/models/{model}/infer")
    tally.add(200, 0.001, way)
    tally.add(422, 0.001, way)
    for slot, version in (("live", 3), ("canary", 4), ("shadow", 5)):
        answering = tally.version("toy", version, slot)
        answering.add(2, 0.25)
        answering.fail()
    queue = tally.sizes("batch_request_queue", "As MLServer calls it.")
    for size in (0, 1, 2, 3, 64, 65, 10_000):
        queue.add(size)
    text = told(tally)
    common = {"service": "toy", "worker": 1}
    rest = {**common, "app_name": "keepfit", "method": "POST", "path": "/v2/models/{model}/infer"}
    assert of(text, "rest_server_requests_total", **rest, status_code=422) == 1
    assert of(text, "rest_server_requests_duration_seconds_count", **rest) == 2
    assert of(text, "model_infer_request_success_total", **common, model="toy", version=3) == 1
    assert of(text, "model_infer_request_failure_total", **common, model="toy", version=3) == 1
    assert of(text, "model_infer_request_duration_sum", **common, model="toy", version=3) == 0.25
    assert of(text, "model_infer_request_success_total", **common, model="toy", version=4, slot="canary") == 1
    assert of(text, "keepfit_answered_rows_total", **common, model="toy", version=5, slot="shadow") == 2
    assert ("model_infer_request_success_total", "5") not in {(k, dict(v).get("version")) for k, v in values(text)}
    buckets = {edge: of(text, "batch_request_queue_bucket", **common, le=edge) for edge in ("1", "2", "4", "64", "128")}
    assert buckets == {"1": 2, "2": 3, "4": 4, "64": 5, "128": 6}
    assert of(text, "batch_request_queue_count", **common) == 7


def test_rare_things_are_counted_by_their_labels() -> None:
    """Swaps, breaches: a line for each kind."""
    tally = Tally()
    for slot in ("live", "live", "canary"):
        tally.count("keepfit_swaps_total", "Swaps.", slot=slot)
    text = told(tally)
    assert of(text, "keepfit_swaps_total", service="toy", worker=1, slot="live") == 2


def test_a_counter_never_goes_down() -> None:
    """Whatever workers die and come back, sums only grow, gauges of the dead vanish, and nothing counts twice."""
    totals = Totals(started=1234.5)
    seen = 0.0
    random = np.random.default_rng(0)
    workers = {index: (100 + index, Tally()) for index in range(3)}
    process = 200
    for everything in range(1, 301):
        index = int(random.integers(3))
        if random.random() < 0.1:
            totals.forget(workers[index][0])
            workers[index] = process, Tally()
            process += 1
        number, tally = workers[index]
        tally.add(200, 0.001)
        totals.hear(number, told(tally, number))
        text = str(totals)
        now = of(text, "keepfit_requests_total", service="toy", status=200)
        assert now == everything > seen
        seen = now
    text = str(totals)
    ready = [dict(labels)["worker"] for name, labels in values(text) if name == "keepfit_ready"]
    assert sorted(ready) == sorted(str(number) for number, _ in workers.values())
    assert of(text, "process_start_time_seconds") == 1234.5
    assert "# HELP keepfit_requests_total Requests answered." in text


def test_saying_it_again_is_not_counting_it_again() -> None:
    """What a worker says is all it counted so far; what was forgotten once stays as it was."""
    totals = Totals()
    for process in (1, 2):
        tally = Tally()
        tally.add(200, 0.001)
        totals.hear(process, told(tally, process))
        totals.hear(process, told(tally, process))
    for _ in range(2):
        totals.forget(1)
        assert of(str(totals), "keepfit_requests_total", service="toy", status=200) == 2
    totals.count("keepfit_swaps_total", "Swaps.")
    totals.count("keepfit_swaps_total", "Swaps.")
    assert of(str(totals), "keepfit_swaps_total") == 2


def test_any_label_can_be_read_back() -> None:
    """Quotes, backslashes, braces and line ends in a label do not break the text, nor its sum."""
    nasty = 'a "b" \\ {c}, worker="9"\nd'
    text = Text({"service": nasty, "worker": 1})
    text.number("keepfit_requests_total", 1, "Requests.", status=200)
    both = merged([str(text), str(text)])
    (key,) = values(both)
    assert dict(key[1])["status"] == "200"
    assert values(str(text))
