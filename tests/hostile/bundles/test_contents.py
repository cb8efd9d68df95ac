"""Hostile contents: a Bundle whose digest is right and whose files are not what its manifest says."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper

import toys
from keepfit.core.errors import Refused
from keepfit.edge import packing, soundness
from keepfit.store.blobs import digest_of_tree

Spoil = Callable[[Path], None]


def manifest(**changes: Any) -> Spoil:
    def spoil(directory: Path) -> None:
        path = directory / "bundle.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return spoil


def file(name: str, data: bytes) -> Spoil:
    def spoil(directory: Path) -> None:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)

    return spoil


def without(name: str) -> Spoil:
    return lambda directory: (directory / name).unlink()


def weights(location: str) -> Spoil:
    """Make the graph read its weights from elsewhere."""

    def spoil(directory: Path) -> None:
        model = onnx.load(directory / "model.onnx")
        tensor = TensorProto(name="far", data_type=TensorProto.FLOAT, dims=[1], raw_data=bytes(4))
        external_data_helper.set_external_data(tensor, location)
        tensor.ClearField("raw_data")
        model.graph.initializer.append(tensor)
        model.graph.node.append(helper.make_node("Identity", ["far"], ["near"]))
        (directory / "model.onnx").write_bytes(model.SerializeToString())

    return spoil


HIDDEN = pickle.dumps({"a": 1})

HOSTILE: dict[str, tuple[Spoil, str]] = {
    "a pickle beside a graph": (file("estimator.pickle", HIDDEN), "hidden_pickle"),
    "a pickle under another name": (file("card.md", HIDDEN), "hidden_pickle"),
    "an old pickle under its name": (file("code/x.pkl", b"cos\nsystem\n(S'true'\ntR."), "foreign_file"),
    "weights above": (weights("../../etc/passwd"), "unsafe_path"),
    "weights elsewhere": (weights("/etc/passwd"), "unsafe_path"),
    "weights that are missing": (weights("model.onnx.data"), "corrupt"),
    "no model": (without("model.onnx"), "missing_model"),
    "no golden examples": (without("golden.parquet"), "no_golden"),
    "no manifest": (without("bundle.json"), "corrupt"),
    "a manifest that is no JSON": (file("bundle.json", b"{"), "corrupt"),
    "a manifest that is no text": (file("bundle.json", b'{"\xff\xfe": 1}'), "corrupt"),
    "a manifest that is deep": (file("bundle.json", b"[" * 100_000), "corrupt"),
    "a manifest of ten megabytes": (file("bundle.json", b" " * 10_000_000), "corrupt"),
    "a runtime nobody has": (manifest(runtime="haskell"), "unknown_runtime"),
    "another runtime than its model's": (manifest(runtime="xgboost"), "missing_model"),
    "a file that is no part": (file("notes.txt", b"hi"), "foreign_file"),
    "code that nothing enters": (file("code/evil.py", b"import os"), "foreign_file"),
}


@pytest.mark.parametrize(("spoil", "code"), HOSTILE.values(), ids=HOSTILE)
def test_contents(tmp_path: Path, spoil: Spoil, code: str) -> None:
    """Each lie is refused by a code of its own, in a folder and in a pack alike, and the folder is not made."""
    directory = tmp_path / "bundle"
    toys.bundle(directory)
    soundness.require_sound(directory)
    spoil(directory)
    with pytest.raises(Refused) as caught:
        soundness.require_sound(directory)
    assert caught.value.code == code, str(caught.value)
    with pytest.raises(Refused) as caught:
        packing.unpack(forged(directory, tmp_path), tmp_path / "out")
    assert caught.value.code == code, str(caught.value)
    assert not (tmp_path / "out").exists()


def forged(directory: Path, folder: Path) -> Path:
    """A pack of whatever lies in a directory, with its true digest."""
    import zipfile

    with zipfile.ZipFile(folder / "forged", "w", zipfile.ZIP_STORED) as archive:
        archive.comment = f"keepfit-bundle-1 {digest_of_tree(directory)}".encode()
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                archive.writestr(zipfile.ZipInfo(path.relative_to(directory).as_posix()), path.read_bytes())
    return folder / "forged"


def test_a_link_in_a_folder(tmp_path: Path) -> None:
    """A link leads to bytes that the digest does not cover."""
    directory = tmp_path / "bundle"
    toys.bundle(directory)
    shutil.move(directory / "golden.parquet", tmp_path / "elsewhere")
    (directory / "golden.parquet").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused) as caught:
        soundness.require_sound(directory)
    assert caught.value.code == "symlink"


def test_a_pickle_with_a_reason_may_stay(tmp_path: Path) -> None:
    """A person may let a pickle in, for a reason."""
    directory = tmp_path / "bundle"
    toys.bundle(directory)
    (directory / "estimator.pickle").write_bytes(HIDDEN)
    packing.unpack(forged(directory, tmp_path), tmp_path / "out", pickle="it is our own")
    assert digest_of_tree(tmp_path / "out") == digest_of_tree(directory)


@pytest.mark.parametrize(
    "claim", [{"recipe": "{}"}, {"pickle": "trust me"}, {"runtime": "python", "pickle": "trust me"}]
)
def test_a_sender_cannot_vouch_for_his_own_pickle(tmp_path: Path, claim: dict[str, str]) -> None:
    """Whatever a pack's manifest says of it, a pickle is let in only for the reason of who unpacks it."""
    directory = tmp_path / "bundle"
    toys.bundle(directory)
    (directory / "estimator.pickle").write_bytes(HIDDEN)
    if claim.get("runtime") == "python":
        (directory / "model.onnx").unlink()
    manifest(**claim)(directory)
    with pytest.raises(Refused) as caught:
        packing.unpack(forged(directory, tmp_path), tmp_path / "out")
    assert caught.value.code in ("hidden_pickle", "unexplained_pickle")
    assert not (tmp_path / "out").exists()
    packing.unpack(forged(directory, tmp_path), tmp_path / "out", pickle="I made it")
