"""The law suite of Runtimes, over real Bundles and through the door that serving uses."""

# ruff: noqa: S101 - these are assertions about somebody else's code, for use in tests

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keepfit.core.nouns import Bundle
    from keepfit.core.protocols import Predictor

    Arrays = dict[str, NDArray[Any]]

MANY = 257
ROUNDS = 20
LEAK = 12 * 2**20
"""Bytes that a process may have grown by after ROUNDS of loading and closing a small model."""
_OURS = ("bundle.json", "golden.parquet", "reference.parquet", "environment.lock", "card.md")


def check_runtime(name: str, directory: Path) -> None:
    """A runtime answers its golden examples, however they are asked, refuses damage, and gives back what it took.

    `directory` is a Bundle of that runtime with golden examples; it stays unchanged. What is tried with altered copies
    is tried with copies.
    """
    from keepfit.serve.loading import golden, rehearse

    with _loaded(directory) as (bundle, predictor):
        assert bundle.runtime == name, f"the Bundle names the runtime {bundle.runtime!r}, not {name!r}"
        error = rehearse(directory, bundle, predictor)
        assert error <= bundle.tolerance, f"{name} misses its golden examples by {error:.3g}"
        inputs, _ = golden(directory, bundle)
        _check_answers(name, bundle, predictor, inputs)
    _check_threshold(name, directory)
    _check_promise(name, directory)
    _check_damage(name, directory)
    _check_returned(name, directory)


@contextmanager
def _loaded(directory: Path) -> Iterator[tuple[Bundle, Predictor]]:
    from keepfit.serve.loading import load

    bundle, predictor = load(directory)
    try:
        yield bundle, predictor
    finally:
        predictor.close()


def _check_answers(name: str, bundle: Bundle, predictor: Predictor, inputs: Arrays) -> None:
    """One row, many rows, no rows, several threads: the same answers, and inputs that stay as they were."""
    rows = len(next(iter(inputs.values())))
    many = {key: np.resize(values, (MANY, *values.shape[1:])) for key, values in inputs.items()}
    before = {key: values.copy() for key, values in many.items()}
    together = predictor.predict(many)
    for key, values in before.items():
        assert np.array_equal(many[key], values, equal_nan=values.dtype.kind == "f"), f"{name} changes input '{key}'"
    for row in range(min(rows, 16)):
        alone = predictor.predict({key: values[row : row + 1] for key, values in many.items()})
        first = {key: values[row : row + 1] for key, values in together.items()}
        _check_same(alone, first, f"{name} answers row {row} alone", bundle.tolerance)
    _check_same(predictor.predict(many), together, f"{name} answers the second time", 0.0)
    for field in bundle.signature.outputs:
        assert len(predictor.predict({k: v[:0] for k, v in many.items()})[field.name]) == 0, f"{name} answers no rows"
    frozen = {key: values.copy() for key, values in many.items()}
    for values in frozen.values():
        values.flags.writeable = False
    with ThreadPoolExecutor(4) as threads:
        for answer in threads.map(predictor.predict, [frozen] * 12):
            _check_same(answer, together, f"{name} answers several threads", 0.0)


def _check_same(answer: Arrays, expected: Arrays, what: str, tolerance: float) -> None:
    assert answer.keys() == expected.keys(), f"{what} with {sorted(answer)}, expected {sorted(expected)}"
    for key, values in expected.items():
        found = answer[key]
        assert (found.shape, found.dtype) == (values.shape, values.dtype), (
            f"{what}: '{key}' is {found.dtype}{found.shape}"
        )
        if values.dtype.kind == "f":
            assert np.allclose(found, values, rtol=tolerance, atol=tolerance, equal_nan=True), f"{what} differently"
        else:
            assert np.array_equal(found, values), f"{what} differently"


@contextmanager
def _altered(directory: Path, **fields: Any) -> Iterator[Path]:
    """A copy whose manifest says something else."""
    with tempfile.TemporaryDirectory(prefix="keepfit-law-") as place:
        copy = Path(place) / "bundle"
        shutil.copytree(directory, copy)
        said = json.loads((copy / "bundle.json").read_bytes())
        (copy / "bundle.json").write_text(json.dumps(said | fields))
        yield copy


