"""scikit-learn: estimators in the skops format, of the types this server trusts."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.imports import without
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Predictor
from keepfit.serve.runtimes.estimators import answers_of
from keepfit.serve.runtimes.loaded import Loaded

_PACKAGES = {
    "_loss", "calibration", "cluster", "compose", "covariance", "cross_decomposition", "decomposition",
    "discriminant_analysis", "dummy", "ensemble", "feature_extraction", "feature_selection", "gaussian_process",
    "impute", "isotonic", "kernel_approximation", "kernel_ridge", "linear_model", "mixture", "multiclass",
    "multioutput", "naive_bayes", "neighbors", "neural_network", "pipeline", "preprocessing", "random_projection",
    "semi_supervised", "svm", "tree",
}  # fmt: skip
_TYPES = {
    *(f"numpy.{name}" for name in ("ndarray", "dtype", "bool", "bool_", "float16", "float32", "float64", "int8",
      "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "str_", "object_", "ma.MaskedArray")),
    *(f"numpy.random.{name}" for name in ("mtrand.RandomState", "_mt19937.MT19937", "_generator.Generator",
      "_pcg64.PCG64", "_pickle.__randomstate_ctor")),
    *(f"scipy.sparse._{form}.{form}_{kind}" for form in ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
      for kind in ("matrix", "array")),
    "scipy.interpolate._interpolate.interp1d", "scipy.interpolate._bsplines.BSpline",
    "sklearn.utils._bunch.Bunch", "sklearn._loss.link.Interval",
}  # fmt: skip
_BOMB = 2**30
_DENSEST = 200
"""More than a gibibyte that was packed more than 200 times smaller is nobody's model."""


class Sklearn:
    """`model.skops`: no code is run but that of types on keepfit's list."""

    inline = False

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Open the estimator; Refused where it is damaged or holds a type that is not on the list, which is named."""
        return open_skops(directory / "model.skops", bundle)


def trusted(name: str) -> bool:
    """Whether a type may be built: classes of scikit-learn's model packages, and a few of NumPy's and SciPy's.

    Functions are not: `sklearn.datasets` has some that use the network.

    >>> trusted("sklearn.ensemble._gb.GradientBoostingClassifier"), trusted("sklearn.datasets.fetch_openml")
    (True, False)
    """
    package, *rest = name.split(".")
    if package != "sklearn" or len(rest) < 2:
        return name in _TYPES
    return name in _TYPES or (rest[0] in _PACKAGES and rest[-1].lstrip("_")[:1].isupper())


def open_skops(path: Path, bundle: Bundle) -> Predictor:
    """A Predictor of a skops file; see `Sklearn.load`."""
    return Loaded(bundle, answers_of(bundle, _opened(path)), inline=False)


def _opened(path: Path) -> Any:
    try:
        with without("torch"):  # skops walks through all modules of scikit-learn, one of which would import it: seconds
            from skops import io
    except ImportError as error:
        raise MissingExtra("skops", "sklearn") from error
    _check_size(path)
    try:
        foreign = io.get_untrusted_types(file=path)
    except Exception as error:
        raise Refused(f"{path.name} cannot be read: {type(error).__name__}: {error}", code="corrupt") from error
    strange = [name for name in foreign if not trusted(name)]
    if strange:
        raise Refused(
            f"{path.name} holds {', '.join(strange)}, which this server does not build from a file; "
            "take a scikit-learn estimator, or serve it with the runtime 'python'",
            code="untrusted_type",
        )
    try:
        return io.load(path, trusted=foreign)
    except Exception as error:
        raise Refused(f"{path.name} cannot be loaded: {type(error).__name__}: {error}", code="corrupt") from error


def _check_size(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except FileNotFoundError as error:
        raise Refused(f"the Bundle has no {path.name}", code="corrupt") from error
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Refused(f"{path.name} is no skops file, or was cut short: {error}", code="corrupt") from error
    if size > max(_BOMB, _DENSEST * path.stat().st_size):
        raise Refused(f"{path.name} would unpack to {size} bytes: no model is that dense", code="too_large")
