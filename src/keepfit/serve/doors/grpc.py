"""The gRPC door: the Open Inference Protocol (`inference.GRPCInferenceService`) and the typed methods of the contract.

Messages go from bytes to arrays and back without generated code; methods are found by their path. An error has the
gRPC code that its HTTP status stands for, its machine code in the trailing metadata (`keepfit-code`) beside Version and
digest (`keepfit-version`, `keepfit-bundle`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.metadata import version as version_of
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

from keepfit.core.errors import KeepfitError, MissingExtra, NotFound, Unavailable
from keepfit.serve.doors.inference import EXTENSIONS
from keepfit.serve.doors.repository import RepositoryDoor, resident
from keepfit.serve.doors.typed import record_ids, typed_of
from keepfit.serve.messages import Request
from keepfit.serve.plane import Arrays, Exchange, Plane
from keepfit.serve.routes import status_of
from keepfit.serve.routing import Routing
from keepfit.serve.slot import Between, Deployment
from keepfit.serve.trace import Trace, begun, received
from keepfit.serve.wire.beginnings import Beginnings
from keepfit.serve.wire.calls import Calls, request_of
from keepfit.serve.wire.identifiers import camel
from keepfit.serve.wire.protocol import SERVICE, messages
from keepfit.serve.wire.typed import from_binary

_log = logging.getLogger(__name__)
_CODES = {
    404: "NOT_FOUND",
    409: "FAILED_PRECONDITION",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
    507: "RESOURCE_EXHAUSTED",
}
"""The gRPC code that a HTTP status stands for, where it is not INVALID_ARGUMENT."""

_TYPED = re.compile(r"/keepfit(?:\.v(\d{1,9}))?\.(\w+)/(Predict|PredictRows)")
_METHODS = {"Predict": "predict", "PredictRows": "predict_rows"}
_PINGS = 10_000  # milliseconds between signs of life that a caller may send without being taken for hostile
_ONE_POLLER = "-event_engine_listener"
"""Sockets are read by the thread that tells the event loop, not by four others before it: six switches fewer a call."""
_FINAL = "triton_enable_empty_final_response"

Reply = bytes | Awaitable[bytes]
Answering = Callable[[bytes, Any, "Trace | None"], Reply]
Marks = tuple[tuple[str, str], ...]
Opened = Callable[[Marks], Any]
"""From a call's metadata to what grpc has it answered by."""


