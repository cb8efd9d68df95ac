"""The gRPC door of a real runner, asked by the clients that others wrote, and by hand where these cannot ask."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper

import toys
from keepfit.core.nouns import Bundle
from keepfit.core.registry import canonical
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.wire.descriptors import classes, proto_of
from keepfit.store.blobs import Trees
from runners import Served, served, wait

grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
triton = pytest.importorskip("tritonclient.grpc", reason="tritonclient[grpc] is not installed")
aio = pytest.importorskip("tritonclient.grpc.aio", reason="tritonclient[grpc] is not installed")

pb = triton.service_pb2
SERVICE = "/inference.GRPCInferenceService/"
PEERS = Path(__file__).resolve().parents[2] / ".peers"
X = np.linspace(0, 1, 40, dtype=np.float32).reshape(2, 20)
COLUMNS: dict[str, tuple[str, np.ndarray[Any, Any]]] = {
    "amount": ("FP64", np.array([1.5, np.nan])),
    "count": ("INT64", np.array([3, -4])),
    "city": ("BYTES", np.array(["Rome", "Tromsø"], dtype=object)),
    "new": ("BOOL", np.array([True, False])),
}


def address(runner: Served) -> str:
    return f"127.0.0.1:{json.loads((runner.deployment / 'runner.json').read_bytes())['grpc_port']}"


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The tensor toy as `toy`, v1 and v2; the columns toy as `toy@2`, v3; Triton's `simple` as `toy@3`, v4."""
    serving = json.dumps({"grpc": True, "body": 2**20})
    with served(tmp_path_factory.mktemp("grpc"), "--serving", serving) as runner:
        runner.put(1)
        runner.put(2, bias=0.5)
        runner.put(3, signature=toys.COLUMNS)
        runner.digests[4] = Trees(runner.places.trees).put(simple(runner.root / "made" / "simple"))
        assert runner.swap(1)["ok"]
        assert runner.swap(2)["ok"]
        for version, major in ((3, 2), (4, 3)):
            said = runner.ask(do="swap", version=version, digest=runner.digests[version], major=major)
            assert said["ok"], said
        yield runner


def simple(directory: Path) -> Path:
    """The shape of Triton's example `simple`: whole tensors [1, 16], their sum and their difference."""
    tensor = lambda name: helper.make_tensor_value_info(name, TensorProto.INT32, [1, 16])  # noqa: E731
    nodes = [
        helper.make_node("Add", ["INPUT0", "INPUT1"], ["OUTPUT0"]),
        helper.make_node("Sub", ["INPUT0", "INPUT1"], ["OUTPUT1"]),
    ]
    graph = helper.make_graph(
        nodes, "simple", [tensor("INPUT0"), tensor("INPUT1")], [tensor("OUTPUT0"), tensor("OUTPUT1")]
    )
    directory.mkdir(parents=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), directory / "model.onnx"
    )
    field = lambda name: Field(name, DType.INT32, (1, 16))  # noqa: E731
    signature = Signature((field("INPUT0"), field("INPUT1")), (field("OUTPUT0"), field("OUTPUT1")), batched=False)
    (directory / "bundle.json").write_bytes(canonical(Bundle(service="toy", runtime="onnx", signature=signature)))
    values = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(16, dtype=np.int32)), 16)
    nothing = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(16, np.int32)), 16)
    twice = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(16, dtype=np.int32) * 2), 16)
    golden = {"INPUT0": values, "INPUT1": values, "_out_OUTPUT0": twice, "_out_OUTPUT1": nothing}
    pq.write_table(pa.table(golden), directory / "golden.parquet")
    return directory


@pytest.fixture
def client(runner: Served) -> Iterator[Any]:
    with triton.InferenceServerClient(address(runner)) as found:
        yield found


@pytest.fixture
def channel(runner: Served) -> Iterator[Any]:
    with grpc.insecure_channel(address(runner)) as found:
        yield found


def tensor(name: str, datatype: str, values: np.ndarray[Any, Any], module: Any = triton) -> Any:
    found = module.InferInput(name, list(values.shape), datatype)
    found.set_data_from_numpy(values)
    return found


