"""Sketches: within the error they state themselves, whatever the data, however it was cut."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from operator import or_

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.core.registry import from_plain, to_plain
from keepfit.data.profile import HASHES, KEPT, POINTS, Profile, Statistics, counted_in, histogram, profile
from keepfit.data.profile.distinct import distinct
from keepfit.data.profile.hashing import hash_numbers, hash_texts
from keepfit.data.profile.quantiles import Quantiles, quantiles

SHARES = [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0]


def sketch(values: np.ndarray, cuts: int) -> Quantiles:
    parts = [quantiles(np.sort(part)) for part in np.array_split(values, cuts)]
    return reduce(or_, parts)


def rank_error(found: Quantiles, values: np.ndarray) -> float:
    """By which share of all values a quantile's rank is wrong at most."""
    ordered, worst = np.sort(values), 0.0
    for share, value in zip(SHARES, found.at(SHARES), strict=True):
        low, high = (np.searchsorted(ordered, value, side) / ordered.size for side in ("left", "right"))
        worst = max(worst, low - share, share - high)
    return worst


SHAPES = {
    "normal": lambda random, n: random.normal(0, 1, n),
    "heavy tail": lambda random, n: random.pareto(0.5, n),
    "in order": lambda random, n: np.arange(n, dtype=float),
    "backwards": lambda random, n: -np.arange(n, dtype=float),
    "few values": lambda random, n: random.integers(0, 7, n).astype(float),
}


@pytest.mark.parametrize("cuts", [1, 3, 50])
@pytest.mark.parametrize("shape", SHAPES)
def test_quantiles_keep_their_word(shape: str, cuts: int) -> None:
    """Every quantile's rank is within the error the sketch states, which is below 0.5 %."""
    values = SHAPES[shape](np.random.default_rng(cuts), 300_000)
    found = sketch(values, cuts)
    assert found.weight == pytest.approx(values.size)
    assert 0 < found.error <= 0.005
    assert rank_error(found, values) <= found.error + 1e-9
    assert sum(len(one.points) // 8 for one in found.summaries) <= 20 * POINTS


def test_few_values_are_kept() -> None:
    """Up to 1,024 values quantiles are exact."""
    values = np.random.default_rng(0).normal(size=POINTS)
    found = sketch(values, 5)
    assert found.error == 0.0
    assert found.at([0.5]) == (np.sort(values)[POINTS // 2 - 1],)


def test_weights_are_repeats() -> None:
    """A sketch of weighted values is that of the values repeated so often."""
    random = np.random.default_rng(2)
    values, weights = np.sort(random.normal(size=20_000)), random.integers(1, 9, 20_000).astype(float)
    found = quantiles(values, weights)
    assert rank_error(found, np.repeat(values, weights.astype(int))) <= found.error + 1e-9


def test_distinct_counts() -> None:
    """Exact up to 4,095 values, within five standard errors beyond, the same bits however it was cut."""
    for count in (0, 1, HASHES - 1, 50_000, 1_000_000):
        hashes = hash_numbers(np.arange(count))
        found = distinct(hashes)
        assert abs(found.count - count) <= 5 * found.error * count
        assert (found.error == 0) == (count < HASHES)
        parts = [distinct(part) for part in np.array_split(np.random.default_rng(1).permutation(hashes), 7)]
        assert reduce(or_, parts) == found


def test_equal_values_have_equal_hashes() -> None:
    """Whole numbers and floats agree, both zeros too; whole numbers that floats cannot tell apart do not."""
    assert hash_numbers(np.array([7, -3])).tolist() == hash_numbers(np.array([7.0, -3.0])).tolist()
    assert len(set(hash_numbers(np.array([0.0, -0.0])).tolist())) == 1
    near = np.array([2**53 + 1, 2**53 + 2, 2**53 + 3])
    assert len(set(hash_numbers(near).tolist())) == 3
    assert hash_numbers(near).tolist() == hash_numbers(near.astype(np.uint64)).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=20) | st.text("ab", min_size=500, max_size=530), max_size=30))
def test_texts_hash_by_value(texts: list[str]) -> None:
    """A text has the hash of its value, wherever it stands and in whichever type of array."""
    small, large = pa.array(["pad", *texts], pa.string()), pa.array(texts, pa.large_string())
    hashes = hash_texts(small.slice(1)).tolist()
    assert hashes == hash_texts(large).tolist() == hash_texts(large.cast(pa.large_binary())).tolist()
    assert len(set(hashes)) == len(set(texts))


