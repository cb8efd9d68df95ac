"""Infer a Schema from a Profile."""

from __future__ import annotations

import re
from dataclasses import replace

from keepfit.core.nouns import LABEL
from keepfit.data.profile import Kind, Profile, Statistics
from keepfit.data.schema.expectations import Between, Expectation, Schema

_SLACK = 0.5
MEANINGS = {"url": r"(?:https?|ftp)://[^\s/?#]+[^\s]*", "mid": r"/[mg]/[0-9a-z_]+"}
"""What texts of a meaning look like: addresses, and names in a knowledge graph (wikidata's P646)."""

_ENOUGH = 10  # so many different texts of one form are no accident
_CATEGORIES = 100  # text with more values than these is no category; TFDV's own default


def infer(profile: Profile, *, label: str = LABEL, strict: bool = False) -> Schema:
    """Expect of later data what the profiled data showed.

    Numbers may leave their range by half the range's width, and some more values may be missing. With `strict`, as
    TFDV infers: presence, valency and domains to the letter, and no ranges.
    """
    expected = strictly if strict else expectation
    return Schema(tuple(expected(column) for column in profile.columns), label)


def expectation(column: Statistics) -> Expectation:
    """What one column's statistics let expect."""
    low, high = column.minimum, column.maximum
    if low is not None and high is not None:
        slack = _SLACK * (high - low)
        low, high = low - slack, high + slack
    top = column.values[0][1] if column.values else 0
    return Expectation(
        name=column.name,
        kind=column.kind,
        elements=_innermost(column),
        rows=column.rows,
        missing=column.missing_share,
        infinite=column.infinite > 0,
        minimum=low,
        maximum=high,
        domain=_domain(column),
        semantic=meaning_of(column) if _domain(column) is None else "",
        constant=column.constant,
        usual=max(top, column.missing) / column.rows if column.rows else 0.0,
    )


def strictly(column: Statistics) -> Expectation:
    """The same to the letter."""
    domain = _domain(column)
    least, most = (column.valency.shortest, column.valency.longest) if column.kind is Kind.TENSOR else (1, 1)
    if domain is not None and len(domain) > _CATEGORIES:
        domain = None
    found = Expectation(
        name=column.name,
        kind=column.kind,
        elements=_innermost(column),
        infinite=True,
        domain=domain,
        required_rows=min(1, column.present),
    )
    if not column.present:
        return found
    if column.missing:
        return replace(found, lengths=(Between(least, most),))
    found = replace(found, required=1.0)
    return replace(found, shape=(least,)) if least == most else replace(found, lengths=(Between(least, most),))


def _domain(column: Statistics) -> tuple[str, ...] | None:
    if column.kind in (Kind.TEXT, Kind.BOOLEAN) and column.values is not None:
        return tuple(sorted(value for value, _ in column.values))
    return None


def _innermost(column: Statistics) -> Kind | None:
    inner = column.elements
    while inner is not None and inner.elements is not None:
        inner = inner.elements
    return inner.kind if inner is not None else None


def meaning_of(column: Statistics) -> str:
    """What all frequent texts of a column are, empty where they are nothing special."""
    texts = [str(value) for value in column.frequent.values] if column.kind is Kind.TEXT else []
    if len(texts) < _ENOUGH:
        return ""
    return next((name for name, form in MEANINGS.items() if all(re.fullmatch(form, one) for one in texts)), "")