def _check_threshold(name: str, directory: Path) -> None:
    """A binary model predicts its last class from the Bundle's threshold on, whatever its own is."""
    from keepfit.core.nouns import Task
    from keepfit.serve.loading import golden
    from keepfit.serve.manifest import manifest

    bundle = manifest(directory)
    names = {field.name for field in bundle.signature.outputs}
    if bundle.task is not Task.BINARY or not {"prediction", "probability"} <= names:
        return
    inputs, expected = golden(directory, bundle)
    scores = expected["probability"]
    # The one that tells most rows otherwise than a rule of its own, at a half, would.
    threshold = float(max(scores, key=lambda one: np.sum((scores >= one) != (scores >= 0.5))))
    with _altered(directory, threshold=threshold) as copy, _loaded(copy) as (_, predictor):
        answer = predictor.predict(inputs)
    wanted = [bundle.classes[-1] if p >= threshold else bundle.classes[0] for p in answer["probability"]]
    assert answer["prediction"].tolist() == wanted, f"{name} does not decide at the Bundle's threshold {threshold}"


def _check_promise(name: str, directory: Path) -> None:
    """A Bundle that promises another shape than its model answers is refused, or its answers are model faults."""
    from keepfit.core.errors import ModelFault, Refused
    from keepfit.serve.loading import golden
    from keepfit.serve.manifest import manifest

    inputs, _ = golden(directory, manifest(directory))
    signature = json.loads((directory / "bundle.json").read_bytes())["signature"]
    for output in signature["outputs"]:
        output["shape"] = [*output["shape"], 7]
    with _altered(directory, signature=signature) as copy:
        try:
            with _loaded(copy) as (_, predictor):
                predictor.predict(inputs)
        except (Refused, ModelFault):
            return
    raise AssertionError(f"{name} answers another shape than its Signature says")


def _check_damage(name: str, directory: Path) -> None:
    """A model file that was cut short, or is noise, or is gone, is refused with a reason; this process lives on."""
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and path.name not in _OURS]
    assert files, f"{name}: the Bundle has no model file"
    for path in files:
        whole = path.read_bytes()
        for what, data in (("cut short", whole[: len(whole) // 2]), ("noise", b"\x80\x00\xff" * 300), ("gone", None)):
            with _altered(directory) as copy:
                place = copy / path.relative_to(directory)
                place.write_bytes(data) if data is not None else place.unlink()
                reason = _refusal(copy)
            assert reason != "", f"{name} refuses {path.name}, which is {what}, and does not say why"
            assert reason is not None, f"{name} loads though {path.name} is {what}"


def _refusal(directory: Path) -> str | None:
    """Why a Bundle is refused; None where it is not."""
    from keepfit.core.errors import Refused

    try:
        with _loaded(directory):
            return None
    except Refused as error:
        return str(error)


def _check_returned(name: str, directory: Path) -> None:
    """Loading and closing leaves no process, no thread and no memory behind."""
    import psutil

    from keepfit.core import registry
    from keepfit.core.errors import KeepfitError
    from keepfit.serve.loading import golden

    inline = getattr(registry.load("keepfit.runtimes", name), "inline", False)
    us = psutil.Process()
    children = {child.pid for child in us.children()}
    threads = grown = 0
    settled, rounds = (3, ROUNDS) if inline else (0, 1)  # what a library sets up once is not what a model holds
    for turn in range(settled + rounds):
        if turn == settled:
            threads, grown = us.num_threads(), us.memory_info().rss
        with _loaded(directory) as (bundle, predictor):
            inputs, _ = golden(directory, bundle)
            predictor.predict(inputs)
    assert us.num_threads() <= threads, f"{name} leaves {us.num_threads() - threads} threads behind"
    leaked = us.memory_info().rss - grown
    assert leaked <= LEAK, f"{name} grew by {leaked} bytes in {ROUNDS} rounds of loading and closing"
    left = {child.pid for child in us.children() if child.status() != psutil.STATUS_ZOMBIE} - children
    assert not left, f"{name} leaves the processes {sorted(left)} behind"
    try:
        predictor.predict(inputs)
    except KeepfitError:
        return
    raise AssertionError(f"{name} answers after it was closed")
