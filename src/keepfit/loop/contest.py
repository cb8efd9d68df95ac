"""A contest: every Service of a file is replayed over one history with each seed, in a store of its own."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec
import pyarrow as pa

from keepfit.core.nouns import Digest
from keepfit.core.places import Places
from keepfit.core.registry import digest_of, from_plain
from keepfit.core.service import Specification
from keepfit.loop.compare import Comparison, compared
from keepfit.loop.courses import Course
from keepfit.loop.hindsight import losses_by_model
from keepfit.loop.oracle import Floats
from keepfit.loop.replay import Replayed, Terms, estimator_of, history_of, replay, seeded, simple_policies
from keepfit.store.blobs import Blobs

Tell = Callable[[str], None]


class Contest:
    """Replays that share what they can: the simple policies and the oracle of one estimator and recipe."""

    def __init__(self, places: Places, terms: Terms, *, oracle: bool, tell: Tell) -> None:
        self._places, self._terms, self._oracle, self._tell = places, terms, oracle, tell
        self._simple: dict[Digest, tuple[Course, ...]] = {}
        self._matrices: dict[Digest, Floats] = {}

    def run(self, entrants: Mapping[str, tuple[Digest, pa.Table]], seeds: tuple[int, ...]) -> Comparison:
        """Replay every Service, given by name with its Specification and its rows, with every seed."""
        runs: dict[str, list[Replayed]] = {}
        matrices: dict[str, list[Floats]] = {}
        for name, (digest, rows) in entrants.items():
            for seed in seeds:
                self._tell(f"{name}, seed {seed}")
                runs.setdefault(name, []).append(self._replayed(name, digest, rows, seed))
                if self._oracle:
                    matrices.setdefault(name, []).append(self._matrix(digest, rows, seed))
        return compared(runs, seeds=seeds, matrices=matrices)

    def _replayed(self, name: str, digest: Digest, rows: pa.Table, seed: int) -> Replayed:
        own = Places(self._places.root.with_name(f"{name}-{seed}"))
        shutil.copytree(self._places.root, own.root)
        terms = replace(self._terms, seed=seed)
        key, specification = self._known(digest, seed)
        if key not in self._simple:
            past, source = history_of(specification, rows, self._places, terms)
            self._simple[key] = simple_policies(specification, past, source, self._places, terms)
        found = replay(digest, rows, own, terms=terms, simple=self._simple[key])
        shutil.rmtree(own.root)
        return found

    def _matrix(self, digest: Digest, rows: pa.Table, seed: int) -> Floats:
        key, specification = self._known(digest, seed)
        if key not in self._matrices:
            past, source = history_of(specification, rows, self._places, self._terms)
            estimator = estimator_of(specification, self._places)
            self._matrices[key] = losses_by_model(past, source, specification, estimator=estimator)
        return self._matrices[key]

    def _known(self, digest: Digest, seed: int) -> tuple[Digest, Specification]:
        """The Specification with this seed, and the digest of all of it that simple policies depend on."""
        plain = msgspec.json.decode(Blobs(self._places.blobs).get(digest))
        specification = seeded(from_plain(Specification, plain), seed)
        service = specification.service
        estimator = pickle.dumps(estimator_of(specification, self._places)).hex()
        parts = (estimator, service.recipe, service.metric, service.label_delay, specification.source)
        return digest_of(*parts, specification.inputs, specification.outputs), specification


def contest(
    entrants: Mapping[str, tuple[Digest, pa.Table]],
    places: Places,
    *,
    terms: Terms,
    seeds: tuple[int, ...],
    oracle: bool = True,
    tell: Tell | None = None,
) -> Comparison:
    """Replay stored Services over their rows with every seed; stores are made beside `places` and taken away again."""
    return Contest(places, terms, oracle=oracle, tell=tell or (lambda line: None)).run(entrants, seeds)