def x(values: np.ndarray[Any, Any] = X, module: Any = triton) -> list[Any]:
    return [tensor("x", "FP32", values, module)]


def expected(bias: float, values: np.ndarray[Any, Any] = X) -> np.ndarray[Any, Any]:
    return toys.probability(toys.TENSOR, {"x": values}, bias)


def test_health_metadata_and_index(runner: Served, client: Any) -> None:
    """What lives, what is ready, what the model takes and gives, which Versions are here."""
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("toy")
    assert client.is_model_ready("toy", "1")
    assert not client.is_model_ready("toy", "77")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata().name == "keepfit"
    model = client.get_model_metadata("toy@2")
    assert (model.name, model.platform, list(model.versions)) == ("toy@2", "keepfit-onnx", ["3"])
    assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs][2] == ("city", "BYTES", [-1])
    assert [list(each.shape) for each in client.get_model_metadata("toy@3").inputs] == [[1, 16], [1, 16]]
    found = {(each.name, each.version, each.state) for each in client.get_model_repository_index().models}
    assert {("toy", "2", "READY"), ("toy", "1", "READY"), ("toy@2", "3", "READY")} <= found


def test_load_confirms_and_unload_is_refused(client: Any) -> None:
    """A caller cannot change what other callers are answered by."""
    client.load_model("toy")
    with pytest.raises(triton.InferenceServerException, match="FAILED_PRECONDITION"):
        client.load_model("toy", config="{}")
    with pytest.raises(triton.InferenceServerException, match="FAILED_PRECONDITION"):
        client.unload_model("toy")
    with pytest.raises(triton.InferenceServerException, match="NOT_FOUND"):
        client.load_model("other")


def test_triton_gets_what_the_model_answers(client: Any) -> None:
    """Numbers, texts, truths and what is missing; outputs by name; id and version come back."""
    found = client.infer("toy", x(), request_id="me", outputs=[triton.InferRequestedOutput("probability")])
    np.testing.assert_allclose(found.as_numpy("probability"), expected(0.5), atol=1e-6)
    response = found.get_response()
    assert (response.id, response.model_name, response.model_version) == ("me", "toy", "2")
    assert [output.name for output in response.outputs] == ["probability"]
    older = client.infer("toy", x(), model_version="1", client_timeout=180, timeout=5_000_000, priority=1)
    np.testing.assert_allclose(older.as_numpy("probability"), expected(0.0), atol=1e-6)
    assert older.as_numpy("prediction").tolist() == [1, 1]
    columns = client.infer("toy@2", [tensor(name, *said) for name, said in COLUMNS.items()])
    inputs = {name: values for name, (_, values) in COLUMNS.items()}
    np.testing.assert_allclose(columns.as_numpy("probability"), toys.probability(toys.COLUMNS, inputs, 0.0), atol=1e-6)


def test_a_model_of_fixed_shape(client: Any) -> None:
    """Triton's own example: whole tensors in, whole tensors out."""
    a, b = np.arange(16, dtype=np.int32).reshape(1, 16), np.ones((1, 16), np.int32)
    found = client.infer("toy@3", [tensor("INPUT0", "INT32", a), tensor("INPUT1", "INT32", b)])
    np.testing.assert_array_equal(found.as_numpy("OUTPUT0"), a + b)
    np.testing.assert_array_equal(found.as_numpy("OUTPUT1"), a - b)


def test_typed_contents_are_answered_in_kind(channel: Any) -> None:
    """Who sends typed contents gets typed contents; who sends raw ones, raw ones. Version and digest are named."""
    infer = channel.unary_unary(
        SERVICE + "ModelInfer", pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
    )
    request = pb.ModelInferRequest(model_name="toy@2", id="typed")
    for name, (datatype, values) in COLUMNS.items():
        place = {"FP64": "fp64_contents", "INT64": "int64_contents", "BOOL": "bool_contents"}.get(datatype)
        said = request.inputs.add(name=name, datatype=datatype, shape=[2])
        listed = values.tolist() if place else [text.encode() for text in values]
        getattr(said.contents, place or "bytes_contents").extend(listed)
    answer, call = infer.with_call(request)
    assert not answer.raw_output_contents
    contents = {output.name: output.contents for output in answer.outputs}
    assert list(contents["prediction"].int64_contents) == [1, 0]
    assert len(contents["probability"].fp32_contents) == 2
    assert answer.parameters["digest"].string_param
    marks = dict(call.trailing_metadata())
    assert marks["keepfit-version"] == "3"
    assert marks["keepfit-bundle"] == answer.parameters["digest"].string_param


