"""Expectations: what a Schema may ask of one column, of several, and of a Dataset as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from keepfit.core.nouns import LABEL, Severity
from keepfit.data.profile import Kind


class Stage(StrEnum):
    """How far a column has come; those of UNCHECKED are not held to anything."""

    UNKNOWN = "unknown"
    PLANNED = "planned"
    ALPHA = "alpha"
    BETA = "beta"
    PRODUCTION = "production"
    DEPRECATED = "deprecated"
    DEBUG_ONLY = "debug_only"
    DISABLED = "disabled"
    DERIVED = "derived"


TRAINING, SERVING = "TRAINING", "SERVING"
"""The environments that a Service holds its Datasets and its requests to."""

UNCHECKED = frozenset({Stage.PLANNED, Stage.ALPHA, Stage.DEPRECATED, Stage.DEBUG_ONLY, Stage.DISABLED})


@dataclass(frozen=True)
class Between:
    """Bounds, both included; None is no bound."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True)
class Truths:
    """The two words (or, left empty, 1 and 0) that a column tells truth by."""

    true: str = ""
    false: str = ""


@dataclass(frozen=True)
class Apart:
    """How far the values may be from those of other data, by distance; None is not looked at."""

    linfty: float | None = None
    jensen_shannon: float | None = None
    absolute: float | None = None


@dataclass(frozen=True)
class Token:
    """How often one token may occur in a row, and in which share of the rows."""

    value: str
    per_row: Between = Between()
    share: Between = Between()


@dataclass(frozen=True)
class Tokens:
    """What is expected of a text, or list of texts, as words: the share of them in `vocabulary`, their mean length."""

    vocabulary: tuple[str, ...] = ()
    coverage: float | None = None
    mean_length: float | None = None
    excluded: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    of: tuple[Token, ...] = ()


@dataclass(frozen=True)
class Images:
    """What is expected of bytes as images: the share in a known format (BMP, GIF, JPEG, PNG), the size in bytes."""

    supported: float | None = None
    most_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What is expected of one column; what is None, empty or as below is not held to.

    Learnt from data: `rows` it rests on; `missing`, the share of rows that may be missing, give or take chance;
    `minimum` and `maximum` of finite numbers (times in microseconds since 1970), `domain`, all values of text, of
    which a share may lie `outside`; `constant`, and `usual`, the largest share one value had.

    Declared: `elements`, the kind of what is in a list; `required`, the least share of rows with a value, and
    `required_rows` their least count; `lengths` of lists, one for each level, or one `shape`; `pattern`, a regular
    expression that a whole text must match; `distinct`, how many different values; `unique`, none of them twice;
    `truths`; `holds`, the kind of number written as text; `domain_of`, a domain of the Schema by name; `drift` and
    `skew`; the environments it is `only_in` or `not_in`; its `stage`; and a `severity` for each anomaly that shall have
    another than usual, `*` for all.
    """

    name: str = ""
    kind: Kind | None = None
    elements: Kind | None = None
    rows: int = 0
    missing: float | None = None
    infinite: bool = False
    nan: bool = True
    minimum: float | None = None
    maximum: float | None = None
    domain: tuple[str, ...] | None = None
    domain_of: str = ""
    outside: float = 0.0
    constant: str | None = None
    usual: float = 0.0
    required: float | None = None
    required_rows: int | None = None
    lengths: tuple[Between, ...] = ()
    shape: tuple[int, ...] | None = None
    characters: Between | None = None
    pattern: str = ""
    distinct: Between | None = None
    unique: bool = False
    truths: Truths | None = None
    holds: Kind | None = None
    semantic: str = ""
    tokens: Tokens | None = None
    images: Images | None = None
    derived_from: tuple[str, ...] = ()
    drift: Apart | None = None
    skew: Apart | None = None
    only_in: tuple[str, ...] = ()
    not_in: tuple[str, ...] = ()
    stage: Stage = Stage.UNKNOWN
    severity: dict[str, Severity] = field(default_factory=dict)
    note: str = ""

    @property
    def optional(self) -> bool:
        """Whether the column need not be there at all."""
        return self.required_rows == 0 and not self.required


@dataclass(frozen=True)
class Sparse:
    """A sparse vector kept in several columns of lists: the places of its values, and the values."""

    name: str
    index: tuple[str, ...]
    value: str
    stage: Stage = Stage.UNKNOWN


@dataclass(frozen=True)
class WeightedBy:
    """A column of lists whose values have weights in another one."""

    name: str
    value: str
    weight: str
    stage: Stage = Stage.UNKNOWN


@dataclass(frozen=True)
class TimeOrder:
    """The column of record times: rows must come `every` hour, day or month of the span; `fresh`, the age in seconds
    that the newest may have."""

    column: str
    every: str = ""
    fresh: float | None = None


@dataclass(frozen=True)
class Schema:
    """Expectations on the columns of a Dataset; the one called `label` is held to more.

    `environments` are those that columns are in by default; `rules` hold in every row, as `dropoff >= pickup`; `count`
    bounds the rows, `volume` their ratio to those of the Dataset before; `domains` are values that columns share.
    """

    columns: tuple[Expectation, ...]
    label: str = LABEL
    environments: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    count: Between | None = None
    volume: Between | None = None
    time: TimeOrder | None = None
    sparse: tuple[Sparse, ...] = ()
    weighted: tuple[WeightedBy, ...] = ()
    domains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    severity: dict[str, Severity] = field(default_factory=dict)

    def column(self, name: str) -> Expectation | None:
        """The expectation on a column, or None where there is none."""
        return next((column for column in self.columns if column.name == name), None)

    def domain(self, column: Expectation) -> tuple[str, ...] | None:
        """The values a column may have, None for any."""
        return self.domains.get(column.domain_of, column.domain) if column.domain_of else column.domain

    def holds(self, column: Expectation, environment: str = "") -> bool:
        """Whether a column must be there in an environment; empty stands for all of them."""
        if column.stage in UNCHECKED:
            return False
        if not environment:
            return True
        if environment in column.not_in:
            return False
        if column.only_in or self.environments:
            return environment in column.only_in or environment in self.environments
        return True
