"""A service file is loaded, checked and stored; every mistake is told with its file, line, expected and found."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Task
from keepfit.core.places import Places
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification
from keepfit.core.signature import DType, Field
from keepfit.edge.declare.declaration import declare
from keepfit.edge.declare.mistakes import Mistaken
from keepfit.store.blobs import Blobs, Trees

Write = Callable[..., Path]

GOOD = """\
flights = Service(
    name="flights",
    estimator=Majority(),
    data="flights.csv",
    label="late",
    id="id",
    time="when",
    recipe=Recipe(window=Window(rows=1000), seed=3),
    monitors=[Monitor(name="inputs", on=Subject.INPUTS, detector=detectors.Auto())],
    triggers=[triggers.Labels(100)],
    gates=[gates.NotWorse(margin=0.01)],
    slices=[Slice("origin")],
)
"""


def stored(path: Path, tmp_path: Path) -> Specification:
    places = Places(tmp_path / "store")
    (one,) = declare(path, places)
    return from_plain(Specification, msgspec.json.decode(Blobs(places.blobs).get(one.specification)))


def mistakes(path: Path, tmp_path: Path) -> list[tuple[int, str]]:
    """The lines and sentences of what is wrong."""
    with pytest.raises(Mistaken) as caught:
        declare(path, Places(tmp_path / "store"))
    assert all(mistake.file == str(path) for mistake in caught.value.mistakes)
    return [(mistake.line, mistake.sentence) for mistake in caught.value.mistakes]


def test_the_specification_is_plain_data_that_says_everything(write: Write, tmp_path: Path) -> None:
    """Task, classes, Signature, source and policy are read back without running the user's file."""
    found = stored(write(GOOD), tmp_path)
    assert found.task is Task.BINARY
    assert found.classes == ("no", "yes")
    assert found.inputs == (
        Field("origin", DType.BYTES),
        Field("distance", DType.INT64),
        Field("delay", DType.FP64, nullable=True),
        Field("cancelled", DType.BOOL),
    )
    assert found.outputs == (Field("prediction", DType.BYTES), Field("probability", DType.FP32))
    assert found.label == Field("late", DType.BYTES)
    assert found.source_rows == 3
    assert found.service.estimator is None
    assert found.service.metric
    assert found.service.triggers[0].count == 100  # type: ignore[attr-defined]  # a Labels
    assert found.service.slices[0].column == "origin"


def test_the_source_is_a_dataset(write: Write, tmp_path: Path) -> None:
    """The first data gets the form of every Dataset: id, time in UTC, features in order, label; missing is NaN."""
    found = stored(write(GOOD), tmp_path)
    table = pq.read_table(io.BytesIO(Blobs(tmp_path / "store" / "blobs").get(found.source)))
    assert table.column_names == ["_id", "_time", "origin", "distance", "delay", "cancelled", "_label"]
    assert table.column("_id").to_pylist() == ["a", "b", "c"]
    assert table.column("_time").type == pa.timestamp("us", tz="UTC")
    assert table.column("_time")[0].as_py() == datetime(2013, 1, 1, 5, tzinfo=UTC)
    assert table.column("delay").null_count == 0
    assert str(table.column("delay")[1].as_py()) == "nan"


def test_the_same_file_is_the_same_specification(write: Write, tmp_path: Path) -> None:
    """Nothing of time or place enters the stored bytes."""
    path = write(GOOD)
    first = declare(path, Places(tmp_path / "one"))
    second = declare(path, Places(tmp_path / "two"))
    assert first == second


def test_the_snapshot_holds_what_the_file_imports_and_loads_again(write: Write, tmp_path: Path) -> None:
    """Modules and packages beside the file travel with it, also those imported inside functions; others do not."""
    (tmp_path / "helpers.py").write_text("def one():\n    import tools\n    return tools.VALUE\n")
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "__init__.py").write_text("VALUE = 1\n")
    (tmp_path / "unrelated.py").write_text("raise RuntimeError\n")
    path = write("import helpers\n" + GOOD)
    found = stored(path, tmp_path)
    tree = Trees(tmp_path / "store" / "trees").path(found.code)
    files = {file.relative_to(tree).as_posix() for file in tree.rglob("*") if file.is_file()}
    assert files == {path.name, "helpers.py", "tools/__init__.py"}
    assert found.module == path.name
    assert Trees(tmp_path / "store" / "trees").path(found.code) == tree


