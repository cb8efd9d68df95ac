"""Draft: what is known of a model before it is a Bundle, and what a person wishes it to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keepfit.core.nouns import Bundle, Digest, Task
from keepfit.core.signature import DType, Field, Signature


def _silent(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What a person says of the model that its file does not.

    `name` is the Service's, by default made of the file's; the Bundle is written to `into`, or kept in the store
    `store`, or both. `sample` is a file of inputs, `signature` a JSON file of a Signature, whatever the file says;
    `expected` is what the Service's callers send and get already, for what the file is silent about. `pickle` is the
    reason for opening a pickle. `ask` is asked a question and answers it, None where nobody is there; `tell` hears of
    progress.
    """

    name: str = ""
    into: Path | None = None
    store: Path | None = None
    sample: Path | None = None
    signature: Path | None = None
    expected: Signature | None = None
    task: Task | None = None
    label: str = ""
    classes: tuple[str | int | bool, ...] = ()
    threshold: float | None = None
    entry: str = ""
    pickle: str = ""
    licence: str = ""
    ask: Callable[[str, str], str] | None = None
    tell: Callable[[str], None] = _silent


@dataclass(frozen=True)
class Onboarded:
    """A Bundle that was proved to answer: where it lies, its manifest, its digest, and what a person should know."""

    directory: Path
    bundle: Bundle
    digest: Digest
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A model as its file describes it.

    `files` are the Bundle's own names for what is copied in. Empty `inputs` are not known from the file; then
    `features` are their names, or `width` their number, where at least that is. `examples` is a Parquet file of inputs
    that came with the model. `estimator` says that there is a scikit-learn object, worth a conversion; `pickled` that a
    pickle has to be opened; `trial` that its outputs are seen only when it answers. `matrix` is the type of the one
    matrix that the columns of a sample are put into.
    """

    runtime: str
    files: tuple[tuple[str, Path], ...]
    framework: str = ""
    inputs: tuple[Field, ...] = ()
    outputs: tuple[Field, ...] = ()
    batched: bool = True
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    features: tuple[str, ...] = ()
    width: int = 0
    task: Task | None = None
    classes: tuple[str | int | bool, ...] = ()
    entry: str = ""
    licence: str = ""
    examples: Path | None = None
    estimator: bool = False
    pickled: bool = False
    trial: bool = False
    matrix: DType | None = None
    notes: tuple[str, ...] = ()
