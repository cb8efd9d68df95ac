"""Foreign: model formats that keepfit cannot serve, each by the name its owner knows it under."""

from __future__ import annotations

import re
from pathlib import Path

from keepfit.core.errors import Refused

_MARKS: tuple[tuple[int, bytes, str], ...] = (
    (4, b"TFL3", "is a TensorFlow Lite model, and keepfit has no TensorFlow; convert the original with tf2onnx"),
    (0, b"\x89HDF\r\n", "is an HDF5 file (Keras), and keepfit has no TensorFlow; export it with format='onnx'"),
    (0, b"CBM1", "is a CatBoost model; save it with save_model(…, format='onnx')"),
    (0, b"GGUF", "is a GGUF language model; keepfit serves no language models"),
    (0, b"ftrt", "is a TensorRT engine, which needs the GPU it was built for; onboard the ONNX file it came from"),
    (0, b"ptrt", "is a TensorRT engine, which needs the GPU it was built for; onboard the ONNX file it came from"),
    (4, b"ORTM", "is one of onnxruntime's own .ort files, for one build of it; onboard the ONNX file it came from"),
    (0, b"version https://git-lfs", "is a Git LFS pointer, and the model itself was not fetched; run: git lfs pull"),
    (0, b"PAR1", "is a Parquet table: data, and no model"),
    (0, b"\x93NUMPY", "is a numpy array: data, and no model"),
    (0, b"\x7fELF", "is a compiled library; keepfit runs no machine code it is given"),
    (0, b"binf", "is XGBoost's old binary format, which current XGBoost cannot read; save it with "
     "save_model('model.ubj') from the XGBoost that made it"),
    (0, b"bs64", "is XGBoost's old binary format, which current XGBoost cannot read; save it with "
     "save_model('model.ubj') from the XGBoost that made it"),
)  # fmt: skip

_OBJECTIVE = re.compile(rb"(reg|binary|multi|rank|count|survival):[a-z]")

_FOLDERS: tuple[tuple[str, str], ...] = (
    ("saved_model.pb", "is a TensorFlow SavedModel, and keepfit has no TensorFlow; convert it with: "
     "python -m tf2onnx.convert --saved-model"),
    ("saved_model.pbtxt", "is a TensorFlow SavedModel, and keepfit has no TensorFlow; convert it with: "
     "python -m tf2onnx.convert --saved-model"),
    ("Data/com.apple.CoreML", "is a CoreML package, which runs on Apple's systems only; export the model to ONNX"),
    ("model.ini", "is an unzipped H2O MOJO, which needs H2O's Java runtime (JVM), and keepfit has none"),
    ("stages", "is a Spark ML pipeline, which needs a JVM, and keepfit has none; export it to ONNX with onnxmltools"),
    ("bundle.json", "is a Bundle already; serve it as it is, and look at it with `keepfit bundle show`"),
    ("model.safetensors", "is a Hugging Face folder; export the model with: optimum-cli export onnx"),
    ("pytorch_model.bin", "is a Hugging Face folder; export the model with: optimum-cli export onnx"),
)  # fmt: skip


def refuse(path: Path, head: bytes) -> None:
    """Refused where a file begins as one of the formats that cannot be served."""
    for place, mark, reason in _MARKS:
        if head[place : place + len(mark)] == mark:
            raise Refused(f"{path}: {reason}", code="unservable")
    if reason := _told_otherwise(head):
        raise Refused(f"{path}: {reason}", code="unservable")


def _told_otherwise(head: bytes) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:400]
    if start[:1] == b"<" and b"<PMML" in head:
        return "is PMML, and keepfit has no PMML evaluator (they need a JVM); export the model to ONNX"
    if len(head) > 8 and head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 2**32 and b'"dtype"' in head:
        return "is a safetensors file: weights without code; save a state dict, and name the code with --entry"
    if head[:1] == b"\x80" and b"\x8a\x0a\x6c\xfc\x9c\x46\xf9" in head[:32]:
        return "is in torch's format of before 1.6; load it there and save it again with torch.save"
    if head[:1] not in b"{[\x80" and any(name in head for name in (b"gbtree", b"gblinear", b"dart")):
        if b"\x00" in head[:64] and _OBJECTIVE.search(head):
            return (
                "is XGBoost's old binary format, which current XGBoost cannot read; save it with "
                "save_model('model.ubj') from the XGBoost that made it"
            )
        if head.startswith(b"booster["):
            return "is a text dump of an XGBoost model, from which none can be made again; save it with save_model"
    if head.startswith(b"booster["):
        return "is a text dump of an XGBoost model, from which none can be made again; save it with save_model"
    return ""


def refuse_folder(path: Path) -> None:
    """Refused where a folder is one of the formats that cannot be served."""
    for name, reason in _FOLDERS:
        if (path / name).exists() and not (path / "MLmodel").exists():
            raise Refused(f"{path}: {reason}", code="unservable")
