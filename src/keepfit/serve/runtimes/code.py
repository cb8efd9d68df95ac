"""Code: what of a Bundle's `code/` is imported."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from keepfit.core.errors import Refused


def put_on_path(directory: Path) -> None:
    """Let imports find the Bundle's own code first, and forget modules of those names that lie elsewhere.

    A process of its own loads one Bundle; forgetting is for the one in which tests load many.
    """
    code = directory / "code"
    if not code.is_dir():
        return
    place = str(code.resolve())
    own = {path.stem for path in code.iterdir() if path.suffix == ".py" or path.is_dir()}
    for name, module in list(sys.modules.items()):
        source = str(getattr(module, "__file__", None) or "")
        if name.partition(".")[0] in own and "/code/" in source and not source.startswith(place):
            del sys.modules[name]
    sys.path[:] = [place, *(entry for entry in sys.path if entry != place)]
    importlib.invalidate_caches()


def entry_of(directory: Path, entry: str) -> Any:
    """The attribute that `module:attribute` names in the Bundle's code; Refused with what is wrong with it."""
    module, _, attribute = entry.partition(":")
    if not module or not attribute:
        raise Refused(f"the Bundle's entry is {entry!r}, expected 'module:attribute'", code="wrong_entry")
    put_on_path(directory)
    try:
        found: Any = importlib.import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except Exception as error:
        raise Refused(f"entry '{entry}' cannot be loaded: {type(error).__name__}: {error}", code="corrupt") from error
    return found
