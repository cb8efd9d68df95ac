"""MLflow: a model directory as MLflow saved it, under `mlflow/` in the Bundle.

`MLmodel` is read here; MLflow itself is needed only for what no Runtime of keepfit opens. It sends nothing: its
telemetry is switched off before it is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.imports import send_nothing
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Predictor
from keepfit.serve.runtimes import lightgbm, onnx, sklearn, xgboost
from keepfit.serve.runtimes.estimators import framed
from keepfit.serve.runtimes.loaded import Arrays, Loaded
from keepfit.serve.runtimes.python import check_reason

_Open = Callable[[Path, Bundle], Predictor]
_NATIVE: tuple[tuple[str, str, _Open], ...] = (
    ("xgboost", "data", xgboost.open_booster),
    ("lightgbm", "data", lightgbm.open_booster),
    ("onnx", "data", onnx.open_graph),
    ("sklearn", "pickled_model", sklearn.open_skops),
)
"""Flavour, the key that names its file, and what opens it."""


class Mlflow:
    """Flavours xgboost, lightgbm, onnx and sklearn (skops) as our own Runtimes do; others by MLflow's pyfunc."""

    inline = False

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Open the model; Refused with the reason where it is damaged, or a pickle that no reason is given for."""
        root = directory / "mlflow"
        flavours = _flavours(root)
        for flavour, key, opened in _NATIVE:
            said = flavours.get(flavour)
            if isinstance(said, dict) and _is_native(flavour, said):
                return opened(_inside(root, str(said.get(key, ""))), bundle)
        if "python_function" not in flavours:
            raise Refused(f"MLmodel has the flavours {sorted(flavours)}, of which none can be served", code="flavour")
        return _pyfunc(root, bundle)


def _is_native(flavour: str, said: dict[str, Any]) -> bool:
    """Whether the file is one that we open: a scikit-learn model only as skops, a booster not in a wrapper's pickle."""
    if flavour == "sklearn":
        return said.get("serialization_format") == "skops"
    return not str(said.get("data", "")).endswith((".pkl", ".pickle"))


def _flavours(root: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtra("yaml", "mlflow") from error
    try:
        said = yaml.safe_load((root / "MLmodel").read_text(encoding="utf-8"))
        flavours = said["flavors"]
    except FileNotFoundError as error:
        raise Refused("the Bundle has no mlflow/MLmodel", code="corrupt") from error
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise Refused(f"mlflow/MLmodel cannot be read: {error}", code="corrupt") from error
    if not isinstance(flavours, dict):
        raise Refused("mlflow/MLmodel lists no flavours", code="corrupt")
    return flavours


def _inside(root: Path, name: str) -> Path:
    place = PurePosixPath(name)
    if (
        not name
        or place.is_absolute()
        or ".." in place.parts
        or not (root / place).resolve().is_relative_to(root.resolve())
    ):
        raise Refused(f"MLmodel names the file {name!r}, which is not in its directory", code="unsafe_path")
    return root / place


def _pyfunc(root: Path, bundle: Bundle) -> Predictor:
    check_reason(bundle, "an MLflow model of this flavour")
    send_nothing()
    try:
        from mlflow import pyfunc
    except ImportError as error:
        raise MissingExtra("mlflow", "mlflow") from error
    try:
        model = pyfunc.load_model(str(root.resolve()))
    except Exception as error:
        raise Refused(f"mlflow/ cannot be loaded: {type(error).__name__}: {error}", code="corrupt") from error
    fields = bundle.signature.inputs
    if len(fields) == 1 and fields[0].shape:
        only = fields[0].name
        return Loaded(bundle, lambda inputs: _outputs(bundle, model.predict(inputs[only])), inline=False)
    given = framed(bundle) if all(not field.shape for field in fields) else dict
    return Loaded(bundle, lambda inputs: _outputs(bundle, model.predict(given(inputs))), inline=False)


def _outputs(bundle: Bundle, found: Any) -> Arrays:
    """Columns of a DataFrame or values of a dict by name; the one output there is, whatever its name."""
    names = [field.name for field in bundle.signature.outputs]
    if isinstance(found, dict) or hasattr(found, "columns"):
        listed = {str(name): np.asarray(found[name]) for name in found}
        return listed if set(names) <= set(listed) or len(names) > 1 else {names[0]: next(iter(listed.values()))}
    values = np.asarray(found)
    shape = bundle.signature.outputs[0].shape
    return {names[0]: values.reshape(-1) if not shape and values.ndim == 2 else values}
