"""Random Signatures with every kind of Field, and random records of them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from keepfit.core.signature import MISSING_TIME, DType, Field, Signature

NAMES = (
    "amount", "fare_usd", "fareUsd", "Größe (m²)", "1st", "%", "%%", "optional", "message", "pickup", "pickup.lat",
    "pickup.lon", "pickup.at.floor", "Pickup", "a b", "a_b", "a.b", "..", "keepfit_id", "keepfitId", "rows", "x1",
    "city", "City", "[x]", 'quo"te\\', "two\nlines", "return", "toString", "constructor", "深い",
)  # fmt: skip
CHOICES = ("Rome", "rome", "New York", "new_york", "", "!!", "unspecified", "Ωmega", "7")
SPANS = {DType.INT64: (-(2**63) + 1, 2**63 - 1), DType.UINT64: (0, 2**64 - 1), DType.BOOL: (0, 1)}
REAL = {DType.FP16: np.float16, DType.FP32: np.float32, DType.FP64: np.float64}


def signature(random: np.random.Generator, *, batched: bool = True) -> Signature:
    """A Signature of one to ten inputs and one to four outputs."""
    names = [str(name) for name in random.permutation(NAMES)]
    outputs = [str(name) for name in random.permutation(NAMES)]
    return Signature(
        tuple(field(random, name) for name in names[: random.integers(1, 11)]),
        tuple(field(random, name, output=True) for name in outputs[: random.integers(1, 5)]),
        batched,
    )


def field(random: np.random.Generator, name: str, *, output: bool = False) -> Field:
    dtype = DType(str(random.choice([str(each) for each in DType])))
    shape = [(), (), (), (3,), (-1,), (2, 2), (-1, 2)][random.integers(7)]
    chance = random.random()
    if chance < 0.15:
        choices = tuple(str(text) for text in random.permutation(CHOICES)[: random.integers(1, 6)])
        return Field(name, DType.BYTES, shape, nullable=bool(random.integers(2)), choices=choices)
    if chance < 0.3:
        return Field(name, DType.INT64, shape, nullable=bool(random.integers(2)), timestamp=True)
    if chance < 0.45 and not output:
        return Field(name, dtype, shape, nullable=True, oneof=str(random.choice(["which", "other one", "amount"])))
    nullable = bool(random.integers(2)) and (dtype is DType.BYTES or dtype in REAL)
    return Field(name, dtype, shape, nullable=nullable)


def record(random: np.random.Generator, fields: tuple[Field, ...], rows: int) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays of (rows, *shape); of each oneof, every record has exactly one member."""
    found = {each.name: values(random, each, rows) for each in fields}
    groups: dict[str, list[Field]] = {}
    for each in fields:
        if each.oneof:
            groups.setdefault(each.oneof, []).append(each)
    for members in groups.values():
        chosen = random.integers(len(members), size=rows)
        for place, each in enumerate(members):
            array = found[each.name]
            array[chosen == place] = ONE.get(each.dtype, 1)
            array[chosen != place] = NOTHING.get(each.dtype, 0)
    return found


ONE: dict[DType, Any] = {DType.BYTES: "one"}
NOTHING: dict[DType, Any] = {DType.BYTES: "", **dict.fromkeys(REAL, np.nan)}


def values(random: np.random.Generator, each: Field, rows: int) -> np.ndarray[Any, Any]:
    free = 1 if each.oneof else int(random.integers(0, 4))
    shape = (rows, *(free if size < 0 else size for size in each.shape))
    flat = [value(random, each) for _ in range(prod(shape))]
    kind = object if each.dtype is DType.BYTES else REAL.get(each.dtype) or each.dtype.lower().replace("fp", "float")
    return np.array(flat, dtype=kind).reshape(shape)


def value(random: np.random.Generator, each: Field) -> Any:
    if each.nullable and random.random() < 0.3:
        return (
            MISSING_TIME if each.timestamp else "" if each.dtype is DType.BYTES else np.nan if each.dtype in REAL else 0
        )
    if each.choices:
        return str(random.choice(np.array(each.choices, dtype=object)))
    if each.timestamp:
        return int(random.integers(-62_135_596_799_000_000, 253_402_300_799_000_000))
    if each.dtype is DType.BYTES:
        return str(random.choice(np.array(["", "text", "zwölf 12", "\0\n\t", "𝛼" * 9], dtype=object)))
    if each.dtype in REAL:
        scale = float(np.finfo(REAL[each.dtype]).max) / 2 if random.random() < 0.1 else 10.0
        return random.choice([0.0, -0.0, 1 / 3, scale, -scale]) if random.random() < 0.5 else random.normal()
    low, high = SPANS.get(each.dtype) or (np.iinfo(each.dtype.lower()).min, np.iinfo(each.dtype.lower()).max)
    return (
        [low, high, 0][random.integers(3)]
        if random.random() < 0.3
        else int(random.integers(low, high, endpoint=True, dtype=np.uint64 if each.dtype is DType.UINT64 else np.int64))
    )