@pytest.mark.parametrize("as_text", [False, True])
def test_frequent_values_keep_their_word(as_text: bool) -> None:
    """Of 20,000 values those told occur as often as told, up to the shortfall; none more frequent is left out."""
    values = np.minimum(np.random.default_rng(3).zipf(1.3, 400_000), 20_000)
    column = pa.array(values).cast(pa.string()) if as_text else pa.array(values)
    found = profile(pa.table({"x": column})).columns[0].frequent
    true = Counter(values.tolist())
    told = {int(value): count for value, count in zip(found.values, found.counts, strict=True)}
    assert 0 < found.shortfall <= values.size / (KEPT + 1)
    assert len(told) <= KEPT
    for value, count in true.items():
        assert told.get(value, 0) <= count <= told.get(value, 0) + found.shortfall


cells = st.one_of(st.none(), st.integers(-5, 5), st.floats(allow_nan=True, allow_infinity=True, width=64))
words = st.one_of(st.none(), st.sampled_from(["", "a", "b", "é", "long " * 9]), st.text(max_size=4))
rows = st.lists(st.tuples(cells, words, st.lists(st.floats(-5, 5), max_size=3), st.booleans()), max_size=30)


def table(found: list[tuple[object, ...]]) -> pa.Table:
    x, s, v, b = zip(*found, strict=True) if found else ([], [], [], [])
    kinds = {"x": pa.float64(), "s": pa.string(), "v": pa.list_(pa.float64()), "b": pa.bool_()}
    numbers = [None if one is None else float(one) for one in x]  # type: ignore[arg-type]
    return pa.table({"x": numbers, "s": list(s), "v": list(v), "b": list(b)}, schema=pa.schema(kinds))


@settings(max_examples=150, deadline=None)
@given(rows, rows)
def test_parts_join_into_the_whole(a: list[tuple[object, ...]], b: list[tuple[object, ...]]) -> None:
    """Counts, ranges, distinct, frequent and lengths are exactly the whole's; moments to 1e-9."""
    joined, whole = profile(table(a)) | profile(table(b)), profile(table(a + b))
    assert joined.rows == whole.rows
    for found, expected in zip(joined.columns, whole.columns, strict=True):
        _require_same(found, expected)


def _require_same(found: Statistics, expected: Statistics) -> None:
    for name in ("kind", "rows", "missing", "nan", "empty", "infinite", "finite", "zeros", "negatives", "invalid"):
        assert getattr(found, name) == getattr(expected, name), name
    for name in ("minimum", "maximum", "distinct", "frequent", "lengths", "valency", "quantiles"):
        assert getattr(found, name) == getattr(expected, name), name
    scale = max(abs(expected.minimum or 0), abs(expected.maximum or 0), 1e-300)
    assert abs(found.mean - expected.mean) <= 1e-9 * scale
    if expected.squares < 1e300:
        assert found.squares == pytest.approx(expected.squares, rel=1e-9, abs=1e-9 * scale * scale)
    if expected.elements is not None and found.elements is not None:
        _require_same(found.elements, expected.elements)


def test_large_parts_join() -> None:
    """The same with rows enough for every sketch to be one: exact where promised, within the stated error elsewhere."""
    random = np.random.default_rng(5)
    values = random.lognormal(0, 2, 400_000)
    parts = [profile(pa.table({"x": part})) for part in np.array_split(values, [1000, 150_000])]
    found, whole = reduce(or_, parts).columns[0], profile(pa.table({"x": values})).columns[0]
    assert found.distinct == whole.distinct
    assert (found.minimum, found.maximum, found.finite) == (values.min(), values.max(), values.size)
    assert found.mean == pytest.approx(values.mean(), rel=1e-12)
    assert found.deviation == pytest.approx(values.std(), rel=1e-9)
    assert rank_error(found.quantiles, values) <= found.quantiles.error <= 0.005


def test_histograms() -> None:
    """Bins of equal width hold what numpy counts: exactly while values are few, within the sketch's error otherwise."""
    random = np.random.default_rng(6)
    few, many = random.integers(0, 50, 10_000), random.normal(size=200_000)
    for values, slack in ((few, 0.0), (many, 0.005)):
        column = profile(pa.table({"x": values})).columns[0]
        edges, counts = histogram(column)
        assert sum(counts) == pytest.approx(values.size)
        expected, _ = np.histogram(values, np.array(edges))
        assert np.abs(np.array(counts) - expected).max() <= 2 * slack * values.size
    assert counted_in(profile(pa.table({"x": few})).columns[0], [0, 10, 49]) == (
        float((few < 10).sum()),
        float((few >= 10).sum()),
    )


def test_a_profile_is_plain_data() -> None:
    """With every part it may have, a profile comes back the same from plain data."""
    random = np.random.default_rng(7)
    source = pa.table(
        {
            "x": random.normal(size=5000),
            "w": random.random(5000),
            "s": random.choice(["a", "b"], 5000),
            "v": [[1.0], []] * 2500,
            "b": random.random(5000) < 0.5,
        }
    )
    found = profile(source, weight="w", slices=["s"], label="b", correlate=True)
    assert from_plain(Profile, to_plain(found)) == found
