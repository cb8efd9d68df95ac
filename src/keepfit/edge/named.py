"""Named: what a command line says as one would write it in Python: `Replay(rows=500)`, `mine.py:Halves`, `er`.

Nothing of it is run but the constructors: arguments are literals, or such calls themselves.
"""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from keepfit.core.errors import NotFound, SpecInvalid
from keepfit.core.protocols import Learner
from keepfit.core.registry import load, names
from keepfit.edge.declare.fits import misfits

_SAID = re.compile(r"(?:(?P<file>.+\.py):)?(?P<name>[A-Za-z][\w-]*)(?P<arguments>\(.*\))?", re.DOTALL)
_SHORT = {"er": "replay", "naive": "finetune", "cumulative": "joint", "offline": "joint"}
"""What the literature calls some learners."""

Find = Callable[[str], Any]


def learner_named(said: str) -> Learner:
    """The learner that a word names: by its entry point (case and hyphens do not matter), or in a Python file.

    NotFound lists the learners there are; SpecInvalid says what of the arguments does not fit.
    """
    found = _made(said, _registered)
    if not isinstance(found, Learner):
        raise SpecInvalid(f"{said}: expected a learner, an object with `learn(estimator, lesson)`, found {found!r}")
    return found


def thing_named(said: str, known: Mapping[str, type]) -> Any:
    """The object that a word names, made by one of the `known` classes, or one of a Python file."""

    def find(name: str) -> type:
        chosen = {plain(key): value for key, value in known.items()}.get(plain(name))
        if chosen is None:
            raise NotFound(f"there is no '{name}'; there are: {', '.join(known)}")
        return chosen

    return _made(said, find)


def plain(name: str) -> str:
    """A name without case, hyphens and underscores.

    >>> plain("fine-tune") == plain("FineTune") == plain("fine_tune")
    True
    """
    return re.sub(r"[-_]", "", name).lower()


def _registered(name: str) -> type:
    known = {plain(one): one for one in names("keepfit.learners")}
    chosen = known.get(plain(name)) or known.get(_SHORT.get(plain(name), ""))
    if chosen is None:
        there = ", ".join(known.values())
        raise NotFound(f"there is no learner '{name}'; there are: {there}; one of your own is FILE.py:NAME")
    found: type = load("keepfit.learners", chosen)
    return found


def _made(said: str, find: Find) -> Any:
    match = _SAID.fullmatch(said.strip())
    if match is None:
        raise SpecInvalid(f"{said!r}: expected NAME, NAME(parameter=value, …) or FILE.py:NAME")
    cls = _in_file(Path(match["file"]), match["name"]) if match["file"] else find(match["name"])
    if not isinstance(cls, type):
        if match["arguments"]:
            raise SpecInvalid(f"{said}: {match['name']} is an object already and takes no arguments; name its class")
        return cls
    return _called(cls, _arguments(said, match["arguments"] or "()", find), said)


def _arguments(said: str, text: str, find: Find) -> dict[str, Any]:
    try:
        call = ast.parse(f"made{text}", mode="eval").body
    except SyntaxError as error:
        raise SpecInvalid(f"{said}: the arguments cannot be read ({error.msg}); write (parameter=value, …)") from error
    if not isinstance(call, ast.Call) or call.args:
        raise SpecInvalid(f"{said}: arguments go by name, as in Replay(rows=500)")
    return {str(one.arg): _value(one.value, said, find) for one in call.keywords}


def _value(node: ast.expr, said: str, find: Find) -> Any:
    if isinstance(node, ast.Call):
        return _made(ast.unparse(node), find)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise SpecInvalid(f"{said}: {ast.unparse(node)} is no number, text, list or call of a known class") from error


def _called(cls: type, arguments: dict[str, Any], said: str) -> Any:
    if dataclasses.is_dataclass(cls):
        known = [one.name for one in dataclasses.fields(cls)]
        _refuse((name for name in arguments if name not in known), cls, known)
    try:
        made = cls(**arguments)
    except TypeError as error:
        raise SpecInvalid(f"{said}: {error}") from error
    wrong = list(misfits(made, cls))
    if wrong:
        raise SpecInvalid(f"{cls.__name__}.{wrong[0]}")
    return made


def _refuse(unknown: Iterable[str], cls: type, known: list[str]) -> None:
    for name in unknown:
        raise SpecInvalid(f"{cls.__name__} has no parameter '{name}'; it has: {', '.join(known) or 'none'}")


def _in_file(path: Path, name: str) -> Any:
    """What a Python file calls by that name; the file is run, as a module of its own name."""
    from keepfit.edge.declare.declaration import load as run

    if not path.is_file():
        raise NotFound(f"{path}: there is no such file")
    run(path)
    there_are = vars(sys.modules[path.stem])
    found = there_are.get(name)
    if found is None:
        there = ", ".join(key for key in there_are if not key.startswith("_"))
        raise NotFound(f"{path} has no '{name}'; it has: {there}")
    return found
