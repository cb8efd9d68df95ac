"""JSON that is read in small pieces is what it is when read at once, and nothing else is JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keepfit.serve.runtimes.documents import Json

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()


@st.composite
def deep(draw: st.DrawFn) -> Any:
    """A value inside up to ten lists and objects, with others beside it at every step."""
    found = draw(leaves)
    for _ in range(draw(st.integers(0, 10))):
        if draw(st.booleans()):
            found = [*draw(st.lists(leaves, max_size=3)), found, *draw(st.lists(leaves, max_size=2))]
        else:
            found = {**draw(st.dictionaries(st.text(), leaves, max_size=3)), draw(st.text()): found}
    return found


@given(value=deep(), indent=st.sampled_from([None, 0, 2]))
def test_it_is_what_json_says(value: Any, indent: int | None) -> None:
    """Whatever the nesting and the white space."""
    data = json.dumps(value, indent=indent).encode()
    assert Json(data).whole() == value


@given(value=deep(), place=st.integers(0, 200), letter=st.sampled_from('{}[]",: x1'), cut=st.booleans())
def test_what_json_refuses_is_refused(value: Any, place: int, letter: str, cut: bool) -> None:
    """A document that was altered or cut short is refused where Python's own reader does, and else read alike."""
    whole = json.dumps(value)
    text = whole[:place] if cut else whole[:place] + letter + whole[place + 1 :]
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
            Json(text.encode()).whole()
    else:
        assert Json(text.encode()).whole() == expected
