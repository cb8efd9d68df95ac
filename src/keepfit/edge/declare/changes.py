"""Changes: what differs between two Specifications, one sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keepfit.core.registry import to_plain
from keepfit.core.service import Specification
from keepfit.core.signature import Compatibility, compare

_TOLD_APART = {"code", "source", "source_rows", "inputs", "outputs", "label", "environment", "schema", "requirements"}


def changes(old: Specification, new: Specification, files: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Every difference; `files` are the source files that differ between the two code snapshots."""
    return tuple(_changes(old, new, files))


def _changes(old: Specification, new: Specification, files: tuple[str, ...]) -> Iterator[str]:
    if old.code != new.code:
        yield f"code: {', '.join(files) or 'the snapshot'} changed"
    if old.source != new.source:
        yield f"data: {old.source_rows:,} rows → {new.source_rows:,} rows, with other content"
    comparison = compare(old.signature, new.signature)
    for change in comparison.changes:
        yield f"signature: {change}"
    if comparison.kind is Compatibility.BREAKING:
        yield "signature: this breaks callers, so versions with it are refused while the one before is live"
    if old.label != new.label:
        yield f"label: {old.label.name} ({old.label.dtype}) → {new.label.name} ({new.label.dtype})"
    if old.environment != new.environment:
        yield "environment: other packages, or other versions of them, are installed"
    if old.schema != new.schema:
        yield "schema: what it expects is another" if old.schema and new.schema else _of_schema(new)
    before, after = to_plain(old), to_plain(new)
    rest = before.keys() - _TOLD_APART
    yield from _differ({key: before[key] for key in rest}, {key: after[key] for key in rest}, "")


def _of_schema(new: Specification) -> str:
    return "schema: data is held to it now" if new.schema else "schema: data is held to the first data again"


def _differ(old: Any, new: Any, at: str) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict) and old.get("kind") == new.get("kind"):
        for key in sorted(old.keys() | new.keys()):
            name = key if at in ("", "service") else f"{at}.{key}"
            yield from _differ(old.get(key), new.get(key), name)
    elif isinstance(old, list) and isinstance(new, list):
        before, after = _keyed(old), _keyed(new)
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differ(before.get(key), after.get(key), f"{at}[{key}]")
    elif old is None:
        yield f"{at}: {_shown(new)} is new"
    elif new is None:
        yield f"{at}: {_shown(old)} is gone"
    else:
        yield f"{at}: {_shown(old)} → {_shown(new)}"


def _keyed(items: list[Any]) -> dict[str, Any]:
    """The items of a list by their names, else by their places."""
    named = [item.get("name") if isinstance(item, dict) else None for item in items]
    return {str(name or place): item for place, (name, item) in enumerate(zip(named, items, strict=True))}


def _shown(value: Any) -> str:
    """A declaration as one would write it."""
    if isinstance(value, dict):
        kind = str(value.get("kind", "")).rpartition("/")[2]
        inner = ", ".join(f"{key}={_shown(item)}" for key, item in value.items() if key != "kind" and item is not None)
        return f"{kind}({inner})"
    if isinstance(value, list):
        return f"({', '.join(map(_shown, value))})"
    return repr(value) if isinstance(value, str) else str(value)
