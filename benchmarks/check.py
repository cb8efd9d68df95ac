"""How long does it take to check a single request against a schema: microseconds per feature, 20 features, in process?

Ours is what a front worker does with decoded inputs (`Screen`), and what `keepfit.data.check.checker` does with a plain
row. The peers check the same row for the same things: bounds of ten fractions and five whole numbers, five texts of
twenty words each. pandera checks a data frame of one row.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.harness import Line, Sample, either, interleave, peer
from keepfit.core.signature import DType, Field, Signature
from keepfit.data.check import checker, requirements
from keepfit.data.profile import Kind
from keepfit.data.schema import Expectation, Schema
from keepfit.serve.screen import Screen

FLOATS, WHOLE, TEXTS = 10, 5, 5
FEATURES = FLOATS + WHOLE + TEXTS
ROUNDS, TIMES, FEW = either(5, 1), either(20_000, 100), either(200, 5)
WORDS = [f"word-{place}" for place in range(20)]
ROW = {
    **{f"f{place}": 0.5 for place in range(FLOATS)},
    **{f"i{place}": 5 for place in range(WHOLE)},
    **{f"t{place}": WORDS[place] for place in range(TEXTS)},
}
SCHEMA = Schema(
    (
        *(Expectation(name=f"f{i}", kind=Kind.FLOAT, minimum=0.0, maximum=1.0, required=1.0) for i in range(FLOATS)),
        *(Expectation(name=f"i{i}", kind=Kind.INTEGER, minimum=0, maximum=9, required=1.0) for i in range(WHOLE)),
        *(Expectation(name=f"t{i}", kind=Kind.TEXT, domain=tuple(WORDS), required=1.0) for i in range(TEXTS)),
    ),
    label="",
)
PEER = """
import json, sys, time
row, words, times, few = json.loads(sys.argv[1])
names = list(row)
{prepare}
def timed(work, times):
    work()
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times / len(names) * 1e6
print(timed(work, {times}))
"""
PYDANTIC = """
from typing import Annotated, Literal
from pydantic import Field, create_model
kinds = {"f": Annotated[float, Field(ge=0, le=1)], "i": Annotated[int, Field(ge=0, le=9)], "t": Literal[tuple(words)]}
model = create_model("Row", **{name: (kinds[name[0]], ...) for name in names})
work = lambda: model.model_validate(row)
"""
JSONSCHEMA = """
from jsonschema import Draft202012Validator
kinds = {"f": {"type": "number", "minimum": 0, "maximum": 1}, "i": {"type": "integer", "minimum": 0, "maximum": 9},
         "t": {"enum": words}}
asked = {"type": "object", "required": names, "properties": {name: kinds[name[0]] for name in names}}
validator = Draft202012Validator(asked)
work = lambda: list(validator.iter_errors(row))
"""
PANDERA = """
import pandas, pandera.pandas as pa
kinds = {"f": (float, pa.Check.in_range(0, 1)), "i": (int, pa.Check.in_range(0, 9)), "t": (None, pa.Check.isin(words))}
asked = pa.DataFrameSchema({name: pa.Column(*kinds[name[0]]) for name in names})
frame = pandas.DataFrame([row])
work = lambda: asked.validate(frame)
"""


def _timed(work: Callable[[], object], times: int = TIMES) -> float:
    """Microseconds per feature."""
    work()
    start = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - start) / times / FEATURES * 1e6


def _peer(python: Path, prepare: str, times: str = "times") -> float:
    asked = json.dumps([ROW, WORDS, TIMES, FEW])
    code = PEER.replace("{prepare}", prepare).replace("{times}", times)
    done = subprocess.run([python, "-c", code, asked], check=True, capture_output=True, text=True)
    return float(done.stdout)


def _decoded(rows: int) -> dict[str, np.ndarray]:
    types = {"f": np.float64, "i": np.int64, "t": object}
    return {name: np.array([value] * rows, types[name[0]]) for name, value in ROW.items()}


def run() -> list[Line]:
    """Time ours and the peers in turn."""
    dtypes = {"f": DType.FP64, "i": DType.INT64, "t": DType.BYTES}
    screen = Screen(requirements(SCHEMA), Signature(tuple(Field(name, dtypes[name[0]]) for name in ROW), ()))
    check, one, many = checker(SCHEMA), _decoded(1), _decoded(64)
    bad = {**one, "f0": np.array([2.0]), "t0": np.array(["another"], object)}
    assert screen(one) == screen(many) == check(ROW) == ()
    assert len(screen(bad)) == 2
    python = peer("checks", "pydantic==2.12.4", "jsonschema==4.25.1", "pandera==0.26.1", "pandas==2.3.3")
    found = interleave(
        ROUNDS,
        {
            "screen": lambda: _timed(lambda: screen(one)),
            "bad": lambda: _timed(lambda: screen(bad)),
            "many": lambda: _timed(lambda: screen(many), TIMES // 10),
            "row": lambda: _timed(lambda: check(ROW)),
            "pydantic": lambda: _peer(python, PYDANTIC),
            "jsonschema": lambda: _peer(python, JSONSCHEMA, "few"),
            "pandera": lambda: _peer(python, PANDERA, "few"),
        },
    )
    return [
        _line("a request of one row", found["screen"], found["pydantic"], "pydantic", asked=True),
        _line("the same, two features out of line", found["bad"], None, "", asked=True),
        _line("a request of 64 rows", found["many"], None, "", asked=True),
        _line("a plain row", found["row"], found["jsonschema"], "jsonschema", asked=True),
        _line("a plain row", found["row"], found["pandera"], "pandera", asked=False),
    ]


def _line(what: str, ours: Sample, theirs: Sample | None, name: str, *, asked: bool) -> Line:
    return Line(
        what=what,
        ours=ours,
        peer=theirs,
        peer_is=f"µs, {name}" if theirs else "",
        ratio=theirs.median / ours.median if theirs else None,
        unit="µs per feature",
        reach="at most 50 µs" if asked else "",
        reached=ours.median <= 50 if asked else None,
    )
