"""Types of inputs, told from rows."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from keepfit.core.errors import DataInvalid
from keepfit.core.signature import MISSING_TIME, DType, Field
from keepfit.edge.onboard.samples import fitted, rows_of, tell

CASES = {
    "whole": (["1", "-1", "5"], Field("x", DType.INT64)),
    "whole with gaps": (["1", "", "-5"], Field("x", DType.FP64, nullable=True)),
    "exponents": (["1e3", "2", "-5E-1"], Field("x", DType.FP64)),
    "points with gaps": (["1.5", "NA", "2"], Field("x", DType.FP64, nullable=True)),
    "negative only": (["-1", "-2", "-3"], Field("x", DType.INT64)),
    "truth": (["true", "False", "true"], Field("x", DType.BOOL)),
    "truth with gaps": (["true", "", "false"], Field("x", DType.FP64, nullable=True)),
    "text": (["a", "b", "c"], Field("x", DType.BYTES)),
    "text with gaps": (["a", "", "c"], Field("x", DType.BYTES, nullable=True)),
    "time": (["2020-01-01 10:00:00", "2021-05-05 00:00:01", "2022-01-01 00:00:00"],
             Field("x", DType.INT64, timestamp=True)),
    "time with gaps": (["2020-01-01 10:00:00", "", "2022-01-01 00:00:00"],
                       Field("x", DType.INT64, nullable=True, timestamp=True)),
    "beyond int64": (["99999999999999999999", "1", "2"], Field("x", DType.BYTES)),
}  # fmt: skip


@pytest.mark.parametrize(("values", "field"), CASES.values(), ids=CASES)
def test_types(tmp_path: Path, values: list[str], field: Field) -> None:
    """A column of 1,500 rows becomes the Field that holds all of them."""
    path = tmp_path / "rows.csv"
    path.write_text("k,x\n" + "".join(f"r{n},{values[n % 3]}\n" for n in range(1500)))
    told = tell(rows_of(path), ["x"])
    assert told.fields == (field,)
    assert not told.notes
    assert told.table["x"].null_count == (0 if field.dtype is not DType.FP64 else told.table["x"].null_count)


def test_few_rows_are_not_trusted(tmp_path: Path) -> None:
    """Of fewer than 1,000 rows, whole numbers may be fractions that did not come; a note says so."""
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n" + "1,a\n2,b\n" * 100)
    told = tell(rows_of(path), ["x", "y"])
    assert told.fields == (Field("x", DType.FP64), Field("y", DType.BYTES))
    assert "200 rows only" in told.notes[0]


@pytest.mark.parametrize(("closed", "choices"), [(True, ("a", "b")), (False, ())])
def test_enums_are_asked_for(closed: bool, choices: tuple[str, ...]) -> None:
    """Few different texts become an enum only where somebody says that there are no others."""
    asked = []

    def ask(name: str, words: list[str]) -> bool:
        asked.append((name, words))
        return closed

    table = pa.table({"few": ["b", "a"] * 600, "many": [str(n) for n in range(1200)]})
    told = tell(table, ["few", "many"], closed=ask)
    assert [field.choices for field in told.fields] == [choices, ()]
    assert asked == [("few", ["a", "b"])]
    assert tell(table, ["few"]).fields[0].choices == ()


def test_times_become_microseconds() -> None:
    """A missing time has a value of its own, and one without a zone is UTC."""
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    table = pa.table({"t": pa.array([moment, None] * 500, pa.timestamp("us", "UTC"))})
    values = tell(table, ["t"]).table["t"].to_pylist()
    assert values[:2] == [int(moment.timestamp() * 1e6), MISSING_TIME]


def test_every_column_that_fits_nothing_is_named() -> None:
    """One error lists all of them."""
    table = pa.table({"a": pa.nulls(3), "b": pa.array([{"x": 1}] * 3), "_c": [1, 2, 3]})
    with pytest.raises(DataInvalid) as caught:
        tell(table, ["a", "b", "_c"])
    assert all(f"'{name}'" in str(caught.value) for name in ("a", "b", "_c"))


def test_a_sample_is_fitted_to_known_types() -> None:
    """What the model says of its types is what the sample is read as."""
    fields = [Field("x", DType.FP32, nullable=True), Field("n", DType.INT64), Field("t", DType.BYTES)]
    table = pa.table({"n": [1, 2], "x": pa.array([1, None]), "t": ["a", None], "more": [0, 0]})
    found = fitted(table, fields, Path("s"))
    assert found.column_names == ["x", "n", "t"]
    assert np.isnan(found["x"].to_pylist()[1])
    assert found["t"].to_pylist() == ["a", ""]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": ["a", "b"], "n": [1, 2]}, "column 'x' (string) is no FP32"),
        ({"x": [1.0, 2.0]}, "lacks the columns ['n']"),
        ({"x": [1.0, 2.0], "n": [1.5, 2.0]}, "column 'n' (double) is no INT64"),
        ({"x": [1.0, None], "n": [1, 2]}, "1 values are missing"),
    ],
)
def test_a_sample_that_does_not_fit(columns: dict[str, list[object]], said: str) -> None:
    """The column and the type expected are named."""
    fields = [Field("x", DType.FP32), Field("n", DType.INT64)]
    with pytest.raises(DataInvalid) as caught:
        fitted(pa.table(columns), fields, Path("s"))
    assert said in str(caught.value)


def test_no_rows(tmp_path: Path) -> None:
    """A header alone tells nothing."""
    (tmp_path / "rows.csv").write_text("x,y\n")
    with pytest.raises(DataInvalid, match="no rows"):
        rows_of(tmp_path / "rows.csv")
