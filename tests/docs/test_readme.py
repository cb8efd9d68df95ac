"""The README's way to serve a model, to the letter: its own commands, with nothing but the ports changed."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pages
import pytest

from runners import PATIENCE

README = Path(__file__).resolve().parents[2] / "README.md"
ROW = {"tenure": 2.5, "calls": 1.0, "fee": -1.0}
COMMAND = re.compile(r"keepfit (?:onboard|serve|rollback)\b[^;#\n]*")
OPTION = re.compile(r"#.*(--grpc-port \d+)")
PORT = re.compile(r"(?<=port )\d+")


def commands(section: str) -> list[str]:
    """The commands in the block of `sh` of a section, also those that a comment names; an option there is added."""
    text = README.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    lines = text.partition("```sh\n")[2].partition("\n```")[0].splitlines()
    found = []
    for line in lines:
        first, *others = (command.strip() for command in COMMAND.findall(line))
        found += [" ".join([first, *OPTION.findall(line)]), *others]
    return found


def models(folder: Path) -> tuple[float, float]:
    """Write `churn.ubj` and `next.onnx`, as their libraries write them; what each says of ROW."""
    xgboost = pytest.importorskip("xgboost", reason="xgboost is not installed")
    skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    from sklearn.ensemble import HistGradientBoostingClassifier

    X = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    y = (X[:, 0] > X[:, 1]).astype(int)
    asked = np.array([list(ROW.values())], np.float32)
    training = xgboost.DMatrix(X, y, feature_names=list(ROW))
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_depth": 2}, training, 3)
    booster.save_model(folder / "churn.ubj")
    later = HistGradientBoostingClassifier(max_iter=20).fit(X, y)
    (folder / "next.onnx").write_bytes(skl2onnx.to_onnx(later, X[:1]).SerializeToString())
    first = booster.predict(xgboost.DMatrix(asked, feature_names=list(ROW)))
    return float(first[0]), float(later.predict_proba(asked)[0, 1])


@pytest.fixture
def scratch() -> Iterator[str]:
    """A folder with a short name: sockets are made in it."""
    with tempfile.TemporaryDirectory() as folder:
        yield folder


def test_a_model_you_have_is_served_as_the_readme_says(tmp_path: Path, scratch: str) -> None:
    """Onboarded and served over both ports, swapped for a model of another framework, and swapped back."""
    onboard, serve, swap, rollback = commands("Serve a model you have")
    assert [line.split()[1] for line in (onboard, serve, swap, rollback)] == ["onboard", "serve", "serve", "rollback"]
    assert [Path(word).suffix for word in (onboard.split()[2], swap.split()[2])] == [".ubj", ".onnx"]
    first, second = models(tmp_path)
    environment = {**pages._environment(scratch), "OMP_NUM_THREADS": "1"}
    ports = [environment["PORT"], environment["GRPC_PORT"]]
    taken = iter(ports)
    serve = PORT.sub(lambda _: next(taken), serve)
    assert next(taken, "") == "", "the README serves at two ports"

    def done(line: str) -> str:
        said = subprocess.run(
            shlex.split(line), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, f"{line}\n{said.stdout}\n{said.stderr}"
        return said.stdout

    def answer() -> tuple[str, float]:
        reply = httpx.post(f"http://127.0.0.1:{ports[0]}/predict", json=[ROW], trust_env=False, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        return reply.headers["keepfit-version"], reply.json()[0]["probability"]

    done(onboard)
    with subprocess.Popen(
        shlex.split(serve), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as server:
        try:
            assert server.stdout is not None
            told = ""
            while "gRPC at" not in told:
                line = server.stdout.readline()
                assert line, told
                told += line
            assert answer() == ("1", pytest.approx(first, abs=1e-5))
            assert asked_by_grpc(ports[1]) == ("1", pytest.approx(first, abs=1e-5))
            assert "churn: v2 is live" in done(swap)
            assert answer() == ("2", pytest.approx(second, abs=1e-5))
            assert done(rollback) == "v1 is live again\n"
            assert answer() == ("1", pytest.approx(first, abs=1e-5))
        finally:
            server.terminate()
    assert server.returncode == 0
    assert abs(first - second) > 0.01, "two models that answer alike would show nothing"


def asked_by_grpc(port: str) -> tuple[str, float]:
    """What ROW is answered over gRPC, by a client that others wrote."""
    triton = pytest.importorskip("tritonclient.grpc", reason="tritonclient[grpc] is not installed")
    inputs = []
    for name, value in ROW.items():
        one = triton.InferInput(name, [1], "FP32")
        one.set_data_from_numpy(np.array([value], np.float32))
        inputs.append(one)
    said = triton.InferenceServerClient(f"127.0.0.1:{port}").infer("churn", inputs)
    return said.get_response().model_version, float(said.as_numpy("probability")[0])
