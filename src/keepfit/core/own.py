"""Own: a learner that is no installed plug-in but a class of the Service's own code, carried by name."""

from __future__ import annotations

import sys
import sysconfig
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepfit.core.errors import SpecInvalid

if TYPE_CHECKING:
    from keepfit.core.nouns import Learnt, Lesson
    from keepfit.core.protocols import Learner


@dataclass(frozen=True)
class Own:
    """A learner of the Service's own code: `name` is its `module:Class`, `parameters` its constructor's arguments.

    Where a specification is only read, as the control process does, it is carried and nothing is run; a worker, which
    has the snapshot of the code on its path, makes it.
    """

    name: str
    parameters: dict[str, Any] = field(default_factory=dict)

    def made(self) -> Learner:
        """The learner itself; SpecInvalid where the code has no such class."""
        module, _, called = self.name.partition(":")
        try:
            made: Learner = getattr(import_module(module), called)(**self.parameters)
        except (ImportError, AttributeError, TypeError) as error:
            raise SpecInvalid(
                f"the recipe's learner {self.name} cannot be made of the service's code: {error}; apply the file again"
            ) from error
        return made

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        """As the learner does."""
        return self.made().learn(estimator, lesson)


def is_own(kind: type) -> bool:
    """Whether a class is of somebody's own file, neither keepfit's nor of an installed package."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    if file is None or kind.__module__.partition(".")[0] == "keepfit":
        return False
    path = Path(file).resolve()
    installed = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib", "stdlib")}
    return not any(path.is_relative_to(folder) for folder in installed)