def test_rows_without_a_label_are_left_out_and_told(write: Write, tmp_path: Path, rows: str) -> None:
    """Nothing is dropped in silence."""
    (one,) = declare(write(GOOD, data=rows + "d,2013-01-02 06:00:00,EWR,1,1,true,\n"), Places(tmp_path / "store"))
    assert one.notes == ("1 of 4 rows have no label and were left out",)


def test_data_may_come_from_a_function(write: Write, tmp_path: Path) -> None:
    """A function returning a table does as well as a path."""
    body = """\
    import pyarrow as pa
    def rows():
        return pa.table({"x": [1.5, 2.5], "y": [10.0, 20.0]})
    class Mean:
        _estimator_type = "regressor"
        def fit(self, X, y): return self
        def predict(self, X): return [0.0] * len(X)
    levels = Service(name="levels", estimator=Mean(), data=rows, label="y")
    """
    found = stored(write(body), tmp_path)
    assert found.task is Task.REGRESSION
    assert found.outputs == (Field("prediction", DType.FP64),)


@pytest.mark.parametrize(
    ("body", "line", "sentence"),
    [
        ("x = (\n", 1, "syntax error: '(' was never closed"),
        ("import notthere\n", 1, "module 'notthere' was not found: install it, or put notthere.py beside this file"),
        ("from keepfit import Servce\n", 1, "keepfit has no 'Servce'; did you mean 'Service'?"),
        ("x = 1\n", None, "expected a keepfit.Service in a variable of this file, found none"),
        ("\nService(name='a', labl='late')\n", 2, "Service has no argument 'labl'; did you mean 'label'?"),
        ("Service(name='a')\n", 1, "Service needs the argument 'label', which is not given"),
        ("Service(name='A b', label='late')\n", 1, "Service.name: expected lower-case letters"),
        ("x = detectors.KSS()\n", 1, "there is no detectors.KSS; did you mean 'KS'?"),
        ("x = [1][3]\n", 1, "IndexError: list index out of range"),
    ],
)
def test_a_file_that_cannot_be_loaded_says_where_and_why(
    write: Write, tmp_path: Path, begins: int, *, body: str, line: int | None, sentence: str
) -> None:
    """Whatever the import raises becomes one sentence with its line."""
    ((found, told),) = mistakes(write(body), tmp_path)
    assert told.startswith(sentence)
    assert found == (1 if line is None else begins + line)


@pytest.mark.parametrize(
    ("old", "new", "line", "sentence"),
    [
        ("estimator=Majority()", "estimator=Majority", 3, "expected an object, found the class; write Majority()"),
        ("estimator=Majority()", "estimator=3", 3, "expected an object with fit and predict, found int without"),
        ("estimator=Majority()", "estimator=None", 3, "expected an object with fit and predict, found none"),
        ('data="flights.csv"', 'data="trains.csv"', 4, "trains.csv"),
        ('data="flights.csv"', "data=None", 4, "expected a path, a glob or a function which returns a table"),
        ('data="flights.csv"', "data=lambda: 1 / 0", 4, "the function raised in line"),
        ('label="late"', 'label="lat"', 5, "the data has no column 'lat'; it has ['id', 'when'"),
        ('label="late"', 'label="late", features=("origin", "dist")', 5, "the data has no column 'dist'"),
        (
            'label="late"',
            'label="late", features=("origin", "late")',
            5,
            "'late' is the label, and the label is no feature",
        ),
        ('    time="when",\n', "", None, "column 'when' holds times (timestamp"),
        ("Window(rows=1000)", "Window(rows='all')", 8, "expected int, found str 'all'"),
        ("Recipe(window=Window(rows=1000), seed=3)", "'all'", 8, "expected Recipe, found str 'all'"),
        ("detector=detectors.Auto()", "detector=gates.Golden()", 9, "expected a Detector (there are: ADWIN"),
        ("detectors.Auto()", "detectors.Auto", 9, "expected a Detector, found the class Auto; write Auto(…)"),
        ("on=Subject.INPUTS", "on='everything'", 9, "expected Subject.INPUTS or Subject.OUTPUT"),
        ("triggers.Labels(100)", "triggers.Labels('100')", 10, "Labels.count: expected int, found str '100'"),
        ("[triggers.Labels(100)]", "triggers.Labels(100)", 10, "expected a tuple or list of Trigger, found Labels"),
        ("margin=0.01", "margin=0.01, metric='rmse'", 11, "metric 'rmse' is not defined for a binary label"),
        ('Slice("origin")', 'Slice("when")', 12, "expected one of the features, found 'when'"),
    ],
)
def test_a_wrong_argument_is_told_with_its_line(
    write: Write, tmp_path: Path, begins: int, *, old: str, new: str, line: int | None, sentence: str
) -> None:
    """What is wrong with a value or with the data is told at the argument that is responsible."""
    assert old in GOOD
    ((found, told),) = mistakes(write(GOOD.replace(old, new)), tmp_path)
    assert sentence in told
    assert line is None or found == begins + line


