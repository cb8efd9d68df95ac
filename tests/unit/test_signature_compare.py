"""Golden cases of `compare`: what a change of each property of a Field means to callers, on both sides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keepfit.core.signature import Compatibility, DType, Field, Signature, compare

IDENTICAL, WIDENING, BREAKING = Compatibility.IDENTICAL, Compatibility.WIDENING, Compatibility.BREAKING
X, Y = Field("x", DType.INT32), Field("y", DType.FP32)
TEXT = Field("t", DType.BYTES, choices=("a", "b"))
TIME = Field("at", DType.INT64, timestamp=True)
ONE = Field("o", DType.FP64, nullable=True, oneof="either")
TENSOR = Field("m", DType.FP32, (3, 4))


def inputs(*fields: Field, batched: bool = True) -> Signature:
    return Signature(fields, (Y,), batched)


def outputs(*fields: Field) -> Signature:
    return Signature((X,), fields)


IN = [
    ("nothing changed", (X,), (X,), IDENTICAL, ""),
    ("wider whole number", (X,), (replace(X, dtype=DType.INT64),), WIDENING, "widened from INT32 to INT64"),
    ("narrower whole number", (X,), (replace(X, dtype=DType.INT16),), BREAKING, "type from INT32 to INT16"),
    ("unsigned into wider", (replace(X, dtype=DType.UINT8),), (replace(X, dtype=DType.INT16),), WIDENING, "widened"),
    ("unsigned into as wide signed", (replace(X, dtype=DType.UINT32),), (X,), BREAKING, "type from UINT32 to INT32"),
    ("signed into unsigned", (X,), (replace(X, dtype=DType.UINT64),), BREAKING, "type from INT32 to UINT64"),
    ("unsigned 64 into signed", (replace(X, dtype=DType.UINT64),), (replace(X, dtype=DType.INT64),), BREAKING, "type"),
    ("single into double", (replace(X, dtype=DType.FP32),), (replace(X, dtype=DType.FP64),), BREAKING, "type"),
    ("half into single", (replace(X, dtype=DType.FP16),), (replace(X, dtype=DType.FP32),), WIDENING, "widened"),
    ("double into single", (replace(X, dtype=DType.FP64),), (replace(X, dtype=DType.FP32),), BREAKING, "type"),
    ("half into double", (replace(X, dtype=DType.FP16),), (replace(X, dtype=DType.FP64),), BREAKING, "type"),
    ("whole into point", (X,), (replace(X, dtype=DType.FP64),), BREAKING, "type from INT32 to FP64"),
    ("truth into number", (replace(X, dtype=DType.BOOL),), (replace(X, dtype=DType.UINT8),), BREAKING, "type"),
    ("number into text", (X,), (replace(X, dtype=DType.BYTES),), BREAKING, "type from INT32 to BYTES"),
    ("shape freed", (TENSOR,), (replace(TENSOR, shape=(-1, 4)),), WIDENING, "changed shape from [3, 4] to [-1, 4]"),
    ("shape bound", (replace(TENSOR, shape=(-1, 4)),), (TENSOR,), BREAKING, "changed shape from [-1, 4] to [3, 4]"),
    ("another size", (TENSOR,), (replace(TENSOR, shape=(3, 5)),), BREAKING, "changed shape"),
    ("another rank", (TENSOR,), (replace(TENSOR, shape=(12,)),), BREAKING, "changed shape"),
    ("plain into tensor", (X,), (replace(X, shape=(1,)),), BREAKING, "changed shape from [] to [1]"),
    ("freed and may be missing", (TENSOR,), (replace(TENSOR, shape=(-1, -1), nullable=True),), WIDENING, "[-1, -1]"),
    ("may be missing", (replace(Y, name="x"),), (replace(Y, name="x", nullable=True),), WIDENING, "may now"),
    ("no longer missing", (replace(X, nullable=True),), (X,), BREAKING, "may no longer be missing"),
    ("more choices", (TEXT,), (replace(TEXT, choices=("a", "b", "c")),), WIDENING, "also takes 'c'"),
    ("fewer choices", (TEXT,), (replace(TEXT, choices=("a",)),), BREAKING, "no longer takes 'b'"),
    ("other choices", (TEXT,), (replace(TEXT, choices=("a", "c")),), BREAKING, "no longer takes 'b'"),
    ("any text now", (TEXT,), (replace(TEXT, choices=()),), BREAKING, "was an enum, is any text"),
    ("choices now", (replace(TEXT, choices=()),), (TEXT,), BREAKING, "was any text, is an enum"),
    ("became a time", (replace(TIME, timestamp=False),), (TIME,), BREAKING, "became a timestamp"),
    ("is no longer a time", (TIME,), (replace(TIME, timestamp=False),), BREAKING, "no longer a timestamp"),
    ("whole number into a time", (replace(TIME, dtype=DType.INT32, timestamp=False),), (TIME,), BREAKING, "type"),
    ("joined a oneof", (replace(ONE, oneof=""),), (ONE,), BREAKING, "moved from oneof '' to 'either'"),
    ("left a oneof", (ONE,), (replace(ONE, oneof=""),), BREAKING, "moved from oneof 'either' to ''"),
    ("another oneof", (ONE,), (replace(ONE, oneof="other"),), BREAKING, "moved from oneof"),
    ("new input", (X,), (X, TEXT), BREAKING, "'t' (BYTES) is new and callers do not send it"),
    ("new input that may be missing", (X,), (X, replace(ONE, oneof="")), BREAKING, "'o' (FP64) is new"),
    ("input removed", (X, TEXT), (X,), BREAKING, "'t' was removed"),
    ("inputs in another order", (X, TEXT), (TEXT, X), BREAKING, "'x' changed place from 0 to 1"),
    ("renamed", (X,), (replace(X, name="z"),), BREAKING, "'x' was removed"),
    ("reordered choices", (TEXT,), (replace(TEXT, choices=("b", "a")),), IDENTICAL, ""),
]  # fmt: skip

OUT = [
    ("nothing changed", (Y,), (Y,), IDENTICAL, ""),
    ("new, at the end", (Y,), (Y, TENSOR), WIDENING, "output 'm' is new"),
    ("new, before", (Y,), (TENSOR, Y), BREAKING, "'y' changed place from 0 to 1"),
    ("removed", (Y, TENSOR), (Y,), BREAKING, "'m' was removed"),
    ("first removed", (Y, TENSOR), (TENSOR,), BREAKING, "'y' was removed"),
    ("in another order", (Y, TENSOR), (TENSOR, Y), BREAKING, "changed place"),
    ("wider", (Y,), (replace(Y, dtype=DType.FP64),), BREAKING, "from FP32[] to FP64[]"),
    ("narrower", (replace(Y, dtype=DType.FP64),), (Y,), BREAKING, "from FP64[] to FP32[]"),
    ("shape freed", (TENSOR,), (replace(TENSOR, shape=(-1, 4)),), BREAKING, "from FP32[3, 4] to FP32[-1, 4]"),
    ("shape bound", (replace(TENSOR, shape=(-1, 4)),), (TENSOR,), WIDENING, "is always of shape [3, 4], was [-1, 4]"),
    ("another size", (TENSOR,), (replace(TENSOR, shape=(3, 5)),), BREAKING, "FP32[3, 5]"),
    ("may be missing", (Y,), (replace(Y, nullable=True),), BREAKING, "may now be missing"),
    ("never missing", (replace(Y, nullable=True),), (Y,), WIDENING, "is never missing any more"),
    ("more choices", (TEXT,), (replace(TEXT, choices=("a", "b", "c")),), BREAKING, "may also be 'c'"),
    ("fewer choices", (TEXT,), (replace(TEXT, choices=("a",)),), WIDENING, "is never 'b' any more"),
    ("any text now", (TEXT,), (replace(TEXT, choices=()),), BREAKING, "was an enum, is any text"),
    ("choices now", (replace(TEXT, choices=()),), (TEXT,), BREAKING, "was any text, is an enum"),
    ("reordered choices", (TEXT,), (replace(TEXT, choices=("b", "a")),), IDENTICAL, ""),
    ("became a time", (replace(TIME, timestamp=False),), (TIME,), BREAKING, "timestamp"),
    ("is no longer a time", (TIME,), (replace(TIME, timestamp=False),), BREAKING, "timestamp"),
    ("joined a oneof", (replace(ONE, oneof=""),), (ONE,), BREAKING, "of oneof 'either'"),
    ("another oneof", (ONE,), (replace(ONE, oneof="other"),), BREAKING, "of oneof 'other'"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "before", "after", "kind", "said"), IN, ids=[case[0] for case in IN])
def test_inputs(what: str, before: tuple[Field, ...], after: tuple[Field, ...], kind: Compatibility, said: str) -> None:
    """What becomes of callers who send what they sent before."""
    found = compare(inputs(*before), inputs(*after))
    assert found.kind is kind, what
    assert bool(found.changes) == (kind is not IDENTICAL)
    assert said in "; ".join(found.changes)


@pytest.mark.parametrize(("what", "before", "after", "kind", "said"), OUT, ids=[case[0] for case in OUT])
def test_outputs(
    what: str, before: tuple[Field, ...], after: tuple[Field, ...], kind: Compatibility, said: str
) -> None:
    """What becomes of callers who read what they read before."""
    found = compare(outputs(*before), outputs(*after))
    assert found.kind is kind, what
    assert bool(found.changes) == (kind is not IDENTICAL)
    assert said in "; ".join(found.changes)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [(True, False, "was many records a request, is one"), (False, True, "was one record a request, is many")],
)
def test_batched(old: bool, new: bool, said: str) -> None:
    """One record a request or many are two layouts, and neither caller is understood by the other."""
    found = compare(inputs(X, batched=old), inputs(X, batched=new))
    assert found.kind is BREAKING
    assert said in found.changes[0]


def test_what_breaks_is_told_first() -> None:
    """One breaking change makes the whole breaking, and the list begins with it."""
    found = compare(inputs(X, TEXT), inputs(replace(X, dtype=DType.INT64), replace(TEXT, choices=("a",))))
    assert found.kind is BREAKING
    assert "no longer takes" in found.changes[0]
    assert "widened" in found.changes[1]


def test_there_are_at_least_forty_cases() -> None:
    """The contract is held field by field, on both sides."""
    assert len(IN) + len(OUT) >= 40
