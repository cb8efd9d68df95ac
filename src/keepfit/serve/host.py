"""What a model's own process does once it is held to its limits: load any Bundle, and answer frames with it."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import sys
from dataclasses import asdict
from pathlib import Path

import msgspec

from keepfit.core import registry
from keepfit.core.errors import KeepfitError
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Predictor, Runtime
from keepfit.serve.confine import Granted
from keepfit.serve.frames import Frame, Incoming, Kind, Layout, framed, send, told
from keepfit.serve.manifest import manifest

_LONGEST = 4000  # bytes of what an error says


class Host:
    """A loaded Bundle behind a socket."""

    def __init__(self, connection: socket.socket, bundle: Bundle, predictor: Predictor) -> None:
        self._connection = connection
        self._predictor = predictor
        self._inputs = Layout(bundle.signature.inputs)
        self._outputs = Layout(bundle.signature.outputs)

    def serve(self, questions: int | None = None) -> None:
        """Answer so many questions, or (None) until the server is gone."""
        incoming = Incoming()
        left = itertools.count() if questions is None else range(questions)
        with contextlib.suppress(EOFError, OSError):  # the server is gone, and this process goes too
            for _ in left:
                frame = incoming.read(self._connection)
                if frame is not None:
                    self._answer(frame)

    def _answer(self, frame: Frame) -> None:
        try:
            outputs = self._predictor.predict(self._inputs.unpack(frame.rows, frame.dims, frame.body))
            buffers = framed(Kind.ARRAYS, frame.number, [self._outputs.pack(outputs, frame.rows)])
        except BaseException as error:  # noqa: BLE001  # a model that throws must not end the process that serves it
            self._connection.sendall(told(Kind.FAULT, frame.number, _fault(error, "the model raised")))
        else:
            send(self._connection, buffers)


def opened(connection: socket.socket, granted: Granted) -> Host | None:
    """Tell what holds this process and load its Bundle; None where that failed, and the server has been told why."""
    directory = Path(granted.directory)
    connection.sendall(told(Kind.GRANTED, 0, msgspec.json.encode(asdict(granted))))
    Incoming().read(connection)  # the server has it; nothing that follows can change it
    try:
        bundle = manifest(directory)
        _find_code(directory / "code")
        runtime: Runtime = registry.load("keepfit.runtimes", bundle.runtime)()
        host = Host(connection, bundle, runtime.load(directory, bundle))
    except BaseException as error:  # noqa: BLE001  # whatever a user's code raises is told to the server
        connection.sendall(told(Kind.FAULT, 0, _fault(error, "the model cannot be loaded:")))
        return None
    connection.sendall(told(Kind.READY, 0, b""))
    return host


def _find_code(code: Path) -> None:
    """Have a Bundle's modules found: by their names from its `code/`, and, last, those of files in its folders.

    A service file that lies in a folder is imported by its own name there, and so are the classes that it pickles.
    """
    if not code.is_dir():
        return
    sys.path.insert(0, str(code))
    folders = (Path(folder) for folder, _, names in os.walk(code) if any(name.endswith(".py") for name in names))
    sys.path += [str(folder) for folder in sorted(folders) if folder != code and not (folder / "__init__.py").exists()]


def _fault(error: BaseException, what: str) -> bytes:
    if isinstance(error, KeepfitError):
        code, text = error.code, str(error)
    else:
        code, text = "", f"{what} {type(error).__name__}: {error}"
    return f"{code}\n{text}".encode(errors="replace")[:_LONGEST]
