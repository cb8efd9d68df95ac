"""Fits: whether the arguments of a declaration are of the types they are declared to be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from types import NoneType, TracebackType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from keepfit.core.own import is_own
from keepfit.core.protocols import Detector, Gate, Learner, Trigger
from keepfit.core.registry import names
from keepfit.edge.declare.mistakes import Argument, Misfit

_GROUPS: dict[Any, str] = {
    Detector: "keepfit.detectors",
    Trigger: "keepfit.triggers",
    Gate: "keepfit.gates",
    Learner: "keepfit.learners",
}


def misfits(value: Any, hint: Any, at: Argument = ()) -> Iterator[Misfit]:
    """Everything in `value`, however deep, which is not what the type `hint` says; nothing is run.

    >>> [str(misfit) for misfit in misfits((1, "two"), tuple[int, ...], ("rows",))]
    ["rows.1: expected int, found str 'two'"]
    """
    if hint is Any:
        return
    origin, arms = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        yield from _union(value, arms, at)
    elif origin is tuple:
        yield from _tuple(value, hint, at)
    elif hint in _GROUPS:
        yield from _plugin(value, hint, at)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        if value not in [member.value for member in hint]:
            yield _unlike(value, " or ".join(f"{hint.__name__}.{member.name}" for member in hint), at)
    elif isinstance(hint, type) and not _is(value, hint):
        yield _unlike(value, hint.__name__, at)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _members(value, at)


def ill_typed(trace: TracebackType | None) -> str:
    """The first misfit of a declaration whose own checks raised, empty where that was not the cause.

    A check such as `count < 1` raises a TypeError that says nothing of the argument.
    """
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "__post_init__" and is_dataclass(made := frame.f_locals.get("self")):
            return next((f"{type(made).__name__}.{misfit}" for misfit in _members(made, ())), "")
        trace = trace.tb_next
    return ""


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int and isinstance(value, bool):
        return False
    return isinstance(value, kind)


def _unlike(value: Any, expected: str, at: Argument) -> Misfit:
    if isinstance(value, type):
        return Misfit(at, f"expected {expected}, found the class {value.__name__}; write {value.__name__}(…)")
    shown = "None" if value is None else f"{type(value).__name__} {repr(value)[:80]}"
    return Misfit(at, f"expected {expected}, found {shown}")


def _union(value: Any, arms: tuple[Any, ...], at: Argument) -> Iterator[Misfit]:
    tried = {arm: list(misfits(value, arm, at)) for arm in arms}
    if not all(tried.values()):
        return
    deeper = [found for found in tried.values() if any(len(misfit.argument) > len(at) for misfit in found)]
    others = [arm for arm in arms if arm is not NoneType]
    if deeper or len(others) == 1:
        yield from (deeper or [tried[others[0]]])[0]
        return
    expected = " or ".join("None" if arm is NoneType else getattr(arm, "__name__", str(arm)) for arm in arms)
    yield _unlike(value, expected, at)


def _tuple(value: Any, hint: Any, at: Argument) -> Iterator[Misfit]:
    inner = get_args(hint)[0]
    if not isinstance(value, tuple | list):
        name = getattr(inner, "__name__", str(inner))
        yield _unlike(value, f"a tuple or list of {name}", at)
        return
    for place, item in enumerate(value):
        yield from misfits(item, inner, (*at, place))


def _plugin(value: Any, protocol: Any, at: Argument) -> Iterator[Misfit]:
    """A registered implementation of the protocol, itself well-typed."""
    group = _GROUPS[protocol]
    known, kind = ", ".join(names(group)), type(value)
    if isinstance(value, type):
        yield _unlike(value, f"a {protocol.__name__}", at)
    elif not isinstance(value, protocol):
        yield _unlike(value, f"a {protocol.__name__} (there are: {known})", at)
    elif not is_dataclass(value) or not (_is_known(kind, group) or (protocol is Learner and is_own(kind))):
        mine = "make it a frozen dataclass, " if protocol is Learner and is_own(kind) else ""
        entry = f"{mine}give it an entry point in '{group}', or use one of: {known}"
        found = f"{kind.__name__} is no registered plug-in; {entry}"
        yield Misfit(at, found)
    else:
        yield from _members(value, at)


def _is_known(kind: type, group: str) -> bool:
    return f"{kind.__module__}:{kind.__qualname__}" in names(group).values()


def _members(value: Any, at: Argument) -> Iterator[Misfit]:
    hints = get_type_hints(type(value))
    for member in fields(value):
        yield from misfits(getattr(value, member.name), hints[member.name], (*at, member.name))