def test_triton_asynchronously(runner: Served) -> None:
    """Many at once, each gets its own answer."""

    async def many() -> list[Any]:
        async with aio.InferenceServerClient(address(runner)) as client:
            asked = [client.infer("toy", x(X * scale, aio), request_id=str(scale)) for scale in range(40)]
            return await asyncio.gather(*asked)

    for scale, found in enumerate(asyncio.run(many())):
        assert found.get_response().id == str(scale)
        np.testing.assert_allclose(found.as_numpy("probability"), expected(0.5, X * scale), atol=1e-6)


def test_a_stream_answers_in_order_and_outlives_errors(client: Any) -> None:
    """One answer for each request; a wrong one is told in the stream, and those behind it are answered."""
    answers: list[tuple[Any, Any]] = []
    client.start_stream(lambda result, error: answers.append((result, error)))
    for number in range(10):
        client.async_stream_infer("wrong" if number == 4 else "toy", x(X * number), request_id=str(number))
    client.async_stream_infer("toy", x(), request_id="last", enable_empty_final_response=True)
    wait(lambda: len(answers) == 11)
    client.stop_stream()
    assert "there is no model 'wrong'" in str(answers[4][1])
    for number, (result, error) in enumerate(answers[:10]):
        assert (error is None) == (number != 4)
        if error is None:
            assert result.get_response().id == str(number)
            np.testing.assert_allclose(result.as_numpy("probability"), expected(0.5, X * number), atol=1e-6)
    assert answers[10][0].get_response().parameters["triton_final_response"].bool_param


def test_a_stream_of_the_asynchronous_client(runner: Served) -> None:
    """The stream also works where the requests come from an asynchronous generator."""

    async def asked() -> Any:
        for number in range(5):
            yield {"model_name": "toy", "inputs": x(X * number, aio), "request_id": str(number)}

    async def streamed() -> list[str]:
        async with aio.InferenceServerClient(address(runner)) as client:
            return [result.get_response().id async for result, error in client.stream_infer(asked()) if error is None]

    assert asyncio.run(streamed()) == ["0", "1", "2", "3", "4"]


Broken = Callable[[Any], None]


def renamed(request: Any) -> None:
    request.inputs[0].name = "y"


def retyped(request: Any) -> None:
    request.inputs[0].datatype = "FP64"


def unknown(request: Any) -> None:
    request.inputs[0].datatype = "FP99"


def reshaped(request: Any) -> None:
    request.inputs[0].shape[:] = [3, 20]


def vast(request: Any) -> None:
    request.inputs[0].shape[:] = [2**62, 20]


def negative(request: Any) -> None:
    request.inputs[0].shape[:] = [-1, 20]


def doubled(request: Any) -> None:
    request.inputs.add().CopyFrom(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])


def uneven(request: Any) -> None:
    request.raw_input_contents.append(b"")


def both(request: Any) -> None:
    request.inputs[0].contents.fp32_contents.append(1.0)


def bare(request: Any) -> None:
    del request.raw_input_contents[:]


def misplaced(request: Any) -> None:
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp64_contents.extend([0.0] * 40)


def cut(request: Any) -> None:
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]


def infinite(request: Any) -> None:
    request.raw_input_contents[0] = np.full(40, np.inf, np.float32).tobytes()


def nothing(request: Any) -> None:
    del request.inputs[:], request.raw_input_contents[:]


def shared(request: Any) -> None:
    request.inputs[0].parameters["shared_memory_region"].string_param = "r"


def sequence(request: Any) -> None:
    request.parameters["sequence_id"].int64_param = 7


def strange(request: Any) -> None:
    request.model_name = "other"


def future(request: Any) -> None:
    request.model_version = "77"


