"""Sources: which files a path, a folder, a glob or a pattern names, here or behind a URL."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa

from keepfit.core.errors import DataInvalid, MissingExtra, NotFound

SUFFIXES = frozenset(
    {".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".feather", ".ipc", ".tfrecord"}
)
_PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
_MARK = re.compile(r"\{(SPAN|DATE)\}")
_SHAPES = {"SPAN": r"(?P<at>\d+)", "DATE": r"(?P<at>\d{4}-?\d\d-?\d\d)"}


@dataclass(frozen=True)
class File:
    """One file to read; `system` is the fsspec file system it is in, None for this machine's."""

    path: str
    system: Any = None

    def __str__(self) -> str:
        return self.path

    def open(self) -> BinaryIO:
        """The bytes as they are."""
        if self.system is not None:
            return cast(BinaryIO, self.system.open(self.path, "rb"))
        return Path(self.path).open("rb")

    def unpacked(self) -> Any:
        """The bytes as a stream, decompressed where the name says that they are compressed."""
        stream = pa.PythonFile(self.open(), mode="r") if self.system is not None else pa.OSFile(self.path)
        packing = _PACKED.get(Path(self.path).suffix.lower())
        return pa.CompressedInputStream(stream, packing) if packing else pa.BufferedInputStream(stream, 1 << 20)

    def seekable(self) -> Any:
        """The bytes for readers that jump to and fro."""
        return pa.PythonFile(self.open(), mode="r") if self.system is not None else pa.OSFile(self.path)

    @cached_property
    def size(self) -> int:
        """Bytes in the file, as they lie there."""
        return int(self.system.size(self.path) if self.system is not None else Path(self.path).stat().st_size)

    @property
    def suffixes(self) -> frozenset[str]:
        """The last two endings of its name, in lower case."""
        return frozenset(suffix.lower() for suffix in Path(self.path).suffixes[-2:])


def files(source: str | Path, *, spans: tuple[str, str] | None = None) -> tuple[File, ...]:
    """The files behind a path, a folder, a glob, or one of these as a URL, in order of name.

    A pattern such as `data/{DATE}/*.csv` or `day-{SPAN}.parquet` names the newest date or the greatest number there
    is; with `spans` all from the first to the last one, both included. NotFound where nothing matches.
    """
    text = str(source)
    system, path = _system(text) if "://" in text else (None, text)
    mark = _MARK.search(path)
    if mark is None:
        if spans is not None:
            raise DataInvalid(f"{source}: expected {{SPAN}} or {{DATE}} in the path, because a range was asked for")
        return tuple(File(found, system) for found in _matches(path, system))
    return tuple(File(found, system) for found in _of_spans(path, mark.group(1), spans, system))


def _system(url: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra("fsspec", "fsspec") from error
    try:
        system, path = fsspec.core.url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise DataInvalid(f"{url}: cannot be opened: {error}") from error
    return system, path


def _matches(path: str, system: Any) -> list[str]:
    if system is not None:
        if system.isfile(path):
            return [path]
        found = system.find(path, maxdepth=1) if system.isdir(path) else system.glob(path)
        inside = [name for name in sorted(found) if system.isfile(name) and not Path(name).name.startswith(("_", "."))]
    elif Path(path).is_file():
        return [path]
    elif Path(path).is_dir():
        inside = sorted(str(found) for found in Path(path).iterdir() if _is_data(found))
        if not inside:
            raise DataInvalid(f"{path} is a directory without data files; expected {', '.join(sorted(SUFFIXES))}")
    else:
        matched = glob.glob(path, recursive=True)  # noqa: PTH207 - Path.glob takes no absolute patterns
        inside = sorted(found for found in matched if Path(found).is_file())
    if not inside:
        raise NotFound(f"{path}: no such file, and no file matches it as a glob (looked from {Path.cwd()})")
    return inside


def _is_data(path: Path) -> bool:
    if path.name.startswith(("_", ".")) or not path.is_file():
        return False
    return bool({suffix.lower() for suffix in path.suffixes[-2:]} & SUFFIXES)


def _of_spans(path: str, mark: str, spans: tuple[str, str] | None, system: Any) -> list[str]:
    """The matches of the newest span, or of all spans of a range; every mark in a path is the same span."""
    anything = "[0-9]*" if mark == "SPAN" else "[0-9][0-9][0-9][0-9]*"
    whole = "{" + mark + "}"
    matched = _matches(path.replace(whole, anything), system)
    shape = re.escape(path).replace(re.escape(whole), _SHAPES[mark], 1).replace(re.escape(whole), "(?P=at)")
    shape = shape.replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
    dated = [(_place(found.group("at"), mark), name) for name in matched if (found := re.fullmatch(shape, name))]
    known = [(place, name) for place, name in dated if place is not None]
    if not known:
        raise NotFound(f"{path}: no file matches; expected {whole} to be {_expected(mark)}")
    if spans is None:
        low = high = max(place for place, _ in known)
    else:
        low, high = (_asked(text, mark) for text in spans)
    inside = sorted((place, name) for place, name in known if low <= place <= high)
    if not inside:
        there = sorted({place for place, _ in known})
        raise NotFound(f"{path}: nothing from {spans}; there is {_said(there[0], mark)} to {_said(there[-1], mark)}")
    return [name for _, name in inside]


def _place(text: str, mark: str) -> int | None:
    try:
        return int(text) if mark == "SPAN" else date.fromisoformat(text).toordinal()
    except ValueError:
        return None


def _asked(text: str, mark: str) -> int:
    place = _place(text, mark)
    if place is None:
        raise DataInvalid(f"'{text}' is not {_expected(mark)}")
    return place


def _expected(mark: str) -> str:
    return "a whole number" if mark == "SPAN" else "a date such as 2026-11-21 or 20261121"


def _said(place: int, mark: str) -> str:
    return str(place) if mark == "SPAN" else date.fromordinal(place).isoformat()


def spans_of(text: str) -> tuple[str, str]:
    """The ends of a range as it is written: `FIRST..LAST`, or one span alone."""
    first, _, last = text.partition("..")
    return first.strip(), (last or first).strip()


def total(found: Iterable[File]) -> int:
    """Bytes in all of them."""
    return sum(file.size for file in found)
