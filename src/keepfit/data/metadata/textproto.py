"""Protocol buffers as text: any message, read without its definition and written back the same.

The syntax is that of https://protobuf.dev/reference/protobuf/textformat-spec. Scalars stay the words they were, so
nothing is lost: neither fields unknown to us nor the last digit of a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from keepfit.core.errors import DataInvalid

_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<mark>[{}<>:;,\[\]])|(?P<word>[^\s{}<>:;,\[\]"'\#]+)"""
)
_ESCAPED = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


@dataclass
class Message:
    """Fields in their order: a name, and a word or a Message."""

    fields: list[tuple[str, str | Message]] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Message]:
        """The messages of a field."""
        return (value for key, value in self.fields if key == name and isinstance(value, Message))

    def one(self, name: str) -> Message:
        """The message of a field; an empty one where it is not set."""
        return next(self.all(name), Message())

    def has(self, name: str) -> bool:
        """Whether a field is set."""
        return any(key == name for key, _ in self.fields)

    def words(self, name: str) -> list[str]:
        """The words of a field, as they are written."""
        return [value for key, value in self.fields if key == name and isinstance(value, str)]

    def word(self, name: str, default: str = "") -> str:
        """The word of a field."""
        return next(iter(self.words(name)), default)

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts of a field."""
        return tuple(_unquoted(word) for word in self.words(name))

    def text(self, name: str) -> str:
        """The text of a field, empty where it is not set."""
        return next(iter(self.texts(name)), "")

    def number(self, name: str) -> float | None:
        """The number of a field, None where it is not set."""
        word = self.word(name)
        try:
            return float(word) if word else None
        except ValueError as error:
            raise DataInvalid(f"field '{name}' is {word!r}; expected a number") from error

    def add(self, name: str, value: str | int | float | bool | Message | None) -> Message:
        """Add a field, None for none; text is quoted. The Message itself, for more."""
        if value is not None:
            word = value if isinstance(value, Message) else _quoted(value) if isinstance(value, str) else _shown(value)
            self.fields.append((name, word))
        return self

    def name(self, field: str, word: str) -> Message:
        """Add a field whose value is a name, as those of enums are."""
        self.fields.append((field, word))
        return self


def parse(text: str) -> Message:
    """The message that a text says; DataInvalid names the line which cannot be read."""
    tokens = list(_tokens(text))
    message, at = _message(tokens, 0, "")
    if at < len(tokens):
        raise _unexpected(tokens[at])
    return message


def written(message: Message, depth: int = 0) -> str:
    """A message as text, as protobuf's own printer writes it."""
    pad = "  " * depth
    parts = []
    for name, value in message.fields:
        if isinstance(value, Message):
            parts.append(f"{pad}{name} {{\n{written(value, depth + 1)}{pad}}}\n")
        else:
            parts.append(f"{pad}{name}: {value}\n")
    return "".join(parts)


_Token = tuple[str, str, int]
"""What it is, the word itself, and where in the text it stands."""


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            line = text.count("\n", 0, at) + 1
            raise DataInvalid(f"line {line}: {text[at : at + 20]!r} is no text proto")
        if found.lastgroup is not None:
            yield found.lastgroup, found[0], at
        at = found.end()


def _unexpected(token: _Token) -> DataInvalid:
    return DataInvalid(f"{token[1]!r} at character {token[2]} is not expected there in a text proto")


def _message(tokens: list[_Token], at: int, end: str) -> tuple[Message, int]:
    message = Message()
    while at < len(tokens):
        kind, word, _ = tokens[at]
        if kind == "mark" and word in ";,":
            at += 1
        elif kind == "mark" and word == end:
            return message, at + 1
        else:
            at = _field(tokens, at, message)
    if end:
        raise DataInvalid(f"the text proto ends where {end!r} is expected")
    return message, at


def _field(tokens: list[_Token], at: int, message: Message) -> int:
    name = tokens[at][1]
    if name == "[":
        close = next((n for n in range(at, len(tokens)) if tokens[n][1] == "]"), None)
        if close is None:
            raise _unexpected(tokens[at])
        name, at = "".join(token[1] for token in tokens[at : close + 1]), close
    elif tokens[at][0] != "word":
        raise _unexpected(tokens[at])
    at += 1
    if at < len(tokens) and tokens[at][1] == ":" and tokens[at][0] == "mark":
        at += 1
    if at >= len(tokens):
        raise DataInvalid(f"the text proto ends after '{name}'; expected a value")
    if tokens[at][:2] == ("mark", "["):
        at += 1
        while at < len(tokens) and tokens[at][1] != "]":
            at = at + 1 if tokens[at][1] == "," else _value(tokens, at, name, message)
        if at >= len(tokens):
            raise DataInvalid(f"the text proto ends within the list '{name}'; expected ']'")
        return at + 1
    return _value(tokens, at, name, message)


def _value(tokens: list[_Token], at: int, name: str, message: Message) -> int:
    kind, word, _ = tokens[at]
    if kind == "mark":
        if word not in "{<":
            raise _unexpected(tokens[at])
        inner, at = _message(tokens, at + 1, "}" if word == "{" else ">")
        message.fields.append((name, inner))
        return at
    at += 1
    while kind == "text" and at < len(tokens) and tokens[at][0] == "text":
        word, at = f"{word} {tokens[at][1]}", at + 1
    message.fields.append((name, word))
    return at


def _unquoted(word: str) -> str:
    raw = b"".join(part[1:-1].encode() for part in re.findall(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""", word))
    return _ESCAPED.sub(_letter, raw).decode(errors="backslashreplace")


def _letter(found: re.Match[bytes]) -> bytes:
    octal, hexadecimal, other = found.groups()
    if octal is not None:
        return bytes([int(octal, 8) & 255])
    return bytes([int(hexadecimal, 16)]) if hexadecimal is not None else _LETTERS.get(other, other)


def _quoted(text: str) -> str:
    if text.isascii() and text.isprintable():
        return json.dumps(text)
    told = []
    for byte in text.encode():
        letter = chr(byte)
        known = {10: "\\n", 13: "\\r", 9: "\\t", 34: '\\"', 92: "\\\\"}.get(byte)
        told.append(known or (letter if 32 <= byte < 127 else f"\\{byte:03o}"))
    return f'"{"".join(told)}"'


def _shown(value: float | bool) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else repr(value)
