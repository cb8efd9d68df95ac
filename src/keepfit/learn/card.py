"""Card: what a Bundle says of itself to people, and the distributions it was made with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.metadata import distributions

from keepfit.core.nouns import Bundle
from keepfit.core.signature import Field


def card(bundle: Bundle, *, made: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """The model card in Markdown; `made` says how the Bundle came to be, `notes` what its users should know.

    >>> from keepfit.core.signature import DType, Signature
    >>> signature = Signature((Field("x", DType.FP64),), (Field("y", DType.FP64),))
    >>> card(Bundle("prices", "onnx", signature)).splitlines()[0]
    '# prices'
    """
    lines = [f"# {bundle.service}", "", *_facts(bundle), ""]
    lines += ["## Inputs", "", *_table(bundle.signature.inputs), ""]
    lines += ["## Outputs", "", *_table(bundle.signature.outputs), ""]
    for title, sentences in (("How it was made", made), ("What to know", notes)):
        if sentences:
            lines += [f"## {title}", "", *(f"- {sentence}" for sentence in sentences), ""]
    return "\n".join(lines)


def _facts(bundle: Bundle) -> Iterator[str]:
    task = f"{bundle.task}" if bundle.task else "not stated"
    yield f"- Task: {task}" + (f", predicting '{bundle.label.name}'" if bundle.label else "")
    if bundle.classes:
        yield f"- Classes: {', '.join(map(str, bundle.classes))}"
    if bundle.threshold is not None:
        yield f"- Decides for {bundle.classes[-1]} from a probability of {bundle.threshold:g}"
    yield f"- Served by: {bundle.runtime}" + (f" ({bundle.entry})" if bundle.entry else "")
    if bundle.framework:
        yield f"- Made with: {bundle.framework}"
    yield f"- Licence: {bundle.licence or 'not stated'}"
    if bundle.parity is not None:
        allowed = f"(allowed: {bundle.tolerance:g})"
        yield f"- Converted, it differs by at most {bundle.parity:.3g} from the original {allowed}"
    if bundle.note:
        yield f"- {bundle.note}"
    if bundle.pickle:
        yield f"- Was a pickle, opened because: {bundle.pickle}"
    requests = "any number of records" if bundle.signature.batched else "one record"
    yield f"- A request carries {requests}"


def _table(fields: Sequence[Field]) -> Iterator[str]:
    yield "| name | type | shape | |"
    yield "|---|---|---|---|"
    for field in fields:
        shape = " × ".join("any" if size < 0 else str(size) for size in field.shape)
        yield f"| {field.name.replace('|', '&#124;')} | {field.dtype} | {shape} | {'; '.join(_more(field))} |"


def _more(field: Field) -> Iterator[str]:
    if field.nullable:
        yield "may be missing"
    if field.timestamp:
        yield "microseconds since 1970, UTC"
    if field.choices:
        yield "one of " + ", ".join(field.choices)
    if field.oneof:
        yield f"exactly one of '{field.oneof}'"


@cache
def lock() -> str:
    """The distributions this process found installed, one `name==version` a line, in the order of their names.

    Read once: it takes half a second, and what a process has imported does not change under it.
    """
    found = {(dist.name.lower().replace("_", "-"), dist.version) for dist in distributions() if dist.name}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found))
