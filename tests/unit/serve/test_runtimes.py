"""Runtimes load what a Bundle says, answer what it answers, and refuse what must not be used."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

import toys
from keepfit.core.errors import ModelFault, Refused
from keepfit.core.signature import DType, Field, Signature
from keepfit.serve.loading import check_output, load, rehearse


@pytest.mark.parametrize("signature", [toys.TENSOR, toys.COLUMNS], ids=["tensor", "columns"])
def test_onnx_answers_what_the_graph_says(tmp_path: Path, signature: Signature) -> None:
    """Inputs of mixed types, missing values included, reach the graph in the right places."""
    bundle, predictor = load(toys.bundle(tmp_path / "b", bias=0.3, signature=signature))
    inputs = toys.examples(signature, 50)
    answers = predictor.predict(inputs)
    expected = toys.probability(signature, inputs, 0.3)
    np.testing.assert_allclose(answers["probability"], expected, atol=1e-6)
    assert answers["probability"].dtype == np.float32
    np.testing.assert_array_equal(answers["prediction"], expected > 0.5)
    assert rehearse(tmp_path / "b", bundle, predictor) < 1e-6
    predictor.close()


def test_python_answers_from_a_process_of_its_own(tmp_path: Path) -> None:
    """A pickled estimator answers as itself, and its module is never imported here."""
    bundle, predictor = load(toys.bundle(tmp_path / "b", bias=0.3, signature=toys.COLUMNS, runtime="python"))
    try:
        inputs = toys.examples(toys.COLUMNS, 50)
        answers = predictor.predict(inputs)
        np.testing.assert_allclose(answers["probability"], toys.probability(toys.COLUMNS, inputs, 0.3), atol=1e-6)
        assert rehearse(tmp_path / "b", bundle, predictor) < 1e-6
        assert predictor.process != os.getpid()  # type: ignore[attr-defined]
    finally:
        predictor.close()


def test_golden_examples_show_how_far_answers_are_off(tmp_path: Path) -> None:
    """The largest error is returned, so that a caller can hold it against the tolerance."""
    bundle, predictor = load(toys.bundle(tmp_path / "b", golden=0.5))
    assert rehearse(tmp_path / "b", bundle, predictor) > 0.01


def test_golden_examples_must_be_there(tmp_path: Path) -> None:
    """Absent evidence refuses."""
    directory = toys.bundle(tmp_path / "b")
    bundle, predictor = load(directory)
    (directory / "golden.parquet").unlink()
    with pytest.raises(Refused, match="golden"):
        rehearse(directory, bundle, predictor)


@pytest.mark.parametrize("damage", ["truncated", "noise", "absent manifest", "broken manifest"])
def test_damaged_bundles_are_refused(tmp_path: Path, damage: str) -> None:
    """Whatever is wrong with the bytes ends in Refused with a code, never in another error."""
    directory = toys.bundle(tmp_path / "b")
    match damage:
        case "truncated":
            (directory / "model.onnx").write_bytes((directory / "model.onnx").read_bytes()[:50])
        case "noise":
            (directory / "model.onnx").write_bytes(b"\x00\xff" * 200)
        case "absent manifest":
            (directory / "bundle.json").unlink()
        case _:
            (directory / "bundle.json").write_text('{"service": 3}')
    with pytest.raises(Refused) as caught:
        load(directory)
    assert caught.value.code == "corrupt"


def test_a_graph_that_is_not_what_the_bundle_says_is_refused(tmp_path: Path) -> None:
    """The Signature is checked against the graph's own inputs and outputs."""
    directory = toys.bundle(tmp_path / "b", signature=toys.COLUMNS)
    manifest = (directory / "bundle.json").read_text()
    (directory / "bundle.json").write_text(manifest.replace('"FP64"', '"FP32"'))
    with pytest.raises(Refused) as caught:
        load(directory)
    assert caught.value.code == "wrong_signature"


@pytest.mark.parametrize(
    ("fault", "words"), [("raise", "on purpose"), ("nan", "NaN"), ("short-on-666", "expected shape"), ("die", "died")]
)
def test_faults_of_a_model_are_model_faults(tmp_path: Path, fault: str, words: str) -> None:
    """A model which raises, answers NaN or the wrong number of rows, or dies, raises ModelFault saying which."""
    _, predictor = load(toys.bundle(tmp_path / "b", signature=toys.COLUMNS, runtime="python", fault=fault))
    try:
        with pytest.raises(ModelFault, match=words):
            predictor.predict(toys.examples(toys.COLUMNS) | {"count": np.full(8, 666)})
    finally:
        predictor.close()


def test_onnx_that_answers_nan_is_a_model_fault(tmp_path: Path) -> None:
    """NaN in an output that may not be missing is never handed on."""
    _, predictor = load(toys.bundle(tmp_path / "b", fault="nan"))
    with pytest.raises(ModelFault, match="NaN"):
        predictor.predict(toys.examples(toys.TENSOR))


def test_an_estimator_that_cannot_be_unpickled_is_refused(tmp_path: Path) -> None:
    """What went wrong in the model's process is in the reason."""
    directory = toys.bundle(tmp_path / "b", signature=toys.COLUMNS, runtime="python")
    (directory / "code" / "toy_estimator.py").unlink()
    with pytest.raises(Refused, match="toy_estimator"):
        load(directory)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["KEEPFIT_BOMB"],)


def test_no_pickle_is_opened_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle that acts when opened acts in the child, and never when the Bundle is ONNX."""
    monkeypatch.setenv("KEEPFIT_BOMB", str(tmp_path / "boom"))
    directory = toys.bundle(tmp_path / "b")
    (directory / "estimator.pickle").write_bytes(pickle.dumps(_Bomb()))
    bundle, predictor = load(directory)
    rehearse(directory, bundle, predictor)
    assert not (tmp_path / "boom").exists()


def test_free_dimensions_are_allowed(tmp_path: Path) -> None:
    """An output of free size is checked in its other dimensions only."""
    field = Field("y", DType.FP32, (-1, 2))
    check_output(field, np.zeros((3, 7, 2), np.float32), 3)
    with pytest.raises(ModelFault):
        check_output(field, np.zeros((3, 7, 3), np.float32), 3)
