"""Requests held to the Schema by a running service: refused or counted, through every door alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

import toys
from keepfit.core.registry import canonical, to_plain
from keepfit.core.requirements import Requirement, Requirements
from keepfit.store.blobs import Trees
from runners import Served, served

REQUIREMENTS = Requirements(
    (
        Requirement(name="amount", kind="float", least=0.0, most=10.0, severity={"FLOAT_TYPE_BIG_FLOAT": "warning"}),
        Requirement(name="city", kind="text", domain=("Oslo", "Rome")),
    )
)
GOOD: dict[str, Any] = {"amount": 1.0, "count": 1, "city": "Rome", "new": True}


@contextmanager
def held(root: Path, check: str) -> Iterator[Served]:
    with served(root, "--serving", json.dumps({"check": check, "grpc": True})) as runner:
        directory = toys.bundle(root / "made" / "one", signature=toys.COLUMNS)
        path = directory / "bundle.json"
        path.write_bytes(canonical({**json.loads(path.read_bytes()), "requirements": to_plain(REQUIREMENTS)}))
        runner.digests[1] = Trees(runner.places.trees).put(directory)
        assert runner.swap(1)["ok"]
        yield runner


def counted(runner: Served) -> dict[tuple[str, str, str], int]:
    """Rows out of line, as `status` tells of them; `/metrics` has to say the same."""
    told = [one for worker in runner.status()["workers"] for one in worker["out_of_line"]]
    lines = [
        line for line in runner.call("GET", "/metrics").body.decode().splitlines() if "out_of_line_rows_total{" in line
    ]
    assert sum(int(line.split()[-1]) for line in lines) == sum(one["rows"] for one in told)
    return {(one["feature"], one["anomaly"], one["severity"]): one["rows"] for one in told}


def test_an_error_is_refused_and_a_warning_is_not(tmp_path: Path) -> None:
    """REFUSE: 422 with the finding where it is an ERROR, by HTTP and by gRPC; a WARNING is answered and counted."""
    with held(tmp_path, "refuse") as runner:
        assert runner.call("POST", "/predict", GOOD).status == 200
        assert runner.call("POST", "/predict", {**GOOD, "amount": 11.0}).status == 200
        refused = runner.call("POST", "/predict", [GOOD, {**GOOD, "city": "Bern"}])
        assert (refused.status, refused.json["code"]) == (422, "out_of_line")
        assert refused.json["error"] == "column 'city' is 'Bern', never seen before"
        address = f"127.0.0.1:{json.loads((runner.deployment / 'runner.json').read_bytes())['grpc_port']}"
        with triton.InferenceServerClient(address) as client:
            with pytest.raises(triton.InferenceServerException, match=r"INVALID_ARGUMENT.*never seen before"):
                client.infer("toy", tensors("Bern"))
            assert client.infer("toy", tensors("Oslo")).as_numpy("prediction").shape == (1,)
        assert counted(runner) == {
            ("amount", "FLOAT_TYPE_BIG_FLOAT", "warning"): 1,
            ("city", "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "error"): 2,
        }
        assert "Bern" not in (runner.deployment / "test.log").read_text()


@pytest.mark.parametrize(("check", "rows"), [("warn", 1), ("off", 0)])
def test_answered_all_the_same(tmp_path: Path, check: str, rows: int) -> None:
    """WARN answers and counts; OFF, which is usual, does not look at all; what cannot be checked is told."""
    with held(tmp_path, check) as runner:
        assert runner.call("POST", "/predict", {**GOOD, "city": "Bern"}).status == 200
        assert sum(counted(runner).values()) == rows
        runner.put(2, signature=toys.COLUMNS)  # a Version that knows of no requirements
        assert runner.swap(2)["ok"]
        assert runner.call("POST", "/predict", {**GOOD, "city": "Bern"}).status == 200
        assert sum(counted(runner).values()) == rows
        unchecked = [version for worker in runner.status()["workers"] for version in worker["unchecked"]]
        assert unchecked == ([2] if check == "warn" else [])


def tensors(city: str) -> list[Any]:
    values = {
        "amount": ("FP64", np.array([1.0])),
        "count": ("INT64", np.array([1])),
        "city": ("BYTES", np.array([city.encode()], object)),
        "new": ("BOOL", np.array([True])),
    }
    found = []
    for name, (kind, value) in values.items():
        found.append(triton.InferInput(name, [1], kind))
        found[-1].set_data_from_numpy(value)
    return found
