"""Hostile packs: each is refused with a code of its own, and nothing is written beside the scratch folder."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import toys
from keepfit.core.errors import KeepfitError, Refused
from keepfit.edge import packing
from keepfit.store.blobs import digest_of_tree

Entry = tuple[zipfile.ZipInfo, bytes]


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound Bundle directory."""
    directory = tmp_path_factory.mktemp("honest") / "bundle"
    toys.bundle(directory)
    return directory


def entries(directory: Path) -> Iterator[Entry]:
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            yield zipfile.ZipInfo(path.relative_to(directory).as_posix()), path.read_bytes()


def packed(made: list[Entry], digest: str, compression: int = zipfile.ZIP_STORED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", compression) as archive:
        archive.comment = f"keepfit-bundle-1 {digest}".encode()
        for entry, data in made:
            archive.writestr(entry, data, compression)
    return sink.getvalue()


def with_entry(name: str, *, mode: int = stat.S_IFREG | 0o644, data: bytes = b"x") -> Callable[[list[Entry]], None]:
    def add(made: list[Entry]) -> None:
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name
        entry.external_attr = mode << 16
        made.append((entry, data))

    return add


NAMES = {
    "zip-slip": ("../../evil", "escape"),
    "zip-slip inside": ("code/../../evil", "escape"),
    "zip-slip with backslashes": ("..\\evil", "escape"),
    "absolute path": ("/etc/evil", "absolute_path"),
    "drive letter": ("C:\\evil", "absolute_path"),
    "network share": ("\\\\host\\evil", "absolute_path"),
    "device": ("code/NUL.txt", "device_name"),
    "device with port": ("com1", "device_name"),
    "line break": ("card\n.md", "bad_name"),
    "point at the end": ("card.md.", "bad_name"),
    "blank at the end": ("card.md ", "bad_name"),
    "empty part": ("code//x.py", "bad_name"),
    "too long": ("a" * 300, "bad_name"),
    "same name": ("bundle.json", "duplicate_name"),
    "same name in capitals": ("BUNDLE.JSON", "duplicate_name"),
    "file and folder": ("bundle.json/x", "duplicate_name"),
    "folder": ("code/", "special_file"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(("name", "code"), NAMES.values(), ids=NAMES)
def test_names(honest: Path, tmp_path: Path, name: str, code: str) -> None:
    """A name that means something else than a plain file below the folder."""
    made = list(entries(honest))
    with_entry(name)(made)
    assert refused(tmp_path, packed(made, digest_of_tree(honest))).code == code


def refused(tmp_path: Path, data: bytes) -> KeepfitError:
    """Unpack hostile bytes; the error, after making sure that nothing of them came out."""
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "pack.keepfit").write_bytes(data)
    with pytest.raises(KeepfitError) as caught:
        packing.unpack(inside / "pack.keepfit", inside / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["inside", "pack.keepfit"], "nothing else was written"
    return caught.value


@pytest.mark.parametrize(("mode", "code"), [(stat.S_IFLNK, "symlink"), (stat.S_IFIFO, "special_file")])
def test_what_is_no_file(honest: Path, tmp_path: Path, mode: int, code: str) -> None:
    """Links and pipes are never made."""
    made = list(entries(honest))
    with_entry("code/passwd", mode=mode | 0o777, data=b"/etc/passwd")(made)
    assert refused(tmp_path, packed(made, digest_of_tree(honest))).code == code


def test_a_bomb(honest: Path, tmp_path: Path) -> None:
    """A gigabyte of noughts that packs into a megabyte is not even begun."""
    made = list(entries(honest))
    with_entry("code/zeros", data=bytes(2**24))(made)
    data = packed(made, digest_of_tree(honest), zipfile.ZIP_DEFLATED)
    assert refused(tmp_path, data).code == "compressed"


def test_a_claim_of_ten_gigabytes(honest: Path, tmp_path: Path) -> None:
    """Sizes in the archive's directory are claims, and they are held against the archive's own size."""
    ten = 10 * 2**30
    size = (honest / "model.onnx").stat().st_size
    data = bytearray(packed(list(entries(honest)), digest_of_tree(honest)))
    place = data.rindex(b"model.onnx") - 46
    assert data[place : place + 4] == b"PK\x01\x02"
    assert int.from_bytes(data[place + 24 : place + 28], "little") == size
    data[place + 20 : place + 24] = data[place + 24 : place + 28] = (2**32 - 2).to_bytes(4, "little")
    assert refused(tmp_path, bytes(data)).code == "lying_size"
    assert ten > packing.LARGEST


def test_a_pack_larger_than_any_bundle_may_be(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before it is copied; the bound is brought down to a pack's size, not a pack up to the bound."""
    monkeypatch.setattr(packing, "LARGEST", 100)
    assert refused(tmp_path, packed(list(entries(honest)), digest_of_tree(honest))).code == "too_large"


def test_too_many_files(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million empty files fill a file system too."""
    monkeypatch.setattr(packing, "MOST_FILES", 2)
    assert refused(tmp_path, packed(list(entries(honest)), digest_of_tree(honest))).code == "too_many_files"


def test_another_digest(honest: Path, tmp_path: Path) -> None:
    """The files must be those whose digest the pack names."""
    assert refused(tmp_path, packed(list(entries(honest)), "0" * 64)).code == "wrong_digest"


def test_no_digest(honest: Path, tmp_path: Path) -> None:
    """A zip archive that nobody packed as a Bundle."""
    data = packed(list(entries(honest)), digest_of_tree(honest)).replace(b"keepfit-bundle-1", b"keepfit-bundle-2")
    assert refused(tmp_path, data).code == "no_digest"


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"plain text"], ids=["empty", "begun", "text"])
def test_no_archive(tmp_path: Path, data: bytes) -> None:
    """What is no zip archive at all."""
    assert refused(tmp_path, data).code == "not_a_pack"


def test_every_cut_of_a_pack(honest: Path, tmp_path: Path) -> None:
    """A pack that breaks off anywhere is refused, and never half unpacked."""
    data = packed(list(entries(honest)), digest_of_tree(honest))
    for place in range(0, len(data) - 1, max(1, len(data) // 40)):
        (tmp_path / "cut").write_bytes(data[:place])
        with pytest.raises(Refused):
            packing.unpack(tmp_path / "cut", tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_a_flipped_bit_anywhere(honest: Path, tmp_path: Path) -> None:
    """Bytes that rotted on the way are noticed, wherever they lie; only times and rights mean nothing."""
    data = packed(list(entries(honest)), digest_of_tree(honest))
    packing.unpack(_file(tmp_path, data), tmp_path / "good")
    for place in range(0, len(data), max(1, len(data) // 150)):
        altered = bytearray(data)
        altered[place] ^= 0x40
        try:
            packing.unpack(_file(tmp_path, bytes(altered)), tmp_path / "out")
        except KeepfitError:
            assert not (tmp_path / "out").exists()
        else:
            assert digest_of_tree(tmp_path / "out") == digest_of_tree(honest)
            (tmp_path / "out").rename(tmp_path / f"same-{place}")


def _file(folder: Path, data: bytes) -> Path:
    (folder / "pack").write_bytes(data)
    return folder / "pack"
