"""The process of one Version whose model is code: the only place where a pickle is opened for serving.

`python -m keepfit.serve.child DIRECTORY FD` loads the Bundle's estimator and answers frames on the socket FD until
it is closed.
"""

from __future__ import annotations

import pickle
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Bundle, Task
from keepfit.serve.frames import Kind, pack, receive, send, unpack
from keepfit.serve.manifest import manifest
from keepfit.serve.wire.tables import numpy_type


def main(argv: list[str]) -> int:
    """Serve the Bundle in `argv[0]` on the inherited socket `argv[1]`."""
    sys.stdout = sys.stderr  # what a user's code prints belongs to the log
    connection = socket.socket(fileno=int(argv[1]))
    try:
        bundle, estimator = _loaded(Path(argv[0]))
    except Exception as error:  # noqa: BLE001  # whatever a user's code raises is told to the runner
        send(connection, Kind.FAULT, _told(error))
        return 1
    send(connection, Kind.READY)
    while True:
        try:
            _, body = receive(connection)
        except (EOFError, OSError):
            return 0
        try:
            arrays = unpack(bundle.signature.inputs, body)
            answer = pack(bundle.signature.outputs, outputs_of(bundle, estimator, arrays))
        except Exception as error:  # noqa: BLE001  # a model that throws must not end the process that serves it
            send(connection, Kind.FAULT, _told(error))
        else:
            send(connection, Kind.ARRAYS, answer)


def _loaded(directory: Path) -> tuple[Bundle, Any]:
    bundle = manifest(directory)
    if (directory / "code").is_dir():
        sys.path.insert(0, str(directory / "code"))
    with (directory / "estimator.pickle").open("rb") as file:
        return bundle, pickle.load(file)  # noqa: S301  # verified by digest, and in a process of its own


def frame_of(bundle: Bundle, inputs: dict[str, NDArray[Any]]) -> Any:
    """What the estimator was trained on: a DataFrame in Signature order, or the matrix where a tensor is all."""
    fields = bundle.signature.inputs
    if len(fields) == 1 and fields[0].shape:
        return inputs[fields[0].name]
    import pandas as pd

    return pd.DataFrame({field.name: inputs[field.name] for field in fields}, copy=False)


def outputs_of(bundle: Bundle, estimator: Any, inputs: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The Signature's outputs, whatever type and order the estimator answers in."""
    frame = frame_of(bundle, inputs)
    types = {field.name: numpy_type(field.dtype) for field in bundle.signature.outputs}
    outputs = {"prediction": np.asarray(estimator.predict(frame)).reshape(-1)}
    if bundle.task is not Task.REGRESSION:
        outputs |= _probabilities(bundle, estimator, np.asarray(estimator.predict_proba(frame)))
    return {name: outputs[name].astype(dtype, copy=False) for name, dtype in types.items()}


def _probabilities(bundle: Bundle, estimator: Any, found: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """In the order of the Bundle's classes; one that the estimator has never seen is impossible to it."""
    own = [value.item() if isinstance(value, np.generic) else value for value in estimator.classes_]
    if bundle.task is Task.BINARY:
        return {"probability": found[:, own.index(bundle.classes[-1])]}
    padded = np.concatenate([found, np.zeros((len(found), 1))], axis=1)
    return {"probabilities": padded[:, [own.index(v) if v in own else len(own) for v in bundle.classes]]}


def _told(error: Exception) -> bytes:
    return f"{type(error).__name__}: {error}".encode(errors="replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
