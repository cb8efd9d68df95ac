"""Memory on disk: a directory that is the same, byte for byte, for the same memory.

`memory.json` names the learner that wrote it, `rows.arrow` (Arrow IPC) has the remembered Records, `arrays.npz` the
arrays by name.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from keepfit.core.errors import Refused
from keepfit.core.nouns import RECORD_ID, Memory

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest a zip knows: times of writing would give equal memories other digests


def save(memory: Memory, directory: Path) -> None:
    """Write a memory into a directory, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "memory.json").write_bytes(msgspec.json.encode({"kind": memory.kind}))
    if memory.rows is not None:
        with pa.ipc.new_file(directory / "rows.arrow", memory.rows.schema) as file:
            file.write_table(memory.rows.combine_chunks())
    if memory.arrays:
        _write(memory.arrays, directory / "arrays.npz")


def load(directory: Path, kind: str) -> Memory:
    """Read the memory that a learner of this kind wrote; Refused where another one did, or where it is damaged."""
    try:
        written = str(msgspec.json.decode((directory / "memory.json").read_bytes())["kind"])
        rows, arrays = _rows(directory / "rows.arrow"), _arrays(directory / "arrays.npz")
    except (OSError, ValueError, KeyError, TypeError, msgspec.DecodeError, zipfile.BadZipFile) as error:
        raise Refused(f"the memory beside the parent cannot be read: {error}", code="memory_damaged") from error
    if written != kind:
        raise Refused(
            f"the memory beside the parent was written by {written}, this recipe's learner is {kind}; keep the "
            "learner, or begin again without memory (one update by Refit() forgets it)",
            code="memory_of_another_learner",
        )
    return Memory(kind, rows, arrays)


def without(directory: Path, ids: Collection[str], into: Path) -> int:
    """Write the same memory without the rows of these Records into a directory; how many rows they were.

    Nothing is written where there are none. What arrays have taken in of them stays: it is nobody's row any more.
    """
    rows = _rows(directory / "rows.arrow")
    if rows is None or RECORD_ID not in rows.column_names:
        return 0
    theirs = pc.is_in(rows[RECORD_ID].cast(pa.string()), value_set=pa.array(sorted(ids), pa.string()))
    gone = int(pc.sum(theirs).as_py() or 0)
    if gone:
        kind = str(msgspec.json.decode((directory / "memory.json").read_bytes())["kind"])
        save(Memory(kind, rows.filter(pc.invert(theirs)), _arrays(directory / "arrays.npz")), into)
    return gone


def has_arrays(directory: Path) -> bool:
    """Whether a memory has arrays: what a learner worked out of many Records together, which is nobody's any more."""
    return (directory / "arrays.npz").exists()


def _rows(path: Path) -> pa.Table | None:
    if not path.exists():
        return None
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    if not path.exists():
        return {}
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _write(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for name in sorted(arrays):
            content = io.BytesIO()
            np.save(content, np.asarray(arrays[name], order="C"), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy", _EPOCH), content.getvalue())
