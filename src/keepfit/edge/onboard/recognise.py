"""Recognise: what a model file or folder is, told from its content; and why it cannot be served where it cannot.

Nothing of the model is run or unpickled here: only bytes are looked at.
"""

from __future__ import annotations

import ast
import zlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from keepfit.core.errors import NotFound, Refused
from keepfit.edge.onboard import archives, foreign, messages, texts

HEAD = 4096
"""Bytes that are looked at before the whole of a file is."""

_PICKLES = frozenset({".pickle", ".pkl", ".joblib", ".cloudpickle", ".dill"})


class Kind(StrEnum):
    """The forms of a model that can be onboarded."""

    ONNX = "onnx"
    SKOPS = "skops"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    EXPORTED = "torch exported program"
    STATE = "torch state dict"
    PYTHON = "python"
    MLFLOW = "mlflow"
    PICKLE = "pickle"
    TRITON = "triton"
    MLSERVER = "mlserver"


@dataclass(frozen=True)
class Recognised:
    """A model's form, the file (or folder) that is the model, and the folder that was pointed at around it."""

    kind: Kind
    path: Path
    around: Path | None = None


def recognise(path: Path) -> Recognised:
    """The form of a model file or folder; Refused says what it is instead, or how it is broken."""
    if not path.exists():
        raise NotFound(f"{path}: no such file or folder (looked from {Path.cwd()})")
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise Refused(f"{path}: is neither a file nor a folder; expected a model", code="not_a_model")
    return _file(path)


def _file(path: Path) -> Recognised:
    size = path.stat().st_size
    if not size:
        raise Refused(f"{path}: the file is empty; expected a model", code="truncated")
    with path.open("rb") as file:
        head = file.read(HEAD)
    foreign.refuse(path, head)
    if head[:4] == b"PK\x03\x04":
        return Recognised(Kind(archives.kind(path)), path)
    if _is_pickle(path, head):
        return Recognised(Kind.PICKLE, path)
    if _is_booster(path, head):
        return Recognised(Kind.XGBOOST, path)
    if head.startswith((b"tree\nversion=", b"tree\r\nversion=")):
        texts.require_whole_lightgbm(path)
        return Recognised(Kind.LIGHTGBM, path)
    if texts.is_json(head):
        texts.refuse_json(path)
    if _is_source(path, size):
        return Recognised(Kind.PYTHON, path)
    messages.require_onnx(path)
    return Recognised(Kind.ONNX, path)


def is_pickle(path: Path) -> bool:
    """Whether a file is a pickle, by its content or by its name; also one that is compressed or broken."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    try:
        return path.suffix in _PICKLES or _is_pickle(path, head)
    except Refused:
        return True


def _is_pickle(path: Path, head: bytes) -> bool:
    """A pickle of protocol 2 or later, whole, also one that joblib compressed."""
    if head[:1] == b"\x78" or head[:2] == b"\x1f\x8b":
        try:
            opened = zlib.decompressobj(wbits=47).decompress(head, 64)
        except zlib.error:
            return False
        return _begins_as_pickle(opened)
    if not _begins_as_pickle(head):
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        if file.read(1) != b".":
            raise Refused(f"{path}: is a pickle that breaks off before its end; copy the file again", code="truncated")
    return True


def _begins_as_pickle(head: bytes) -> bool:
    return len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5


def _is_booster(path: Path, head: bytes) -> bool:
    """XGBoost's JSON or UBJSON, whole."""
    if head[:2] == b"{L" and b"learner" in head:
        texts.require_whole_ubjson(path)
        return True
    return texts.is_json(head) and texts.is_xgboost(path)


def _is_source(path: Path, size: int) -> bool:
    """Whether a file is Python source that defines something."""
    if size > 10 * 2**20:
        return False
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, UnicodeDecodeError) as error:
        if path.suffix == ".py":
            raise Refused(f"{path}: is no Python that can be read: {error}", code="not_a_model") from error
        return False
    made = (ast.ClassDef, ast.FunctionDef, ast.Assign, ast.AnnAssign, ast.Import, ast.ImportFrom)
    return any(isinstance(node, made) for node in tree.body)


def _folder(path: Path) -> Recognised:
    foreign.refuse_folder(path)
    if (path / "MLmodel").is_file():
        return Recognised(Kind.MLFLOW, path)
    if (path / "config.pbtxt").is_file():
        return Recognised(Kind.TRITON, path)
    if (path / "model-settings.json").is_file():
        return Recognised(Kind.MLSERVER, path)
    files = [file for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")]
    if any(file.suffix == ".py" for file in files):
        return Recognised(Kind.PYTHON, path)
    found, reasons = [], []
    for file in files:
        try:
            found.append(_file(file))
        except Refused as error:
            reasons.append(str(error))
    if len(found) == 1:
        return Recognised(found[0].kind, found[0].path, path)
    if found:
        names = ", ".join(one.path.name for one in found)
        raise Refused(f"{path}: holds {len(found)} models ({names}); name one of them", code="not_a_model")
    told = "; ".join(reasons) or "it holds no file"
    raise Refused(f"{path}: holds no model: {told}", code="not_a_model")
