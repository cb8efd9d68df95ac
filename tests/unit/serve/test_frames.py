"""Arrays go over a socket and come back as they were, joined or alone; what is no frame is not taken for one."""

from __future__ import annotations

import socket
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from keepfit.core.errors import SignatureInvalid
from keepfit.core.signature import DType, Field
from keepfit.serve.frames import Frame, Incoming, Kind, Layout, Packed, framed, send, told
from keepfit.serve.wire.tables import numpy_type

_TEXT = st.text(st.characters(codec=None), max_size=8)  # lone surrogates included


def _carried(parts: list[Packed], number: int = 7) -> Frame:
    """The frame as it arrives at the other end of a real socket."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sending = threading.Thread(target=send, args=(ours, framed(Kind.ARRAYS, number, parts)))
        sending.start()
        frame = Incoming().read(theirs)
        sending.join()
    assert frame is not None
    return frame


def _values(draw: Any, field: Field, rows: int, sizes: list[int]) -> Any:
    shape = (rows, *(sizes.pop() if size == -1 else size for size in field.shape))
    if field.dtype is DType.BYTES:
        words = draw(st.lists(_TEXT, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
        made = np.empty(len(words), object)
        made[:] = words
        return made.reshape(shape)
    return draw(arrays_of.arrays(numpy_type(field.dtype), shape))


@st.composite
def _requests(draw: Any) -> tuple[list[Field], list[dict[str, Any]]]:
    """Some Fields of every kind, and requests for them whose free dimensions are equal."""
    shapes = st.lists(st.sampled_from([-1, 0, 1, 2, 3]), max_size=2).map(tuple)
    kinds = draw(st.lists(st.tuples(st.sampled_from(list(DType)), shapes), min_size=1, max_size=5))
    fields = [Field(f"field {place}", dtype, shape) for place, (dtype, shape) in enumerate(kinds)]
    free = [draw(st.integers(0, 3)) for _, shape in kinds for size in shape if size == -1]
    rows = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    requests = []
    for count in rows:
        sizes = free[::-1]
        requests.append({field.name: _values(draw, field, count, sizes) for field in fields})
    return fields, requests


@given(_requests())
@settings(max_examples=150, deadline=None)
def test_what_is_sent_arrives(made: tuple[list[Field], list[dict[str, Any]]]) -> None:
    """Requests of equal shapes that are joined arrive as their rows, one after another, bit by bit."""
    fields, requests = made
    layout = Layout(fields)
    parts = [layout.pack(request, len(request["field 0"])) for request in requests]
    frame = _carried(parts)
    assert (frame.kind, frame.number, frame.rows) == (Kind.ARRAYS, 7, sum(part.rows for part in parts))
    found = Layout(fields).unpack(frame.rows, frame.dims, frame.body)
    for field in fields:
        expected = np.concatenate([request[field.name] for request in requests])
        assert found[field.name].shape == expected.shape
        if field.dtype is DType.BYTES:
            assert found[field.name].tolist() == expected.tolist()
        else:
            assert found[field.name].tobytes() == expected.tobytes()
            assert found[field.name].dtype == expected.dtype


def test_arrays_that_arrive_are_aligned_and_may_be_written_to() -> None:
    """Models written in C read them in place, and some models work in place."""
    layout = Layout([Field("odd", DType.UINT8), Field("x", DType.FP64), Field("v", DType.FP32, (3,))])
    frame = _carried([layout.pack({"odd": np.ones(2, "u1"), "x": np.ones(2), "v": np.ones((2, 3), "f4")}, 2)])
    for values in layout.unpack(frame.rows, frame.dims, frame.body).values():
        assert values.flags.aligned
        values += 1


def test_a_large_tensor_arrives_whole() -> None:
    """What does not fit one read is put together, and nothing of it is left for the frame after it."""
    layout = Layout([Field("x", DType.FP32, (1000,))])
    values = np.arange(3_000_000, dtype=np.float32).reshape(3000, 1000)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        buffers = [*framed(Kind.ARRAYS, 1, [layout.pack({"x": values}, 3000)]), told(Kind.FAULT, 2, b"after")]
        incoming = Incoming()
        sending = threading.Thread(target=send, args=(ours, buffers[:-1]))
        sending.start()
        frame = incoming.read(theirs)
        sending.join()
        assert frame is not None
        np.testing.assert_array_equal(layout.unpack(3000, (), frame.body)["x"], values)
        send(ours, buffers[-1:])
        after = incoming.read(theirs)
    assert after is not None
    assert (after.kind, bytes(after.body)) == (Kind.FAULT, b"after")


def test_half_a_frame_is_waited_for() -> None:
    """A non-blocking socket gives None until the rest has come, wherever the frame was cut."""
    layout = Layout([Field("x", DType.FP64), Field("t", DType.BYTES)])
    whole = b"".join(framed(Kind.ARRAYS, 3, [layout.pack({"x": np.ones(1), "t": np.array(["ü"], object)}, 1)]))
    for cut in range(1, len(whole)):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.setblocking(False)
            incoming = Incoming()
            ours.sendall(whole[:cut])
            assert incoming.read(theirs) is None
            ours.sendall(whole[cut:])
            frame = incoming.read(theirs)
            assert frame is not None
            assert layout.unpack(1, (), frame.body)["t"].tolist() == ["ü"]


@pytest.mark.parametrize(
    "bad",
    [b"nonsense" * 10, b"\xff" * 32, told(Kind.READY, 0, b"one") + b"and more", b"\x01\x00\xff\xff" + bytes(28)],
    ids=["noise", "endless", "two at once", "dims beyond the body"],
)
def test_what_is_no_frame_is_an_error(bad: bytes) -> None:
    """A process of user code may write anything; that is ValueError and nothing else."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(bad)
        ours.shutdown(socket.SHUT_WR)
        with pytest.raises(ValueError, match=r"no.*frame|not.*frame|Kind"):
            Incoming().read(theirs)


@pytest.mark.parametrize("change", ["short", "long", "text longer", "text no UTF-8"])
def test_a_body_that_does_not_fit_is_an_error(change: str) -> None:
    """Rows, lengths and texts must add up."""
    layout = Layout([Field("x", DType.FP64), Field("t", DType.BYTES)])
    body = bytearray(
        b"".join(framed(Kind.ARRAYS, 1, [layout.pack({"x": np.ones(1), "t": np.array(["abc"], object)}, 1)]))
    )
    body = body[32:]
    match change:
        case "short":
            body = body[:9]
        case "long":
            body += b"more"
        case "text longer":
            body[8] = 200
        case _:
            body[-1] = 0xFF
    with pytest.raises(ValueError, match=r"bytes|decode"):
        layout.unpack(1, (), memoryview(body))


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"x": np.ones((1, 3))}, "wrong_shape"),
        ({"x": np.ones((2, 2))}, "wrong_shape"),
        ({"x": np.ones(1)}, "wrong_shape"),
        ({"x": np.array([["a", "b"]])}, "wrong_type"),
        ({}, "missing_input"),
    ],
)
def test_arrays_of_another_form_are_refused(values: dict[str, Any], code: str) -> None:
    """What a model answers is told with its name, what was expected and what was found."""
    with pytest.raises(SignatureInvalid) as caught:
        Layout([Field("x", DType.FP32, (2,))]).pack(values, 1)
    assert caught.value.code == code
