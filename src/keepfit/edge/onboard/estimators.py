"""Estimators: scikit-learn objects in skops files and in pickles, looked at in a process of their own."""

from __future__ import annotations

import pickle
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.nouns import Task
from keepfit.core.signature import DType, Field
from keepfit.edge.declare.columns import estimator_kind
from keepfit.edge.onboard.apart import apart, main
from keepfit.edge.onboard.drafts import Draft, Wishes
from keepfit.edge.onboard.questions import Missing, require
from keepfit.edge.onboard.recognise import Recognised
from keepfit.edge.onboard.settle import class_type

_TEXTUAL = ("ColumnTransformer", "Encoder", "Vectorizer", "FunctionTransformer", "FeatureHasher", "MultiLabelBinarizer")
_PACKAGES = {"sklearn": "scikit-learn"}


def skops(found: Recognised, wishes: Wishes, scratch: Path) -> Draft:
    """A skops file, of which only types on the server's list are built."""
    told = apart("keepfit.edge.onboard.estimators", "skops", found.path, scratch)
    return _draft(told, wishes, runtime="sklearn", files=(("model.skops", found.path),))


def pickled(found: Recognised, wishes: Wishes, scratch: Path) -> Draft:
    """A pickle (also joblib's and cloudpickle's), which a person has to allow with a reason."""
    if not wishes.pickle.strip():
        require(
            (Missing("--allow-pickle", "the reason why this pickle may be opened: what is in one runs as it opens"),)
        )
    told = apart("keepfit.edge.onboard.estimators", "pickle", found.path, scratch)
    files = (("estimator.pickle", scratch / "estimator.pickle"), *_code(told["modules"], found.path.parent))
    return _draft(told, wishes, runtime="python", files=files, is_pickled=True)


def _code(modules: list[str], folder: Path) -> tuple[tuple[str, Path], ...]:
    """The files beside the pickle that its classes come from."""
    return tuple((f"code/{name}", folder / name) for name in modules)


def _draft(
    told: dict[str, Any], wishes: Wishes, *, runtime: str, files: tuple[tuple[str, Path], ...], is_pickled: bool = False
) -> Draft:
    classes = tuple(told["classes"])
    outputs: tuple[Field, ...] = ()
    task = Task(told["task"]) if told["task"] else None
    if told["kind"] == "classifier" and task is None:
        outputs = (Field("prediction", class_type(classes)),)
    elif told["answers"] > 1:
        outputs = (Field("prediction", DType.FP64, (told["answers"],)),)
    names, width = tuple(told["names"]), told["width"]
    inputs: tuple[Field, ...] = ()
    if told["numeric"] and width and wishes.sample is None:
        inputs = (
            tuple(Field(name, DType.FP64, nullable=told["missing"]) for name in names)
            if names
            else (Field("input", DType.FP64, (width,), nullable=told["missing"]),)
        )
    return Draft(
        runtime=runtime,
        files=files,
        framework=told["framework"],
        inputs=inputs,
        outputs=outputs,
        features=names,
        width=width,
        task=task,
        classes=classes,
        estimator=True,
        pickled=is_pickled,
        notes=tuple(told["notes"]),
    )


def look(kind: str, model: str, scratch: str) -> dict[str, Any]:
    """What an estimator says of itself: features, classes, task, and whether it takes numbers only."""
    path = Path(model)
    estimator = _skops(path) if kind == "skops" else _unpickled(path, Path(scratch))
    if not callable(getattr(estimator, "predict", None)):
        raise Refused(f"holds a {type(estimator).__name__}, which has no method predict", code="not_a_model")
    says = estimator_kind(estimator)
    classes = [v.item() if isinstance(v, np.generic) else v for v in np.ravel(getattr(estimator, "classes_", []))]
    task, notes = _task(estimator, says, classes)
    width = int(getattr(estimator, "n_features_in_", 0) or 0)
    names = [str(name) for name in getattr(estimator, "feature_names_in_", [])]
    answers, numeric, missing = _tried(estimator, names, width)
    return {
        "kind": says,
        "task": "" if answers > 1 else task,
        "classes": classes,
        "width": width,
        "names": names,
        "numeric": numeric,
        "missing": missing,
        "answers": answers,
        "framework": _framework(estimator),
        "modules": _beside(path.parent),
        "notes": notes,
    }


def _skops(path: Path) -> Any:
    from keepfit.serve.runtimes import sklearn

    return sklearn._opened(path)


def _unpickled(path: Path, scratch: Path) -> Any:
    """The object, which is written again as a plain pickle beside."""
    sys.path.insert(0, str(path.parent))
    try:
        import joblib  # type: ignore[import-untyped]  # it has no types
    except ImportError as error:
        raise MissingExtra("joblib", "sklearn") from error
    try:
        estimator = joblib.load(path)
    except Exception as error:
        raise Refused(f"the pickle cannot be opened: {type(error).__name__}: {error}", code="truncated") from error
    (scratch / "estimator.pickle").write_bytes(pickle.dumps(estimator, protocol=5))
    return estimator


def _beside(folder: Path) -> list[str]:
    """Modules that were imported from the folder of the pickle."""
    found = []
    for module in list(sys.modules.values()):
        source = getattr(module, "__file__", None)
        if source and Path(source).suffix == ".py" and Path(source).resolve().is_relative_to(folder.resolve()):
            found.append(Path(source).resolve().relative_to(folder.resolve()).as_posix())
    return sorted(name for name in found if not name.startswith("."))


def _task(estimator: Any, says: str, classes: list[Any]) -> tuple[str, list[str]]:
    if says == "regressor":
        return Task.REGRESSION, []
    if says != "classifier":
        return "", []
    if not callable(getattr(estimator, "predict_proba", None)):
        return "", [f"{type(estimator).__name__} gives no probabilities, so only its label is answered"]
    return (Task.BINARY if len(classes) == 2 else Task.MULTICLASS), []


def _tried(estimator: Any, names: list[str], width: int) -> tuple[int, bool, bool]:
    """How many numbers a record's answer has, whether numbers are all it takes, and whether they may be missing."""
    if not width or any(mark in name for name in _parts(estimator) for mark in _TEXTUAL):
        return 1, False, False
    try:
        found = np.asarray(estimator.predict(_frame(np.zeros((2, width)), names)))
    except Exception:  # noqa: BLE001  # it takes something else than numbers, which a sample then shows
        return 1, False, False
    try:
        estimator.predict(_frame(np.full((2, width), np.nan), names))
        missing = True
    except Exception:  # noqa: BLE001  # most estimators refuse what is missing
        missing = False
    return (found.shape[1] if found.ndim == 2 else 1), True, missing


def _parts(estimator: Any) -> list[str]:
    """The class names of an estimator and everything in it that is one."""
    params = estimator.get_params(deep=True) if hasattr(estimator, "get_params") else {}
    return [type(part).__name__ for part in (estimator, *params.values())]


def _frame(matrix: Any, names: list[str]) -> Any:
    if not names:
        return matrix
    import pandas as pd

    return pd.DataFrame(matrix, columns=names)


def _framework(estimator: Any) -> str:
    package = type(estimator).__module__.partition(".")[0]
    name = _PACKAGES.get(package, package)
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


if __name__ == "__main__":
    sys.exit(main(look, sys.argv[1:]))
