"""Updates that must not be: each ends with a sentence, and the parent and its memory stay as they were."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import lessons
from keepfit.core.errors import KeepfitError, Refused
from keepfit.core.nouns import LABEL, Bundle, Learnt, Lesson, Memory
from keepfit.core.service import Recipe, Specification
from keepfit.learn import memory as memories
from keepfit.learn.learners import AccuracyWeighted, Auto, Refit, Reuse
from keepfit.learn.update import Folders, update

pytest.importorskip("sklearn")

from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

AUTO = Auto(competitors=(Refit(), Refit(newest=200)))


def line() -> Any:
    words = OneHotEncoder(handle_unknown="ignore")
    steps = ColumnTransformer([("words", words, lessons.WORDS), ("numbers", SimpleImputer(), lessons.NUMBERS)])
    return make_pipeline(steps, StandardScaler(with_mean=False), SGDClassifier(loss="log_loss"))


def datasets() -> tuple[pa.Table, pa.Table]:
    inputs = lessons.rows(800, 1)
    found = lessons.table(inputs, lessons.labels(lessons.Task.BINARY, inputs, 1, (0, 1)))
    return found.slice(0, 600), found.slice(600)


def by(learner: Any) -> Specification:
    return lessons.specification(recipe=Recipe(learner=learner))


def made(folder: Path, name: str, learner: Any, *, train: pa.Table | None = None, after: str = "") -> Bundle:
    """One update, after another one or none."""
    rows, holdout = datasets()
    read = {"parent": folder / after, "memory": folder / f"{after}-memory"} if after else {}
    folders = Folders(into=folder / name, left=folder / f"{name}-memory", **read)
    return update(by(learner), line(), train=rows if train is None else train, holdout=holdout, folders=folders)


def digests(directory: Path) -> dict[str, str]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def relabelled(values: list[Any]) -> pa.Table:
    rows, _ = datasets()
    return rows.set_column(rows.column_names.index(LABEL), LABEL, pa.array(values))


ROWS = datasets()[0]
BAD: dict[str, tuple[pa.Table, str, str]] = {
    "an empty span": (ROWS.slice(0, 0), "no row to train on", "refused"),
    "one class only": (relabelled([1] * 600), "all 600 training rows have the label 1", "refused"),
    "a label never seen": (relabelled([0, 1, 7] * 200), r"labels \[7\] are none of the classes", "refused"),
    "no label column": (ROWS.drop_columns([LABEL]), "no column '_label'", "missing_label"),
    "labels that are empty": (relabelled([None] + [0, 1] * 299 + [1]), "1 of 600 rows have no label", "data_invalid"),
    "an input that vanished": (ROWS.drop_columns(["wind"]), r"lacks the columns \['wind'\]", "missing_input"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_rows_leave_everything_as_it_was(tmp_path: Path, what: str) -> None:
    """With a parent and a memory beside it: a sentence, a code, no candidate, and not a byte of the two changes."""
    made(tmp_path, "live", AUTO)
    before = digests(tmp_path)
    train, sentence, code = BAD[what]
    with pytest.raises(KeepfitError, match=sentence) as error:
        made(tmp_path, "next", AUTO, train=train, after="live")
    assert error.value.code == code
    assert digests(tmp_path) == before


def test_a_memory_of_another_learner_is_refused(tmp_path: Path) -> None:
    """Auto's is not read by Reuse; Refit looks at none, and so is the way to begin again."""
    made(tmp_path, "live", AUTO)
    before = digests(tmp_path)
    with pytest.raises(Refused, match="written by Auto, this recipe's learner is Reuse") as error:
        made(tmp_path, "next", Reuse(), after="live")
    assert error.value.code == "memory_of_another_learner"
    assert digests(tmp_path) == before
    made(tmp_path, "anew", Refit(), after="live")
    assert not (tmp_path / "anew-memory").exists()


@dataclass(frozen=True)
class Stranger:
    """A learner that returns something else than it was asked for."""

    what: str

    def learn(self, estimator: Any, lesson: Lesson) -> Learnt:
        fitted = Refit().learn(estimator, lesson).model
        return Learnt({"classes": Wide, "rows": Short, "words": Wordy, "inputs": Narrow}[self.what](fitted))


class Wide:
    classes_ = np.array([0, 1, 2])

    def __init__(self, fitted: Any) -> None:
        self.fitted = fitted

    def predict(self, X: Any) -> Any:
        return self.fitted.predict(X)

    def predict_proba(self, X: Any) -> Any:
        return self.fitted.predict_proba(X)


class Short(Wide):
    classes_ = np.array([0, 1])

    def predict(self, X: Any) -> Any:
        return super().predict(X)[:1]


class Wordy(Short):
    def predict(self, X: Any) -> Any:
        return np.full(len(X), "yes")


class Narrow(Short):
    def predict(self, X: Any) -> Any:
        return self.fitted.predict(X[["wind"]])


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("classes", r"Wide tells classes \[2\], the Signature promises \[0, 1\]"),
        ("rows", r"Short answers 5 rows with shape \(1,\)"),
        ("words", "Wordy cannot answer rows of this Service"),
        ("inputs", "Narrow cannot answer rows of this Service"),
    ],
)
def test_a_model_with_another_signature_is_refused(tmp_path: Path, what: str, sentence: str) -> None:
    """Whatever a learner returns must tell the Service's classes, one per row, from the Service's inputs."""
    with pytest.raises(Refused, match=sentence) as error:
        made(tmp_path, "next", Stranger(what))
    assert error.value.code == "another_signature"
    assert digests(tmp_path) == {}


FULL = """
import resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
import test_update_refused as tests
from keepfit.core.errors import KeepfitError
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
try:
    tests.made(Path(sys.argv[1]), "next", tests.AUTO, after="live")
except KeepfitError as error:
    print(error.code, error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size to be set")
def test_a_disk_without_room_is_told(tmp_path: Path) -> None:
    """Where files cannot grow the update ends with what the system said; the parent and its memory are whole."""
    made(tmp_path, "live", AUTO)
    before = {name: digest for name, digest in digests(tmp_path).items() if name.startswith("live")}
    here = Path(__file__).resolve().parent
    command = [sys.executable, "-c", FULL, str(tmp_path), str(here), str(here.parents[1])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("storage_fault the candidate cannot be written to")
    assert {name: digest for name, digest in digests(tmp_path).items() if name.startswith("live")} == before
    assert not (tmp_path / "next" / "bundle.json").exists()


def test_a_memory_goes_from_update_to_update(tmp_path: Path) -> None:
    """What one update left is gone on from by the next, through the disk."""
    learner = AccuracyWeighted(window=300)
    made(tmp_path, "one", learner)
    first = memories.load(tmp_path / "one-memory", "AccuracyWeighted")
    rows, holdout = datasets()
    made(tmp_path, "two", learner, train=pa.concat_tables([rows, holdout]), after="one")
    second = memories.load(tmp_path / "two-memory", "AccuracyWeighted")
    assert (int(first.arrays["turn"]), int(second.arrays["turn"])) == (2, 3)
    np.testing.assert_array_equal(second.arrays["member/000"], first.arrays["member/000"])
    assert isinstance(second, Memory)