def lengthy(request: Any) -> None:
    request.id = "x" * 300


def unasked(request: Any) -> None:
    request.outputs.add(name="odds")


WRONG: list[tuple[Broken, str, str]] = [
    (renamed, "INVALID_ARGUMENT", "unknown_input"),
    (retyped, "INVALID_ARGUMENT", "wrong_type"),
    (unknown, "INVALID_ARGUMENT", "wrong_type"),
    (reshaped, "INVALID_ARGUMENT", "wrong_shape"),
    (vast, "RESOURCE_EXHAUSTED", "too_many_rows"),
    (negative, "INVALID_ARGUMENT", "wrong_shape"),
    (doubled, "INVALID_ARGUMENT", "duplicate_input"),
    (uneven, "INVALID_ARGUMENT", "invalid_request"),
    (both, "INVALID_ARGUMENT", "invalid_request"),
    (bare, "INVALID_ARGUMENT", "wrong_shape"),
    (misplaced, "INVALID_ARGUMENT", "wrong_type"),
    (cut, "INVALID_ARGUMENT", "wrong_shape"),
    (infinite, "INVALID_ARGUMENT", "not_finite"),
    (nothing, "INVALID_ARGUMENT", "missing_input"),
    (shared, "INVALID_ARGUMENT", "unsupported_parameter"),
    (sequence, "INVALID_ARGUMENT", "unsupported_parameter"),
    (strange, "NOT_FOUND", "unknown_model"),
    (future, "NOT_FOUND", "unknown_version"),
    (lengthy, "INVALID_ARGUMENT", "id_too_long"),
    (unasked, "INVALID_ARGUMENT", "unknown_output"),
]


