"""Profiles as tensorflow-metadata's statistics, and back."""

from __future__ import annotations

from keepfit.data.metadata.textproto import Message, parse, written
from keepfit.data.profile import NUMBERS, Frequent, Kind, Lengths, Profile, Statistics, equal_histogram, histogram

_KINDS = {"INT": Kind.INTEGER, "FLOAT": Kind.FLOAT, "STRING": Kind.TEXT, "BYTES": Kind.TEXT, "STRUCT": Kind.OTHER}


def statistics_text(profile: Profile) -> str:
    """A Profile as statistics of tensorflow-metadata; what is zero is not written, as in proto3."""
    dataset = _add(Message(), "num_examples", profile.rows)
    for column in profile.columns:
        dataset.add("features", _feature(column))
    return written(Message().add("datasets", dataset))


def _add(message: Message, name: str, value: float | str | None) -> Message:
    return message.add(name, value or None)


def _feature(column: Statistics) -> Message:
    found = Message()
    numeric = column.kind in NUMBERS or column.kind is Kind.BOOLEAN
    if column.kind is Kind.FLOAT:
        found.name("type", "FLOAT")
    elif not numeric:
        found.name("type", "STRING")
    found.add("num_stats" if numeric else "string_stats", _numbers(column) if numeric else _texts(column))
    return found.add("path", Message().add("step", column.name))


def _common(column: Statistics) -> Message:
    valency = column.valency
    lengths = valency if valency.count else Lengths(column.present, column.present, 1, 1) if column.present else valency
    found = _add(Message(), "num_non_missing", column.present)
    for name, value in (
        ("num_missing", column.missing),
        ("min_num_values", lengths.shortest),
        ("max_num_values", lengths.longest),
        ("avg_num_values", float(lengths.mean)),
        ("tot_num_values", lengths.total),
    ):
        _add(found, name, value)
    return found


def _numbers(column: Statistics) -> Message:
    found = Message().add("common_stats", _common(column))
    _add(found, "mean", column.mean)
    _add(found, "std_dev", column.deviation)
    _add(found, "num_zeros", column.zeros)
    ends = column.at([0.0, 0.5, 1.0])
    for name, value in zip(("min", "median", "max"), ends, strict=False):
        _add(found, name, float(value))
    for make, kind in ((histogram, ""), (equal_histogram, "QUANTILES")):
        found.add("histograms", _histogram(*make(column), kind))
    return found


def _histogram(edges: tuple[float, ...], counts: tuple[float, ...], kind: str) -> Message:
    found = Message()
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        bucket = _add(Message(), "low_value", low)
        found.add("buckets", _add(_add(bucket, "high_value", high), "sample_count", float(count)))
    return found.name("type", kind) if kind else found


def _texts(column: Statistics) -> Message:
    found = _add(Message().add("common_stats", _common(column)), "unique", column.distinct.count)
    top = column.frequent.top()
    for value, count in top[:20]:
        found.add("top_values", Message().add("value", str(value)).add("frequency", float(count)))
    _add(found, "avg_length", float(column.lengths.mean))
    ranks = Message()
    for rank, (value, count) in enumerate(top):
        bucket = _add(_add(Message(), "low_rank", rank), "high_rank", rank)
        ranks.add("buckets", bucket.add("label", str(value)).add("sample_count", float(count)))
    return found.add("rank_histogram", ranks)


def profile_of(text: str) -> Profile:
    """A Profile of what statistics of tensorflow-metadata tell: counts, moments, range and the values of text.

    Quantiles and distinct values are not in them; of several datasets the first is read.
    """
    dataset = parse(text).one("datasets")
    rows = int(dataset.number("num_examples") or 0)
    return Profile(rows, tuple(_statistics(one, rows) for one in dataset.all("features")))


def _statistics(found: Message, rows: int) -> Statistics:
    name = found.text("name") or ".".join(found.one("path").texts("step"))
    kind = _KINDS.get(found.word("type", "INT"), Kind.OTHER)
    numbers, texts = found.one("num_stats"), found.one("string_stats")
    common = (numbers if numbers.fields else texts).one("common_stats")
    missing, present = (int(common.number(key) or 0) for key in ("num_missing", "num_non_missing"))
    deviation = numbers.number("std_dev") or 0.0
    ranked = {
        one.text("label"): int(one.number("sample_count") or 0) for one in texts.one("rank_histogram").all("buckets")
    }
    ordered = sorted(ranked)
    unique = int(texts.number("unique") or 0)
    return Statistics(
        name=name,
        kind=kind if present else Kind.NOTHING,
        rows=rows,
        missing=missing,
        finite=present if numbers.fields else 0,
        zeros=int(numbers.number("num_zeros") or 0),
        minimum=(numbers.number("min") or 0.0) if numbers.fields and present else None,
        maximum=(numbers.number("max") or 0.0) if numbers.fields and present else None,
        mean=numbers.number("mean") or 0.0,
        squares=deviation * deviation * present,
        frequent=Frequent(tuple(ordered), tuple(ranked[value] for value in ordered), max(0, unique - len(ranked))),
    )
