"""The manifest of a Bundle directory."""

from __future__ import annotations

from pathlib import Path

import msgspec

from keepfit.core import registry
from keepfit.core.errors import KeepfitError, Refused
from keepfit.core.nouns import Bundle


def manifest(directory: Path) -> Bundle:
    """Read `bundle.json`; Refused where it is absent or not what a Bundle says of itself."""
    path = directory / "bundle.json"
    try:
        return registry.from_plain(Bundle, msgspec.json.decode(path.read_bytes()))
    except FileNotFoundError as error:
        raise Refused(f"{directory.name}: has no bundle.json, so it is no Bundle", code="corrupt") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeepfitError) as error:
        raise Refused(f"{path}: cannot be read: {error}", code="corrupt") from error
