"""Small Bundles of models that real frameworks made, with golden answers that the framework itself gave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import toys
from keepfit.core.nouns import OUTPUT_PREFIX, Bundle, Task
from keepfit.core.registry import canonical
from keepfit.core.signature import DType, Field, Signature

ROWS, WIDTH = 300, 5
NAMES = tuple("abcde")
BINARY = (Field("prediction", DType.INT64), Field("probability", DType.FP32))


def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows with missing values, and a class of 0, 1 or 2."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(ROWS, WIDTH))
    return X, (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 0.8)


def write(directory: Path, bundle: Bundle, inputs: dict[str, Any], outputs: dict[str, Any]) -> Path:
    """Write the manifest and the golden examples beside the model."""
    columns = inputs | {f"{OUTPUT_PREFIX}{name}": values for name, values in outputs.items()}
    table = {
        name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
        if getattr(values, "ndim", 1) > 1
        else values
        for name, values in columns.items()
    }
    pq.write_table(pa.table(table), directory / "golden.parquet")
    (directory / "bundle.json").write_bytes(canonical(bundle))
    return directory


def columns(X: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of a matrix by name."""
    return dict(zip(NAMES, X.T.copy(), strict=True))


def plain(runtime: str, **fields: Any) -> Bundle:
    """A binary Bundle of plain columns."""
    inputs = tuple(Field(name, DType.FP64, nullable=True) for name in NAMES)
    usual: dict[str, Any] = {
        "service": "law", "runtime": runtime, "task": Task.BINARY, "classes": (0, 1),
        "signature": Signature(inputs, BINARY), "label": Field("late", DType.INT64),
    }  # fmt: skip
    return Bundle(**{**usual, **fields})


def decided(probability: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of a binary model."""
    return {"prediction": (probability > 0.5).astype(np.int64), "probability": probability.astype(np.float32)}


def estimator(seed: int = 0) -> Any:
    """A fitted pipeline of scikit-learn's."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline

    X, y = data(seed)
    forest = RandomForestClassifier(8, max_depth=4, random_state=seed, n_jobs=1)
    return make_pipeline(SimpleImputer(), forest).fit(X, y > 0)


def sklearn(directory: Path) -> Path:
    """A pipeline in the skops format."""
    from skops.io import dump

    directory.mkdir()
    X, _ = data()
    model = estimator()
    dump(model, directory / "model.skops")
    bundle = plain("sklearn", classes=(False, True))
    bundle = plain("sklearn", classes=(False, True), signature=Signature(bundle.signature.inputs, (
        Field("prediction", DType.BOOL), BINARY[1])))  # fmt: skip
    p = model.predict_proba(X[:20])[:, 1]
    return write(directory, bundle, columns(X[:20]), {"prediction": p > 0.5, "probability": p.astype(np.float32)})


def xgboost_model(path: Path, **params: Any) -> Any:
    """A booster saved to a file."""
    import xgboost

    X, y = data()
    X[::7, 1] = np.nan
    label = y if params.get("num_class") else y > 0
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1, "max_depth": 3, **params},
                            xgboost.DMatrix(X, label), 6)  # fmt: skip
    booster.save_model(path)
    return booster


def xgboost(directory: Path) -> Path:
    """A booster of XGBoost's, missing values among its examples."""
    import xgboost as framework

    directory.mkdir()
    booster = xgboost_model(directory / "model.ubj")
    X, _ = data()
    X[::7, 1] = np.nan
    return write(directory, plain("xgboost"), columns(X[:20]), decided(booster.predict(framework.DMatrix(X[:20]))))


def lightgbm(directory: Path) -> Path:
    """A booster of LightGBM's with three classes, whose names are texts."""
    import lightgbm as framework

    directory.mkdir()
    X, y = data()
    params = {"objective": "multiclass", "num_class": 3, "num_threads": 1, "verbose": -1, "num_leaves": 7}
    booster = framework.train(params, framework.Dataset(X, y), 5)
    booster.save_model(directory / "model.txt")
    classes = ("early", "late", "never")
    outputs = (Field("prediction", DType.BYTES), Field("probabilities", DType.FP64, (3,)))
    bundle = plain("lightgbm", task=Task.MULTICLASS, classes=classes)
    bundle = plain("lightgbm", task=Task.MULTICLASS, classes=classes,
                   signature=Signature(bundle.signature.inputs, outputs))  # fmt: skip
    found = np.asarray(booster.predict(X[:20], num_threads=1))
    chosen = np.array(classes, object)[found.argmax(axis=1)]
    return write(directory, bundle, columns(X[:20]), {"prediction": chosen, "probabilities": found})


def torch(directory: Path) -> Path:
    """An exported program with a dynamic number of records."""
    import torch as framework

    directory.mkdir()
    framework.manual_seed(0)
    nn = framework.nn
    model = nn.Sequential(nn.Linear(WIDTH, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid(), nn.Flatten(0)).eval()
    X = framework.tensor(data()[0][:20], dtype=framework.float32)
    program = framework.export.export(model, (X,), dynamic_shapes=({0: framework.export.Dim("n")},))
    framework.export.save(program, directory / "model.pt2")
    bundle = plain("torch", signature=Signature((Field("x", DType.FP32, (WIDTH,)),), BINARY))
    return write(directory, bundle, {"x": X.numpy()}, decided(model(X).detach().numpy()))


def mlflow(directory: Path) -> Path:
    """A model directory as MLflow writes it for XGBoost."""
    directory.mkdir()
    (directory / "mlflow").mkdir()
    made = xgboost(directory.parent / f"{directory.name}-booster")
    (made / "model.ubj").rename(directory / "mlflow" / "model.ubj")
    (directory / "mlflow" / "MLmodel").write_text(
        "flavors:\n  python_function:\n    data: model.ubj\n    loader_module: mlflow.xgboost\n"
        "  xgboost:\n    data: model.ubj\n    model_class: xgboost.core.Booster\n    model_format: ubj\n"
    )
    (made / "golden.parquet").rename(directory / "golden.parquet")
    (directory / "bundle.json").write_bytes(canonical(plain("mlflow")))
    return directory


MAKERS: dict[str, Callable[[Path], Path]] = {
    "lightgbm": lightgbm,
    "mlflow": mlflow,
    "onnx": lambda directory: toys.bundle(directory, bias=0.3),
    "python": lambda directory: toys.bundle(directory, bias=0.3, signature=toys.COLUMNS, runtime="python"),
    "sklearn": sklearn,
    "torch": torch,
    "xgboost": xgboost,
}
"""What makes a Bundle of each runtime."""
