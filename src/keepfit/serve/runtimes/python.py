"""Python: estimators in a pickle and objects of a person's own code, for a process of their own."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Any

from keepfit.core.errors import Refused
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Predictor
from keepfit.serve.runtimes.code import entry_of, put_on_path
from keepfit.serve.runtimes.estimators import answers_of, named_outputs
from keepfit.serve.runtimes.loaded import Loaded


class Python:
    """`entry` in `code/`, an object with `predict(inputs)` or a class of such; or `estimator.pickle`, with a reason.

    An entry's object is given what `Predictor.predict` is given, a dict of arrays, and answers such a dict, or the
    one output there is. Where it has `load(directory)`, that is called once, with the Bundle's directory.
    """

    inline = False

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Load the object; Refused with what it raised, or where nobody has said why a pickle is opened."""
        if bundle.entry:
            return _entry(directory, bundle)
        return Loaded(bundle, answers_of(bundle, _unpickled(directory, bundle)), inline=False)


def _entry(directory: Path, bundle: Bundle) -> Predictor:
    model = entry_of(directory, bundle.entry)
    try:
        if inspect.isclass(model):
            model = model()
        if callable(getattr(model, "load", None)):
            model.load(directory)
    except Exception as error:
        raise Refused(
            f"entry '{bundle.entry}' cannot be loaded: {type(error).__name__}: {error}", code="corrupt"
        ) from error
    if not callable(getattr(model, "predict", None)):
        raise Refused(f"entry '{bundle.entry}' has no method predict(inputs)", code="wrong_entry")
    return Loaded(bundle, lambda inputs: named_outputs(bundle, model.predict(dict(inputs))), inline=False)


def _unpickled(directory: Path, bundle: Bundle) -> Any:
    check_reason(bundle, "estimator.pickle")
    put_on_path(directory)
    try:
        with (directory / "estimator.pickle").open("rb") as file:
            return pickle.load(file)  # noqa: S301  # verified by digest, allowed by a person, in a process of its own
    except FileNotFoundError as error:
        raise Refused("the Bundle has neither an entry nor an estimator.pickle", code="corrupt") from error
    except Exception as error:
        raise Refused(f"estimator.pickle cannot be loaded: {type(error).__name__}: {error}", code="corrupt") from error


def check_reason(bundle: Bundle, what: str) -> None:
    """Refused where the Bundle gives no reason for opening a pickle: what is in one runs when it is opened."""
    if not bundle.pickle.strip():
        raise Refused(
            f"{what} is a pickle, which can run any code when it is opened, and the Bundle gives no reason for that; "
            "onboard it again with one (--allow-pickle REASON), or as ONNX or skops",
            code="pickle",
        )
