"""Neighbours: model folders of other servers (Triton, MLServer, MLflow), whose settings say what lies in them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.signature import DType, Field
from keepfit.edge.onboard.drafts import Draft, Wishes
from keepfit.edge.onboard.questions import Missing, require
from keepfit.edge.onboard.recognise import Kind, Recognised, recognise

Form = Callable[[Recognised, Wishes, Path], Draft]

_TRITON = {
    "TYPE_BOOL": DType.BOOL, "TYPE_STRING": DType.BYTES, "TYPE_FP16": DType.FP16, "TYPE_FP32": DType.FP32,
    "TYPE_FP64": DType.FP64,
    **{f"TYPE_{sign}INT{size}": DType(f"{sign}INT{size}") for size in (8, 16, 32, 64) for sign in ("", "U")},
}  # fmt: skip
_SIDES = re.compile(r"\b(input|output)\s*\[(.*?)\n\s*\](?=\s*(?:\w|$))", re.DOTALL)
_BLOCK = re.compile(r'name\s*:\s*"([^"]+)".*?data_type\s*:\s*(\w+)', re.DOTALL)

_MLFLOW = {
    "boolean": DType.BOOL, "integer": DType.INT32, "long": DType.INT64, "float": DType.FP32, "double": DType.FP64,
    "string": DType.BYTES, "float32": DType.FP32, "float64": DType.FP64, "int32": DType.INT32, "int64": DType.INT64,
    "bool": DType.BOOL, "object": DType.BYTES, "str": DType.BYTES, "float16": DType.FP16, "int8": DType.INT8,
    "uint8": DType.UINT8, "int16": DType.INT16,
}  # fmt: skip
_NATIVE = (("xgboost", "data"), ("lightgbm", "data"), ("onnx", "data"), ("sklearn", "pickled_model"))


def triton(found: Recognised, wishes: Wishes, scratch: Path, forms: dict[Kind, Form]) -> Draft:
    """Triton's newest numbered version, held against the names and types that config.pbtxt gives."""
    text = re.sub(r"#[^\n]*", "", (found.path / "config.pbtxt").read_text(encoding="utf-8"))
    if re.search(r"\bensemble_scheduling\b", text):
        raise Refused("is a Triton ensemble, which is no model; onboard its models one by one")
    versions = sorted((p for p in found.path.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name))
    if not versions:
        raise Refused("is a Triton model without a numbered version folder, so there is no model in it")
    inner = recognise(versions[-1])
    draft = forms[inner.kind](inner, wishes, scratch)
    for side, fields in (("input", draft.inputs), ("output", draft.outputs)):
        said = {
            name: kind for which, body in _SIDES.findall(text) if which == side for name, kind in _BLOCK.findall(body)
        }
        has = {field.name: field.dtype for field in fields}
        wrong = sorted(name for name, kind in said.items() if fields and has.get(name) is not _TRITON.get(kind))
        if wrong:
            raise Refused(f"config.pbtxt says {side}s that the model has not, or of other types: {wrong}; it has {has}")
    return replace(draft, notes=(*draft.notes, f"version {versions[-1].name} of a Triton model folder"))


def mlserver(found: Recognised, wishes: Wishes, scratch: Path, forms: dict[Kind, Form]) -> Draft:
    """The model that MLServer's model-settings.json points to."""
    path = found.path / "model-settings.json"
    try:
        said = msgspec.json.decode(path.read_bytes())
        uri = str((said.get("parameters") or {}).get("uri") or "")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError) as error:
        raise Refused(f"model-settings.json cannot be read: {error}") from error
    inner = recognise(_inside(found.path, uri)) if uri not in ("", ".", "./") else _beside(found.path, path.name)
    return _called(forms[inner.kind](inner, wishes, scratch), said.get("inputs"))


def _called(draft: Draft, inputs: Any) -> Draft:
    """With one matrix called as the settings' `inputs` call it: MLServer takes it under any name, we under one."""
    if draft.runtime == "onnx" or draft.columns or len(draft.inputs) != 1 or not isinstance(inputs, list):
        return draft
    names = [one.get("name") for one in inputs if isinstance(one, dict)]
    if len(names) != 1 or not isinstance(names[0], str):
        return draft
    return replace(draft, inputs=(replace(draft.inputs[0], name=names[0]),))


def _beside(folder: Path, settings: str) -> Recognised:
    """The one model among the files beside the settings."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.name != settings and not path.name.startswith("."):
            try:
                found.append(recognise(path))
            except Refused:
                continue
    if len(found) != 1:
        raise Refused(f"model-settings.json names no uri, and {len(found)} models lie beside it")
    return found[0]


def mlflow(found: Recognised, wishes: Wishes, scratch: Path, forms: dict[Kind, Form]) -> Draft:
    """An MLflow model: by its native flavour where keepfit has a Runtime for it, else by MLflow's pyfunc."""
    said = _mlmodel(found.path)
    flavours = said.get("flavors") or {}
    inputs, outputs = _sides(said.get("signature") or {})
    for flavour, key in _NATIVE:
        file = str((flavours.get(flavour) or {}).get(key) or "")
        if file:
            inner = recognise(_inside(found.path, file))
            draft = forms[inner.kind](inner, wishes, scratch)
            known = draft.inputs if draft.inputs and not draft.features else inputs or draft.inputs
            return replace(draft, inputs=known, notes=(*draft.notes, f"MLflow flavour {flavour}"))
    if "python_function" not in flavours:
        raise Refused(f"is an MLflow model of the flavours {sorted(flavours)}, of which keepfit serves none")
    if not wishes.pickle.strip():
        require((Missing("--allow-pickle", "the reason why this model's pickled Python may be opened"),))
    return Draft(
        runtime="mlflow",
        files=(("mlflow", found.path),),
        framework=f"MLflow {said.get('mlflow_version', '')}".strip(),
        inputs=inputs,
        outputs=() if wishes.task else outputs,
        task=wishes.task,
        pickled=True,
        trial=True,
    )


def _mlmodel(folder: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("yaml", "mlflow") from error
    try:
        said = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"MLmodel cannot be read: {error}", code="truncated") from error
    if not isinstance(said, dict):
        raise Refused("MLmodel is no list of settings", code="truncated")
    return said


def _sides(signature: dict[str, Any]) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """Inputs and outputs of MLflow's own signature; empty where it gives none."""
    sides = []
    for side in ("inputs", "outputs"):
        columns = json.loads(signature.get(side) or "[]")
        sides.append(tuple(_column(column, place, side) for place, column in enumerate(columns)))
    return sides[0], sides[1]


def _column(column: dict[str, Any], place: int, side: str) -> Field:
    name = column.get("name") or (("prediction" if not place else f"output_{place}") if side == "outputs" else "input")
    kind, shape = str(column.get("type")), ()
    if kind == "tensor":
        tensor = column.get("tensor-spec") or {}
        kind, shape = str(tensor.get("dtype")), tuple(tensor.get("shape") or ())[1:]
    if kind not in _MLFLOW:
        raise Refused(
            f"MLmodel's signature has '{name}' of the type {kind}, which no request carries; give --signature"
        )
    dtype = _MLFLOW[kind]
    floats = dtype in (DType.FP32, DType.FP64)
    return Field(name, dtype, shape, nullable=side == "inputs" and not column.get("required", True) and floats)


def _inside(folder: Path, name: str) -> Path:
    place = (folder / name).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise Refused(f"its settings name {name!r}, which lies outside the folder", code="escape")
    return place
