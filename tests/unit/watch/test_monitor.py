"""Monitors: many subjects together, floors, and sentences that say what moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keepfit.core.nouns import Cause, Finding, FindingKind, Reference, Severity, Subject
from keepfit.core.registry import canonical, from_plain, to_plain
from keepfit.core.service import Monitor
from keepfit.data.read import read
from keepfit.watch.detectors import CUSUM, KS, Auto
from keepfit.watch.monitor import watch


def monitor(**changes: Any) -> Monitor:
    return Monitor(**{"name": "m", "on": Subject.INPUTS, "detector": Auto(), **changes})


def normal(seed: int, n: int = 1000, mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, size=n)


def test_the_one_that_moved() -> None:
    """Of twenty subjects exactly the moved one is found, and its sentence has the medians and the evidence."""
    reference = {f"x{i}": normal(i) for i in range(20)}
    window = {f"x{i}": normal(100 + i, mean=2.0 if i == 7 else 0.0) for i in range(20)}
    measurements, (finding,) = watch(monitor(), reference, window)
    assert [m.subject for m in measurements if m.fired] == ["x7"] == [finding.subject]
    assert finding.kind is FindingKind.SKEW
    assert finding.severity is Severity.WARNING
    assert finding.measured > finding.expected == 0.1
    assert finding.sentence.startswith("x7: median ")
    assert "1000 against 1000 rows" in finding.sentence


def test_benjamini_and_hochberg() -> None:
    """The threshold grows with the number of subjects that moved, as their rule says."""
    reference = {f"x{i}": normal(i) for i in range(10)}
    window = {f"x{i}": normal(50 + i, mean=1.0 if i < 5 else 0.0) for i in range(10)}
    measurements, findings = watch(monitor(false_discovery=0.01), reference, window)
    assert len(findings) == 5
    assert {round(m.threshold, 12) for m in measurements} == {0.01 * 5 / 10}
    alone, _ = watch(monitor(), {"x": normal(1)}, {"x": normal(2)})
    assert alone[0].threshold == pytest.approx(0.01)


def test_false_alarms_of_many_subjects() -> None:
    """In 40 looks at 50 subjects without a change at most one look in fifty raises anything."""
    rng = np.random.default_rng(5)
    looks = [({f"x{i}": v[:300] for i, v in enumerate(d)}, {f"x{i}": v[300:] for i, v in enumerate(d)})
             for d in (rng.normal(size=(50, 600)) for _ in range(40))]  # fmt: skip
    assert sum(bool(watch(monitor(minimum_effect=0), *look)[1]) for look in looks) <= 1


def test_too_few_rows() -> None:
    """Fewer rows than the minimum are measured as nothing, on either side, and empty samples do no harm."""
    for old, new in ((normal(1, 99), normal(2, 1000, 9)), (normal(1), normal(2, 99, 9)), (normal(1, 0), normal(2, 0))):
        (measurement,), findings = watch(monitor(), {"x": old}, {"x": new})
        assert not findings
        assert (measurement.p_value, measurement.fired) == (1.0, False)
        assert (measurement.n_reference, measurement.n_window) == (old.size, new.size)


def test_floor() -> None:
    """What is sure but small is measured and not found."""
    old, new = normal(1, 50_000), normal(2, 50_000, mean=0.1)
    (measurement,), findings = watch(monitor(), {"x": old}, {"x": new})
    assert measurement.p_value < 1e-9
    assert not findings
    assert watch(monitor(minimum_effect=0.03), {"x": old}, {"x": new})[1]


@pytest.mark.parametrize(
    ("reference", "kind"), [(Reference.TRAINING, FindingKind.SKEW), (Reference.EARLIER, FindingKind.DRIFT)]
)
def test_kinds(reference: Reference, kind: FindingKind) -> None:
    """Against training it is skew, against an earlier Span drift."""
    _, (finding,) = watch(monitor(reference=reference), {"x": normal(1)}, {"x": normal(2, mean=1)})
    assert finding.kind is kind


def test_decay_only_upwards() -> None:
    """A loss that rose is decay, with the two means; one that fell is none, whatever the detector says."""
    loss = monitor(on=Subject.LOSS, reference=Reference.RELEASE, detector=KS())
    low, high = {"loss": normal(1, mean=1)}, {"loss": normal(2, mean=2)}
    _, (finding,) = watch(loss, low, high)
    assert finding.kind is FindingKind.DECAY
    assert finding.measured == pytest.approx(2, abs=0.1)
    assert finding.expected == pytest.approx(1, abs=0.1)
    assert not watch(loss, high, low)[1]


def test_decay_since() -> None:
    """With CUSUM the sentence says for how long, and the measured loss is the one since the change."""
    rng = np.random.default_rng(4)
    reference = (rng.random(2000) < 0.1).astype(float)
    window = np.concatenate([(rng.random(3000) < 0.1), (rng.random(600) < 0.3)]).astype(float)
    loss = monitor(on=Subject.LOSS, reference=Reference.RELEASE, detector=CUSUM())
    _, (finding,) = watch(loss, {"loss": reference}, {"loss": window})
    assert finding.measured == pytest.approx(0.3, abs=0.05)
    assert "for the last " in finding.sentence


def found(old: Any, new: Any) -> tuple[Finding, ...]:
    return watch(monitor(), {"x": np.asarray(old)}, {"x": np.asarray(new)})[1]


def test_alive_and_dead() -> None:
    """A constant that varies is alive, a varying one that stands still is dead; missing is a value like another."""
    still, moving = np.full(500, 3.5), normal(1, 500)
    names = np.array(list("abcde") * 100, dtype=object)
    assert [f.kind for f in found(still, moving)] == [FindingKind.ALIVE]
    assert "was always 3.5" in found(still, moving)[0].sentence
    assert [f.kind for f in found(moving, still)] == [FindingKind.DEAD]
    assert [f.kind for f in found(moving, np.full(500, np.nan))] == [FindingKind.DEAD]
    assert [f.kind for f in found(np.full(500, np.nan), moving)] == [FindingKind.ALIVE]
    assert [f.kind for f in found(names, np.full(500, "a", dtype=object))] == [FindingKind.DEAD]
    assert [f.kind for f in found(still, np.full(500, 4.0))] == [FindingKind.SKEW]
    assert not found(still, still)


def test_rare_values_are_not_alive() -> None:
    """A value that is rare by nature may be absent from one sample: neither alive nor dead."""
    rare = np.zeros(1000)
    rare[:3] = 1.0
    assert not found(np.zeros(1000), rare)
    assert not found(rare, np.zeros(1000))


def test_sentence_of_categories() -> None:
    """The categories that moved most are named with both shares; a new one is called new."""
    old = np.array(["Cash"] * 700 + ["Card"] * 300, dtype=object)
    new = np.array(["Cash"] * 300 + ["Card"] * 300 + ["Prcard"] * 400, dtype=object)
    assert found(old, new)[0].sentence.startswith(
        "x: 'Cash' went from 70.0% to 30.0% of the rows; 'Prcard' is new with 40.0% of the rows"
    )


def test_sentence_of_missing() -> None:
    """Where it is the missing share that moved, the sentence says so."""
    holes = np.where(np.random.default_rng(3).random(1000) < 0.4, np.nan, normal(2))
    assert "missing in 0.0% of the rows before" in found(normal(1), holes)[0].sentence


def test_since_when() -> None:
    """Where the rows have times the Finding says since when, as a time, a row and in its sentence; else not."""
    window = np.concatenate([normal(2, 600), normal(3, 400, mean=2)])
    times = np.datetime64("2018-03-01", "us") + np.arange(1000) * np.timedelta64(1, "m")
    _, (found,) = watch(monitor(), {"x": normal(1)}, {"x": window}, times=times)
    assert found.moved is not None
    assert found.moved.row is not None
    assert abs(found.moved.row - 600) < 25
    assert found.moved.since == datetime(2018, 3, 1, tzinfo=UTC) + timedelta(minutes=found.moved.row)
    assert ", since 2018-03-01 " in found.sentence
    _, (undated,) = watch(monitor(), {"x": normal(1)}, {"x": window})
    assert undated.moved is not None
    assert (undated.moved.row, undated.moved.since) == (None, None)


def test_what_kind_moved() -> None:
    """Inputs that moved are a covariate, outputs a prior; of losses alone no cause is known."""
    told = {}
    for on, reference in (
        (Subject.INPUTS, Reference.TRAINING),
        (Subject.OUTPUT, Reference.TRAINING),
        (Subject.LOSS, Reference.RELEASE),
    ):
        _, (found,) = watch(
            monitor(on=on, reference=reference, detector=KS()), {"x": normal(1)}, {"x": normal(2, mean=2)}
        )
        assert found.moved is not None
        told[on] = found.moved.cause
    assert told == {Subject.INPUTS: Cause.COVARIATE, Subject.OUTPUT: Cause.PRIOR, Subject.LOSS: None}


def test_notes() -> None:
    """What was too few to compare is said with the numbers, and of what rows there were too few."""
    (measured,), _ = watch(monitor(), {"x": normal(1, 12)}, {"x": normal(2)}, of="hours 0, 1 UTC")
    assert measured.note == "12 rows before of hours 0, 1 UTC, 1000 in the window; 100 are needed"
    (measured,), _ = watch(monitor(), {"x": normal(1)}, {"x": normal(2)})
    assert measured.note == ""


def test_facts_can_be_stored() -> None:
    """What a look returns is plain data without NaN and comes back the same."""
    looked = watch(monitor(), {"x": normal(1), "y": normal(2, 5)}, {"x": normal(3, mean=9), "y": normal(4, 5)})
    assert b"null" not in canonical(looked[0])
    assert from_plain(Finding, to_plain(looked[1][0])) == looked[1][0]
    assert from_plain(type(looked[0][0]), to_plain(looked[0][0])) == looked[0][0]


def test_only_shared_subjects() -> None:
    """A subject that one side lacks is the data check's matter, not the watch's."""
    measurements, _ = watch(monitor(), {"x": normal(1), "y": normal(1)}, {"x": normal(2), "z": normal(2)})
    assert [m.subject for m in measurements] == ["x"]


def test_elec2_wakes_up(shared_data: Path) -> None:
    """On elec2 the three constants are reported alive within 500 rows of row 17,424, no other column, none before."""
    table = read(shared_data / "elec2" / "*.csv").drop_columns(["class"])
    columns = {name: table[name].to_numpy() for name in table.column_names}
    reference = {name: values[:4000] for name, values in columns.items()}
    alive: dict[str, int] = {}
    for end in range(5000, 20_000, 250):
        window = {name: values[end - 1000 : end] for name, values in columns.items()}
        for finding in watch(monitor(), reference, window)[1]:
            if finding.kind in (FindingKind.ALIVE, FindingKind.DEAD):
                alive.setdefault(finding.subject, end)
    assert set(alive) == {"vicprice", "vicdemand", "transfer"}
    assert all(17_424 < row <= 17_924 for row in alive.values())


def test_sentence_of_times() -> None:
    """Times are told as times."""
    old = np.datetime64("2018-01-01", "us") + np.arange(1000) * np.timedelta64(1, "h")
    _, (found,) = watch(monitor(), {"x": old}, {"x": old + np.timedelta64(365, "D")})
    assert "median 2018-01-21T19:30:00 became 2019-01-21T19:30:00" in found.sentence
