"""What relates columns: slices, weights, correlations and the label, held against numpy, pandas and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import mutual_info_score

from keepfit.core.errors import DataInvalid
from keepfit.data.profile import Kind, profile
from keepfit.data.scan import BATCH

ROWS = BATCH + 5000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    random = np.random.default_rng(0)
    x = random.normal(1e6, 3, ROWS)
    frame = pd.DataFrame(
        {
            "x": x,
            "y": x + random.normal(0, 3, ROWS),
            "i": random.integers(0, 9, ROWS),
            "noise": random.normal(size=ROWS),
            "town": random.choice(["Oslo", "Rome", "Bern"], ROWS),
            "w": random.random(ROWS),
        }
    )
    frame["label"] = np.where(frame.town == "Oslo", "cold", "warm")
    frame.loc[frame.index % 7 == 0, "y"] = np.nan
    return frame


def test_slices_are_profiles_of_their_rows(frame: pd.DataFrame) -> None:
    """A slice is what a profile of its rows alone would be; slices of parts join."""
    source = pa.Table.from_pandas(frame, preserve_index=False)
    found = profile(source, slices=["town"])
    assert [(one.column, one.value) for one in found.slices] == [("town", name) for name in ("Bern", "Oslo", "Rome")]
    for one in found.slices:
        rows = frame[frame.town == one.value]
        assert one.profile.rows == len(rows)
        x, y = one.profile.column("x"), one.profile.column("y")
        assert x is not None
        assert y is not None
        assert (x.mean, x.deviation) == (pytest.approx(rows.x.mean(), rel=1e-12), pytest.approx(rows.x.std(ddof=0)))
        assert y.missing == rows.y.isna().sum()
    halves = profile(source.slice(0, 1000), slices=["town"]) | profile(source.slice(1000), slices=["town"])
    assert [one.profile.rows for one in halves.slices] == [one.profile.rows for one in found.slices]


def test_too_many_slices() -> None:
    """A column of more than a hundred values is refused as a slice, also when parts only have that together."""
    with pytest.raises(DataInvalid, match="column 'x' has more than 100 values"):
        profile(pa.table({"x": range(101)}), slices=["x"])
    a, b = (profile(pa.table({"x": range(start, start + 60)}), slices=["x"]) for start in (0, 60))
    with pytest.raises(DataInvalid, match="column 'x' has more than 100 values"):
        a | b


def test_weights(frame: pd.DataFrame) -> None:
    """Weighted counts, moments and quantiles are those of numpy."""
    source = pa.Table.from_pandas(frame, preserve_index=False)
    column = profile(source, weight="w").column("y")
    assert column is not None
    assert column.weighted is not None
    known = frame.dropna()
    mean = np.average(known.y, weights=known.w)
    assert column.weighted.present == pytest.approx(known.w.sum())
    assert column.weighted.missing == pytest.approx(frame.w.sum() - known.w.sum())
    assert column.weighted.moments.mean == pytest.approx(mean, rel=1e-12)
    assert column.weighted.moments.deviation == pytest.approx(
        np.sqrt(np.average((known.y - mean) ** 2, weights=known.w))
    )
    order = known.sort_values("y")
    share = order.w[order.y <= column.weighted.quantiles.at([0.25])[0]].sum() / known.w.sum()
    assert share == pytest.approx(0.25, abs=column.weighted.quantiles.error + 1e-4)
    town = profile(source, weight="w").column("town")
    assert town is not None
    assert town.weighted is not None
    found = dict(town.weighted.frequent.top())
    for name, weight in frame.groupby("town").w.sum().items():
        assert found[name] == pytest.approx(weight)


@pytest.mark.parametrize("weights", [[1.0, -1.0], [1.0, None], ["a", "b"]])
def test_bad_weights(weights: list[object]) -> None:
    """A weight is a number of 0 or more in every row."""
    with pytest.raises(DataInvalid, match="'w' cannot be the weight"):
        profile(pa.table({"x": [1, 2], "w": weights}), weight="w")


def test_correlations_are_those_of_pandas(frame: pd.DataFrame) -> None:
    """Pearson's coefficients, pair by pair over the rows that have both, also where numbers are large; parts join."""
    source = pa.Table.from_pandas(frame, preserve_index=False)
    expected = frame[["x", "y", "i", "noise", "w"]].corr()
    whole = profile(source, correlate=True).correlations
    joined = (profile(source.slice(0, 77), correlate=True) | profile(source.slice(77), correlate=True)).correlations
    for found in (whole, joined):
        assert found is not None
        assert found.names == tuple(expected.columns)
        assert np.abs(found.matrix() - expected.to_numpy()).max() < 1e-9
    still = profile(pa.table({"a": [1.0, 1.0], "b": [1.0, 2.0]}), correlate=True).correlations
    assert still is not None
    assert still.of("a", "b") is None


