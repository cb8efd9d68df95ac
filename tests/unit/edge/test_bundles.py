"""Bundles shown, compared, verified and packed."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import toys
from keepfit.core.errors import Conflict, KeepfitError, NotFound, Refused
from keepfit.core.facts import VersionRegistered
from keepfit.core.places import Places
from keepfit.core.signature import Compatibility
from keepfit.edge.bundles import diff, opened, show, verify
from keepfit.edge.packing import pack, unpack
from keepfit.store.blobs import Trees, digest_of_tree
from keepfit.store.ledger import Ledger


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "store")


def test_show(tmp_path: Path) -> None:
    """Everything that can be known without loading the model."""
    toys.bundle(tmp_path / "b")
    (tmp_path / "b" / "card.md").write_text("# toy\n")
    found = show(tmp_path / "b")
    assert found.digest == digest_of_tree(tmp_path / "b")
    assert (found.card, found.bundle.runtime) == ("# toy\n", "onnx")
    assert dict(found.files)["model.onnx"] == (tmp_path / "b" / "model.onnx").stat().st_size
    assert found.memory > 2 * dict(found.files)["model.onnx"]


def test_every_way_to_name_a_bundle(tmp_path: Path, places: Places) -> None:
    """A folder, a packed file, a digest, its beginning, and a version of a service are one Bundle."""
    toys.bundle(tmp_path / "b")
    digest = Trees(places.trees).put(tmp_path / "b")
    pack(tmp_path / "b", tmp_path / "b.keepfit")
    with closing(Ledger(places.ledger)) as ledger:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        ledger.append(VersionRegistered(service="toy", time=now, number=3, digest=digest, parent=0, update="u"))
    for name in (str(tmp_path / "b"), str(tmp_path / "b.keepfit"), digest, digest[:8], "toy@3", "toy@v3"):
        with opened(name, places) as directory:
            assert digest_of_tree(directory) == digest, name


@pytest.mark.parametrize("name", ["nowhere", "abcdef01", "toy@3", "toy@"])
def test_what_is_not_there(places: Places, name: str) -> None:
    """A name that leads to nothing is told."""
    with pytest.raises(NotFound), opened(name, places):
        pass


def test_verify(tmp_path: Path) -> None:
    """A sound Bundle reproduces its examples; another digest, or altered examples, do not pass."""
    toys.bundle(tmp_path / "b")
    assert verify(tmp_path / "b", digest=digest_of_tree(tmp_path / "b")) < 1e-4
    with pytest.raises(Refused, match="expected 00000000") as caught:
        verify(tmp_path / "b", digest="00000000")
    assert caught.value.code == "wrong_digest"
    toys.bundle(tmp_path / "c", bias=5.0)
    (tmp_path / "b" / "model.onnx").write_bytes((tmp_path / "c" / "model.onnx").read_bytes())
    with pytest.raises(Refused, match="come out otherwise") as caught:
        verify(tmp_path / "b")
    assert caught.value.code == "golden_differs"


def test_diff(tmp_path: Path) -> None:
    """Contract, settings, files, and how each answers the other's examples."""
    toys.bundle(tmp_path / "a")
    toys.bundle(tmp_path / "b", bias=5.0)
    path = tmp_path / "b" / "bundle.json"
    said = json.loads(path.read_text()) | {"licence": "MIT"}
    said["signature"]["inputs"][0]["nullable"] = True
    path.write_text(json.dumps(said))
    (tmp_path / "b" / "card.md").write_text("x")
    found = diff(tmp_path / "a", tmp_path / "b")
    assert found.contract.kind is Compatibility.WIDENING
    assert "licence: was nothing, is MIT" in found.settings
    assert {line.split()[0] for line in found.files} == {"bundle.json", "card.md", "golden.parquet", "model.onnx"}
    assert any("'probability' differs by at most" in line for line in found.answers)
    assert len([line for line in found.answers if line.startswith("the first")]) == 2
    same = diff(tmp_path / "a", tmp_path / "a")
    assert (same.contract.kind, same.settings, same.files) == (Compatibility.IDENTICAL, (), ())
    assert all("at most 0 in" in line or "differs in 0 of" in line for line in same.answers)


def test_a_pack_is_the_same_bytes(tmp_path: Path) -> None:
    """Ten packs of one Bundle, and the pack of its unpacking, are equal."""
    toys.bundle(tmp_path / "b")
    digest = digest_of_tree(tmp_path / "b")
    made = set()
    for number in range(10):
        assert pack(tmp_path / "b", tmp_path / f"{number}") == digest
        made.add((tmp_path / f"{number}").read_bytes())
    assert unpack(tmp_path / "0", tmp_path / "out" / "deep") == digest
    pack(tmp_path / "out" / "deep", tmp_path / "again")
    assert made == {(tmp_path / "again").read_bytes()}


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """An existing folder is a conflict, and stays as it is."""
    toys.bundle(tmp_path / "b")
    pack(tmp_path / "b", tmp_path / "p")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(Conflict):
        unpack(tmp_path / "p", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_what_is_no_bundle_is_not_packed(tmp_path: Path) -> None:
    """Packing checks what it packs, and leaves no half file."""
    toys.bundle(tmp_path / "b")
    (tmp_path / "b" / "secret.txt").write_text("x")
    with pytest.raises(KeepfitError):
        pack(tmp_path / "b", tmp_path / "p")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
