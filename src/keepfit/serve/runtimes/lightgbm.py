"""LightGBM: native text models, in this process, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keepfit.core.errors import MissingExtra, Refused
from keepfit.core.nouns import Bundle
from keepfit.core.protocols import Predictor
from keepfit.core.signature import DType, Field
from keepfit.serve.runtimes.features import Words, in_order, matrix
from keepfit.serve.runtimes.lightgbm_file import Forest, read
from keepfit.serve.runtimes.loaded import Arrays, Loaded
from keepfit.serve.runtimes.memory import large_blocks_are_given_back
from keepfit.serve.runtimes.scores import named
from keepfit.serve.runtimes.trees import Damaged

_PROBABLE = ("binary", "multiclass", "multiclassova")


class Lightgbm:
    """`model.txt`; missing values are NaN, categories their codes, or the words pandas knew them by."""

    inline = True

    def load(self, directory: Path, bundle: Bundle) -> Predictor:
        """Open the booster; Refused where it is damaged, or its features and outputs are not what the Bundle says."""
        return open_booster(directory / "model.txt", bundle)


def open_booster(path: Path, bundle: Bundle) -> Predictor:
    """A Predictor of a booster file; see `Lightgbm.load`."""
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtra("lightgbm", "lightgbm") from error
    try:
        text = path.read_text(encoding="utf-8")
        said = read(text)
    except FileNotFoundError as error:
        raise Refused(f"the Bundle has no {path.name}", code="corrupt") from error
    except (Damaged, UnicodeDecodeError) as error:
        raise Refused(f"{path.name} cannot be loaded: {error}", code="corrupt") from error
    large_blocks_are_given_back()
    try:
        booster = lightgbm.Booster(model_str=said.text)
    except Exception as error:
        raise Refused(f"{path.name} cannot be loaded: {error}", code="corrupt") from error
    fields = in_order(bundle, said.features)
    gather = matrix(fields, len(said.features), np.dtype(np.float64), _words(said, fields))
    name = named(bundle, probable=said.objective in _PROBABLE, width=said.outputs, objective=said.objective)
    predict = booster.predict

    def answer(inputs: Arrays) -> Arrays:
        return name(np.asarray(predict(gather(inputs), num_threads=1)))

    return Loaded(bundle, answer, inline=True)


def _words(said: Forest, fields: Sequence[Field]) -> Words:
    """The codes of text inputs: LightGBM keeps a list of words for each categorical column, in their order."""
    texts = [field for field in fields if field.dtype is DType.BYTES]
    if not texts:
        return {}
    if len(texts) != len(said.words) or any(field.shape for field in texts):
        raise Refused(
            f"the Signature has {len(texts)} text inputs, the model words for {len(said.words)} categorical columns",
            code="wrong_signature",
        )
    return {
        field.name: {word: code for code, word in enumerate(words)}
        for field, words in zip(texts, said.words, strict=True)
    }