@pytest.mark.parametrize(("broken", "status", "code"), WRONG, ids=[case[0].__name__ for case in WRONG])
def test_wrong_requests_have_their_status(channel: Any, broken: Broken, status: str, code: str) -> None:
    """Each is the caller's fault, with one sentence and its machine code; the next request is answered."""
    infer = channel.unary_unary(
        SERVICE + "ModelInfer", pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
    )
    request = pb.ModelInferRequest(model_name="toy", raw_input_contents=[X.tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[2, 20])
    right = pb.ModelInferRequest.FromString(request.SerializeToString())
    broken(request)
    with pytest.raises(grpc.RpcError) as caught:
        infer(request)
    assert caught.value.code().name == status, caught.value.details()
    assert dict(caught.value.trailing_metadata())["keepfit-code"] == code, caught.value.details()
    assert len(infer(right).raw_output_contents) == 2


def test_bytes_that_are_no_message(channel: Any) -> None:
    """Neither the protocol's nor a typed method takes them, and methods nobody has are UNIMPLEMENTED."""
    for path, status in (
        (SERVICE + "ModelInfer", "INVALID_ARGUMENT"),
        (SERVICE + "ModelReady", "INVALID_ARGUMENT"),
        ("/keepfit.Toy/Predict", "INVALID_ARGUMENT"),
        ("/keepfit.Other/Predict", "UNIMPLEMENTED"),
        ("/keepfit.v7.Toy/Predict", "UNIMPLEMENTED"),
        (SERVICE + "Train", "UNIMPLEMENTED"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(path)(b"\xff\xff\xff")
        assert caught.value.code().name == status, path


def test_messages_are_bounded(client: Any) -> None:
    """A message above `Serving.body` is refused before it is read; one below is answered."""
    rows = np.zeros((2**20 // 80 - 10, 20), np.float32)
    assert client.infer("toy", x(rows)).as_numpy("probability").shape == (len(rows),)
    with pytest.raises(triton.InferenceServerException, match="RESOURCE_EXHAUSTED"):
        client.infer("toy", x(np.zeros((2**20 // 80 + 10, 20), np.float32)))


def test_typed_methods(channel: Any) -> None:
    """The contract's own service is there, one record or many, for every major."""
    kinds = classes(proto_of("toy", toys.TENSOR))
    one = channel.unary_unary("/keepfit.Toy/Predict", None, kinds["ToyOutput"].FromString)
    answer, call = one.with_call(kinds["ToyInput"](x=X[0].tolist(), keepfit_id="t1").SerializeToString())
    np.testing.assert_allclose(answer.probability, expected(0.5)[0], atol=1e-6)
    assert answer.keepfit_id == "t1"
    assert dict(call.trailing_metadata())["keepfit-version"] == "2"
    kinds = classes(proto_of("toy", toys.COLUMNS, 2))
    rows = kinds["ToyInputs"](rows=[{"count": 3, "city": "Rome", "new": True}, {"count": 0, "city": "", "new": False}])
    many = channel.unary_unary("/keepfit.v2.Toy/PredictRows", None, kinds["ToyOutputs"].FromString)
    assert [row.prediction for row in many(rows.SerializeToString()).rows] == [1, 0]
    with pytest.raises(grpc.RpcError, match="input 'count' is missing") as caught:
        many(kinds["ToyInputs"](rows=[{}]).SerializeToString())
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_kserve_gets_what_it_asks_for(runner: Served) -> None:
    """KServe's own client: health, typed and raw inference, and its form of a load."""
    python = PEERS / "kserve" / "bin" / "python"
    if not (PEERS / "kserve" / "installed").exists():
        pytest.skip("no environment with KServe's client; tests/process/test_oip_clients.py makes it")
    script = Path(__file__).with_name("kserve_grpc_client.py")
    found = subprocess.run([python, script, address(runner)], capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stderr
    said = json.loads(found.stdout.strip().splitlines()[-1])
    assert (said["live"], said["ready"], said["model"], said["loaded"]) == (True, True, True, ["toy", True])
    for raw in (False, True):
        id, version, probability = said[f"toy {raw}"]
        assert (id, version) == (f"k-{raw}", "2")
        np.testing.assert_allclose(probability, expected(0.5), atol=1e-6)


def test_traces_are_continued(runner: Served, channel: Any) -> None:
    """A caller's trace goes on in a span of our own, which the answer names; what is no trace begins a new one."""
    infer = channel.unary_unary(
        SERVICE + "ModelInfer", pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
    )
    request = pb.ModelInferRequest(model_name="toy", id="traced", raw_input_contents=[X[:1].tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 20])
    id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    _, call = infer.with_call(request, metadata=[("traceparent", f"00-{id}-{span}-01"), ("tracestate", "us=1")])
    marks = dict(call.trailing_metadata())
    assert marks["traceparent"].startswith(f"00-{id}-")
    assert marks["traceparent"].endswith("-01")
    assert span not in marks["traceparent"]
    assert marks["tracestate"] == "us=1"
    _, call = infer.with_call(request, metadata=[("traceparent", "00-nonsense")])
    assert id not in dict(call.trailing_metadata())["traceparent"]


def test_answers_are_counted(runner: Served, client: Any) -> None:
    """What came over gRPC is in the metrics under the name of its method."""
    client.infer("toy", x())
    text = runner.call("GET", "/metrics").body.decode()
    assert 'path="/inference.GRPCInferenceService/ModelInfer"' in text


def test_records_are_kept(runner: Served, client: Any) -> None:
    """What is answered over gRPC is in the Stream like everything else."""
    found = client.infer("toy", x(), request_id="kept-grpc")
    wait(lambda: all(runner.stream.known(["kept-grpc:0", "kept-grpc:1"])))
    kept = runner.stream.read().to_pylist()
    version = int(found.get_response().model_version)
    assert [row["_version"] for row in kept if row["_id"].startswith("kept-grpc:")] == [version, version]


def test_connections_live_through_swaps(tmp_path: Path) -> None:
    """Two front workers, 20 swaps under load on a few connections: no call fails, every answer is its Version's own."""
    with served(tmp_path / "store", "--serving", '{"grpc": true}', "--workers", "2") as runner:
        biases = {1: 0.0, 2: 2.0}
        for version, bias in biases.items():
            runner.put(version, bias=bias)
        assert runner.swap(1)["ok"]
        wrong: list[str] = []
        seen: set[str] = set()
        ended = threading.Event()

        def load() -> None:
            with triton.InferenceServerClient(
                address(runner), channel_args=[("grpc.use_local_subchannel_pool", 1)]
            ) as c:
                while not ended.is_set():
                    try:
                        found = c.infer("toy", x(X[:1]))
                    except triton.InferenceServerException as error:
                        wrong.append(str(error))
                        continue
                    version = found.get_response().model_version
                    seen.add(version)
                    if abs(found.as_numpy("probability")[0] - expected(biases[int(version)], X[:1])[0]) > 1e-6:
                        wrong.append(f"an answer of v{version} is not its own")

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for number in range(20):
                assert runner.swap(number % 2 + 1)["ok"]
        finally:
            ended.set()
            for thread in threads:
                thread.join()
        assert wrong == []
        assert seen == {"1", "2"}


def answers(client: Any, inputs: list[Any]) -> bool:
    try:
        return client.infer("toy", inputs) is not None
    except triton.InferenceServerException:
        return False


def test_deadlines_and_faults(tmp_path: Path) -> None:
    """A slow model ends with DEADLINE_EXCEEDED when the caller's time is up, a model that raises with INTERNAL, no live
    version with UNAVAILABLE; and the runner ends in good order with a stream open."""
    serving = '{"grpc": true, "deadline": 0.5}'
    with (
        served(tmp_path / "store", "--serving", serving) as runner,
        triton.InferenceServerClient(address(runner)) as client,
    ):
        assert not client.is_server_ready()
        with pytest.raises(triton.InferenceServerException, match="UNAVAILABLE"):
            client.infer("toy", x())
        runner.put(1, signature=toys.COLUMNS, runtime="python", fault="slow-on-666")
        said = runner.swap(1)
        assert said["ok"], said
        inputs = [tensor(name, *said) for name, said in COLUMNS.items()]
        assert client.infer("toy", inputs).as_numpy("prediction").shape == (2,)
        slow = [*inputs]
        slow[1] = tensor("count", "INT64", np.array([666, 1]))
        for patience in (0.2, None):  # the caller's, then the Service's
            with pytest.raises(triton.InferenceServerException, match="DEADLINE_EXCEEDED"):
                client.infer("toy", slow, client_timeout=patience)
        wait(lambda: answers(client, inputs))  # when what nobody waits for any more is through
        runner.put(2, signature=toys.COLUMNS, runtime="python", fault="raise-on-666")
        assert runner.swap(2)["ok"]
        with pytest.raises(triton.InferenceServerException, match="INTERNAL"):
            client.infer("toy", slow)
        client.start_stream(lambda result, error: None)
        assert runner.stop() == 0


def test_the_door_opens_in_a_running_runner(tmp_path: Path) -> None:
    """Without the setting there is no port and nothing of gRPC is loaded; with it, and after other settings change
    under load, calls are answered. When a worker goes, gRPC's own server cancels the calls that reached it and were
    not begun (it has no way to say goodbye first), which the status says; nothing else goes wrong."""
    with served(tmp_path / "store") as runner:
        runner.put(1)
        assert runner.swap(1)["ok"]
        assert json.loads((runner.deployment / "runner.json").read_bytes())["grpc_port"] is None
        loaded = Path(f"/proc/{runner.fronts()[0]}/maps").read_text()
        assert "cygrpc" not in loaded
        assert "google/_upb" not in loaded
        assert runner.ask(do="serving", serving={"grpc": True})["ok"]
        with triton.InferenceServerClient(address(runner)) as client:
            assert client.infer("toy", x()).get_response().model_version == "1"
            wrong: list[str] = []
            ended = threading.Event()

            def load() -> None:
                while not ended.is_set():
                    try:
                        client.infer("toy", x())
                    except triton.InferenceServerException as error:
                        wrong.append(str(error))

            thread = threading.Thread(target=load)
            thread.start()
            try:
                assert runner.ask(do="serving", serving={"grpc": True, "sample": 0.5})["ok"]
            finally:
                ended.set()
                thread.join()
            assert {error.split("]")[0] for error in wrong} <= {"[StatusCode.CANCELLED", "[StatusCode.UNAVAILABLE"}
            assert client.infer("toy", x()).get_response().model_version == "1"
