"""What is done to any estimator with scikit-learn's parameters: copy it, seed it, hold it to threads."""

from __future__ import annotations

import inspect
from typing import Any

from keepfit.core.errors import MissingExtra, Refused


def cloned(estimator: Any) -> Any:
    """An unfitted copy; objects that are no scikit-learn estimators are copied as they are."""
    try:
        from sklearn.base import clone
    except ImportError as error:
        raise MissingExtra("sklearn", "sklearn") from error
    return clone(estimator, safe=False)


def seeded(estimator: Any, seed: int) -> Any:
    """Set every `random_state` that is None, however deep; the estimator itself is changed and returned."""
    return _set_where(estimator, "random_state", seed, unset=True)


def threaded(estimator: Any, threads: int) -> Any:
    """Make every `n_jobs` the user set, however deep, `threads`; the estimator itself is changed and returned."""
    return _set_where(estimator, "n_jobs", threads, unset=False)


def weighed_by(estimator: Any) -> str:
    """The argument of `fit` that brings rows' weights to the last step, however deep; Refused where it takes none."""
    path, last = [], estimator
    while hasattr(last, "steps"):
        name, last = last.steps[-1]
        path.append(name)
    fit = getattr(last, "fit", None)
    if fit is None or "sample_weight" not in inspect.signature(fit).parameters:
        raise Refused(
            f"{type(last).__name__}.fit takes no sample_weight, so older rows cannot weigh less; give the Recipe a "
            "window, or take an estimator that weighs rows"
        )
    return "__".join([*path, "sample_weight"])


def _set_where(estimator: Any, parameter: str, value: int, *, unset: bool) -> Any:
    if not hasattr(estimator, "get_params"):
        return estimator
    found = estimator.get_params(deep=True)
    named = {key: current for key, current in found.items() if key.split("__")[-1] == parameter}
    chosen = {key: value for key, current in named.items() if (current is None) is unset}
    return estimator.set_params(**chosen) if chosen else estimator
