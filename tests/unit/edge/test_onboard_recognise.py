"""What a model file is, told from its bytes; and by what name everything else is refused."""

from __future__ import annotations

import io
import json
import pickle
import random
import zipfile
from pathlib import Path

import pytest

import toys
from keepfit.core.errors import KeepfitError, NotFound, Refused
from keepfit.edge.onboard.recognise import Kind, is_pickle, recognise


def archive(*names: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        for name in names:
            made.writestr(name, b"{}")
    return sink.getvalue()


def ubjson(end: bytes = b"}") -> bytes:
    return b"{L\0\0\0\0\0\0\0\x07learner{}L\0\0\0\0\0\0\0\x07version[]" + end


def lightgbm(sizes: str = "7") -> bytes:
    return f"tree\nversion=v4\ntree_sizes={sizes}\n\nTree=0\n\nend of trees\n".encode()


XGBOOST = {"learner": {"gradient_booster": 1, "learner_model_param": 1, "objective": 1}, "version": [3, 0, 0]}

KNOWN = {
    "skops": (archive("schema.json", "1.npy"), Kind.SKOPS),
    "exported": (archive("m/archive_format", "m/models/model.json"), Kind.EXPORTED),
    "state": (archive("m/data.pkl", "m/version"), Kind.STATE),
    "json booster": (json.dumps(XGBOOST).encode(), Kind.XGBOOST),
    "ubj booster": (ubjson(), Kind.XGBOOST),
    "lightgbm": (lightgbm(), Kind.LIGHTGBM),
    "pickle": (pickle.dumps([1]), Kind.PICKLE),
    "python": (b"class Model:\n    def predict(self, x): ...\n", Kind.PYTHON),
}


@pytest.mark.parametrize(("data", "kind"), KNOWN.values(), ids=KNOWN)
@pytest.mark.parametrize("name", ["model", "model.onnx", "model.bin"])
def test_known(tmp_path: Path, data: bytes, kind: Kind, name: str) -> None:
    """The content decides, whatever the file is called."""
    (tmp_path / name).write_bytes(data)
    assert recognise(tmp_path / name).kind is kind


def test_a_graph(tmp_path: Path) -> None:
    """An ONNX graph, also under another name and alone in a folder."""
    toys.bundle(tmp_path / "b")
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "weird.bin").write_bytes((tmp_path / "b" / "model.onnx").read_bytes())
    assert recognise(tmp_path / "only" / "weird.bin").kind is Kind.ONNX
    found = recognise(tmp_path / "only")
    assert (found.kind, found.path.name, found.around) == (Kind.ONNX, "weird.bin", tmp_path / "only")


OBJECTIVE = b"\x0f\0\0\0\0\0\0\0binary:logistic\x06\0\0\0\0\0\0\0gbtree"

