"""Blobs: immutable files, and directories of them, named by the SHA-256 of their content.

A blob is written under a temporary name, fsynced, renamed, and its directory fsynced: after a crash at any moment it is
there whole or not at all. Every opening verifies the digest, so bytes that rotted or were altered are never used.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec

from keepfit.core.errors import DataInvalid, NotFound, StorageFault
from keepfit.core.nouns import Digest
from keepfit.store.disk import fault, lock, still, sync, sync_directory

_DIGEST = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 20
_PARTIAL = ".partial-"
_DERIVED = "__pycache__"  # Python writes it beside any source it imports; never content, never trusted


class Blobs:
    """Content-addressed files under `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, data: bytes) -> Digest:
        """Keep these bytes; StorageFault when they could not be written whole."""
        digest = hashlib.sha256(data).hexdigest()
        if not self._sound(digest):
            with _partial_file(self._root) as (file, partial):
                file.write(data)
                self._settle(file, partial, digest)
        return digest

    def put_file(self, path: Path) -> Digest:
        """Keep a copy of a file, in constant memory; NotFound where there is none."""
        if not path.is_file():
            raise NotFound(f"{path}: no such file")
        with path.open("rb") as source, _partial_file(self._root) as (file, partial):
            digest = _copy(source, file)
            if not self._sound(digest):
                self._settle(file, partial, digest)
        return digest

    def get(self, digest: Digest) -> bytes:
        """The bytes; NotFound where there are none, StorageFault (`corrupt`) where they are not what they were."""
        data = _present(self._place(digest), digest).read_bytes()
        if (found := hashlib.sha256(data).hexdigest()) != digest:
            raise _corrupt(f"blob {digest}", found)
        return data

    def path(self, digest: Digest) -> Path:
        """The file, verified now; for readers which want to map it. Raises as `get` does."""
        path = _present(self._place(digest), digest)
        if (found := _digest_of(path)) != digest:
            raise _corrupt(f"blob {digest}", found)
        return path

    def has(self, digest: Digest) -> bool:
        """Whether there is a blob of that name; its bytes are verified only when it is opened."""
        return self._place(digest).is_file()

    def remove(self, digest: Digest) -> None:
        """Have no blob of that name any more; nothing where there is none."""
        place = self._place(digest)
        if place.exists():
            place.unlink()
            sync_directory(place.parent)

    def _place(self, digest: Digest) -> Path:
        return self._root / _checked(digest)[:2] / digest

    def _sound(self, digest: Digest) -> bool:
        # A damaged blob is put again, not trusted: whoever holds the bytes can heal the store.
        place = self._place(digest)
        return place.is_file() and _digest_of(place) == digest

    def _settle(self, file: IO[bytes], partial: Path, digest: Digest) -> None:
        place = self._place(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        sync(file)
        partial.chmod(0o444)
        partial.replace(place)
        sync_directory(place.parent)


class Trees:
    """Content-addressed directories under `root`: Bundles, code snapshots.

    The digest is the SHA-256 of the canonical manifest {relative path: [size, SHA-256]}, which is kept beside the
    directory. Files only: no symbolic links, no sockets; empty directories are not content.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, directory: Path) -> Digest:
        """Keep a copy of a directory; DataInvalid where it holds anything but files and directories."""
        with _partial_directory(self._root) as partial:
            manifest = _canonical(_copy_tree(directory, partial))
            digest = hashlib.sha256(manifest).hexdigest()
            if not self._sound(digest):
                self._settle(partial, manifest, digest)
        return digest

    def path(self, digest: Digest) -> Path:
        """The directory, every file of it verified now; NotFound, or StorageFault (`corrupt`) naming the file."""
        place = _present(self._place(digest), digest)
        wanted = self._manifest(digest)
        for derived in sorted(place.rglob(_DERIVED)):
            shutil.rmtree(derived, ignore_errors=True)
        try:
            found = _describe(place)
        except DataInvalid as error:
            raise _corrupt(f"tree {digest}", str(error)) from error
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                raise _corrupt(f"file {name!r} of tree {digest}", _difference(wanted.get(name), found.get(name)))
        return place

    def has(self, digest: Digest) -> bool:
        """Whether there is a tree of that name; its files are verified only when it is opened."""
        return self._place(digest).is_dir()

    def remove(self, digest: Digest) -> None:
        """Have no tree of that name any more; nothing where there is none."""
        place = self._place(digest)
        if place.is_dir():
            gone = place.with_name(f"{_PARTIAL}removed-{digest}")
            place.rename(gone)  # at once: half a tree would be taken for a damaged one
            sync_directory(self._root)
            shutil.rmtree(gone)
        (self._root / f"{digest}.json").unlink(missing_ok=True)

    def _place(self, digest: Digest) -> Path:
        return self._root / _checked(digest)

    def _manifest(self, digest: Digest) -> Manifest:
        path = self._root / f"{digest}.json"
        data = path.read_bytes() if path.is_file() else b""
        if (found := hashlib.sha256(data).hexdigest()) != digest:
            raise _corrupt(f"manifest of tree {digest}", found)
        return msgspec.json.decode(data, type=Manifest)

    def _sound(self, digest: Digest) -> bool:
        try:
            self.path(digest)
        except (NotFound, StorageFault):
            return False
        return True

    def _settle(self, partial: Path, manifest: bytes, digest: Digest) -> None:
        place = self._place(digest)
        with _partial_file(self._root) as (file, manifest_partial):
            file.write(manifest)
            sync(file)
            manifest_partial.chmod(0o444)
            manifest_partial.replace(self._root / f"{digest}.json")
        if place.is_dir():  # damaged: moved aside first, since a directory cannot be replaced in one step
            place.rename(partial.with_name(partial.name + ".damaged"))
            shutil.rmtree(partial.with_name(partial.name + ".damaged"), ignore_errors=True)
        try:
            partial.rename(place)
        except OSError:
            if not self._sound(digest):  # else another process has just put the same tree
                raise
        sync_directory(self._root)


Manifest = dict[str, tuple[int, Digest]]
"""Relative path with '/' to size in bytes and SHA-256."""


def digest_of_tree(directory: Path) -> Digest:
    """The name a directory would have in `Trees`; DataInvalid where it holds anything but files and directories."""
    return hashlib.sha256(_canonical(_describe(directory))).hexdigest()


def _canonical(manifest: Manifest) -> bytes:
    return msgspec.json.encode(manifest, order="deterministic")


def _checked(digest: Digest) -> Digest:
    if not _DIGEST.fullmatch(digest):
        raise NotFound(f"{digest!r} is no digest; expected 64 lower-case hexadecimal digits")
    return digest


def _present(path: Path, digest: Digest) -> Path:
    if not path.exists():
        raise NotFound(f"no artifact {digest} in {path.parent}; it was never stored here, or was removed")
    return path


def _corrupt(what: str, found: str) -> StorageFault:
    return StorageFault(
        f"{what} is not what was stored (found {found}); it will not be used: make it again or restore it",
        code="corrupt",
    )


def _difference(wanted: tuple[int, Digest] | None, found: tuple[int, Digest] | None) -> str:
    if found is None:
        return "nothing: the file is missing"
    if wanted is None:
        return "a file that does not belong there"
    return f"{found[0]} bytes of digest {found[1]}, expected {wanted[0]} bytes of {wanted[1]}"


def _digest_of(path: Path) -> Digest:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copy(source: IO[bytes], target: IO[bytes]) -> Digest:
    hasher = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        hasher.update(chunk)
        target.write(chunk)
    return hasher.hexdigest()


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a directory in the order of its relative path."""
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if _DERIVED in name.parts or (path.is_dir() and not path.is_symlink()):
            continue
        if path.is_symlink() or not path.is_file():
            raise DataInvalid(
                f"{path}: a tree holds plain files only, found a link or a special file; copy its content"
            )
        yield name.as_posix(), path


def _describe(directory: Path) -> Manifest:
    return {name: (path.stat().st_size, _digest_of(path)) for name, path in _files(directory)}


def _copy_tree(directory: Path, target: Path) -> Manifest:
    if not directory.is_dir():
        raise NotFound(f"{directory}: no such directory")
    manifest: Manifest = {}
    for name, path in _files(directory):
        copy = target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, copy.open("wb") as file:
            digest = _copy(source, file)
            sync(file)
        copy.chmod(0o444)
        manifest[name] = (copy.stat().st_size, digest)
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        sync_directory(folder)
    return manifest


@contextmanager
def _partial_file(root: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """A file under a temporary name in `root`, gone afterwards unless it was renamed."""
    with _partial(root, directory=False) as path, path.open("wb") as file:
        yield file, path


@contextmanager
def _partial_directory(root: Path) -> Iterator[Path]:
    """A directory under a temporary name in `root`, gone afterwards unless it was renamed."""
    with _partial(root, directory=True) as path:
        yield path


@contextmanager
def _partial(root: Path, *, directory: bool) -> Iterator[Path]:
    try:
        root.mkdir(parents=True, exist_ok=True)
        _sweep(root)
        path, held = _claim(root, directory=directory)
        try:
            yield path
        finally:
            os.close(held)
            _remove(path)
    except OSError as error:
        raise fault(root, error) from error


def _claim(root: Path, *, directory: bool) -> tuple[Path, int]:
    """A new name, locked for as long as this process lives or needs it."""
    while True:
        if directory:
            path = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=root))
            path.chmod(0o755)
        else:
            descriptor, name = tempfile.mkstemp(prefix=_PARTIAL, dir=root)
            os.close(descriptor)
            path = Path(name)
        try:
            held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:  # another process swept it away before it was locked
            continue
        if lock(held) and still(path, held):
            return path, held
        os.close(held)


def _sweep(root: Path) -> None:
    """Remove what processes that died in the middle of a put left behind."""
    for path in root.glob(f"{_PARTIAL}*"):
        try:
            held = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            if lock(held):
                _remove(path)
        finally:
            os.close(held)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
