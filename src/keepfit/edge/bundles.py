"""Bundles: looked at, compared and verified, wherever they lie: a folder, a packed file, a store."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from keepfit.core.errors import Invalid, NotFound, Refused
from keepfit.core.facts import VersionRegistered
from keepfit.core.nouns import Bundle, Digest
from keepfit.core.places import Places
from keepfit.core.registry import to_plain
from keepfit.core.signature import Comparison, compare
from keepfit.edge.onboard.apart import apart
from keepfit.edge.packing import unpack
from keepfit.edge.soundness import require_sound
from keepfit.serve.manifest import manifest
from keepfit.store.blobs import Trees, digest_of_tree
from keepfit.store.ledger import Ledger

_DIGEST = re.compile(r"[0-9a-f]{8,64}")
_VERSION = re.compile(r"([a-z][a-z0-9-]*)@v?(\d+)")
_TOLD_APART = ("signature", "service")


@dataclass(frozen=True)
class Shown:
    """What a Bundle is: its digest, manifest, card, files with their sizes, and the memory it will take, in bytes."""

    digest: Digest
    bundle: Bundle
    card: str
    files: tuple[tuple[str, int], ...]
    memory: int


@dataclass(frozen=True)
class Differences:
    """How a second Bundle differs from a first; an empty tuple where it does not."""

    contract: Comparison
    settings: tuple[str, ...]
    files: tuple[str, ...]
    answers: tuple[str, ...]


@contextmanager
def opened(reference: str, places: Places) -> Iterator[Path]:
    """The directory of a Bundle: a folder, a packed file, a digest (or its first 8 digits) or SERVICE@VERSION."""
    path = Path(reference)
    if path.is_dir():
        yield path
    elif path.is_file():
        with tempfile.TemporaryDirectory() as made:
            unpack(path, Path(made) / "bundle", pickle="only looked at")
            yield Path(made) / "bundle"
    else:
        yield Trees(places.trees).path(_digest(reference, places))


def _digest(reference: str, places: Places) -> Digest:
    if version := _VERSION.fullmatch(reference):
        return _registered(version[1], int(version[2]), places)
    if not _DIGEST.fullmatch(reference):
        raise NotFound(f"{reference}: no such folder or file, and neither a digest nor SERVICE@VERSION")
    found = [path.name for path in places.trees.glob(f"{reference}*") if path.is_dir()]
    if len(found) != 1:
        raise NotFound(f"{reference}: {len(found)} Bundles in {places.root} begin so; expected one")
    return found[0]


def _registered(service: str, number: int, places: Places) -> Digest:
    if not places.ledger.exists():
        raise NotFound(f"{service}@{number}: there is no store at {places.root}; name one with --store")
    with closing(Ledger(places.ledger, readonly=True)) as ledger:
        fact = ledger.last(VersionRegistered, service, str(number))
    if fact is None:
        raise NotFound(f"{service}@{number}: no such version; `keepfit versions {service}` lists them")
    return fact.digest


def show(directory: Path) -> Shown:
    """Everything a person may want to know of a Bundle, without loading its model."""
    bundle = manifest(directory)
    card = directory / "card.md"
    files = tuple((name, (directory / name).stat().st_size) for name in _files(directory))
    return Shown(
        digest=digest_of_tree(directory),
        bundle=bundle,
        card=card.read_text(encoding="utf-8") if card.is_file() else "",
        files=files,
        memory=_memory(bundle, files),
    )


def _files(directory: Path) -> list[str]:
    paths = (path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path.relative_to(directory).as_posix() for path in paths)


def _memory(bundle: Bundle, files: tuple[tuple[str, int], ...]) -> int:
    """What loading will take, by what it took: a model's bytes and its Runtime's own."""
    own = {"onnx": 30, "sklearn": 120, "xgboost": 90, "lightgbm": 60, "torch": 220, "python": 60, "mlflow": 250}
    apart_from = ("golden.parquet", "reference.parquet", "card.md", "environment.lock", "bundle.json")
    return own.get(bundle.runtime, 60) * 2**20 + 2 * sum(size for name, size in files if name not in apart_from)


def diff(first: Path, second: Path) -> Differences:
    """What differs between two Bundles, and how differently they answer each other's golden examples."""
    one, other = manifest(first), manifest(second)
    return Differences(
        contract=compare(one.signature, other.signature),
        settings=tuple(_settings(one, other)),
        files=tuple(_changed(first, second)),
        answers=tuple(_answers(first, second)),
    )


def _settings(one: Bundle, other: Bundle) -> Iterator[str]:
    before, after = to_plain(one), to_plain(other)
    for name in before:
        if name not in _TOLD_APART and before[name] != after[name]:
            yield f"{name}: was {_said(before[name])}, is {_said(after[name])}"


def _said(value: object) -> str:
    text = "nothing" if value in (None, "", []) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _changed(first: Path, second: Path) -> Iterator[str]:
    before, after = set(_files(first)), set(_files(second))
    for name in sorted(before | after):
        if name not in after:
            yield f"{name} is gone"
        elif name not in before:
            yield f"{name} is new ({(second / name).stat().st_size:,} bytes)"
        elif (first / name).read_bytes() != (second / name).read_bytes():
            sizes = (first / name).stat().st_size, (second / name).stat().st_size
            yield f"{name} differs ({sizes[0]:,} and {sizes[1]:,} bytes)"


def _answers(first: Path, second: Path) -> Iterator[str]:
    """The answers of each to the other's golden examples, output by output."""
    for asked, model, told in (
        (first, second, "the second to the first's"),
        (second, first, "the first to the second's"),
    ):
        try:
            found = apart("keepfit.edge.onboard.answers", model, asked)
        except Refused as error:
            yield f"{told} golden examples: {error}"
            continue
        yield from (f"{told} golden examples: {sentence}" for sentence in found["sentences"])


def verify(directory: Path, *, digest: Digest = "") -> float:
    """Check the files, the digest where one is given, and that the golden examples come out; their largest error.

    Refused names the first thing that is wrong.
    """
    bundle = require_sound(directory)
    found = digest_of_tree(directory)
    if digest and not (_DIGEST.fullmatch(digest) and found.startswith(digest)):
        raise Refused(f"{directory}: its digest is {found}, expected {digest}", code="wrong_digest")
    if bundle.pickle and not bundle.pickle.strip():
        raise Invalid(f"{directory}: the reason for its pickle is blank")
    try:
        return float(apart("keepfit.edge.onboard.rehearsal", directory)["error"])
    except Refused as error:
        raise Refused(f"{directory}: {error}", code=error.code) from error