OTHERS = {
    "empty": (b"", "truncated", "empty"),
    "text": (b"uiopc\n", "not_a_model", "no model"),
    "mojo": (archive("model.ini", "trees/t00.bin"), "not_a_model", "JVM"),
    "torchscript": (archive("m/code/__torch__/x.py", "m/data.pkl"), "not_a_model", "TorchScript"),
    "keras": (archive("config.json", "model.weights.h5"), "not_a_model", "Keras"),
    "keras of old": (b"\x89HDF\r\n\x1a\n" + bytes(20), "unservable", "Keras"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(20), "unservable", "TensorFlow Lite"),
    "saved model": (b"\x08\x01\x12\x09" + b"\x0a\x07\x22\x05serve", "not_a_model", "TensorFlow SavedModel"),
    "coreml": (b"\x08\x04\x12\x02\x0a\x00\xa2\x1f\x00", "not_a_model", "CoreML"),
    "pmml": (b"<?xml version='1.0'?>\n<PMML version='4.4'/>", "unservable", "PMML"),
    "catboost": (b"CBM1" + bytes(20), "unservable", "CatBoost"),
    "binary booster": (b"binf" + bytes(60), "unservable", "old binary format"),
    "older booster": (b"\0\0\0\x3f\x04\0\0\0" + bytes(100) + OBJECTIVE, "unservable", "old"),
    "booster dump": (b"booster[0]:\n0:[f0<1] gbtree", "unservable", "dump"),
    "booster dump in json": (b'[{"nodeid": 0, "leaf": 1}]', "not_a_model", "dump"),
    "lightgbm dump": (b'{"name": "tree", "tree_info": []}', "not_a_model", "dump"),
    "other json": (b'{"a": 1}', "not_a_model", "JSON"),
    "safetensors": ((60).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[1]}}', "unservable", "safetensors"),
    "gguf": (b"GGUF" + bytes(9), "unservable", "language model"),
    "tensorrt": (b"ftrt" + bytes(9), "unservable", "TensorRT"),
    "parquet": (b"PAR1" + bytes(9), "unservable", "Parquet"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "unservable", "git lfs pull"),
    "half an archive": (archive("schema.json")[:40], "truncated", "broken"),
    "half a pickle": (pickle.dumps(list(range(99)))[:50], "truncated", "breaks off"),
    "half a json booster": (json.dumps(XGBOOST).encode()[:60], "truncated", "broken"),
    "half a ubj booster": (ubjson(b""), "truncated", "breaks off"),
    "half a lightgbm": (lightgbm("700"), "truncated", "breaks off"),
    "half a graph": (b"\x08\x08\x3a\xff\x7f" + bytes(90), "truncated", "broken"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code", "said"), OTHERS.values(), ids=OTHERS)
def test_others(tmp_path: Path, data: bytes, code: str, said: str) -> None:
    """What cannot be served is called by its name, with what to do."""
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(Refused) as caught:
        recognise(tmp_path / "model")
    assert caught.value.code == code
    assert said in str(caught.value)
    assert str(tmp_path / "model") in str(caught.value)


FOLDERS = {
    "saved model": ("saved_model.pb", "TensorFlow SavedModel"),
    "spark": ("stages", "Spark"),
    "unzipped mojo": ("model.ini", "JVM"),
    "hugging face": ("model.safetensors", "Hugging Face"),
    "bundle": ("bundle.json", "Bundle already"),
    "nothing": (".hidden", "no model"),
}


@pytest.mark.parametrize(("name", "said"), FOLDERS.values(), ids=FOLDERS)
def test_folders(tmp_path: Path, name: str, said: str) -> None:
    """Folders are known by what lies in them."""
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(Refused, match=said):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind"), [("MLmodel", Kind.MLFLOW), ("config.pbtxt", Kind.TRITON), ("model-settings.json", Kind.MLSERVER)]
)
def test_folders_of_other_servers(tmp_path: Path, name: str, kind: Kind) -> None:
    """A settings file says what the folder is."""
    (tmp_path / name).write_text("x")
    assert recognise(tmp_path).kind is kind


def test_nothing_there(tmp_path: Path) -> None:
    """A path that leads nowhere is told with the folder it was looked for in."""
    with pytest.raises(NotFound, match="no such file"):
        recognise(tmp_path / "absent")


def test_pickles_by_any_name(tmp_path: Path) -> None:
    """Content or name is enough to take a file for a pickle."""
    for name, data in {"a": pickle.dumps(1), "b.pkl": b"x", "c": pickle.dumps([1])[:-1]}.items():
        (tmp_path / name).write_bytes(data)
        assert is_pickle(tmp_path / name), name
    (tmp_path / "d").write_bytes(b"PAR1")
    assert not is_pickle(tmp_path / "d")


def test_any_bytes(tmp_path: Path) -> None:
    """No bytes make recognition raise anything but a keepfit error."""
    rng = random.Random(7)
    heads = [data[:20] for data, *_ in (*KNOWN.values(), *OTHERS.values())]
    refused = 0
    for _ in range(2000):
        (tmp_path / "m").write_bytes(rng.choice(heads) + rng.randbytes(rng.randrange(200)))
        try:
            recognise(tmp_path / "m")
        except KeepfitError:
            refused += 1
    assert refused > 1000
