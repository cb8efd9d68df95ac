"""Cache: the same question to the same Bundle has the same answer, and nothing else has."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.serve.cache import Cache, key

A, B = "a" * 64, "b" * 64


def one(value: float) -> dict[str, Any]:
    return {"x": np.array([value])}


def test_an_answer_is_given_again_to_the_same_question_only() -> None:
    """Another Bundle, method or input is another question; the order of the inputs is not."""
    cache = Cache(10)
    inputs = {"x": np.zeros((1, 2), np.float32), "city": np.array(["Rome"], dtype=object)}
    asked, nothing = cache.find(A, inputs)
    assert nothing is None
    cache.keep(asked, {"y": np.array([7])})
    found = cache.find(A, dict(reversed(inputs.items()))).outputs
    assert found is not None
    assert found["y"].tolist() == [7]
    for digest, other, method in (
        (B, inputs, "predict"),
        (A, inputs, "explain"),
        (A, inputs | {"city": np.array(["Oslo"], dtype=object)}, "predict"),
        (A, inputs | {"x": np.zeros((2, 1), np.float32)}, "predict"),
        (A, inputs | {"x": np.zeros((1, 2), np.int32)}, "predict"),
        (A, {"x": inputs["x"]}, "predict"),
    ):
        assert cache.find(digest, other, method).outputs is None
    assert (cache.hits, cache.misses) == (1, 7)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4), st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_texts_cannot_run_into_each_other(one: list[str], other: list[str]) -> None:
    """["ab", "c"] and ["a", "bc"] are different questions."""
    first, second = ({"t": np.array(texts, dtype=object)} for texts in (one, other))
    assert (key(A, first) == key(A, second)) == (one == other)


def test_what_was_not_used_for_the_longest_time_goes() -> None:
    """By number, and by size where answers are large; asking for one is using it."""
    cache = Cache(3)
    keys = [cache.find(A, one(i)).key for i in range(4)]
    for asked in keys[:3]:
        cache.keep(asked, {"y": np.zeros(1)})
    assert cache.find(A, one(0)).outputs is not None
    cache.keep(keys[3], {"y": np.zeros(1)})
    assert [cache.find(A, one(i)).outputs is not None for i in range(4)] == [True, False, True, True]
    small = Cache(1000, size=10_000)
    for i in range(100):
        small.keep(small.find(A, one(i)).key, {"y": np.zeros(100)})
        assert len(small) <= 10
    assert len(small) == 10
    small.keep(small.find(A, one(-1)).key, {"y": np.zeros(10_000)})
    assert small.find(A, one(-1)).outputs is None
    assert len(small) == 10
    for before, after in pairwise([5, 5]):  # kept twice, counted once
        small.keep(small.find(A, one(before)).key, {"y": np.zeros(after)})
    assert len(small) <= 11


def test_what_is_kept_cannot_be_changed() -> None:
    """Neither through the arrays it was made of nor through those that are given."""
    cache = Cache(1)
    answer = np.array([1.0, 2.0, 3.0])
    asked = cache.find(A, one(0)).key
    cache.keep(asked, {"y": answer[:2]})
    answer[:] = 9
    found = cache.find(A, one(0)).outputs
    assert found is not None
    assert found["y"].tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        found["y"][0] = 5


def test_no_entries_is_no_cache() -> None:
    """Zero keeps nothing."""
    cache = Cache(0)
    cache.keep(cache.find(A, one(0)).key, {"y": np.zeros(1)})
    assert len(cache) == 0
