"""A Schema from tensorflow-metadata's."""

from __future__ import annotations

from keepfit.core.nouns import Severity
from keepfit.data.metadata.textproto import Message, parse
from keepfit.data.profile import Kind
from keepfit.data.schema import (
    Apart,
    Between,
    Expectation,
    Images,
    Schema,
    Sparse,
    Stage,
    Token,
    Tokens,
    Truths,
    WeightedBy,
)

KINDS = {"INT": Kind.INTEGER, "FLOAT": Kind.FLOAT, "BYTES": Kind.TEXT, "STRUCT": Kind.OTHER}
STAGES = {"UNKNOWN_STAGE": Stage.UNKNOWN, "VALIDATION_DERIVED": Stage.DERIVED} | {
    stage.name: stage for stage in Stage if stage not in (Stage.UNKNOWN, Stage.DERIVED)
}
MEANINGS = {
    "url_domain": "url",
    "mid_domain": "mid",
    "time_domain": "time",
    "time_of_day_domain": "time_of_day",
    "natural_language_domain": "natural_language",
    "image_domain": "image",
}
STRICT = {"SCHEMA_NEW_COLUMN": Severity.WARNING, "*": Severity.ERROR}
"""To TFDV all is an error but a new column."""


def schema_of(text: str) -> Schema:
    """The Schema in a `schema.pbtxt`; no column is a label, for TFDV knows none."""
    found = parse(text)
    domains = {one.text("name"): one.texts("value") for one in found.all("string_domain")}
    columns = tuple(_column(one, domains) for one in found.all("feature"))
    own = {column.name for column in columns if column.domain is not None}
    used = {column.domain_of for column in columns}
    limits = found.one("dataset_constraints")
    ratio = limits.one("num_examples_drift_comparator")
    return Schema(
        columns,
        label="",
        environments=found.texts("default_environment"),
        count=_between(limits, "min_examples_count", "max_examples_count"),
        volume=_between(ratio, "min_fraction_threshold", "max_fraction_threshold"),
        sparse=tuple(_sparse(one) for one in found.all("sparse_feature")),
        weighted=tuple(_weighted(one) for one in found.all("weighted_feature")),
        domains={name: values for name, values in domains.items() if name in used or name not in own},
        severity=STRICT,
    )


def _column(found: Message, domains: dict[str, tuple[str, ...]]) -> Expectation:
    name, kind = found.text("name"), KINDS.get(found.word("type"))
    reference = found.text("domain")
    own = reference == name and reference in domains
    shape = tuple(int(dim.number("size") or 0) for dim in found.one("shape").all("dim")) if found.has("shape") else None
    lengths = tuple(_bounds(one) for one in (*found.all("value_count"), *found.one("value_counts").all("value_count")))
    listed = (shape not in (None, (), (1,))) or any(one != Between(1, 1) for one in lengths)
    numbers = found.one("int_domain") if found.has("int_domain") else found.one("float_domain")
    held = Kind.INTEGER if found.has("int_domain") else Kind.FLOAT if found.has("float_domain") else None
    mass = found.one("distribution_constraints").number("min_domain_mass")
    presence = found.one("presence")
    count = presence.number("min_count")
    return Expectation(
        name=name,
        kind=Kind.TENSOR if listed and kind is not None else kind,
        elements=kind if listed else None,
        infinite=numbers.word("disallow_inf") != "true",
        nan=numbers.word("disallow_nan") != "true",
        minimum=numbers.number("min"),
        maximum=numbers.number("max"),
        domain=domains[name] if own else found.one("string_domain").texts("value") or None,
        domain_of="" if own else reference,
        outside=0.0 if mass is None else 1 - mass,
        required=presence.number("min_fraction"),
        required_rows=None if count is None else int(count),
        lengths=lengths,
        shape=shape,
        distinct=_between(found.one("unique_constraints"), "min", "max"),
        truths=_truths(found),
        holds=held if kind is Kind.TEXT else None,
        semantic=next((meaning for field, meaning in MEANINGS.items() if found.has(field)), ""),
        tokens=_tokens(found.one("natural_language_domain")),
        images=_images(found.one("image_domain")),
        derived_from=tuple(
            step for path in found.one("validation_derived_source").all("source_path") for step in path.texts("step")
        ),
        drift=_apart(found, "drift_comparator"),
        skew=_apart(found, "skew_comparator"),
        only_in=found.texts("in_environment"),
        not_in=found.texts("not_in_environment"),
        stage=Stage.DEPRECATED if found.word("deprecated") == "true" else STAGES[_stage(found)],
        note=" ".join(found.one("annotation").texts("comment")),
    )


def _stage(found: Message) -> str:
    return found.word("lifecycle_stage", "UNKNOWN_STAGE")


def _bounds(found: Message) -> Between:
    return _between(found, "min", "max") or Between()


def _between(found: Message, least: str, most: str) -> Between | None:
    bounds = Between(found.number(least), found.number(most))
    return None if bounds == Between() else bounds


def _truths(found: Message) -> Truths | None:
    if not found.has("bool_domain"):
        return None
    domain = found.one("bool_domain")
    return Truths(domain.text("true_value"), domain.text("false_value"))


def _apart(found: Message, name: str) -> Apart | None:
    if not found.has(name):
        return None
    asked = found.one(name)
    return Apart(
        asked.one("infinity_norm").number("threshold"),
        asked.one("jensen_shannon_divergence").number("threshold"),
        asked.one("normalized_abs_difference").number("threshold"),
    )


def _tokens(found: Message) -> Tokens | None:
    if not found.fields:
        return None
    coverage = found.one("coverage")
    return Tokens(
        coverage=coverage.number("min_coverage"),
        mean_length=coverage.number("min_avg_token_length"),
        excluded=coverage.texts("excluded_string_tokens") + tuple(coverage.words("excluded_int_tokens")),
        unknown=coverage.texts("oov_string_tokens"),
        of=tuple(
            Token(
                one.text("string_value") or one.word("int_value"),
                _between(one, "min_per_sequence", "max_per_sequence") or Between(),
                _between(one, "min_fraction_of_sequences", "max_fraction_of_sequences") or Between(),
            )
            for one in found.all("token_constraints")
        ),
    )


def _images(found: Message) -> Images | None:
    if not found.fields:
        return None
    most = found.number("max_image_byte_size")
    return Images(found.number("minimum_supported_image_fraction"), None if most is None else int(most))


def _sparse(found: Message) -> Sparse:
    index = tuple(one.text("name") for one in found.all("index_feature"))
    return Sparse(found.text("name"), index, found.one("value_feature").text("name"), STAGES[_stage(found)])


def _weighted(found: Message) -> WeightedBy:
    value, weight = found.one("feature").text("step"), found.one("weight_feature").text("step")
    return WeightedBy(found.text("name"), value, weight, STAGES[_stage(found)])
