"""Boosters: XGBoost and LightGBM files, read by keepfit's own parsers before their libraries see them."""

from __future__ import annotations

from pathlib import Path

from keepfit.core.errors import Refused
from keepfit.core.nouns import Task
from keepfit.core.signature import DType, Field
from keepfit.edge.onboard.drafts import Draft, Wishes
from keepfit.edge.onboard.recognise import Recognised
from keepfit.serve.runtimes import lightgbm_file, xgboost_file
from keepfit.serve.runtimes.trees import Damaged


def xgboost(found: Recognised, wishes: Wishes, scratch: Path) -> Draft:
    """An XGBoost booster: every feature a number that may be missing."""
    data = found.path.read_bytes()
    try:
        said = xgboost_file.read(data)
    except Damaged as error:
        raise Refused(f"is a damaged XGBoost model: {error}", code="truncated") from error
    task, classes = _task(said.objective, said.classes, said.targets)
    width = max(1, said.classes) * said.targets
    return Draft(
        runtime="xgboost",
        files=(("model.json" if data[1:2] in b'"\n \t\r' else "model.ubj", found.path),),
        framework="XGBoost",
        inputs=_features(said.names, said.features, DType.FP32),
        outputs=() if task else (Field("prediction", DType.FP32, (width,) if width > 1 else ()),),
        task=task,
        classes=classes,
        notes=_category_notes([said.names[place] for place in said.categorical] if said.names else []),
    )


def lightgbm(found: Recognised, wishes: Wishes, scratch: Path) -> Draft:
    """A LightGBM booster: numbers that may be missing, and texts where it keeps the words of its categories."""
    text = found.path.read_text(encoding="utf-8")
    mended, notes = _mended(text)
    try:
        said = lightgbm_file.read(mended)
    except Damaged as error:
        raise Refused(f"is a damaged LightGBM model: {error}", code="truncated") from error
    model = scratch / "model.txt"
    model.write_text(mended, encoding="utf-8")
    task, classes = _task(said.objective, said.outputs if said.outputs > 1 else 0, 1)
    fields = list(_features(said.features, len(said.features), DType.FP64))
    worded = bool(said.words) and all(isinstance(word, str) for words in said.words for word in words)
    if worded and len(said.words) == len(said.categorical):
        for place in said.categorical:
            fields[place] = Field(said.features[place], DType.BYTES, nullable=True)
    return Draft(
        runtime="lightgbm",
        files=(("model.txt", model),),
        framework="LightGBM",
        inputs=tuple(fields),
        outputs=() if task else (Field("prediction", DType.FP64, (said.outputs,) if said.outputs > 1 else ()),),
        task=task,
        classes=classes,
        notes=notes + (() if worded else _category_notes([said.features[place] for place in said.categorical])),
    )


def _mended(text: str) -> tuple[str, tuple[str, ...]]:
    """A file of LightGBM 2, which says nothing at the end of its trees, as a newer one has it."""
    plain = text.replace("\r\n", "\n")
    if "\nend of trees" in plain or "\nversion=v2\n" not in plain:
        return plain, ()
    before, mark, after = plain.partition("\nfeature importances:")
    if not mark:
        before, mark, after = plain.partition("\npandas_categorical:")
    told = ("written by LightGBM 2; the end of its trees was marked as newer ones do",)
    return f"{before.rstrip()}\n\n\nend of trees\n{mark}{after}", told


def _features(names: tuple[str, ...], count: int, dtype: DType) -> tuple[Field, ...]:
    if not names:
        return (Field("input", dtype, (count,), nullable=True),)
    return tuple(Field(name, dtype, nullable=True) for name in names)


def _category_notes(names: list[str]) -> tuple[str, ...]:
    return (f"the categories of {', '.join(names)} are sent as their numbers",) if names else ()


def _task(objective: str, classes: int, targets: int) -> tuple[Task | None, tuple[int, ...]]:
    """What an objective answers, and the classes, which a booster knows as 0, 1, 2, ..."""
    if objective in ("binary:logistic", "binary:logitraw", "binary"):
        return (Task.BINARY, (0, 1)) if targets == 1 else (None, ())
    if objective in ("multi:softprob", "multi:softmax", "multiclass", "multiclassova") and targets == 1:
        return Task.MULTICLASS, tuple(range(classes))
    if classes or targets > 1 or objective in ("binary:hinge", "custom", ""):
        return None, ()
    return Task.REGRESSION, ()
