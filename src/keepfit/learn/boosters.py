"""Boosters: xgboost's and lightgbm's models, continued with more trees on new rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from keepfit.core.errors import MissingExtra, Refused


def is_booster(model: Any) -> bool:
    """Whether it is one of xgboost or lightgbm, native or with scikit-learn's interface."""
    return type(model).__module__.partition(".")[0] in ("xgboost", "lightgbm")


def continued(model: Any, X: Any, y: Any, *, trees: int, most: int, seed: int) -> Any:
    """The booster with `trees` more rounds on these rows; the one given may be changed.

    Refused beyond `most` rounds: old trees of a sum cannot be dropped.
    """
    present = _rounds(model)
    if present + trees > most:
        raise Refused(
            f"{type(model).__name__} would have {present + trees} rounds of trees, more than `most`={most}; "
            "use Refit() once",
            code="grown_too_large",
        )
    if hasattr(model, "fit"):
        return _fitted_on(model, X, y, trees=trees, seed=seed + present)
    return _native(model, X, y, trees=trees, present=present)


def _rounds(model: Any) -> int:
    if type(model).__module__.startswith("xgboost"):
        return int((model.get_booster() if hasattr(model, "get_booster") else model).num_boosted_rounds())
    return int((model.booster_ if hasattr(model, "booster_") else model).current_iteration())


def _fitted_on(model: Any, X: Any, y: Any, *, trees: int, seed: int) -> Any:
    """Through scikit-learn's interface, which takes the classes from the rows alone."""
    absent = sorted(set(np.asarray(getattr(model, "classes_", [])).tolist()) - set(np.unique(y).tolist()))
    if absent:
        raise Refused(
            f"the new rows have none of the classes {absent[:5]}, without which {type(model).__name__} cannot grow; "
            "widen the recipe's window or use Refit()"
        )
    before = {name: model.get_params()[name] for name in ("n_estimators", "random_state")}
    state = before["random_state"]
    model.set_params(n_estimators=trees)
    if state is None or isinstance(state, int):
        model.set_params(random_state=(state or 0) + seed)
    if hasattr(model, "get_booster"):
        model.fit(X, y, xgb_model=model.get_booster())
    else:
        model.fit(X, y, init_model=model.booster_)
    return model.set_params(**before)


def _native(model: Any, X: Any, y: Any, *, trees: int, present: int) -> Any:
    if type(model).__module__.startswith("xgboost"):
        try:
            import xgboost
        except ImportError as error:
            raise MissingExtra("xgboost", "xgboost") from error
        rows = xgboost.DMatrix(X, label=y)
        for turn in range(trees):
            model.update(rows, present + turn)
        return model
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtra("lightgbm", "lightgbm") from error
    parameters = {**model.params, "verbosity": -1}
    return lightgbm.train(parameters, lightgbm.Dataset(X, label=y), num_boost_round=trees, init_model=model)
