"""Onboarding: a model is recognised, drafted by its kind, settled with what was wished, made, tried and kept.

It stands beside the package, not in its `__init__`: the processes that look into a model import only what they need.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from keepfit.core.errors import Refused
from keepfit.edge.onboard import boosters, estimators, forms, neighbours, pythons, torches
from keepfit.edge.onboard.drafts import Draft, Onboarded, Wishes
from keepfit.edge.onboard.make import keep, make
from keepfit.edge.onboard.recognise import Kind, Recognised, recognise
from keepfit.edge.onboard.settle import settle

_NOTHING = Wishes()

_FORMS: dict[Kind, Callable[[Recognised, Wishes, Path], Draft]] = {
    Kind.ONNX: forms.onnx,
    Kind.SKOPS: estimators.skops,
    Kind.PICKLE: estimators.pickled,
    Kind.XGBOOST: boosters.xgboost,
    Kind.LIGHTGBM: boosters.lightgbm,
    Kind.EXPORTED: torches.exported,
    Kind.STATE: torches.state,
    Kind.PYTHON: pythons.python,
    Kind.TRITON: lambda found, wishes, scratch: neighbours.triton(found, wishes, scratch, _FORMS),
    Kind.MLSERVER: lambda found, wishes, scratch: neighbours.mlserver(found, wishes, scratch, _FORMS),
    Kind.MLFLOW: lambda found, wishes, scratch: neighbours.mlflow(found, wishes, scratch, _FORMS),
}


def onboard(path: Path, wishes: Wishes = _NOTHING) -> Onboarded:
    """Make a Bundle of the model at `path`, prove that it answers, and keep it.

    Refused with the reason where it cannot be served; Invalid (`missing_options`) lists what the file does not say and
    the wishes do not either. The same model and wishes give the same digest.
    """
    path = path.resolve()
    name = wishes.name or service_name(path)
    found = recognise(path)
    wishes.tell(f"{path.name}: {found.kind}")
    with tempfile.TemporaryDirectory() as made:
        scratch, directory = Path(made), Path(made) / "bundle"
        directory.mkdir()
        try:
            draft = _FORMS[found.kind](found, wishes, scratch)
            settled = settle(draft, wishes, name=name, scratch=scratch)
            wishes.tell(f"trying it with {draft.runtime}, in a process of its own")
            bundle, notes = make(directory, draft, settled, origin=_origin(found))
        except Refused as error:
            raise Refused(f"{path}: {error}", code=error.code) from error
        kept, digest = keep(directory, wishes, name)
    return Onboarded(kept, bundle, digest, notes)


def _origin(found: Recognised) -> str:
    """From which bytes the Bundle was made."""
    if found.path.is_dir():
        return f"onboarded from the folder {found.path.name} ({found.kind})"
    digest = hashlib.sha256(found.path.read_bytes()).hexdigest()
    return f"onboarded from {found.path.name} ({found.kind}), SHA-256 {digest}"


def service_name(path: Path) -> str:
    """A Service's name made of a file's: lower-case letters, digits and '-'.

    >>> service_name(Path("models/Iris_Model.onnx")), service_name(Path("churn/model.onnx"))
    ('iris-model', 'churn')
    """
    stem = path.name.partition(".")[0]
    if stem.lower() in ("model", "estimator", "pipeline", "1") and path.parent.name:
        stem = path.parent.name
    name = re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")
    return (name if name[:1].isalpha() else f"model-{name}".strip("-"))[:63]
