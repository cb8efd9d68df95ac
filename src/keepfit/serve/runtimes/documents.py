"""Documents: the two forms of a model file of XGBoost, read in small pieces, since others wait for the interpreter."""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import numpy as np

_ELEMENTS = {"i": "b", "U": "B", "I": "h", "l": "i", "L": "q", "d": "f", "D": "d"}
_DEEPEST = 32
_SHALLOW = 6
"""How deep the trees of a forest lie."""


class Json:
    """A reader of JSON which goes down to single trees by itself; ValueError where it is none.

    Python's own decoder holds the interpreter's lock from the first byte to the last, 20 ms a megabyte, in a process
    that has others to answer.
    """

    _decode = json.JSONDecoder().raw_decode
    _blank = re.compile(r"[ \t\n\r]*+")

    def __init__(self, data: bytes) -> None:
        self._text = data.decode()
        self._place = 0

    def whole(self) -> Any:
        """The one value there is."""
        found = self._value(0)
        if self._mark():
            raise ValueError(f"more follows at character {self._place}")
        return found

    def _value(self, depth: int) -> Any:
        mark = self._mark()
        if depth == _SHALLOW or mark not in ("{", "["):
            found, self._place = self._decode(self._text, self._place)
            return found
        self._place += 1
        return self._object(depth) if mark == "{" else self._list(depth)

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        more = not self._ends("}")
        while more:
            name = self._value(_SHALLOW) if self._mark() == '"' else None
            if name is None or not self._ends(":"):
                raise ValueError(f"a name and ':' expected at character {self._place}")
            found[name] = self._value(depth + 1)
            more = self._continues("}")
        return found

    def _list(self, depth: int) -> list[Any]:
        found: list[Any] = []
        more = not self._ends("]")
        while more:
            found.append(self._value(depth + 1))
            more = self._continues("]")
        return found

    def _continues(self, end: str) -> bool:
        if self._ends(","):
            return True
        if self._ends(end):
            return False
        raise ValueError(f"',' or '{end}' expected at character {self._place}")

    def _ends(self, mark: str) -> bool:
        if self._mark() != mark:
            return False
        self._place += 1
        return True

    def _mark(self) -> str:
        blank = self._blank.match(self._text, self._place)
        self._place = blank.end() if blank else self._place
        return self._text[self._place : self._place + 1]


class Ubjson:
    """A reader of Universal Binary JSON; ValueError or struct.error where it is none."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def value(self, kind: str = "", depth: int = 0) -> Any:
        """The next value; `kind` is its type where a list has said it."""
        if depth > _DEEPEST:
            raise ValueError(f"nested more than {_DEEPEST} deep")
        kind = kind or self._mark()
        if kind in _ELEMENTS:
            return self._number(kind)
        match kind:
            case "{":
                return self._object(depth)
            case "[":
                return self._list(depth)
            case "S":
                return str(self._take(self._length()), "utf-8")
            case "C":
                return self._mark()
            case "T" | "F":
                return kind == "T"
            case "Z":
                return None
        raise ValueError(f"type {kind!r} at byte {self._place}")

    def _object(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._peek() != "}":
            name = str(self._take(self._length()), "utf-8")
            found[name] = self.value(depth=depth + 1)
        self._mark()
        return found

    def _list(self, depth: int) -> Any:
        if self._peek() == "$":
            self._mark()
            kind = self._mark()
            return self._array(kind, self._counted())
        if self._peek() == "#":
            return [self.value(depth=depth + 1) for _ in range(self._counted())]
        found = []
        while self._peek() != "]":
            found.append(self.value(depth=depth + 1))
        self._mark()
        return found

    def _array(self, kind: str, count: int) -> Any:
        letter = np.dtype(">" + _ELEMENTS[kind]) if kind in _ELEMENTS else None
        if letter is None:
            raise ValueError(f"a list of type {kind!r}")
        return np.frombuffer(self._take(count * letter.itemsize), letter)

    def _counted(self) -> int:
        if self._mark() != "#":
            raise ValueError("a list without its length")
        return self._length()

    def _length(self) -> int:
        kind = self._mark()
        size = self._number(kind) if kind in "iUIlL" else -1
        if size < 0 or size > len(self._data):
            raise ValueError(f"a length of {size} at byte {self._place}")
        return int(size)

    def _number(self, kind: str) -> Any:
        form = ">" + _ELEMENTS[kind]
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _peek(self) -> str:
        while self._data[self._place : self._place + 1] == b"N":
            self._place += 1
        return chr(self._data[self._place])

    def _mark(self) -> str:
        mark = self._peek()
        self._place += 1
        return mark

    def _take(self, size: int) -> bytes:
        taken = self._data[self._place : self._place + size]
        if len(taken) < size:
            raise ValueError(f"{size} bytes expected at byte {self._place}, {len(taken)} are there")
        self._place += size
        return taken
