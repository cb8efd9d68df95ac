"""Where a Bundle is loaded: data here, code in a process of its own, and anything there when it must not disturb."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import models
import toys
from keepfit.core.errors import ModelFault, Refused
from keepfit.core.signature import DType, Field
from keepfit.serve.loading import check_output, load, rehearse
from keepfit.serve.manifest import manifest
from keepfit.serve.remote import Remote


def test_data_is_loaded_here_and_code_elsewhere(tmp_path: Path) -> None:
    """A model of either kind answers alike; the module of one that is code is never imported here."""
    inputs = toys.examples(toys.COLUMNS, 50)
    expected = toys.probability(toys.COLUMNS, inputs, 0.3)
    for runtime in ("onnx", "python"):
        directory = toys.bundle(tmp_path / runtime, bias=0.3, signature=toys.COLUMNS, runtime=runtime)
        bundle, predictor = load(directory)
        try:
            assert predictor.inline == (runtime == "onnx")
            np.testing.assert_allclose(predictor.predict(inputs)["probability"], expected, atol=1e-6)
            assert rehearse(directory, bundle, predictor) < 1e-6
        finally:
            predictor.close()
    assert "toy_estimator" not in sys.modules


@pytest.mark.parametrize("runtime", ["onnx", "python"])
def test_aside_never_takes_the_processor_from_others(tmp_path: Path, runtime: str) -> None:
    """Any model can be loaded that way; what was granted is what the system says of every thread there is."""
    directory = toys.bundle(tmp_path / "b", bias=0.3, signature=toys.COLUMNS, runtime=runtime)
    bundle, predictor = load(directory, aside=True)
    assert isinstance(predictor, Remote)
    try:
        assert not predictor.inline
        assert rehearse(directory, bundle, predictor) < 1e-6
        assert predictor.granted.pace == predictor.granted.loaded == "idle"
        assert _schedulers(predictor.process) == {os.SCHED_IDLE}
    finally:
        predictor.close()


def test_loading_and_rehearsing_give_way_and_answering_does_not(tmp_path: Path) -> None:
    """The thread that loads and is asked first goes behind all others; the one that answers the rest never did."""
    _, predictor = load(models.coded(tmp_path / "b"))
    assert isinstance(predictor, Remote)
    try:
        found = [json.loads(predictor.predict(models.x(1008))["says"][0])["scheduler"] for _ in range(3)]
        assert found == [os.SCHED_IDLE, os.SCHED_OTHER, os.SCHED_OTHER]
        assert predictor.granted is not None
        assert (predictor.granted.loaded, predictor.granted.pace) == ("idle", "normal")
        assert os.sched_getscheduler(predictor.process) == os.SCHED_OTHER
    finally:
        predictor.close()


def _schedulers(process: int) -> set[int]:
    return {os.sched_getscheduler(int(entry.name)) for entry in Path(f"/proc/{process}/task").iterdir()}


LOADS = {
    "raises": ("raise ValueError('no such thing')", "no such thing"),
    "exits": ("raise SystemExit(3)", "SystemExit"),
    "ends": ("import os; os._exit(3)", "ended \\(status 3\\)"),
    "crashes": ("import ctypes; ctypes.string_at(0)", "ended \\(signal SIGSEGV\\)"),
    "takes all memory": ("import numpy; numpy.ones(2**50)", "MemoryError"),
    "hangs": ("while True: pass", "not loaded within 3 s"),
}


@pytest.mark.parametrize("how", LOADS)
def test_code_that_cannot_be_loaded_is_refused(tmp_path: Path, how: str) -> None:
    """Whatever it does when it is imported, the reason says so, and no process is left."""
    source, words = LOADS[how]
    directory = models.coded(tmp_path / "b", source=source)
    children = set(_children())
    remote = Remote(directory, manifest(directory), patience=3.0 if how == "hangs" else 60.0)
    with pytest.raises(Refused, match=words):
        remote.start()
    assert set(_children()) == children
    remote.close()


def _children() -> list[str]:
    return [pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


def test_a_service_file_in_a_folder_is_found(tmp_path: Path) -> None:
    """A pickle knows the classes of a service file by the file's own name, wherever in `code/` it lies."""
    directory = toys.bundle(tmp_path / "b", signature=toys.COLUMNS, runtime="python")
    (directory / "code" / "services" / "late").mkdir(parents=True)
    (directory / "code" / "toy_estimator.py").rename(directory / "code" / "services" / "late" / "toy_estimator.py")
    bundle, predictor = load(directory)
    try:
        assert rehearse(directory, bundle, predictor) < 1e-6
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


def test_free_dimensions_are_allowed() -> None:
    """An output of free size is checked in its other dimensions only."""
    field = Field("y", DType.FP32, (-1, 2))
    check_output(field, np.zeros((3, 7, 2), np.float32), 3)
    with pytest.raises(ModelFault):
        check_output(field, np.zeros((3, 7, 3), np.float32), 3)
