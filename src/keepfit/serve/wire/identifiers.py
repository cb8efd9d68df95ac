"""Names of protobuf: legal ones for any text, and unique ones in a scope; the same for the same Signature always."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

RECORD = "keepfit_id"
"""The field of every message that holds the record's id."""

_LEGAL = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_STRANGE = re.compile(r"[^A-Za-z0-9]+")


def legal(text: str) -> str:
    """An identifier that reads like `text`.

    >>> legal("fare_usd"), legal("Größe (m²)"), legal("1st"), legal("%")
    ('fare_usd', 'Gr_e_m', 'f_1st', 'field')
    """
    if _LEGAL.fullmatch(text):
        return text
    plain = _STRANGE.sub("_", text).strip("_") or "field"
    return plain if plain[0].isalpha() else f"f_{plain}"


def camel(text: str) -> str:
    """The name of a type for `text`.

    >>> camel("arrival-delay"), camel("pickup"), camel("2nd leg")
    ('ArrivalDelay', 'Pickup', 'F2ndLeg')
    """
    return "".join(part[0].upper() + part[1:] for part in legal(text).split("_") if part)


def upper(text: str) -> str:
    """A constant's name.

    >>> upper("PaymentType"), upper("New York")
    ('PAYMENT_TYPE', 'NEW_YORK')
    """
    return _STRANGE.sub("_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)).strip("_").upper()


def lower_camel(name: str) -> str:
    """The name that proto3 JSON gives a field by itself.

    >>> lower_camel("fare_usd"), lower_camel("X_1")
    ('fareUsd', 'X1')
    """
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


class Scope:
    """The symbols of one message: no two the same, and no two fields that only case and underscores tell apart."""

    def __init__(self, *fields: str, spared: Iterable[str] = ()) -> None:
        """With names that are given already, and names that are `spared` for those who have them by right."""
        self._symbols = set(fields)
        self._fields = {_loose(name) for name in fields}
        self._spared = frozenset(spared)

    def field(self, wanted: str, place: int) -> str:
        """A field's name; one that is taken gets the field's place behind it."""
        name = self._free(wanted, place, lambda name: name in self._symbols or _loose(name) in self._fields)
        self._fields.add(_loose(name))
        self._symbols.add(lower_camel(name))  # so are fields called in languages that have no underscores
        return name

    def symbol(self, wanted: str, place: int) -> str:
        """The name of a type or a oneof."""
        return self._free(wanted, place, self._symbols.__contains__)

    def _free(self, wanted: str, place: int, taken: Callable[[str], bool]) -> str:
        name, more = wanted, 0
        while taken(name) or (name != wanted and name in self._spared):
            name, more = f"{wanted}_{place}" + (f"_{more}" if more else ""), more + 1
        self._symbols.add(name)
        return name


def json_names(originals: Sequence[str], names: Sequence[str]) -> list[str]:
    """What each field of a message is called in JSON: proto3's own name, or the original where that is another.

    JSON may call a field by its own name as well, so no field may be heard by the name of another.

    >>> json_names(["fare_usd", "Größe"], ["fare_usd", "Gr_e"])
    ['fareUsd', 'Größe']
    """
    own = [lower_camel(name) for name in names]
    taken = Counter((*originals, *own))
    fields = {RECORD: -1} | {name: place for place, name in enumerate(names)}
    spoken = []
    for place, (original, name) in enumerate(zip(originals, names, strict=True)):
        said = own[place]
        alone = taken[said] == (2 if original == said else 1) and fields.get(said, place) == place
        heard = fields.get(original, place) == place and _allowed(original)
        spoken.append(original if heard and not (alone and original == name) else said)
    return spoken


def _allowed(name: str) -> bool:
    """Whether protoc takes it: no NUL, no half of a character, not what stands for an extension."""
    whole = not any(0xD800 <= ord(mark) < 0xE000 for mark in name)
    return whole and "\0" not in name and not (name.startswith("[") and name.endswith("]"))


def constants(prefix: str, choices: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Name and number of the enum value of each choice.

    The number is made from the text, not from its place, so that it stays the same when other choices come or go:
    that is a widening, and callers of before must still be understood.

    >>> constants("CITY", ["Rome"])
    {'Rome': ('CITY_ROME', 1849693207)}
    """
    readable = [upper(text) for text in choices]
    keys = [_loose(name) for name in readable]
    found: dict[str, tuple[str, int]] = {}
    taken = {0}
    counts = Counter(keys)
    for place in sorted(range(len(choices)), key=lambda place: choices[place]):
        text = choices[place]
        mark = zlib.crc32(text.encode("utf-8", "surrogatepass"))
        number = mark % (2**31 - 1) + 1
        while number in taken:
            number = number % (2**31 - 1) + 1
        taken.add(number)
        alone = counts[keys[place]] == 1 and keys[place] not in ("", "unspecified")
        found[text] = (f"{prefix}_{readable[place] or 'VALUE'}" + ("" if alone else f"_{number:X}"), number)
    return {text: found[text] for text in choices}


def _loose(name: str) -> str:
    return name.replace("_", "").lower()
