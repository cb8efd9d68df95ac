"""Plug-ins by name, and declarations as plain data.

A plug-in is a class behind an entry point of one of GROUPS; its constructor's typed arguments are its parameters. The
plain form of an object is `{"kind": <entry point name>, **parameters}`, so that what a service file declares can be
stored, compared and shown without running it. A learner of the Service's own code has its `module:Class` for a name,
and comes back as Own.
"""

from __future__ import annotations

import dataclasses
import hashlib
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

import msgspec

from keepfit.core.errors import NotFound, SpecInvalid
from keepfit.core.nouns import Digest
from keepfit.core.own import Own
from keepfit.core.protocols import Learner

GROUPS = (
    "keepfit.detectors",
    "keepfit.triggers",
    "keepfit.gates",
    "keepfit.learners",
    "keepfit.runtimes",
)

_LEARNERS = "keepfit.learners"

T = TypeVar("T")


@cache
def names(group: str) -> dict[str, str]:
    """The plug-ins of a group: entry point name to `module:Class`, nothing imported."""
    return {point.name: point.value for point in sorted(entry_points(group=group), key=lambda p: p.name)}


@cache
def load(group: str, name: str) -> Any:
    """The class behind a name; NotFound lists the names there are."""
    for point in entry_points(group=group):
        if point.name == name:
            return point.load()
    raise NotFound(f"no plug-in {name!r} in {group}; there are: {', '.join(names(group)) or 'none'}")


@cache
def _groups_by_value() -> dict[str, tuple[str, str]]:
    return {value: (group, name) for group in GROUPS for name, value in names(group).items()}


def to_plain(thing: Any) -> Any:
    """The plain data (dicts, lists, strings, numbers, booleans, None) of a declaration, plug-ins by name."""
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        if isinstance(thing, Own):
            return {"kind": f"{_LEARNERS}/{thing.name}", **thing.parameters}
        fields = {f.name: to_plain(getattr(thing, f.name)) for f in dataclasses.fields(thing)}
        cls = type(thing)
        name = f"{cls.__module__}:{cls.__qualname__}"
        known = _groups_by_value().get(name) or ((_LEARNERS, name) if isinstance(thing, Learner) else None)
        return {"kind": f"{known[0]}/{known[1]}", **fields} if known else fields
    if isinstance(thing, tuple | list):
        return [to_plain(item) for item in thing]
    if isinstance(thing, dict):
        return {str(key): to_plain(value) for key, value in thing.items()}
    return msgspec.to_builtins(thing)


def from_plain(cls: type[T], plain: Any) -> T:
    """The typed value of plain data; the inverse of `to_plain`. SpecInvalid says where it does not fit."""
    try:
        revived = _revive(plain)
        if isinstance(revived, _Live) and isinstance(revived.value, cls):
            return revived.value
        return msgspec.convert(revived, cls, dec_hook=_hook, from_attributes=False)
    except msgspec.ValidationError as error:
        raise SpecInvalid(f"{cls.__name__}: {error}") from error


class _Live(dict[str, Any]):
    """A plug-in already built, on its way through msgspec; where none is expected it stays the plain data it was."""

    def __init__(self, plain: dict[str, Any], value: Any) -> None:
        super().__init__(plain)
        self.value = value


def _revive(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_revive(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    fields = {key: _revive(value) for key, value in plain.items() if key != "kind"}
    if not isinstance(plain.get("kind"), str) or "/" not in plain["kind"]:
        return {**fields, **({"kind": plain["kind"]} if "kind" in plain else {})}
    group, _, name = plain["kind"].partition("/")
    if group == _LEARNERS and ":" in name:
        return _Live(plain, Own(name, fields))
    return _Live(plain, msgspec.convert(fields, load(group, name), dec_hook=_hook))


def _hook(cls: type, value: Any) -> Any:
    if isinstance(value, _Live):
        return value.value
    raise msgspec.ValidationError(f"expected {cls.__name__}, found {type(value).__name__}")


def canonical(thing: Any) -> bytes:
    """One byte string per value: sorted keys, no blanks; what digests are taken of."""
    return msgspec.json.encode(to_plain(thing), order="deterministic")


def digest_of(*parts: Any) -> Digest:
    """The SHA-256 of plain values.

    >>> digest_of({"b": 1, "a": 2}) == digest_of({"a": 2, "b": 1})
    True
    """
    return hashlib.sha256(canonical(list(parts))).hexdigest()