def test_what_tells_of_the_label(frame: pd.DataFrame) -> None:
    """The column the label is made from tells all of it, noise nothing; values agree with scikit-learn's."""
    source = pa.Table.from_pandas(frame, preserve_index=False)
    found = profile(source, label="label").relation
    assert found is not None
    told = dict(found.information())
    share = (frame.town == "Oslo").mean()
    entropy = -(share * math.log(share) + (1 - share) * math.log(1 - share))
    assert next(iter(told)) == "town"
    assert told["town"] == pytest.approx(entropy, abs=0.02)
    assert found.entropy() == pytest.approx(entropy, abs=0.02)
    assert max(told["x"], told["noise"], told["i"]) < 0.01
    numeric = profile(source, label="x").relation
    assert numeric is not None
    known = frame.dropna()
    expected = mutual_info_score(pd.qcut(known.x, 10, labels=False), pd.qcut(known.y, 10, labels=False))
    assert dict(numeric.information())["y"] == pytest.approx(expected * 6 / 7, abs=0.04)


def test_samples_of_parts_join(frame: pd.DataFrame) -> None:
    """Two samples joined are a sample of both parts, each by its share."""
    whole = pa.Table.from_pandas(frame[["i", "label"]], preserve_index=False)
    low, high = whole.filter(pa.compute.less(whole["i"], 3)), whole.filter(pa.compute.greater_equal(whole["i"], 3))
    joined = (profile(low, label="label") | profile(high, label="label")).relation
    assert joined is not None
    assert joined.rows == 8192
    i = np.frombuffer(joined.cells).reshape(-1, 2)[:, 1]
    assert (i < 3).mean() == pytest.approx(low.num_rows / whole.num_rows, abs=0.03)


def test_unknown_columns_are_named() -> None:
    """A weight, a label or a slice that is no column is refused with the columns there are."""
    for asked in ({"weight": "z"}, {"label": "z"}, {"slices": ["z"]}):
        with pytest.raises(DataInvalid, match=r"no column 'z' for the .*; there are: x"):
            profile(pa.table({"x": [1]}), **asked)  # type: ignore[arg-type]


def test_threads_change_nothing(frame: pd.DataFrame) -> None:
    """However many threads measure, the profile is the same to the last bit, and no row is lost."""
    batches = pa.Table.from_pandas(frame, preserve_index=False).to_batches(max_chunksize=20_000)
    one = profile(batches * 3, workers=1, correlate=True, label="label")
    assert one.rows == 3 * ROWS
    assert one == profile(batches * 3, workers=3, correlate=True, label="label")


def test_lists_have_a_valency_and_elements() -> None:
    """Of lists it is known how long they are, and what is in them."""
    column = profile(pa.table({"v": [[1.0, None], [], None, [2.0, math.inf, 3.0]]})).columns[0]
    assert (column.kind, column.rows, column.missing, column.infinite) == (Kind.TENSOR, 4, 1, 1)
    assert (column.valency.count, column.valency.shortest, column.valency.longest) == (3, 0, 3)
    assert column.valency.mean == pytest.approx(5 / 3)
    assert column.elements is not None
    assert (column.elements.rows, column.elements.missing, column.elements.mean) == (5, 1, 2.0)


def test_texts_that_are_no_text() -> None:
    """Bytes that are not UTF-8 are counted, shown escaped, and left out of the lengths; so in a column of text."""
    raw = pa.array([b"ok", b"\xff\xfe", "né".encode(), b"\xff\xfe", None], pa.binary())
    for column in (raw, raw.view(pa.string()), raw.dictionary_encode()):
        found = profile(pa.table({"s": column})).columns[0]
        assert (found.kind, found.missing, found.invalid) == (Kind.TEXT, 1, 2)
        assert found.lengths.mean == 2.0
        assert found.values == (("\\xff\\xfe", 2), ("né", 1), ("ok", 1))
    many = pa.array([b"%d\xff" % place if place % 2 else b"%d" % place for place in range(5000)], pa.binary())
    assert profile(pa.table({"s": many})).columns[0].invalid == 2500


def test_times_of_every_unit() -> None:
    """Dates and times of all units are measured in microseconds since 1970, times of day since midnight."""
    moment = pd.Timestamp("2024-03-01")
    for kind in (pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ms", "Europe/Rome"), pa.date32(), pa.date64()):
        column = profile(pa.table({"t": pa.array([moment, None]).cast(pa.timestamp("s")).cast(kind)})).columns[0]
        assert (column.kind, column.missing) == (Kind.TIME, 1)
        assert column.minimum == moment.value / 1000
    noon = profile(pa.table({"t": pa.array([43_200], pa.time32("s"))})).columns[0]
    assert noon.minimum == 43_200e6
