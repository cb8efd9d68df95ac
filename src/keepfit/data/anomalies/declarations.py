"""Declarations: what is wrong with a Schema itself, whatever the data."""

from __future__ import annotations

import re
from collections.abc import Iterator

from keepfit.core.nouns import Finding
from keepfit.data.anomalies.case import Case
from keepfit.data.anomalies.kinds import Anomaly
from keepfit.data.profile import NUMBERS, Kind
from keepfit.data.schema import UNCHECKED, Between, Expectation, Stage

SEMANTIC = frozenset({"", "url", "mid", "time", "time_of_day", "natural_language", "image"})
_DOMAIN_SIZE = 1_000_000


def unsound(case: Case) -> Iterator[Finding]:
    """All that cannot be meant as it stands in the Schema."""
    for column in case.schema.columns:
        if column.stage in UNCHECKED:
            continue
        if not column.name:
            yield case.tell(Anomaly.FEATURE_MISSING_NAME, "", "a column of the schema has no name; give it one")
        if column.kind is None:
            sentence = f"the schema does not say what kind column '{column.name}' is; say one of {[*Kind]}"
            yield case.tell(Anomaly.FEATURE_MISSING_TYPE, column.name, sentence)
        for anomaly, reason in (*_specification(column), *_domain(case, column), *_derived(case, column)):
            yield case.tell(anomaly, column.name, f"the schema of column '{column.name}': {reason}")
    yield from _collisions(case)


def _specification(column: Expectation) -> Iterator[tuple[Anomaly, str]]:
    invalid = Anomaly.INVALID_SCHEMA_SPECIFICATION
    for name, share in (("required", column.required), ("missing", column.missing), ("outside", column.outside)):
        if share is not None and not 0 <= share <= 1:
            yield invalid, f"'{name}' is {share}; expected a share from 0 to 1"
    for bounds in (*column.lengths, column.distinct or Between(), column.characters or Between()):
        if bounds.least is not None and (bounds.least < 0 or (bounds.most is not None and bounds.least > bounds.most)):
            yield invalid, f"bounds from {bounds.least} to {bounds.most} hold nothing"
    if column.minimum is not None and column.maximum is not None and column.minimum > column.maximum:
        yield invalid, f"no number is from {column.minimum} to {column.maximum}"
    if column.outside and column.domain is None and not column.domain_of:
        yield invalid, "'outside' needs a domain to be outside of"
    if set(column.only_in) & set(column.not_in):
        yield invalid, f"it is both in and not in {sorted(set(column.only_in) & set(column.not_in))}"
    try:
        re.compile(column.pattern)
    except re.error as error:
        yield invalid, f"the pattern {column.pattern!r} is no regular expression: {error}"


def _domain(case: Case, column: Expectation) -> Iterator[tuple[Anomaly, str]]:
    invalid = Anomaly.INVALID_DOMAIN_SPECIFICATION
    domain, truths = column.domain, column.truths
    if column.domain_of and column.domain_of not in case.schema.domains:
        yield invalid, f"there is no domain '{column.domain_of}'; there are {sorted(case.schema.domains)}"
    if truths is not None and (truths.true or truths.false) and truths.true == truths.false:
        yield invalid, f"true and false are both {truths.true!r}"
    if domain is not None and len(set(domain)) != len(domain):
        yield invalid, f"values stand twice in the domain: {sorted({v for v in domain if domain.count(v) > 1})[:3]}"
    if domain is not None and len(domain) > _DOMAIN_SIZE:
        yield invalid, f"a domain of {len(domain)} values; expected at most {_DOMAIN_SIZE}"
    if column.semantic not in SEMANTIC:
        yield invalid, f"'{column.semantic}' is no meaning known; expected one of {sorted(SEMANTIC - {''})}"
    words = truths is not None and (truths.true or truths.false)
    if words and column.kind in NUMBERS:
        yield Anomaly.BOOL_TYPE_INVALID_CONFIG, f"{column.kind} tells truth by 1 and 0, not by words"
    if truths is not None and not words and column.kind is Kind.TEXT:
        yield Anomaly.BOOL_TYPE_INVALID_CONFIG, "text tells truth by words; say which are true and false"
    for reason in _unfit(column):
        yield Anomaly.DOMAIN_INVALID_FOR_TYPE, reason


def _unfit(column: Expectation) -> Iterator[str]:
    kind = column.kind
    if kind in (None, Kind.NOTHING, Kind.TENSOR, Kind.OTHER):
        return
    ranged = column.minimum is not None or column.maximum is not None
    if ranged and kind not in NUMBERS and column.holds is None:
        yield f"{kind} has no minimum and maximum; say 'holds: integer' if it is numbers written as text"
    if (column.domain is not None or column.domain_of) and kind not in (Kind.TEXT, Kind.BOOLEAN):
        yield f"{kind} has no domain of texts"
    texts = {"pattern": column.pattern, "characters": column.characters, "holds": column.holds, "tokens": column.tokens}
    for name in [name for name, value in texts.items() if value and kind is not Kind.TEXT]:
        yield f"{kind} has no '{name}'; only text has"
    if column.semantic in ("url", "mid", "natural_language", "image") and kind is not Kind.TEXT:
        yield f"{kind} cannot be {column.semantic}"


def _derived(case: Case, column: Expectation) -> Iterator[tuple[Anomaly, str]]:
    if not column.derived_from:
        return
    if column.stage is not Stage.DERIVED:
        yield Anomaly.DERIVED_FEATURE_BAD_LIFECYCLE, f"it is derived, but its stage is {column.stage}"
    absent = [name for name in column.derived_from if case.schema.column(name) is None or name == column.name]
    if absent:
        yield Anomaly.DERIVED_FEATURE_INVALID_SOURCE, f"it is derived from {absent}, which the schema does not have"


def _collisions(case: Case) -> Iterator[Finding]:
    raw = {column.name for column in case.schema.columns if column.stage not in UNCHECKED}
    sparse = {one.name for one in case.schema.sparse if one.stage not in UNCHECKED}
    weighted = {one.name for one in case.schema.weighted if one.stage not in UNCHECKED}
    for name in sorted(sparse & raw):
        sentence = f"the sparse feature '{name}' is called as a column is; rename it"
        yield case.tell(Anomaly.SPARSE_FEATURE_NAME_COLLISION, name, sentence)
    for name in sorted(weighted & (raw | sparse)):
        sentence = f"the weighted feature '{name}' is called as another feature is; rename it"
        yield case.tell(Anomaly.WEIGHTED_FEATURE_NAME_COLLISION, name, sentence)
