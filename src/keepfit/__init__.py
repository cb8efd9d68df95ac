"""keepfit keeps machine-learning models fit in production."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keepfit.core.nouns import (
        Base,
        Check,
        Choice,
        Gpu,
        Preserve,
        Reference,
        Resources,
        Rollout,
        Season,
        Slice,
        Subject,
        Window,
    )
    from keepfit.core.service import Monitor, Recipe, Selection, Service, Serving

_HOMES = {
    "Base": "keepfit.core.nouns",
    "Check": "keepfit.core.nouns",
    "Choice": "keepfit.core.nouns",
    "Gpu": "keepfit.core.nouns",
    "Preserve": "keepfit.core.nouns",
    "Reference": "keepfit.core.nouns",
    "Resources": "keepfit.core.nouns",
    "Rollout": "keepfit.core.nouns",
    "Season": "keepfit.core.nouns",
    "Slice": "keepfit.core.nouns",
    "Subject": "keepfit.core.nouns",
    "Window": "keepfit.core.nouns",
    "Monitor": "keepfit.core.service",
    "Recipe": "keepfit.core.service",
    "Selection": "keepfit.core.service",
    "Service": "keepfit.core.service",
    "Serving": "keepfit.core.service",
    "detectors": "keepfit.watch",
    "triggers": "keepfit.watch",
    "gates": "keepfit.judge",
    "learners": "keepfit.learn",
}

__all__ = [
    "Base",
    "Check",
    "Choice",
    "Gpu",
    "Monitor",
    "Preserve",
    "Recipe",
    "Reference",
    "Resources",
    "Rollout",
    "Season",
    "Selection",
    "Service",
    "Serving",
    "Slice",
    "Subject",
    "Window",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `import keepfit` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module 'keepfit' has no attribute {name!r}")
    home = _HOMES[name]
    found = import_module(f"{home}.{name}") if name.islower() else getattr(import_module(home), name)
    globals()[name] = found
    return found
