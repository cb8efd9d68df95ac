"""Archives: which kind of model a zip file holds, told from the names in it."""

from __future__ import annotations

import zipfile
from pathlib import Path

from keepfit.core.errors import Refused


def kind(path: Path) -> str:
    """The value of `Kind` of a zipped model; Refused says what else it is, or that it breaks off."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Refused(
            f"{path}: begins as a zip archive and is broken ({error}); copy the file again", code="truncated"
        ) from error
    inner = {name.partition("/")[2] for name in names}
    if "schema.json" in names:
        return "skops"
    if {"archive_format", "archive_version"} & inner and any(name.startswith("models/") for name in inner):
        return "torch exported program"
    if any(name.startswith("code/__torch__") for name in inner):
        raise _refused(path, "is TorchScript, which torch itself has given up; export it with torch.export.save")
    if "data.pkl" in inner:
        return "torch state dict"
    raise _refused(path, _other(set(names), inner))


def _refused(path: Path, reason: str) -> Refused:
    return Refused(f"{path}: {reason}", code="not_a_model")


def _other(names: set[str], inner: set[str]) -> str:
    if "model.ini" in names:
        return (
            "is an H2O MOJO, which needs H2O's Java runtime (JVM), and keepfit has none; "
            "export the model to ONNX, or serve it with H2O and send keepfit its records"
        )
    if {"config.json", "model.weights.h5"} <= names:
        return "is a Keras model, and keepfit has no TensorFlow; export it with model.export(…, format='onnx')"
    if any(name.endswith("saved_model.pb") for name in names):
        return "is a zipped TensorFlow SavedModel, and keepfit has no TensorFlow; convert it with tf2onnx"
    if "serialized_exported_program.json" in inner | names:
        return "is a torch exported program of before torch 2.8; save it again with torch.export.save"
    if "bundle.json" in names:
        return "is a packed Bundle already; unpack it with `keepfit bundle unpack`"
    if any(name.endswith(".npy") for name in names):
        return "is a numpy archive: arrays, and no model"
    if "META-INF/MANIFEST.MF" in names:
        return "is a Java archive, which needs a JVM, and keepfit has none; export the model to ONNX"
    if "Manifest.json" in inner | names:
        return "is a CoreML package, which runs on Apple's systems only; export the model to ONNX"
    if any(name.endswith("MLmodel") for name in names):
        return "is a zipped MLflow model; unzip it and name the folder"
    return f"is a zip archive of {len(names)} files that hold no model keepfit knows"
