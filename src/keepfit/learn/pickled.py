"""Pickled: fitted estimators as arrays of bytes, which a Memory can carry. Only workers open them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keepfit.core.errors import Refused


def pickled(model: Any) -> bytes:
    """The bytes of a fitted estimator; Refused where it has none."""
    try:
        return pickle.dumps(model, protocol=5)
    except Exception as error:
        raise Refused(
            f"the fitted estimator cannot be pickled: {error}; use functions of a module, no lambdas"
        ) from error


def packed(model: Any) -> NDArray[np.uint8]:
    """The bytes of a fitted estimator as an array."""
    return np.frombuffer(pickled(model), dtype=np.uint8)


def unpacked(array: NDArray[np.uint8]) -> Any:
    """The estimator of an array that `packed` made; it runs the user's code, so only workers may call this."""
    try:
        return pickle.loads(array.tobytes())  # noqa: S301  # the user's own, from a verified memory, inside a worker
    except Exception as error:
        raise Refused(
            f"a remembered model cannot be opened ({type(error).__name__}: {error}); where its code or a library has "
            "changed, begin again without memory (one update by Refit() forgets it)",
            code="memory_does_not_fit",
        ) from error
