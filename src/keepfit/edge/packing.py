"""Packing: a Bundle as one file that may be carried elsewhere, and its unpacking, which trusts nothing in it.

A pack is a zip archive of stored (uncompressed) files in the order of their names, with the Bundle's digest in its
comment: the same Bundle is the same bytes. Since nothing is compressed, no entry can be larger than the archive.
"""

from __future__ import annotations

import re
import shutil
import stat
import tempfile
import unicodedata
import zipfile
from pathlib import Path, PurePosixPath

from keepfit.core.errors import Conflict, KeepfitError, NotFound, Refused
from keepfit.core.nouns import Digest
from keepfit.edge.soundness import require_sound
from keepfit.store.blobs import digest_of_tree

_MARK = re.compile(rb"keepfit-bundle-1 ([0-9a-f]{64})")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1
_CHUNK = 2**20

LARGEST = 8 * 2**30
"""The most bytes that an unpacked Bundle may have."""

MOST_FILES = 10_000
_LONGEST = 240

_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
"""Names that are devices on Windows, whatever their extension."""


def pack(directory: Path, file: Path) -> Digest:
    """Write a Bundle directory as one file; its digest. The same Bundle gives the same bytes."""
    require_sound(directory)
    digest = digest_of_tree(directory)
    partial = file.with_name(f".{file.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            archive.comment = f"keepfit-bundle-1 {digest}".encode()
            for path in sorted(path for path in directory.rglob("*") if path.is_file()):
                if "__pycache__" not in path.parts:
                    _add(archive, path, path.relative_to(directory).as_posix())
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
    return digest


def _add(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = (stat.S_IFREG | 0o444) << 16
    entry.create_system = 3
    entry.file_size = path.stat().st_size
    with path.open("rb") as source, archive.open(entry, "w") as target:
        shutil.copyfileobj(source, target, _CHUNK)


def unpack(file: Path, into: Path, *, pickle: str = "") -> Digest:
    """Unpack a Bundle to the new directory `into`; its digest. Everything is checked before anything is written there.

    `pickle` is the reason why a pickle among its files may stay. Refused says what is wrong, by a code of its own.
    """
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise Conflict(f"{into}: is there already; name a new folder")
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=".unpacking-") as made:
        scratch = Path(made) / "bundle"
        digest = _checked_out(file, scratch, pickle=pickle)
        if into.exists():
            into.rmdir()
        scratch.rename(into)
    return digest


def _checked_out(file: Path, scratch: Path, *, pickle: str) -> Digest:
    try:
        with zipfile.ZipFile(file) as archive:
            wanted = _digest(archive)
            entries = archive.infolist()
            _check(entries, file.stat().st_size)
            for entry in entries:
                _extract(archive, entry, scratch)
    except FileNotFoundError as error:
        raise NotFound(f"{file}: no such file") from error
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise Refused(f"{file}: is no packed Bundle, or is damaged: {error}", code="not_a_pack") from error
    except KeepfitError as error:
        raise Refused(f"{file}: {error}", code=error.code) from error
    found = digest_of_tree(scratch)
    if found != wanted:
        raise Refused(
            f"{file}: says that its digest is {wanted}, and its files have {found}; it was altered on its way",
            code="wrong_digest",
        )
    require_sound(scratch, pickle=pickle, sender=str(file))
    return found


def _digest(archive: zipfile.ZipFile) -> Digest:
    mark = _MARK.fullmatch(archive.comment)
    if not mark:
        raise Refused("carries no digest, so it was not packed by `keepfit bundle pack`", code="no_digest")
    return mark[1].decode()


def _check(entries: list[zipfile.ZipInfo], size: int) -> None:
    if len(entries) > MOST_FILES:
        raise Refused(f"holds {len(entries)} files; expected at most {MOST_FILES}", code="too_many_files")
    for entry in entries:
        _check_entry(entry)
    total = sum(entry.file_size for entry in entries)
    if total > size:
        raise Refused(f"claims {total} bytes of files in an archive of {size} bytes", code="lying_size")
    if total > LARGEST:
        raise Refused(f"holds {total} bytes of files; expected at most {LARGEST}", code="too_large")
    _check_distinct([entry.filename for entry in entries])


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name, mode = entry.orig_filename, entry.external_attr >> 16
    _check_name(name)
    if stat.S_ISLNK(mode):
        raise Refused(f"{name!r} is a symbolic link; a Bundle holds plain files only", code="symlink")
    if entry.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
        raise Refused(f"{name!r} is a folder or a special file; a Bundle holds plain files only", code="special_file")
    if entry.flag_bits & _ENCRYPTED:
        raise Refused(f"{name!r} is encrypted; a Bundle is open to look into", code="encrypted")
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise Refused(
            f"{name!r} is compressed ({entry.compress_size} bytes for {entry.file_size}); packs are stored as they are",
            code="compressed",
        )


def _check_name(name: str) -> None:
    pure = PurePosixPath(name)
    if pure.is_absolute() or re.match(r"[A-Za-z]:", name) or name.startswith("\\"):
        raise Refused(f"{name!r} is an absolute path; names in a Bundle are relative", code="absolute_path")
    parts = name.split("/")
    if ".." in parts or ".." in name.split("\\"):
        raise Refused(f"{name!r} leads out of the Bundle", code="escape")
    if "\\" in name or any(ord(letter) < 32 for letter in name) or "" in parts[:-1] or "." in parts:
        raise Refused(f"{name!r} is no plain name", code="bad_name")
    if len(name.encode(errors="replace")) > _LONGEST or any(part != part.rstrip(". ") for part in parts):
        raise Refused(f"{name!r} is longer than {_LONGEST} bytes, or ends with a point or a blank", code="bad_name")
    devices = [part for part in parts if part.partition(".")[0].lower() in _DEVICES]
    if devices:
        raise Refused(f"{name!r} is the name of a device on some systems", code="device_name")


def _check_distinct(names: list[str]) -> None:
    """Names that differ on every file system, and none of them a folder of another."""
    folded: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded:
            raise Refused(f"{folded[key]!r} and {name!r} are one name on some systems", code="duplicate_name")
        folded[key] = name
    for key, name in folded.items():
        for parent in PurePosixPath(key).parents:
            if str(parent) in folded:
                raise Refused(f"{folded[str(parent)]!r} is a file and the folder of {name!r}", code="duplicate_name")


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, scratch: Path) -> None:
    target = scratch / entry.filename
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(entry) as source, target.open("xb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
