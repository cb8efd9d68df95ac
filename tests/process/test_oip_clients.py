"""Clients that others wrote for the Open Inference Protocol, unmodified, against a real runner."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import toys
from runners import Served, served

http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")

PEERS = Path(__file__).resolve().parents[2] / ".peers"
KSERVE = "kserve>=0.15,<1"
X = np.linspace(0, 1, 40, dtype=np.float32).reshape(2, 20)
COLUMNS: dict[str, tuple[str, np.ndarray]] = {
    "amount": ("FP64", np.array([1.5, np.nan])),
    "count": ("INT64", np.array([3, -4])),
    "city": ("BYTES", np.array(["Rome", "Tromsø"], dtype=object)),
    "new": ("BOOL", np.array([True, False])),
}


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The tensor toy as `toy`, v1 and v2; the columns toy as `toy@2`, v3."""
    with served(tmp_path_factory.mktemp("clients")) as runner:
        runner.put(1)
        runner.put(2, bias=0.5)
        runner.put(3, signature=toys.COLUMNS)
        assert runner.swap(1)["ok"]
        assert runner.swap(2)["ok"]
        assert runner.ask(do="swap", version=3, digest=runner.digests[3], major=2)["ok"]
        yield runner


def tensor(module: Any, name: str, datatype: str, values: np.ndarray, binary: bool) -> Any:
    found = module.InferInput(name, list(values.shape), datatype)
    found.set_data_from_numpy(values, binary_data=binary)
    return found


@pytest.mark.parametrize("sent", [False, True], ids=["json in", "raw in"])
@pytest.mark.parametrize("given", [False, True], ids=["json out", "raw out"])
def test_triton_gets_the_same_in_every_form(runner: Served, sent: bool, given: bool) -> None:
    """Numbers go in and come out in JSON or raw, by the output or for all; id and version come back."""
    with http.InferenceServerClient(f"127.0.0.1:{runner.port}") as client:
        wanted = [http.InferRequestedOutput("probability", binary_data=given)]
        found = client.infer("toy", [tensor(http, "x", "FP32", X, sent)], outputs=wanted, request_id="me")
        expected = toys.probability(toys.TENSOR, {"x": X}, 0.5)
        np.testing.assert_allclose(found.as_numpy("probability"), expected, atol=1e-6)
        response = found.get_response()
        assert (response["id"], response["model_version"]) == ("me", "2")
        assert [output["name"] for output in response["outputs"]] == ["probability"]
        everything = client.infer("toy", [tensor(http, "x", "FP32", X, sent)], model_version="1")
        np.testing.assert_allclose(
            everything.as_numpy("probability"), toys.probability(toys.TENSOR, {"x": X}, 0.0), atol=1e-6
        )
        assert everything.as_numpy("prediction").tolist() == [1, 1]


@pytest.mark.parametrize("encoding", [None, "gzip", "deflate"])
def test_triton_sends_texts_truths_and_what_is_missing(runner: Served, encoding: str | None) -> None:
    """Raw, and compressed if it likes; NaN is a missing value where the model knows them."""
    inputs = [tensor(http, name, datatype, values, True) for name, (datatype, values) in COLUMNS.items()]
    with http.InferenceServerClient(f"127.0.0.1:{runner.port}") as client:
        found = client.infer("toy@2", inputs, request_compression_algorithm=encoding)
    expected = toys.probability(toys.COLUMNS, {name: values for name, (_, values) in COLUMNS.items()}, 0.0)
    np.testing.assert_allclose(found.as_numpy("probability"), expected, atol=1e-6)


def test_triton_is_told_what_there_is(runner: Served) -> None:
    """Health, metadata, the repository; and what cannot be done, in the form its errors have."""
    with http.InferenceServerClient(f"127.0.0.1:{runner.port}") as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("toy")
        assert client.is_model_ready("toy@2", "3")
        assert not client.is_model_ready("toy", "9")
        assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
        assert client.get_model_metadata("toy")["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 20]}]
        index = client.get_model_repository_index()
        assert {(entry["name"], entry["version"], entry["state"]) for entry in index} == {
            ("toy", "2", "READY"),
            ("toy", "1", "READY"),
            ("toy@2", "3", "READY"),
        }
        client.load_model("toy")
        for refused, status in (
            (lambda: client.load_model("other"), "404"),
            (lambda: client.load_model("toy", config="{}"), "409"),
            (lambda: client.unload_model("toy"), "409"),
            (lambda: client.unload_model("other"), "404"),
        ):
            with pytest.raises(http.InferenceServerException) as caught:
                refused()
            assert caught.value.status() == status
        assert client.is_model_ready("toy")


def test_triton_is_told_its_mistakes(runner: Served) -> None:
    """A sentence and a status, not a broken connection."""
    with http.InferenceServerClient(f"127.0.0.1:{runner.port}") as client:
        for name, values, outputs, says in (
            ("y", X, None, "does not exist"),
            ("x", X[:, :5], None, "shape"),
            ("x", X, [http.InferRequestedOutput("probability", class_count=2)], "classification"),
        ):
            with pytest.raises(http.InferenceServerException, match=says):
                client.infer("toy", [tensor(http, name, "FP32", values, True)], outputs=outputs)
        with pytest.raises(http.InferenceServerException, match="sequence_id"):
            client.infer("toy", [tensor(http, "x", "FP32", X, True)], sequence_id=7, sequence_start=True)
        client.infer("toy", [tensor(http, "x", "FP32", X, True)], priority=1, timeout=5_000_000)


def test_triton_asynchronously(runner: Served) -> None:
    """Many at once, JSON and raw, each gets its own answer."""
    aio = pytest.importorskip("tritonclient.http.aio", reason="tritonclient[http] is not installed")

    async def many() -> list[Any]:
        async with aio.InferenceServerClient(f"127.0.0.1:{runner.port}") as client:
            asked = [
                client.infer("toy", [tensor(aio, "x", "FP32", X * scale, bool(scale % 2))], request_id=str(scale))
                for scale in range(20)
            ]
            return await asyncio.gather(*asked)

    for scale, found in enumerate(asyncio.run(many())):
        expected = toys.probability(toys.TENSOR, {"x": X * scale}, 0.5)
        np.testing.assert_allclose(found.as_numpy("probability"), expected, atol=1e-6)
        assert found.get_response()["id"] == str(scale)


@pytest.fixture(scope="session")
def kserve() -> Path:
    """The interpreter of an environment with KServe's client, made where there is none; skips where that fails."""
    home = PEERS / "kserve"
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        venv.create(home, clear=True)
        command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", KSERVE]
        found = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if found.returncode:
            pytest.skip(f"KServe's client cannot be installed: {found.stderr.strip().splitlines()[-1:]}")
        (home / "installed").touch()
    return python


def test_kserve_gets_what_it_asks_for(runner: Served, kserve: Path) -> None:
    """Health and inference, JSON and raw, numbers and texts, of both majors."""
    script = Path(__file__).with_name("kserve_client.py")
    command = [kserve, script, f"http://127.0.0.1:{runner.port}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout.strip().splitlines()[-1])
    assert (said["live"], said["ready"], said["model"]) == (True, True, True)
    expected = toys.probability(toys.TENSOR, {"x": X}, 0.5)
    columns = toys.probability(toys.COLUMNS, {name: values[:1] for name, (_, values) in COLUMNS.items()}, 0.0)
    for binary in (False, True):
        id, probability = said[f"toy {binary}"]
        assert id == f"k-{binary}"
        np.testing.assert_allclose(probability, expected, atol=1e-6)
        np.testing.assert_allclose(said[f"columns {binary}"][1], columns, atol=1e-6)
