"""Facts are told to people in one line each."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from datetime import UTC, datetime
from typing import Any

from keepfit.core.facts import KINDS, Fact, Judged, RunFinished, Swapped, Watched
from keepfit.core.nouns import Finding, FindingKind, Interference, Mark, Measurement, Outcome, Ruling, Severity
from keepfit.edge.telling import beside, sentence

NOW = datetime(2013, 2, 1, tzinfo=UTC)
_BOOKKEEPING = {"RunStarted", "RunFinished", "Marked", "Experimented"}
_VALUES: dict[str, Any] = {
    "str": "text",
    "int": 1,
    "float": 1.0,
    "bool": True,
    "Digest": "digest",
    "datetime": NOW,
    "Outcome": Outcome.PASS,
    "dict[str, Digest]": {},
    "dict[Digest, Digest]": {},
    "dict[str, Any]": {},
    "tuple[str, ...]": ("a change",),
    "tuple[Ruling, ...]": (Ruling("Floor", Outcome.PASS, "auc is 0.9"),),
    "tuple[Measurement, ...]": (),
    "tuple[Span, ...]": (),
    "tuple[Digest, ...]": ("digest",),
    "tuple[int, ...]": (1,),
    "Mark": Mark(NOW),
    "tuple[Interference, ...]": (),
    "tuple[Finding, ...]": (Finding("x", FindingKind.DRIFT, Severity.WARNING, 0.5, 0.1, "'x' moved"),),
}


def filled(kind: type[Fact]) -> Fact:
    """A fact of the kind with every field given that has no default."""
    given = {f.name: _VALUES[str(f.type)] for f in fields(kind) if f.default is MISSING or "tuple" in str(f.type)}
    return kind(**given)


def test_every_kind_of_fact_is_told_or_known_to_be_bookkeeping() -> None:
    """A new kind is not forgotten; a line is one line and names the Service."""
    for name, kind in KINDS.items():
        line = sentence(filled(kind))
        assert bool(line) == (name not in _BOOKKEEPING), name
        assert "\n" not in line
        assert not line or line.startswith("text: ")


def test_a_verdict_is_told_with_every_gate() -> None:
    """The numbers are in the line."""
    rulings = (Ruling("Floor", Outcome.PASS, "auc is 0.9"), Ruling("Golden", Outcome.REFUSE, "the error is 1"))
    judged = Judged(
        service="s", time=NOW, version=2, against=1, outcome=Outcome.REFUSE, rulings=rulings, evaluation="", update="u"
    )
    assert sentence(judged) == "s: the verdict on v2 is refuse: Floor: auc is 0.9; Golden: the error is 1"


def test_a_rollback_is_told_with_its_reason() -> None:
    """A promotion's reason is its Verdict, which was told before; a rollback's is not."""
    swapped = Swapped(service="s", time=NOW, slot="live", before=2, after=1, cause="rollback", reason="labels say so")
    assert sentence(swapped) == "s: v1 is live (rollback, after v2): labels say so"


def test_slots_are_told_by_their_names() -> None:
    """What a canary answers, and what left its slot."""
    canary = Swapped(
        service="s", time=NOW, slot="canary", before=0, after=2, cause="force", reason="try it", share=0.25
    )
    assert sentence(canary) == "s: v2 is canary for 0.25 of the requests (force): try it"
    gone = Swapped(service="s", time=NOW, slot="canary", before=2, after=0, cause="abort", reason="too slow")
    assert sentence(gone) == "s: v2 left the canary slot (abort): too slow"


def test_how_an_update_got_on_beside_serving_is_told() -> None:
    """Its speed without the time it stood still, how often that was, and what each Service's answers took."""
    run = {
        "service": "s",
        "time": NOW,
        "key": "k",
        "run": "r",
        "step": "train",
        "update": "u",
        "outputs": {},
        "result": {},
    }
    quiet = Interference(service="idle")
    felt = Interference(service="busy", budget=0.02, before=0.001, during=0.0015)
    finished = RunFinished(**run, cpu_seconds=9.0, wall_seconds=15.0, yields=2, held=5.0, interference=(quiet, felt))
    assert list(beside(finished, 15.0)) == [
        "speed 0.90 core(s)",
        "stood still 2 time(s), 5.0 s",
        "p99 of idle - ms before, - ms beside it",
        "p99 of busy 1.00 ms before, 1.50 ms beside it (budget 20 ms)",
    ]


def test_what_was_not_compared_is_told() -> None:
    """A look that had nothing to compare says why, once for all subjects it concerns; a calm one says nothing."""
    short = [Measurement("m", name, 0.0, 1.0, 0.0, 0.0, 0, 9, False, "0 rows before; 100 are needed") for name in "xyz"]
    calm = Measurement("m", "w", 0.1, 0.4, 0.1, 0.01, 500, 500, False)
    look = Watched(service="s", time=NOW, monitor="m", records=9, labels=0, measurements=(*short, calm), findings=())
    assert sentence(look) == "s: m: x and 2 more not compared: 0 rows before; 100 are needed"
    assert sentence(replace(look, measurements=(calm,))) == ""
