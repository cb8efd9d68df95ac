"""Runtimes: what turns a Bundle into something that predicts.

A model that is data (ONNX) is predicted in the serving process; one that is code (a pickled estimator) in a process
per Version, so that no pickle is opened here, two versions of one class live side by side, and a crash costs one child.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from keepfit.core.errors import KeepfitError, MissingExtra, ModelFault, Refused
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Predictor
from keepfit.core.signature import DType
from keepfit.serve.frames import Kind, pack, receive, send, unpack
from keepfit.serve.loading import check_output
from keepfit.serve.wire.tables import numpy_type

_ONNX_TYPES = {
    "tensor(float)": DType.FP32,
    "tensor(double)": DType.FP64,
    "tensor(float16)": DType.FP16,
    "tensor(bool)": DType.BOOL,
    "tensor(string)": DType.BYTES,
    "tensor(int8)": DType.INT8,
    "tensor(int16)": DType.INT16,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
    "tensor(uint8)": DType.UINT8,
    "tensor(uint16)": DType.UINT16,
    "tensor(uint32)": DType.UINT32,
    "tensor(uint64)": DType.UINT64,
}


class Onnx:
    """ONNX Runtime in this process, on the calling thread."""

    inline = True

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Open `model.onnx`; Refused where it is damaged or its inputs and outputs are not what the Bundle says."""
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtra("onnxruntime", "onnx") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False  # swapped-out Versions give memory back
        options.log_severity_level = 4
        model = directory / "model.onnx"
        try:
            session = onnxruntime.InferenceSession(model.read_bytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise Refused(f"model.onnx cannot be loaded: {error}", code="corrupt") from error
        _check_graph(bundle, session)
        return OnnxPredictor(bundle, session)


def _check_graph(bundle: Bundle, session: Any) -> None:
    fields = {field.name: field for field in bundle.signature.inputs}
    wanted = {}
    for name, members in bundle.columns:
        if not members or any(member not in fields for member in members):
            raise Refused(f"native input '{name}' takes fields the Signature lacks: {members}", code="wrong_signature")
        wanted[name] = fields[members[0]].dtype
    found = {node.name: _ONNX_TYPES.get(node.type) for node in session.get_inputs()}
    if found != wanted or sorted(m for _, members in bundle.columns for m in members) != sorted(fields):
        raise Refused(f"the graph's inputs are {found}, the Bundle says {wanted}", code="wrong_signature")
    answers = {node.name: _ONNX_TYPES.get(node.type) for node in session.get_outputs()}
    promised = {field.name: field.dtype for field in bundle.signature.outputs}
    if not promised.items() <= answers.items():
        raise Refused(f"the graph's outputs are {answers}, the Signature says {promised}", code="wrong_signature")


class OnnxPredictor:
    """A loaded ONNX graph."""

    inline = True

    def __init__(self, bundle: Bundle, session: Any) -> None:
        self._session = session
        self._outputs = bundle.signature.outputs
        self._names = [field.name for field in self._outputs]
        fields = {field.name: field for field in bundle.signature.inputs}
        self._whole = [(name, members[0]) for name, members in bundle.columns if fields[members[0]].shape]
        self._first = bundle.columns[0][0]
        self._packed = [
            (name, members, numpy_type(fields[members[0]].dtype))
            for name, members in bundle.columns
            if not fields[members[0]].shape
        ]

    def predict(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Answer n records; see `Predictor.predict`."""
        feed = {name: inputs[member] for name, member in self._whole}
        for name, members, dtype in self._packed:
            packed = np.empty((len(inputs[members[0]]), len(members)), dtype)
            for place, member in enumerate(members):
                packed[:, place] = inputs[member]
            feed[name] = packed
        try:
            answers = self._session.run(self._names, feed)
        except Exception as error:
            raise ModelFault(f"the model raised {type(error).__name__}: {error}") from error
        rows = len(feed[self._first])
        for field, answer in zip(self._outputs, answers, strict=True):
            check_output(field, answer, rows)
        return dict(zip(self._names, answers, strict=True))

    def close(self) -> None:
        """Give the session's memory back."""
        self._session = None


class Python:
    """A process per Version that holds the pickled estimator; `timeout` seconds for one answer, then it is killed."""

    inline = False

    def __init__(self, timeout: float = 60.0) -> None:
        self.timeout = timeout

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Start the process; Refused with what it said where the estimator cannot be loaded."""
        predictor = PythonPredictor(directory, bundle, self.timeout)
        predictor.start()
        return predictor


class PythonPredictor:
    """An estimator in its own process, started again when it died; one call at a time."""

    inline = False

    def __init__(self, directory: Path, bundle: Bundle, timeout: float) -> None:
        self._directory = directory.resolve()
        self._bundle = bundle
        self._timeout = timeout
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._closed = False

    def start(self) -> None:
        """Start the process and wait until the estimator is loaded."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "keepfit.serve.child", str(self._directory), str(theirs.fileno())]
            one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={**os.environ, **one}
            )
        ours.settimeout(self._timeout)
        self._connection = ours
        try:
            kind, body = receive(ours)
        except (EOFError, OSError) as error:
            self._end()
            raise Refused("the model's process ended before its estimator was loaded", code="corrupt") from error
        if kind is not Kind.READY:
            self._end()
            raise Refused(f"the estimator cannot be loaded: {body.decode()}", code="corrupt")

    def predict(self, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Answer n records; see `Predictor.predict`. Blocks: not for the event loop."""
        rows = len(next(iter(inputs.values())))
        with self._lock:
            kind, body = self._exchange(pack(self._bundle.signature.inputs, inputs))
        if kind is not Kind.ARRAYS:
            raise ModelFault(f"the model raised {body.decode()}")
        try:
            outputs = unpack(self._bundle.signature.outputs, body)
        except (pa.ArrowInvalid, KeepfitError) as error:
            raise ModelFault(f"the model's answer does not fit its Signature: {error}") from error
        for field in self._bundle.signature.outputs:
            check_output(field, outputs[field.name], rows)
        return outputs

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            self._end()

    @property
    def process(self) -> int:
        """The operating system's id of the process, 0 when none runs."""
        return self._process.pid if self._process else 0

    def _exchange(self, body: bytes) -> tuple[Kind, bytes]:
        if self._closed:
            raise ModelFault("the model was unloaded")
        try:
            if self._connection is None:
                self.start()
            connection = cast("socket.socket", self._connection)
            send(connection, Kind.ARRAYS, body)
            return receive(connection)
        except Refused as error:
            raise ModelFault(f"the model's process cannot be started again: {error}") from error
        except (EOFError, OSError) as error:
            self._end()
            raise ModelFault(
                f"the model's process did not answer within {self._timeout:g} s and was ended"
                if isinstance(error, TimeoutError)
                else "the model's process died while answering; the next request starts it again"
            ) from error

    def _end(self) -> None:
        connection, process = self._connection, self._process
        self._connection = self._process = None
        if connection:
            connection.close()
        if process:
            process.kill()
            process.wait()