class GrpcDoor:
    """All gRPC connections of one process."""

    def __init__(self, plane: Plane) -> None:
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # it would log every start of a model's process
        os.environ.setdefault("GRPC_EXPERIMENTS", _ONE_POLLER)
        try:
            import grpc
        except ImportError as error:
            raise MissingExtra("grpc", "grpc") from error
        self._grpc = grpc
        self._plane = plane
        self._messages = messages()
        self._parse = self._messages["ModelInferRequest"].FromString
        self._beginnings = Beginnings(self._messages["ModelInferRequest"])
        self._calls: WeakKeyDictionary[Routing, tuple[Calls, Marks]] = WeakKeyDictionary()
        self._repository = RepositoryDoor(plane)
        self._server: Any = None
        self._handlers = {path: self._unary(path, answer) for path, answer in self._methods().items()}
        stream = grpc.stream_stream_rpc_method_handler(self._stream)
        self._handlers[f"/{SERVICE}/ModelStreamInfer"] = lambda metadata: stream

    async def start(self, address: str) -> None:
        """Listen on `host:port`, which other processes may listen on as well; Unavailable where it cannot be had."""
        options = [
            ("grpc.so_reuseport", 1),
            ("grpc.max_receive_message_length", self._plane.slots.serving.body),
            ("grpc.max_send_message_length", -1),
            ("grpc.http2.min_ping_interval_without_data_ms", _PINGS),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        self._server = self._grpc.aio.server(options=options)
        self._server.add_generic_rpc_handlers((_ByPath(self._found),))
        try:
            self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise Unavailable(f"{address} cannot be had for gRPC: {error}", code="port_taken") from error
        await self._server.start()

    async def drain(self, patience: float) -> None:
        """Take no new requests, answer what has begun within `patience` seconds."""
        if self._server is not None:
            await self._server.stop(patience)

    # --- methods

    def _methods(self) -> dict[str, Answering]:
        methods: dict[str, Answering] = {
            "ModelInfer": self._infer,
            "ServerLive": lambda body, context, trace: self._said("ServerLiveResponse", live=True),
            "ServerReady": self._server_ready,
            "ModelReady": self._model_ready,
            "ServerMetadata": self._server_metadata,
            "ModelMetadata": self._model_metadata,
            "RepositoryIndex": self._index,
            "RepositoryModelLoad": self._load,
            "RepositoryModelUnload": self._unload,
        }
        return {f"/{SERVICE}/{name}": answer for name, answer in methods.items()}

    def _infer(self, body: bytes, context: Any, trace: Trace | None) -> Reply:
        plane = self._plane
        begun = self._beginnings.of(body)
        said: Any = begun or from_binary(self._messages["ModelInferRequest"], body)
        deployment = plane.deployment(said.model_name)
        routing = deployment.routing(said.model_version)
        calls = self._wire(deployment, routing)[0]
        if begun is not None:
            call, raw = calls.take(begun, body), True
        else:
            request, raws = request_of(said)
            call, raw = calls.decode(request, raws), bool(said.raw_input_contents)
            self._beginnings.learn(body, said, request)
        id = call.id or plane.mint()
        asked = Exchange(
            deployment,
            routing,
            plane.ids(id, call.rows),
            call.inputs,
            bool(said.model_version),
            self._patience(context, call.timeout),
            trace.parent if trace else "",
        )

        def encode(answering: Routing, outputs: Arrays) -> bytes:
            calls, marks = self._wire(deployment, answering)
            context.set_trailing_metadata(marks if trace is None else marks + _told_of(trace))
            return calls.encode(call, id, outputs, raw=raw)

        return plane.answer(asked, encode)

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Answer one after the other; what is wrong with one request does not end the stream."""
        async for body in requests:
            message = self._messages["ModelStreamInferResponse"]()
            try:
                trace = self._trace(context.invocation_metadata() or ())
                answer = await self._answered(self._infer, body, context, trace)
                message.infer_response.MergeFromString(answer)
                if self._parse(body).parameters[_FINAL].bool_param:
                    message.infer_response.parameters["triton_final_response"].bool_param = True
            except _Told as told:
                message.error_message = told.sentence
                message.infer_response.id = self._id(body)
            yield message.SerializeToString()

    def _server_ready(self, body: bytes, context: Any, trace: Trace | None) -> bytes:
        live = [deployment.live is not None for deployment in self._plane.slots.majors.values()]
        return self._said("ServerReadyResponse", ready=bool(live) and all(live))

    def _model_ready(self, body: bytes, context: Any, trace: Trace | None) -> bytes:
        asked = from_binary(self._messages["ModelReadyRequest"], body)
        try:
            deployment = self._plane.deployment(asked.name)
            ready = (deployment.routing(asked.version) if asked.version else deployment.live) is not None
        except NotFound:  # as Triton answers: who asks for readiness wants no error
            ready = False
        return self._said("ModelReadyResponse", ready=ready)

    def _server_metadata(self, body: bytes, context: Any, trace: Trace | None) -> bytes:
        return self._said(
            "ServerMetadataResponse", name="keepfit", version=version_of("keepfit"), extensions=EXTENSIONS
        )

    def _model_metadata(self, body: bytes, context: Any, trace: Trace | None) -> bytes:
        asked = from_binary(self._messages["ModelMetadataRequest"], body)
        deployment = self._plane.deployment(asked.name)
        routing = deployment.routing(asked.version)
        signature, marks = routing.bundle.signature, self._wire(deployment, routing)[1]
        context.set_trailing_metadata(marks)
        leading = [-1] if signature.batched else []
        tensors = {
            side: [
                {"name": field.name, "datatype": field.dtype.value, "shape": [*leading, *field.shape]} for field in of
            ]
            for side, of in (("inputs", signature.inputs), ("outputs", signature.outputs))
        }
        versions = [str(resident.version) for resident in deployment.resident]
        platform = f"keepfit-{routing.bundle.runtime}"
        return self._said(
            "ModelMetadataResponse", name=deployment.name, versions=versions, platform=platform, **tensors
        )

    def _index(self, body: bytes, context: Any, trace: Trace | None) -> bytes:
        only_ready = from_binary(self._messages["RepositoryIndexRequest"], body).ready
        entries = [entry for deployment in self._plane.slots.majors.values() for entry in resident(deployment)]
        models = [entry for entry in entries if entry["state"] == "READY" or not only_ready]
        return self._said("RepositoryIndexResponse", models=models)

    def _load(self, body: bytes, context: Any, trace: Trace | None) -> bytes:
        asked = from_binary(self._messages["RepositoryModelLoadRequest"], body)
        model = asked.model_name or asked.repository_name
        self._repository.load(_request(asked), model)
        return self._said("RepositoryModelLoadResponse", model_name=model, isLoaded=True)

    def _unload(self, body: bytes, context: Any, trace: Trace | None) -> bytes:
        asked = from_binary(self._messages["RepositoryModelUnloadRequest"], body)
        model = asked.model_name or asked.repository_name
        self._repository.unload(_request(asked), model)
        return self._said("RepositoryModelUnloadResponse", model_name=model, isUnloaded=True)

    def _typed(self, model: str, name: str) -> Answering:
        """A typed method of a Deployment."""

        def answer(body: bytes, context: Any, trace: Trace | None) -> Reply:
            deployment = self._plane.deployment(model)
            routing = deployment.routing()
            typed = typed_of(model, routing)
            batch = typed.decode(typed.method(name), body, json=False)
            ids = record_ids(self._plane, batch)

            def encode(answering: Routing, outputs: Arrays) -> bytes:
                marks = self._wire(deployment, answering)[1]
                context.set_trailing_metadata(marks if trace is None else marks + _told_of(trace))
                speaks = typed_of(model, answering)
                return speaks.encode(speaks.method(name), ids, outputs, json=False)

            patience, parent = self._patience(context), trace.parent if trace else ""
            asked = Exchange(deployment, routing, ids, batch.inputs, deadline=patience, trace=parent)
            return self._plane.answer(asked, encode)

        return answer

    # --- what they share

    def _found(self, path: str) -> Opened | None:
        """What answers at a path; None, which is UNIMPLEMENTED, where nothing does."""
        found = self._handlers.get(path)
        match = None if found is not None else _TYPED.fullmatch(path)
        if match is None:
            return found
        service = self._plane.slots.service
        model = service if match[1] is None else f"{service}@{match[1]}"
        if match[2] != camel(service) or model not in self._plane.slots.named:
            return None
        return self._unary(path, self._typed(model, _METHODS[match[3]]))

    def _unary(self, path: str, answer: Answering) -> Opened:
        way = self._plane.tally.way("GRPC", path)

        def within(trace: Trace | None) -> Any:
            async def called(body: bytes, context: Any) -> bytes:
                began = perf_counter()
                try:
                    found = await self._answered(answer, body, context, trace)
                except _Told as told:
                    self._plane.tally.add(told.status, perf_counter() - began, way)
                    code = self._grpc.StatusCode[_CODES.get(told.status, "INVALID_ARGUMENT")]
                    return await context.abort(code, told.sentence, (("keepfit-code", told.code),))  # type: ignore[no-any-return]
                self._plane.tally.add(200, perf_counter() - began, way)
                return found

            return self._grpc.unary_unary_rpc_method_handler(called)

        usual = within(None)

        def opened(metadata: Marks) -> Any:
            trace = self._trace(metadata)
            return usual if trace is None else within(trace)

        return opened

    async def _answered(self, answer: Answering, body: bytes, context: Any, trace: Trace | None) -> bytes:
        """The answer of a method; _Told where there is an error to tell."""
        try:
            try:
                found = answer(body, context, trace)
            except Between as swap:
                await self._plane.until(swap.done)
                found = answer(body, context, trace)
            return found if isinstance(found, bytes) else await found
        except KeepfitError as error:
            raise _Told(status_of(error), error.code, str(error)) from error
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _log.exception("request.failed door=grpc")
            raise _Told(500, "internal", f"an unexpected {type(error).__name__}") from error

    def _trace(self, metadata: Marks) -> Trace | None:
        """The caller's trace; a new one where what came is none, or where somebody is told of exchanges."""
        given = {name.encode(): value.encode() for name, value in metadata if name in ("traceparent", "tracestate")}
        return received(given) or begun() if given or self._plane.slots.serving.sink else None

    def _patience(self, context: Any, micros: int = 0) -> float | None:
        """Seconds that the caller waits, None where it did not say."""
        remaining = context.time_remaining()
        if remaining is None and not micros:
            return None
        most = self._plane.slots.serving.deadline
        return max(0.001, min(most, remaining or most, micros / 1e6 or most))

    def _wire(self, deployment: Deployment, routing: Routing) -> tuple[Calls, Marks]:
        found = self._calls.get(routing)
        if found is None:
            calls = Calls(deployment.name, routing.version, routing.digest, routing.bundle.signature, routing.inference)
            marks = (("keepfit-version", str(routing.version)), ("keepfit-bundle", routing.digest))
            found = self._calls[routing] = calls, marks
        return found

    def _said(self, kind: str, /, **fields: Any) -> bytes:
        return bytes(self._messages[kind](**fields).SerializeToString())

    def _id(self, body: bytes) -> str:
        try:
            return str(self._parse(body).id)
        except Exception:  # noqa: BLE001  # it was no message at all
            return ""


class _Told(Exception):
    """An error as it is told to the caller."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence


def _told_of(trace: Trace) -> Marks:
    state = (("tracestate", trace.state),) if trace.state else ()
    return (("traceparent", trace.parent), *state)


class _ByPath:
    """What grpc asks for the handler of each call."""

    def __init__(self, found: Callable[[str], Opened | None]) -> None:
        self._found = found

    def service(self, details: Any) -> Any:
        """The handler of a call's path."""
        opened = self._found(details.method)
        return opened and opened(details.invocation_metadata or ())


def _request(asked: Any) -> Request:
    """A repository request as the HTTP door takes it."""
    return Request("POST", "", "", {}, b'{"parameters":{"given":true}}' if asked.parameters else b"")
