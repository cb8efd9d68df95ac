"""Make: a Bundle directory from a settled model, proved before anyone sees it, and kept where it was asked for."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from keepfit.core.errors import Conflict, Refused
from keepfit.core.nouns import Bundle, Digest
from keepfit.core.places import Places
from keepfit.core.registry import canonical, from_plain
from keepfit.core.signature import Field
from keepfit.edge.declare.declaration import installed
from keepfit.edge.onboard.apart import apart
from keepfit.edge.onboard.drafts import Draft, Wishes
from keepfit.edge.onboard.settle import Settled
from keepfit.learn.card import card, lock
from keepfit.store.blobs import Trees, digest_of_tree


def make(directory: Path, draft: Draft, settled: Settled, *, origin: str) -> tuple[Bundle, tuple[str, ...]]:
    """Write the Bundle into `directory` and prove it; its manifest and what its users should know.

    Refused where the model does not answer its examples, crashes its process, or is too slow.
    """
    bundle = replace(settled.bundle, environment=installed())
    for name, source in draft.files:
        _copy(source, directory / name)
    (directory / "environment.lock").write_text(lock(), encoding="utf-8")
    notes = (*draft.notes, *settled.notes)
    if settled.trial:
        bundle = _tried(directory, bundle, settled.given)
    if draft.estimator and bundle.task is not None:
        bundle = _converted(directory, bundle, settled.given)
    bundle, found = _proved(directory, bundle, settled.given)
    notes = (*notes, *found)
    (directory / "card.md").write_text(card(bundle, made=(origin,), notes=notes), encoding="utf-8")
    return bundle, notes


def _tried(directory: Path, bundle: Bundle, given: Path | None) -> Bundle:
    """The same with the outputs that the model really gives."""
    (directory / "bundle.json").write_bytes(canonical(bundle))
    told = apart("keepfit.edge.onboard.pythons", directory, given or "")
    outputs = tuple(from_plain(Field, plain) for plain in told)
    return replace(bundle, signature=replace(bundle.signature, outputs=outputs))


def _converted(directory: Path, bundle: Bundle, given: Path | None) -> Bundle:
    """The same as ONNX, in place of the estimator, where both answer the sample alike."""
    if given is None:
        return replace(bundle, note="served natively: without a sample nothing shows that its ONNX form is the same")
    (directory / "bundle.json").write_bytes(canonical(bundle))
    with tempfile.TemporaryDirectory() as scratch:
        try:
            told = apart("keepfit.edge.onboard.conversion", directory, given, scratch)
        except Refused as error:
            return replace(bundle, note=f"served natively: the conversion ended with: {error}")
        if "columns" not in told:
            return replace(bundle, note=told["note"], parity=told.get("parity"))
        for name in ("estimator.pickle", "model.skops"):
            (directory / name).unlink(missing_ok=True)
        shutil.rmtree(directory / "code", ignore_errors=True)
        shutil.copyfile(Path(scratch) / "model.onnx", directory / "model.onnx")
    columns = tuple((name, tuple(members)) for name, members in told["columns"])
    facts = {"parity": told["parity"], "tolerance": told["tolerance"], "note": told["note"]}
    return replace(bundle, runtime="onnx", entry="", columns=columns, **facts)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", ".*"), dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


def _proved(directory: Path, bundle: Bundle, given: Path | None) -> tuple[Bundle, list[str]]:
    """Golden examples answered; a model whose records do not go together is made one of single records."""
    notes: list[str] = []
    for attempt in (bundle, _single(bundle)):
        (directory / "bundle.json").write_bytes(canonical(attempt))
        told = apart("keepfit.edge.onboard.proof", directory, given or "")
        notes += told["notes"]
        if told["batched"]:
            outputs = tuple(from_plain(Field, plain) for plain in told["outputs"])
            proved = replace(attempt, signature=replace(attempt.signature, outputs=outputs))
            (directory / "bundle.json").write_bytes(canonical(proved))
            apart("keepfit.edge.onboard.rehearsal", directory)
            return proved, notes
    raise Refused("the model answers no request twice alike", code="fails_examples")


def _single(bundle: Bundle) -> Bundle:
    """The same model with requests of one record; its tensors keep their first dimension, which is free."""
    sides = [
        tuple(replace(field, shape=(-1, *field.shape)) for field in fields)
        for fields in (bundle.signature.inputs, bundle.signature.outputs)
    ]
    signature = replace(bundle.signature, inputs=sides[0], outputs=sides[1], batched=False)
    return replace(bundle, signature=signature)


def keep(directory: Path, wishes: Wishes, name: str) -> tuple[Path, Digest]:
    """Put the finished directory where it was asked for; Conflict where something else lies there."""
    digest = digest_of_tree(directory)
    kept = directory
    if wishes.store is not None:
        trees = Trees(Places(wishes.store).trees)
        kept = trees.path(trees.put(directory))
    if wishes.into is not None or wishes.store is None:
        kept = wishes.into or Path.cwd() / f"{name}-bundle"
        _move(directory, kept, digest)
    return kept, digest


def _move(directory: Path, into: Path, digest: Digest) -> None:
    if into.is_dir() and any(into.iterdir()):
        if digest_of_tree(into) == digest:
            return
        raise Conflict(f"{into}: holds something else already; remove it, or name another folder with --into")
    if into.exists() and not into.is_dir():
        raise Conflict(f"{into}: is a file; name a folder with --into")
    into.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(directory, into, dirs_exist_ok=True)