def test_all_mistakes_are_told_at_once(write: Write, tmp_path: Path, begins: int) -> None:
    """One look at the list is enough to mend the file."""
    body = GOOD.replace("seed=3", "seed='x'").replace("margin=0.01", "margin='y'").replace("Majority()", "7")
    assert [line - begins for line, _ in mistakes(write(body), tmp_path)] == [8, 11, 3]


def test_a_label_of_one_class_is_refused(write: Write, tmp_path: Path, rows: str) -> None:
    """Nothing can be learnt from it."""
    data = rows.replace(",no\n", ",yes\n")
    ((_, told),) = mistakes(write(GOOD, data=data), tmp_path)
    assert "expected at least two classes in 'late', found ['yes']" in told


def test_an_estimator_that_cannot_be_pickled_is_refused(write: Write, tmp_path: Path) -> None:
    """A Bundle could not be made of it."""
    body = GOOD.replace("flights = ", "estimator = Majority()\nestimator.trick = lambda x: x\nflights = ")
    body = body.replace("Majority(),", "estimator,")
    ((_, told),) = mistakes(write(body), tmp_path)
    assert "cannot be pickled" in told


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("self.classes_ = sorted(set(y))", "X['dist']", "cannot learn (a trial on 3 rows raised KeyError: 'dist')"),
        ("self.classes_ = sorted(set(y))", "pass", "Majority has no classes_ after fitting"),
        ("return self.classes_[:1] * len(X)", "return [1 / 0]", "a trial on 3 rows failed: the estimator raised ZeroD"),
    ],
)
def test_an_estimator_that_cannot_learn_the_data_is_told_at_once(
    write: Write, tmp_path: Path, head: str, *, old: str, new: str, sentence: str
) -> None:
    """Not by the first update, minutes later."""
    assert old in head
    ((_, told),) = mistakes(write(GOOD, head=head.replace(old, new)), tmp_path)
    assert sentence in told


def test_a_name_that_another_module_has_is_refused(write: Write, tmp_path: Path) -> None:
    """`statistics.py` would be imported in the place of Python's own, or the other way round."""
    with pytest.raises(Mistaken, match="a module named 'statistics' exists already"):
        declare(write(GOOD, name="statistics"), Places(tmp_path / "store"))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """The sentence says how to get one."""
    with pytest.raises(SpecInvalid, match="there is no such file"):
        declare(tmp_path / "nothing.py", Places(tmp_path / "store"))


def test_a_mask_names_fields_of_the_service(write: Write, tmp_path: Path) -> None:
    """What names no field is told with its line; what hides an input from learning is told as well."""
    body = GOOD.rstrip().removesuffix(")") + '    serving=Serving(sample=0.5, mask=("origin", "orign")),\n)\n'
    found = mistakes(write("from keepfit import Serving\n" + body), tmp_path)
    assert len(found) == 1
    assert "serving.mask.1: 'orign' is no input or output of the service; there are: origin, distance" in found[0][1]


def test_a_masked_input_is_told(write: Write, tmp_path: Path) -> None:
    """Updates cannot learn from what is never written."""
    body = GOOD.rstrip().removesuffix(")") + '    serving=Serving(mask=("delay", "prediction")),\n)\n'
    places = Places(tmp_path / "store")
    (one,) = declare(write("from keepfit import Serving\n" + body), places)
    assert one.notes == ("delay: masked, so absent from the records that updates learn from and monitors look at",)
