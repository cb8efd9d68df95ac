"""A model with all that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keepfit.core.requirements import Requirements
from keepfit.core.signature import Field, Signature

if TYPE_CHECKING:  # numpy costs a tenth of a second, pyarrow more, and only the types are needed
    pass
from keepfit.core.nouns.data import Digest, Task


@dataclass(frozen=True)
class Bundle:
    """The manifest of a Bundle: everything needed to answer, in one content-addressed directory.

    `runtime` names the Runtime that loads it (`onnx`, `python`, …), `framework` what made the model, with its version;
    `columns` maps each input of the native model to the Signature fields stacked into it; `parity` is the largest
    difference between the converted and the native model's outputs on held-out rows, None when nothing was converted;
    `note` says why a model could not be converted. `task` and `label` are None where no label will ever come.
    `threshold` is the probability from which a binary model predicts its last class, None for the model's own.
    `entry` names what of `code/` is served (`module:attribute`); `pickle` is the reason a person gave for opening a
    pickle; `requirements` are what a single request is held to. Files of the directory: `bundle.json` (this), the
    model's own, `code/` where it needs some, `golden.parquet` (examples with the answers expected), `reference.parquet`
    (a sample of the training inputs and outputs: what drift and skew are measured against), `environment.lock` (the
    distributions it was made with, one `name==version` a line), `card.md` (the model card).
    """

    service: str
    runtime: str
    signature: Signature
    task: Task | None = None
    label: Field | None = None
    framework: str = ""
    entry: str = ""
    pickle: str = ""
    threshold: float | None = None
    classes: tuple[str | int | bool, ...] = ()
    columns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    tolerance: float = 1e-4
    parity: float | None = None
    note: str = ""
    environment: Digest = ""
    licence: str = ""
    recipe: str = ""
    requirements: Requirements = Requirements()


@dataclass(frozen=True)
class Version:
    """A numbered Bundle of a Service; `parent` is the Version it was updated from, 0 for none."""

    service: str
    number: int
    digest: Digest
    parent: int = 0

    def __str__(self) -> str:
        return f"{self.service} v{self.number}"
