"""Events: what was recorded, told to an HTTP sink as CloudEvents 1.0, the way KServe's logger tells it.

Each exchange is two events in binary mode, `org.kubeflow.serving.inference.request` and `.response`, with one id and
the bodies of the Open Inference Protocol. What capture leaves out or masks is not told here either. A thread sends;
answers never wait for it. While the sink cannot be reached what comes waits in a bounded queue, and what finds no room
there is dropped and counted.
"""

from __future__ import annotations

import base64
import http.client
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import msgspec
from numpy.typing import NDArray

from keepfit.core.signature import Field
from keepfit.serve.courtesy import step_back
from keepfit.serve.forms import Arrays, Form, Together

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_PATIENCE = 5.0  # seconds the sink has for one event
_FAREWELL = 2.0  # seconds in which what waits is still sent when the process ends
_PAUSE, _LONGEST = 0.5, 30.0  # seconds until a sink that could not be reached is tried again, doubling
_PLAIN = "".join(map(chr, range(0x21, 0x7F))).replace('"', "").replace("%", "")  # what a header may hold as it is


class Event(NamedTuple):
    """One event as it is sent."""

    headers: dict[str, str]
    body: bytes


class Events:
    """Sends exchanges to a URL (`http://user:password@host/path`); at most `room` of about `size` bytes wait."""

    def __init__(self, url: str, service: str, *, room: int = 20_000, size: int = 2**25) -> None:
        self.sent = self.dropped = 0
        self._service = service
        self._line = _Line(url)
        self._room, self._size = room, size
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Together, int]] = deque()
        self._count = self._weight = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="keepfit-events", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Exchanges that were not sent yet."""
        return self._count

    def offer(self, together: Together, size: int) -> None:
        """Take exchanges of about so many bytes to send, or count them as dropped."""
        count = len(together.micros)
        with self._lock:
            if self._count + count > self._room or self._weight + size > self._size:
                self.dropped += count
                return
            self._count += count
            self._weight += size
            self._waiting.append((together, size))
        self._wake.set()

    def close(self) -> None:
        """Send what waits, for a moment; what is left then is dropped."""
        self._deadline = time.monotonic() + _FAREWELL
        self._closing.set()
        self._wake.set()
        self._thread.join(_FAREWELL + _PATIENCE)
        self._line.close()

    def _run(self) -> None:
        step_back()
        while time.monotonic() < self._deadline:
            if not self._waiting:
                if self._closing.is_set():
                    break
                self._wake.wait()
                self._wake.clear()
                continue
            together, size = self._waiting[0]
            for number in range(len(together.micros)):
                self._tell(together, number)
            with self._lock:
                self._waiting.popleft()
                self._weight -= size
        with self._lock:
            self.dropped += self._count
            self._count = 0

    def _tell(self, together: Together, number: int) -> None:
        delivered = False
        try:
            delivered = all(self._delivered(event) for event in told(self._service, together, number))
        except Exception as error:  # noqa: BLE001  # one exchange that cannot be told must not end the telling
            _log.error("events.dropped error=%s: %s", type(error).__name__, error)
        with self._lock:
            self._count -= 1
            if delivered:
                self.sent += 1
            else:
                self.dropped += 1

    def _delivered(self, event: Event) -> bool:
        """Whether the sink took an event. A sink that cannot be reached is tried while the process lives."""
        pause = _PAUSE
        while True:
            try:
                status = self._line.post(event)
            except (OSError, http.client.HTTPException) as error:
                left = self._deadline - time.monotonic()
                if left <= pause:
                    return False
                _log.warning("events.unreachable pause=%g error=%s: %s", pause, type(error).__name__, error)
                self._closing.wait(min(pause, left))
                pause = min(2 * pause, _LONGEST)
            else:
                if not 200 <= status < 300:
                    _log.warning("events.refused id=%s status=%d", event.headers["ce-id"], status)
                return 200 <= status < 300


class _Line:
    """One connection to the sink, kept open."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=_PATIENCE)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._fixed = {"content-type": "application/json", "user-agent": "keepfit"}
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._fixed["authorization"] = "Basic " + base64.b64encode(secret).decode()

    def post(self, event: Event) -> int:
        """The status of the answer; OSError or HTTPException where there is none."""
        again = self._connection.sock is not None  # one that was open may have been closed by the other side meanwhile
        try:
            return self._post(event)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            if not again:
                raise
        try:
            return self._post(event)
        except BaseException:
            self._connection.close()
            raise

    def _post(self, event: Event) -> int:
        self._connection.request("POST", self._target, event.body, {**self._fixed, **event.headers})
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._connection.close()


def told(service: str, together: Together, number: int) -> Iterator[Event]:
    """The events of one request of several, two for each id its rows have."""
    form = together.form
    counts = together.counts or (1,) * len(together.micros)
    first = sum(counts[:number])
    ids = together.ids[first : first + counts[number]]
    inputs, outputs = together.inputs[number], together.outputs[number]
    for id, rows in _by_id(ids):
        attributes = _attributes(service, id, together.micros[number], together.traces[number])
        asked = {"id": id, **_masked(form, form.inputs), "inputs": _tensors(form, form.kept_inputs, inputs, rows)}
        yield Event({**attributes, "ce-type": REQUEST}, _encode(asked))
        answered = {
            "model_name": service,
            "model_version": str(form.version),
            "id": id,
            **_masked(form, form.outputs),
            "outputs": _tensors(form, form.kept_outputs, outputs, rows),
        }
        yield Event({**attributes, "ce-type": RESPONSE}, _encode(answered))


def _by_id(ids: Sequence[str]) -> list[tuple[str, slice]]:
    """The request's own id where its rows are numbered, else one id a row."""
    stem = ids[0].removesuffix(":0")
    if len(ids) > 1 and all(id == f"{stem}:{row}" for row, id in enumerate(ids)):
        return [(stem, slice(None))]
    return [(id, slice(row, row + 1)) for row, id in enumerate(ids)]


def _attributes(service: str, id: str, micros: int, trace: str) -> dict[str, str]:
    moment = datetime.fromtimestamp(micros / 1e6, UTC).isoformat().replace("+00:00", "Z")
    said = {
        "specversion": "1.0",
        "id": id,
        "source": f"/services/{service}",
        "time": moment,
        "inferenceservicename": service,
        "namespace": "default",
        "component": "predictor",
        "endpoint": "default",
    } | ({"traceparent": trace} if trace else {})
    headers = {f"ce-{name}": quote(value, safe=_PLAIN) for name, value in said.items()}
    return headers | ({"traceparent": trace} if trace else {})


def _tensors(form: Form, fields: Sequence[Field], arrays: Arrays, rows: slice) -> list[dict[str, Any]]:
    return [_tensor(field, arrays[field.name][rows], form.batched) for field in fields]


def _tensor(field: Field, values: NDArray[Any], batched: bool) -> dict[str, Any]:
    shape = values.shape if batched else values.shape[1:]
    return {
        "name": field.name,
        "datatype": field.dtype.value,
        "shape": list(shape),
        "data": values.reshape(-1).tolist(),
    }


def _masked(form: Form, fields: Sequence[Field]) -> dict[str, Any]:
    names = [field.name for field in fields if field.name in form.masked]
    return {"parameters": {"masked": ",".join(names)}} if names else {}
