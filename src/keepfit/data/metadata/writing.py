"""A Schema as tensorflow-metadata's: field after field by number, as its own printer writes them."""

from __future__ import annotations

from keepfit.data.metadata.schemas import KINDS, MEANINGS, STAGES
from keepfit.data.metadata.textproto import Message, written
from keepfit.data.profile import Kind
from keepfit.data.schema import Apart, Between, Expectation, Schema, Stage, Tokens

_TYPES = {kind: name for name, kind in KINDS.items()} | {
    Kind.BOOLEAN: "INT",
    Kind.TIME: "INT",
    Kind.NOTHING: "BYTES",
    Kind.TENSOR: "BYTES",
}
_STAGES = {stage: name for name, stage in STAGES.items()}
_FIELDS = {meaning: field for field, meaning in MEANINGS.items()}


def schema_text(schema: Schema) -> str:
    """A Schema as `schema.pbtxt`; what TFDV has no words for (patterns, rules, learnt shares) is left out."""
    message = Message()
    for column in schema.columns:
        message.add("feature", _feature(column))
    for column in schema.columns:
        if column.domain is not None and column.kind is Kind.TEXT:
            message.add("string_domain", _values(column.name, column.domain))
    for name, values in schema.domains.items():
        message.add("string_domain", _values(name, values))
    for environment in schema.environments:
        message.add("default_environment", environment)
    for sparse in schema.sparse:
        one = Message().add("name", sparse.name)
        for name in sparse.index:
            one.add("index_feature", Message().add("name", name))
        message.add(
            "sparse_feature", _staged(one, sparse.stage).add("value_feature", Message().add("name", sparse.value))
        )
    constraints = _constraints(schema)
    if constraints.fields:
        message.add("dataset_constraints", constraints)
    for weighted in schema.weighted:
        one = Message().add("name", weighted.name).add("feature", Message().add("step", weighted.value))
        one.add("weight_feature", Message().add("step", weighted.weight))
        message.add("weighted_feature", _staged(one, weighted.stage))
    return written(message)


def _values(name: str, values: tuple[str, ...]) -> Message:
    domain = Message().add("name", name)
    for value in values:
        domain.add("value", value)
    return domain


def _staged(message: Message, stage: Stage) -> Message:
    return message if stage is Stage.UNKNOWN else message.name("lifecycle_stage", _STAGES[stage])


def _constraints(schema: Schema) -> Message:
    found = Message()
    if schema.volume is not None:
        ratio = Message().add("min_fraction_threshold", schema.volume.least)
        found.add("num_examples_drift_comparator", ratio.add("max_fraction_threshold", schema.volume.most))
    if schema.count is not None:
        found.add("min_examples_count", _whole(schema.count.least))
        found.add("max_examples_count", _whole(schema.count.most))
    return found


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _feature(column: Expectation) -> Message:
    found = Message().add("name", column.name or None)
    if len(column.lengths) == 1:
        found.add("value_count", _bounds(column.lengths[0]))
    if column.kind is not None:
        found.name("type", _TYPES[column.elements or column.kind])
    _add_domain(found, column)
    presence = Message().add("min_fraction", _fraction(column)).add("min_count", column.required_rows)
    if presence.fields:
        found.add("presence", presence)
    if column.outside:
        found.add("distribution_constraints", Message().add("min_domain_mass", 1 - column.outside))
    if column.note:
        found.add("annotation", Message().add("comment", column.note))
    _add_apart(found, "skew_comparator", column.skew)
    for name in column.not_in:
        found.add("not_in_environment", name)
    for name in column.only_in:
        found.add("in_environment", name)
    _add_apart(found, "drift_comparator", column.drift)
    _staged(found, column.stage)
    if column.shape is not None:
        shape = Message()
        for size in column.shape:
            shape.add("dim", Message().add("size", size))
        found.add("shape", shape)
    _add_meaning(found, column)
    if column.distinct is not None:
        found.add("unique_constraints", _bounds(column.distinct))
    if len(column.lengths) > 1:
        nested = Message()
        for one in column.lengths:
            nested.add("value_count", _bounds(one))
        found.add("value_counts", nested)
    if column.derived_from:
        source = Message()
        for name in column.derived_from:
            source.add("source_path", Message().add("step", name))
        found.add("validation_derived_source", source)
    return found


def _fraction(column: Expectation) -> float | None:
    return None if column.required is None else float(column.required)


def _bounds(bounds: Between) -> Message:
    return Message().add("min", _whole(bounds.least)).add("max", _whole(bounds.most))


def _add_domain(found: Message, column: Expectation) -> None:
    kind = column.holds or column.elements or column.kind
    ranged = column.minimum is not None or column.maximum is not None
    if column.domain_of or (column.domain is not None and column.kind is Kind.TEXT):
        found.add("domain", column.domain_of or column.name)
    elif column.truths is not None or column.kind is Kind.BOOLEAN:
        truths = column.truths
        domain = Message().add("true_value", truths.true or None if truths else None)
        found.add("bool_domain", domain.add("false_value", truths.false or None if truths else None))
    elif kind is Kind.INTEGER and (ranged or column.holds):
        found.add("int_domain", Message().add("min", _whole(column.minimum)).add("max", _whole(column.maximum)))
    elif kind is Kind.FLOAT and (ranged or column.holds or not column.nan or not column.infinite):
        domain = Message().add("min", column.minimum).add("max", column.maximum)
        domain.add("disallow_nan", None if column.nan else True)
        found.add("float_domain", domain.add("disallow_inf", None if column.infinite else True))


def _add_apart(found: Message, name: str, apart: Apart | None) -> None:
    if apart is None:
        return
    message = Message()
    for field, threshold in (
        ("infinity_norm", apart.linfty),
        ("jensen_shannon_divergence", apart.jensen_shannon),
        ("normalized_abs_difference", apart.absolute),
    ):
        if threshold is not None:
            message.add(field, Message().add("threshold", threshold))
    found.add(name, message)


def _add_meaning(found: Message, column: Expectation) -> None:
    if column.tokens is not None:
        found.add("natural_language_domain", _tokens(column.tokens))
    elif column.images is not None:
        image = Message().add("minimum_supported_image_fraction", column.images.supported)
        found.add("image_domain", image.add("max_image_byte_size", column.images.most_bytes))
    elif column.semantic in _FIELDS:
        found.add(_FIELDS[column.semantic], Message())


def _tokens(tokens: Tokens) -> Message:
    found = Message()
    coverage = Message().add("min_coverage", tokens.coverage).add("min_avg_token_length", tokens.mean_length)
    for word in tokens.excluded:
        coverage.add("excluded_string_tokens", word)
    for word in tokens.unknown:
        coverage.add("oov_string_tokens", word)
    if coverage.fields:
        found.add("coverage", coverage)
    for token in tokens.of:
        one = Message().add("string_value", token.value)
        one.add("min_per_sequence", _whole(token.per_row.least)).add("max_per_sequence", _whole(token.per_row.most))
        one.add("min_fraction_of_sequences", token.share.least)
        found.add("token_constraints", one.add("max_fraction_of_sequences", token.share.most))
    return found
