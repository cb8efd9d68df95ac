"""Admission: whether there is room for a Version, said before it is loaded, and again when it was measured.

Room is what the system says is available, what the control group that we are in still may take, and what the Service
was given, whichever is least. A model that does not fit is refused; it is never tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keepfit.core.errors import Refused

_RESERVE = 64 * 2**20  # bytes left to everybody else


@dataclass(frozen=True)
class Room:
    """Bytes that may still be taken, and what sets the limit."""

    bytes: int
    limit: str


def room(limit: int | None, used: int, freed: int = 0, *, system: Path = Path("/")) -> Room:
    """The room for one more model, with `used` bytes of the Service's `limit` taken and `freed` soon given back."""
    rooms = [
        Room(found.bytes + freed, found.limit) for found in (*_available(system / "proc/meminfo"), *_group(system))
    ]
    if limit is not None:
        rooms.append(Room(limit - used, f"Serving.memory={_told(limit)}, of which {_told(used)} are used"))
    if not rooms:
        return Room(2**62, "nothing known")
    return min(rooms, key=lambda found: found.bytes)


def expect_room(what: str, needed: int, found: Room) -> None:
    """Refused (`insufficient_memory`) where `needed` bytes do not fit."""
    if needed > found.bytes:
        raise Refused(
            f"{what} needs {_told(needed)} of memory, and there are {_told(max(0, found.bytes))} ({found.limit}); "
            "nothing was loaded: free memory, raise Serving.memory, or swap with Serving(preserve=Preserve.RESOURCES)",
            code="insufficient_memory",
        )


def _available(meminfo: Path) -> list[Room]:
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return []
    return [Room(free - _RESERVE, f"{_told(free)} are available on this machine, {_told(_RESERVE)} stay free")]


def _group(system: Path) -> list[Room]:
    """The limits of our control group and of those around it (cgroup v2)."""
    try:
        path = (system / "proc/self/cgroup").read_text().splitlines()[-1].partition("::")[2].strip("/")
    except (OSError, IndexError):
        return []
    root = system / "sys/fs/cgroup"
    found = []
    for group in (root / path, *(root / path).parents):
        if group == root or root not in group.parents:
            break
        try:
            most, used = int((group / "memory.max").read_text()), int((group / "memory.current").read_text())
        except (OSError, ValueError):  # no limit is said by the word max
            continue
        found.append(Room(most - used, f"control group {group.name} may have {_told(most)} and has {_told(used)}"))
    return found


def _told(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB" if size < 10 * 2**30 else f"{size / 2**30:,.1f} GiB"
