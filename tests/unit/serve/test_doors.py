"""The doors' common manners: media types, compressed bodies, deadlines, and what a repository tells."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toys
from answering import Answering, answering
from keepfit.core.errors import Invalid
from keepfit.core.nouns import Held, Placement
from keepfit.serve.doors.headers import deadline
from keepfit.serve.encodings import unpacked
from keepfit.serve.messages import Request
from runners import inference

INFER = "/v2/models/toy/infer"
RIGHT = inference(np.zeros((1, 20), np.float32))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answering]:
    with answering(tmp_path_factory.mktemp("doors"), toys.TENSOR, toys.TENSOR) as found:
        yield found


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ("application/json;charset=utf8", 200),
        ("application/vnd.kserve+json", 200),
        ("application/octet-stream", 200),
        ("application/x-www-form-urlencoded", 200),
        ("", 200),
        ("text/plain", 415),
        ("application/xml", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/json; charset=latin-1", 415),
    ],
)
@pytest.mark.parametrize("path", [INFER, "/predict", "/invocations", "/labels"])
def test_a_body_is_json_unless_it_is_said_to_be_something_else(
    served: Answering, path: str, kind: str, status: int
) -> None:
    """Then it is 415, and the sentence says what was expected; who says nothing sends JSON."""
    bodies = {INFER: RIGHT, "/predict": {"x": [0] * 20}, "/invocations": {"inputs": [[0] * 20]}}
    found, said = served.said("POST", path, bodies.get(path, {"id": "a", "label": 1}), content_type=kind)
    if status == 200:
        assert found == (409 if path == "/labels" else 200), said  # nothing is recorded here, so nothing labelled
    else:
        assert (found, said["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("packed", [gzip.compress, zlib.compress, lambda b: zlib.compress(b, wbits=-15)])
def test_compressed_bodies_are_unpacked(packed: Any) -> None:
    """gzip, deflate with its header, and deflate as many send it; an empty body too."""
    name = b"gzip" if packed is gzip.compress else b"Deflate"
    for body in (b"", b"x", b"text" * 1000):
        assert unpacked(packed(body), name, 4000) == body
    with pytest.raises(Invalid) as caught:
        unpacked(packed(b"x" * 4001), name, 4000)
    assert caught.value.code == "body_too_large"


def asked(said: bytes) -> Request:
    return Request("POST", "/", "", {b"x-request-timeout": said}, b"")


def test_deadlines_are_the_least_of_all() -> None:
    """The caller's header, the wire's microseconds, and at most what the Service allows."""
    assert deadline(Request("POST", "/", "", {}, b""), 60) is None
    assert deadline(Request("POST", "/", "", {}, b""), 60, 500_000) == 0.5
    assert deadline(asked(b"2.5"), 60) == 2.5
    assert deadline(asked(b"2"), 60, 500_000) == 0.5
    assert deadline(asked(b"3600"), 60) == 60
    for wrong in (b"", b"0", b"-1", b"1e3", b"nan", b"inf", b"1.2.3", b"1_0", b"\xb2", b"9" * 400, b"1, 2"):
        with pytest.raises(Invalid) as caught:
            deadline(asked(wrong), 60)
        assert caught.value.code == "invalid_timeout"


def test_a_deadline_is_kept(tmp_path: Path) -> None:
    """A model that takes longer is no longer waited for: 504, by header or by the protocol's parameter."""
    with answering(tmp_path, toys.TENSOR) as found:
        routing = found.plane.deployment().routing()
        predict = routing.predictor.predict

        def slowly(inputs: Any) -> Any:
            time.sleep(0.5)
            return predict(inputs)

        routing.predictor.predict = slowly  # type: ignore[method-assign]  # a model that is slow now
        routing.quick = 0
        for body, headers in (
            (RIGHT | {"parameters": {"timeout": 50_000}}, {}),
            (RIGHT, {"x_request_timeout": "0.05"}),
        ):
            status, said = found.said("POST", INFER, body, **headers)
            assert (status, said["code"]) == (504, "deadline")
        assert found.said("POST", INFER, RIGHT | {"parameters": {"timeout": 5_000_000}})[0] == 200


@pytest.mark.parametrize("path", [INFER, "/v2/models/toy/versions/2/infer", "/v2/repository/models/x/load", "/predict"])
def test_another_method_is_told_which_one(served: Answering, path: str) -> None:
    """405 with the header that says what is taken."""
    answer = served.ask("DELETE", path)
    assert (answer.status, json.loads(answer.body)["code"]) == (405, "method_not_allowed")
    assert b"\r\nallow: POST\r\n" in answer.headers


def test_raw_outputs_come_with_their_header(served: Answering) -> None:
    """The media type, the length of the JSON, and which version answered."""
    answer = served.ask("POST", INFER, RIGHT | {"parameters": {"binary_data_output": True}})
    assert answer.headers.startswith(b"content-type: application/octet-stream\r\ninference-header-content-length: ")
    assert b"keepfit-version: 2\r\n" in answer.headers
    length = int(answer.headers.split(b"\r\n")[1].split()[1])
    said = json.loads(answer.body[:length])
    assert sum(output["parameters"]["binary_data_size"] for output in said["outputs"]) == len(answer.body) - length


def test_the_repository_tells_every_slot(tmp_path: Path) -> None:
    """Live, previous and canary are ready, a shadow is never heard, and an empty Deployment is not available."""
    with answering(tmp_path, toys.TENSOR, toys.TENSOR, toys.TENSOR, live=False) as found:
        assert found.said("POST", "/v2/repository/index")[1] == [
            {"name": "toy", "version": "", "state": "UNAVAILABLE", "reason": "no live version; swap one in"}
        ]
        assert found.said("POST", "/v2/repository/index", {"ready": True})[1] == []
        assert found.said("POST", "/v2/repository/models/toy/load")[1]["code"] == "swaps_only"
        one, two, three = (Held(number, f"d{number}") for number in (1, 2, 3))
        found.place(Placement(two, one, canary=three, share=0.1))
        index = found.said("POST", "/v2/repository/index")[1]
        assert [(entry["version"], entry["state"], entry["reason"].split(",")[0]) for entry in index] == [
            ("2", "READY", "live"),
            ("3", "READY", "canary"),
            ("1", "READY", "previous"),
        ]
        assert found.said("POST", "/v2/repository/models/toy/load") == (200, {})
        assert found.said("POST", "/v2/repository/index", {"ready": 1})[1]["code"] == "wrong_type"
        assert found.said("POST", "/v2/repository/index", [])[1]["code"] == "invalid_request"
