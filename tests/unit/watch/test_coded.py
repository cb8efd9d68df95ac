"""Categories as codes: counted as one would count them by hand, however they come."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keepfit.watch.cells import cells
from keepfit.watch.coded import Texts, counted, shared, texts
from keepfit.watch.detectors import Auto, ChiSquare
from keepfit.watch.samples import comparable, tally

WORDS = st.lists(st.one_of(st.none(), st.sampled_from(["", "a", "b", "ä", "a b"]), st.text(max_size=3)), max_size=40)


def column(values: list[str | None], pieces: int = 1) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(values[start::pieces], pa.string()) for start in range(pieces)], type=pa.string())


def plain(values: list[str | None]) -> np.ndarray:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


@settings(deadline=None)
@given(WORDS)
def test_a_column_is_what_its_rows_are(values: list[str | None]) -> None:
    """A coded column has the same rows and the same tally as an array of objects; missing and empty are one."""
    coded = texts(column(values))
    assert coded.tolist() == [value or None for value in values]
    assert tally(coded) == tally(plain(values)) == Counter(value or "" for value in values)


@settings(deadline=None)
@given(WORDS, WORDS)
def test_both_samples_over_one_dictionary(old: list[str | None], new: list[str | None]) -> None:
    """Counts of both, and codes that are equal where the texts are, whichever of the two was coded before."""
    tallies = [Counter(value or "" for value in side) for side in (old, new)]
    expected = sorted([tallies[0][name], tallies[1][name]] for name in tallies[0].keys() | tallies[1].keys())
    for pair in ((texts(column(old)), plain(new)), (plain(old), texts(column(new)))):
        assert sorted(counted(*pair).astype(int).tolist()) == expected
        codes = np.concatenate(shared(*pair))
        both = [value or "" for value in [*old, *new]]
        assert len(set(zip(codes.tolist(), both, strict=True))) == len(set(both)) == len(set(codes.tolist()))
        assert [value for side in comparable(*pair) for value in side.tolist()] == both


def test_rows_taken_keep_their_codes() -> None:
    """A slice, a mask and a choice of rows are counted from the codes, a copy from the rows, all alike."""
    whole = texts(column(["a", None, "b", "a", "c"]))
    for key in (slice(1, 4), np.array([True, False, True, True, False]), np.array([4, 4, 0])):
        some = whole[key]
        assert isinstance(some, Texts)
        assert some.coded is not None
        assert tally(some) == tally(some.copy()) == Counter(value or "" for value in some.tolist())
    assert whole[0] == "a"
    assert whole[1] is None


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_kinds_of_text(kind: pa.DataType) -> None:
    """Every kind of text Arrow has is counted alike, in one piece or in several."""
    whole = pa.chunked_array([pa.array(["x", "y", None], kind), pa.array(["y"], kind)])
    assert tally(texts(whole)) == {"x": 1, "y": 2, "": 1}


def test_dictionaries_with_faults() -> None:
    """A dictionary that repeats itself, has a hole, or differs from piece to piece is set right."""
    faulty = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None], pa.int8()), pa.array(["x", "x", None]))
    assert tally(texts(pa.chunked_array([faulty]))) == {"x": 2, "": 2}
    pieces = [pa.array(side).dictionary_encode() for side in (["x", "y"], ["y", "z"])]
    assert tally(texts(pa.chunked_array(pieces))) == {"x": 1, "y": 2, "z": 1}


def test_flags_with_holes() -> None:
    """Flags with a missing one among them are compared with flags without."""
    holes = texts(pa.chunked_array([pa.array([True, None, False, True])]))
    assert tally(holes) == {"True": 2, "False": 1, "": 1}
    assert sorted(counted(holes, np.array([True, True])).tolist()) == [[1, 0], [1, 0], [2, 2]]


def test_odd_values() -> None:
    """Numbers beside text, numbers alike in twelve digits, and text that is no Unicode are counted, not refused."""
    assert tally(np.array([1.0, 1.0 + 1e-15, np.nan, np.nan])) == {"1": 2, "": 2}
    assert sorted(counted(np.array([1, 2]), plain(["1", "x"])).tolist()) == [[0, 1], [1, 0], [1, 1]]
    assert sum(tally(plain(["\ud800", "a"])).values()) == 2


def test_the_order_of_rows_says_nothing() -> None:
    """A score of categories is the same to the last digit for the same rows in another order."""
    rng = np.random.default_rng(1)
    old, new = (np.minimum(rng.zipf(1.3, 500), 90).astype(str).astype(object) for _ in range(2))
    for detector in (ChiSquare(), Auto()):
        assert detector.score(old, new) == detector.score(old[::-1], rng.permutation(new))


def test_many_different_texts() -> None:
    """Identifiers, each different, end in one cell."""
    ids = texts(column([f"id{i}" for i in range(2000)]))
    assert len(cells(ids[:1000], ids[1000:], bins=10).reference) == 1
