"""What an ONNX file says of itself, read from its bytes before any library opens it.

Only what decides whether it may be opened: the operators it uses, and the files its weights lie in. A `Reader` walks
the protobuf wire format (onnx/onnx.proto, Apache-2.0, gives the numbers of the fields); weights are skipped, not read.
It is read in the process that answers, with the interpreter's lock held, so that a forest, whose nodes are a hundred
thousand fields, must take no longer than a look at its bytes.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from keepfit.core.errors import Refused

_DEEPEST = 32
"""Graphs inside attributes of nodes of graphs …: no exporter nests even ten."""

_GRAPH, _FUNCTIONS, _NODE, _ATTRIBUTE = 7, 25, 1, 5
_INITIALIZER, _SPARSE_INITIALIZER = 5, 15
_EXTERNAL = 13
_PLAIN = re.compile(
    # Runs of an attribute's `floats`, `ints`, and `strings` of less than 16 bytes; of a thousand fields, for meanwhile
    # nobody else gets the interpreter's lock.
    rb"(?:\x3d.{4}|\x40[\x80-\xff]{0,9}+[\x00-\x7f]|\x4a(?:%s)){1,1000}+"
    % b"|".join(rb"\x%02x.{%d}" % (size, size) for size in range(16)),
    re.DOTALL,
)
TRAINING = ("ai.onnx.preview.training", "ai.onnx.training")
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", *TRAINING)
"""Domains of operators that come with ONNX Runtime; those of TRAINING compute gradients and cannot be served."""


@dataclass
class Contents:
    """The operators of a graph as (domain, name), its own functions, and where its external weights lie."""

    operators: set[tuple[str, str]] = field(default_factory=set)
    functions: set[tuple[str, str]] = field(default_factory=set)
    locations: set[str] = field(default_factory=set)


def contents(path: Path) -> Contents:
    """Read a model file; Refused (`corrupt`) where it is no protobuf message with a graph."""
    found = Contents()
    try:
        with path.open("rb") as file:  # the mapping goes with its last view, which an error may still hold
            graphs = _graphs(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), found)
    except FileNotFoundError as error:
        raise Refused(f"{path.name} is missing from the Bundle", code="corrupt") from error
    except (ValueError, IndexError, RecursionError) as error:  # mmap says ValueError of an empty file
        raise Refused(f"{path.name} is no ONNX model, or was cut short: {error}", code="corrupt") from error
    if not graphs:
        raise Refused(f"{path.name} is no ONNX model: it holds no graph", code="corrupt")
    return found


def check_contents(path: Path, found: Contents) -> None:
    """Refuse operators that cannot be served, and weights in files that are not the Bundle's own."""
    for domain, name in sorted(found.operators - found.functions):
        if domain in TRAINING:
            raise Refused(
                f"operator {domain}.{name} is for training only; export the model for inference",
                code="training_operator",
            )
        if domain not in DOMAINS:
            raise Refused(
                f"operator {domain}.{name} is a custom one, whose library keepfit does not load; export the model "
                "with standard operators, or serve it with the runtime 'python'",
                code="custom_operator",
            )
    for location in sorted(found.locations):
        _check_location(path.parent, location)


def _check_location(directory: Path, location: str) -> None:
    place = PurePosixPath(location)
    if not location or "\\" in location or "\0" in location or place.is_absolute() or ".." in place.parts:
        raise Refused(
            f"the model's weights are said to lie in {location!r}, which leads out of the Bundle; "
            "only a file beside model.onnx is read",
            code="unsafe_path",
        )
    target = (directory / place).resolve()
    if not target.is_relative_to(directory.resolve()):
        raise Refused(f"the model's weights {location!r} are a link that leads out of the Bundle", code="unsafe_path")
    if not target.is_file():
        raise Refused(f"the model's weights {location!r} are missing from the Bundle", code="corrupt")


def _graphs(view: memoryview, found: Contents) -> int:
    """Read every graph of a model; their number."""
    graphs = 0
    for number, value in _fields(view):
        if number == _GRAPH and isinstance(value, memoryview):
            graphs += 1
            _graph(value, found, 0)
        elif number == _FUNCTIONS and isinstance(value, memoryview):
            _function(value, found)
    return graphs


def _function(view: memoryview, found: Contents) -> None:
    name = domain = ""
    for number, value in _fields(view):
        if isinstance(value, memoryview):
            name = str(value, "utf-8") if number == 1 else name
            domain = str(value, "utf-8") if number == 10 else domain
            if number == 7:
                _node(value, found, 0)
    found.functions.add((domain, name))


def _graph(view: memoryview, found: Contents, depth: int) -> None:
    if depth > _DEEPEST:
        raise ValueError(f"graphs are nested more than {_DEEPEST} deep")
    for number, value in _fields(view):
        if not isinstance(value, memoryview):
            continue
        if number == _NODE:
            _node(value, found, depth)
        elif number == _INITIALIZER:
            _tensor(value, found)
        elif number == _SPARSE_INITIALIZER:
            _sparse(value, found)


def _node(view: memoryview, found: Contents, depth: int) -> None:
    name = domain = ""
    for number, value in _fields(view):
        if isinstance(value, memoryview):
            name = str(value, "utf-8") if number == 4 else name
            domain = str(value, "utf-8") if number == 7 else domain
            if number == _ATTRIBUTE:
                _attribute(value, found, depth)
    found.operators.add((domain, name))


def _attribute(view: memoryview, found: Contents, depth: int) -> None:
    for number, value in _fields(view, _PLAIN):
        if not isinstance(value, memoryview):
            continue
        if number in (5, 10):
            _tensor(value, found)
        elif number in (6, 11):
            _graph(value, found, depth + 1)
        elif number in (22, 23):
            _sparse(value, found)


def _sparse(view: memoryview, found: Contents) -> None:
    for number, value in _fields(view):
        if number in (1, 2) and isinstance(value, memoryview):
            _tensor(value, found)


def _tensor(view: memoryview, found: Contents) -> None:
    for number, value in _fields(view):
        if number == _EXTERNAL and isinstance(value, memoryview):
            entry = {n: str(v, "utf-8") for n, v in _fields(value) if isinstance(v, memoryview)}
            if entry.get(1) == "location":
                found.locations.add(entry.get(2, ""))


def _fields(view: memoryview, skipped: re.Pattern[bytes] | None = None) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of one message: number and bytes, or number and integer; ValueError where it is none.

    Runs of whole fields that `skipped` matches are passed over.
    """
    place, end = 0, len(view)
    while place < end:
        if skipped and (run := skipped.match(view, place)):
            place = run.end()
            continue
        tag, place = _varint(view, place)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, place = _varint(view, place)
            yield number, value
            continue
        if kind == 2:
            size, place = _varint(view, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {place}")
        if place + size > end:
            raise ValueError(f"a field of {size} bytes at byte {place} of {end}")
        if kind == 2:
            yield number, view[place : place + size]
        place += size


def _varint(view: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError(f"a number of more than 64 bits at byte {place}")
