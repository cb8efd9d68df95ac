"""Kills a process of ours at a named point, once: put on the path of a runner's processes, not of the tests.

`MORTAL=module:Class.function:before|after[:place]` names a function; `place` (1 by default) is which call of it, since
the file MORTAL_ARMED was there, is the last. Its process dies by SIGKILL before or after that call, unless MORTAL_DONE
exists, which the dying process makes.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any


def die() -> None:
    """End at once, and only once over all processes."""
    try:
        os.close(os.open(os.environ["MORTAL_DONE"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


class _Mortal(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the one module, and puts a mortal function into it when it has been executed."""

    def __init__(self, module: str, function: str, when: str, place: int) -> None:
        self._module, self._function, self._when, self._place = module, function, when, place
        self._calls = 0
        self._loader: Any = None

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of the module, to be loaded by this."""
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            self._loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        """As usual."""
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        """As usual, and then the function is wrapped."""
        self._loader.exec_module(module)
        *path, name = self._function.split(".")
        owner = functools.reduce(getattr, path, module)
        setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def later(*args: Any, **named: Any) -> Any:
                last = self._last()
                if last and self._when == "before":
                    die()
                result = await function(*args, **named)
                if last and self._when == "after":
                    die()
                return result

            return later

        @functools.wraps(function)
        def now(*args: Any, **named: Any) -> Any:
            last = self._last()
            if last and self._when == "before":
                die()
            result = function(*args, **named)
            if last and self._when == "after":
                die()
            return result

        return now

    def _last(self) -> bool:
        self._calls += os.path.exists(os.environ["MORTAL_ARMED"])  # noqa: PTH110  # as cheap as it can be
        return self._calls == self._place


if os.environ.get("MORTAL") and not os.path.exists(os.environ["MORTAL_DONE"]):  # noqa: PTH110  # before pathlib
    module, function, when, *place = os.environ["MORTAL"].split(":")
    sys.meta_path.insert(0, _Mortal(module, function, when, int(place[0]) if place else 1))
