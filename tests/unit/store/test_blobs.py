"""Blobs and trees: what comes out is what went in, or nothing."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from keepfit.core.errors import DataInvalid, NotFound, StorageFault
from keepfit.store.blobs import Blobs, Trees


def damage(path: Path, how: str) -> None:
    """Alter a stored file as a bad disk or a careless person would."""
    data = path.read_bytes()
    path.chmod(0o644)
    match how:
        case "flipped":
            path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        case "cut":
            path.write_bytes(data[:-1])
        case "emptied":
            path.write_bytes(b"")
        case "longer":
            path.write_bytes(data + b"\0")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    return Trees(tmp_path / "trees")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    folder = tmp_path / "bundle"
    (folder / "code").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"model" * 1000)
    (folder / "code" / "service.py").write_text("x = 1\n")
    return folder


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 10_000])
def test_a_blob_is_its_bytes(blobs: Blobs, tmp_path: Path, data: bytes) -> None:
    """Whatever is put, from memory or from a file, comes back under the same name."""
    source = tmp_path / "source"
    source.write_bytes(data)
    digest = blobs.put(data)
    assert blobs.put_file(source) == digest
    assert blobs.get(digest) == data
    assert blobs.path(digest).read_bytes() == data
    assert blobs.has(digest)


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "longer"])
def test_a_damaged_blob_is_reported_and_never_used(blobs: Blobs, how: str) -> None:
    """A bit, a byte less or more: neither door gives the bytes out, and putting them again heals the store."""
    digest = blobs.put(b"evidence")
    damage(blobs.path(digest), how)
    for door in (blobs.get, blobs.path):
        with pytest.raises(StorageFault, match=digest) as raised:
            door(digest)
        assert raised.value.code == "corrupt"
    assert blobs.put(b"evidence") == digest
    assert blobs.get(digest) == b"evidence"


@pytest.mark.parametrize("name", ["0" * 64, "../ledger.db", "", "A" * 64])
def test_a_blob_that_is_not_there_is_not_found(blobs: Blobs, trees: Trees, name: str) -> None:
    """Unknown digests, and names that are none, lead nowhere."""
    for door in (blobs.get, blobs.path, trees.path):
        with pytest.raises(NotFound):
            door(name)


def test_nothing_but_blobs_is_left_behind(blobs: Blobs, tmp_path: Path) -> None:
    """Putting the same bytes again leaves no temporary file."""
    digests = {blobs.put(b"a"), blobs.put(b"a"), blobs.put(b"b")}
    assert {path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()} == digests


def test_a_failed_put_leaves_nothing(tmp_path: Path) -> None:
    """Where the store cannot be written the caller is told, with the place."""
    (tmp_path / "blobs").write_text("in the way")
    with pytest.raises(StorageFault, match="blobs"):
        Blobs(tmp_path / "blobs").put(b"x")
    with pytest.raises(NotFound, match="absent"):
        Blobs(tmp_path / "others").put_file(tmp_path / "absent")


def test_a_tree_is_its_files(trees: Trees, bundle: Path) -> None:
    """The copy has every file; the name depends on content and paths, not on when or where."""
    digest = trees.put(bundle)
    place = trees.path(digest)
    assert (place / "code" / "service.py").read_text() == "x = 1\n"
    assert (place / "model.onnx").read_bytes() == b"model" * 1000
    moved = bundle.rename(bundle.with_name("elsewhere"))
    os.utime(moved / "model.onnx", (1, 1))
    assert trees.put(moved) == digest
    (moved / "model.onnx").rename(moved / "model2.onnx")
    assert trees.put(moved) != digest


@pytest.mark.parametrize("how", ["flipped", "cut", "emptied", "longer", "missing", "extra", "linked", "manifest"])
def test_a_damaged_tree_is_reported_and_never_used(trees: Trees, bundle: Path, how: str) -> None:
    """Any change of any file, also one file more or less, refuses the whole; putting it again heals the store."""
    digest = trees.put(bundle)
    model = trees.path(digest) / "model.onnx"
    match how:
        case "missing":
            model.unlink()
        case "extra":
            (model.parent / "code" / "extra.py").write_text("")
        case "linked":
            model.unlink()
            model.symlink_to(bundle / "model.onnx")
        case "manifest":
            damage(model.parent.with_name(f"{digest}.json"), "flipped")
        case _:
            damage(model, how)
    with pytest.raises((StorageFault, DataInvalid)) as raised:
        trees.path(digest)
    assert raised.value.code == "corrupt"
    assert trees.put(bundle) == digest
    assert trees.path(digest).is_dir()


def test_the_damaged_file_is_named(trees: Trees, bundle: Path) -> None:
    """The message says which file of which tree, what was expected and what was found."""
    digest = trees.put(bundle)
    damage(trees.path(digest) / "model.onnx", "cut")
    with pytest.raises(StorageFault, match=rf"'model\.onnx' of tree {digest}.*4999 bytes.*expected 5000"):
        trees.path(digest)


def test_links_are_not_content(trees: Trees, bundle: Path) -> None:
    """A symbolic link, even one that leads outside, is refused with its path."""
    (bundle / "secret").symlink_to("/etc/hostname")
    with pytest.raises(DataInvalid, match="secret"):
        trees.put(bundle)


def test_bytecode_is_neither_content_nor_damage(trees: Trees, bundle: Path) -> None:
    """What Python leaves beside sources it imports changes no name and is gone at the next opening."""
    digest = trees.put(bundle)
    for folder in (bundle, trees.path(digest)):
        (folder / "code" / "__pycache__").mkdir()
        (folder / "code" / "__pycache__" / "service.cpython-311.pyc").write_bytes(b"stale")
    assert trees.put(bundle) == digest
    assert not (trees.path(digest) / "code" / "__pycache__").exists()


def test_what_the_dead_left_is_swept_away(blobs: Blobs, trees: Trees, bundle: Path, tmp_path: Path) -> None:
    """Half of a blob or a tree whose writer died disappears with the next put; one still being written stays."""
    for root in (tmp_path / "blobs", tmp_path / "trees"):
        (root / ".partial-tree" / "code").mkdir(parents=True)
        (root / ".partial-blob").write_bytes(b"half")
        (root / ".partial-alive").write_bytes(b"half")
    with (tmp_path / "blobs" / ".partial-alive").open("rb") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        blobs.put(b"x")
        trees.put(bundle)
        assert [path.name for path in tmp_path.rglob(".partial-*")] == [".partial-alive"]
