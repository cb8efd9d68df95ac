"""Whether a model may answer on the event loop is measured, by what a call costs and by what a row more does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import toys
from keepfit.serve import routing
from keepfit.serve.loading import golden, load
from keepfit.serve.routing import _quick


class Costly:
    """A Predictor in this process which takes its time for each call, and for each row of it, by a clock of its own."""

    inline = True
    now = 0.0

    def __init__(self, predictor: Any, *, call: float, row: float) -> None:
        self._predictor, self._call, self._row = predictor, call, row

    def predict(self, inputs: Any) -> Any:
        self.now += self._call + self._row * len(next(iter(inputs.values())))
        return self._predictor.predict(inputs)

    def close(self) -> None:
        self._predictor.close()


@pytest.mark.parametrize(
    ("call", "row", "least", "most"),
    [(0.0004, 0.0, 10, 80), (0.0, 0.0004, 1, 5), (0.004, 0.0, 0, 0)],
    ids=["a call costs", "a row costs", "too slow for one"],
)
def test_rows_on_the_event_loop_are_what_its_time_is_enough_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: float, row: float, least: int, most: int
) -> None:
    """What a call costs by itself is not counted for each row; what a row costs is; a slow model gets none."""
    directory = toys.bundle(tmp_path / "toy")
    bundle, predictor = load(directory)
    costly = Costly(predictor, call=call, row=row)
    monkeypatch.setattr(routing, "perf_counter", lambda: costly.now)
    assert least <= _quick(costly, golden(directory, bundle)[0]) <= most
    predictor.close()
