"""XGBoost: native booster files, in this process, on one thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Predictor
from keepfit.serve.runtimes.features import in_order, matrix
from keepfit.serve.runtimes.loaded import Loaded
from keepfit.serve.runtimes.memory import large_blocks_are_given_back
from keepfit.serve.runtimes.scores import named, sigmoid, softmax
from keepfit.serve.runtimes.trees import Damaged
from keepfit.serve.runtimes.xgboost_file import Boosted, read

_NAMES = ("model.ubj", "model.json")
_REMOVED = ("model.bin", "model.model", "model.deprecated")


class Xgboost:
    """`model.json` or `model.ubj`; missing values are NaN, categories their codes."""

    inline = True

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Open the booster; Refused where it is damaged, or its features and outputs are not what the Bundle says."""
        return open_booster(_found(directory), bundle)


def open_booster(path: Path, bundle: Bundle) -> Predictor:
    """A Predictor of a booster file; see `Xgboost.load`."""
    try:
        import xgboost
    except ImportError as error:
        raise MissingExtra("xgboost", "xgboost") from error
    data = path.read_bytes()
    try:
        said = read(data)
    except Damaged as error:
        code = "removed_format" if data[:4] in (b"binf", b"bs64") else "corrupt"
        raise Refused(f"{path.name} cannot be loaded: {error}", code=code) from error
    large_blocks_are_given_back()
    try:
        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(data))
        booster.set_param({"nthread": 1})  # what the file says of threads was said of the machine that trained
    except Exception as error:
        raise Refused(f"{path.name} cannot be loaded: {str(error)[:200]}", code="corrupt") from error
    gather = matrix(in_order(bundle, said.names), said.features, np.dtype(np.float32))
    asked, turn, probable = _asked(said)
    width = max(1, said.classes) * said.targets
    name = named(bundle, probable=probable, width=width, objective=said.objective)
    ask = _ask(booster, asked, (0, said.best + 1) if said.best is not None else (0, 0))
    return Loaded(bundle, lambda inputs: name(turn(ask(gather(inputs)))), inline=True)


def _found(directory: Path) -> Path:
    for name in _NAMES:
        if (directory / name).is_file():
            return directory / name
    if any((directory / name).is_file() for name in _REMOVED):
        raise Refused(
            "the booster is in the binary format that XGBoost 3.1 removed; load it with XGBoost 2 or 3.0 and save it "
            "as model.ubj",
            code="removed_format",
        )
    raise Refused(f"the Bundle has neither {' nor '.join(_NAMES)}", code="corrupt")


def _asked(said: Boosted) -> tuple[str, Callable[[NDArray[Any]], NDArray[Any]], bool]:
    """What to ask the booster for, how to make probabilities of it, and whether that is what it gives."""
    match said.objective:
        case "binary:logistic" | "multi:softprob" | "reg:logistic":
            return "value", np.asarray, said.objective != "reg:logistic"
        case "binary:logitraw":
            return "margin", sigmoid, True
        case "multi:softmax":
            return "margin", softmax, True
    return "value", np.asarray, False


def _ask(booster: Any, asked: str, rounds: tuple[int, int]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Ask a booster; one thread at a time until it has answered once, since its first answer prepares it."""
    first = threading.Lock()
    ready = False

    def ask(rows: NDArray[Any]) -> NDArray[Any]:
        nonlocal ready
        if ready:
            return np.asarray(
                booster.inplace_predict(rows, iteration_range=rounds, predict_type=asked, validate_features=False)
            )
        with first:
            found = booster.inplace_predict(rows, iteration_range=rounds, predict_type=asked, validate_features=False)
            ready = True
            return np.asarray(found)

    return ask
