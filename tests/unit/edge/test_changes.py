"""The difference between two Specifications is told field by field."""

from __future__ import annotations

from dataclasses import replace

from keepfit.core.nouns import Slice, Task, Window
from keepfit.core.service import Recipe, Service, Serving, Specification
from keepfit.core.signature import DType, Field
from keepfit.edge.declare.changes import changes
from keepfit.judge.gates import Golden, NotWorse

BEFORE = Specification(
    service=Service(name="flights", label="late", gates=(NotWorse(),), slices=(Slice("origin"),)),
    code="c1",
    module="service.py",
    source="s1",
    source_rows=27004,
    task=Task.BINARY,
    classes=("no", "yes"),
    inputs=(Field("origin", DType.BYTES), Field("distance", DType.INT64)),
    outputs=(Field("prediction", DType.BYTES), Field("probability", DType.FP32)),
    label=Field("late", DType.BYTES),
    environment="e1",
)


def after(**given: object) -> Specification:
    return replace(BEFORE, service=replace(BEFORE.service, **given))  # type: ignore[arg-type]  # fields of Service


def test_the_same_has_no_changes() -> None:
    """An apply of an unchanged file says nothing."""
    assert changes(BEFORE, BEFORE) == ()


def test_a_deep_value_is_named_by_its_path() -> None:
    """The path is the one in the service file, with the values before and after."""
    recipe = Recipe(window=Window(rows=500))
    assert changes(BEFORE, after(recipe=recipe)) == ("recipe.window.rows: 500 is new",)
    assert changes(after(recipe=recipe), after(recipe=replace(recipe, window=Window(rows=700)))) == (
        "recipe.window.rows: 500 → 700",
    )


def test_plugins_are_shown_as_they_are_written() -> None:
    """A gate that is new, changed or gone."""
    assert changes(BEFORE, after(gates=(NotWorse(), Golden())))[0].startswith("gates[1]: Golden(")
    assert changes(BEFORE, after(gates=(NotWorse(margin=0.25),))) == ("gates[0].margin: 0.0 → 0.25",)
    assert changes(BEFORE, after(gates=()))[0].endswith("is gone")
    assert " → Golden(" in changes(BEFORE, after(gates=(Golden(),)))[0]


def test_code_data_and_environment_are_told_in_words() -> None:
    """Digests say nothing to people."""
    new = replace(BEFORE, code="c2", source="s2", source_rows=30000, environment="e2")
    assert changes(BEFORE, new, ("helpers.py", "service.py")) == (
        "code: helpers.py, service.py changed",
        "data: 27,004 rows → 30,000 rows, with other content",
        "environment: other packages, or other versions of them, are installed",
    )


def test_a_signature_that_breaks_callers_is_told_as_such() -> None:
    """Before any version with it is trained and refused."""
    told = changes(BEFORE, replace(BEFORE, inputs=(Field("origin", DType.BYTES),)))
    assert told[0] == "signature: input 'distance' was removed"
    assert "breaks callers" in told[1]


def test_how_it_serves_is_told_setting_by_setting() -> None:
    """A mask that is new, a limit that changed."""
    told = changes(BEFORE, after(serving=Serving(mask=("origin",), deadline=2.0)))
    assert set(told) == {"serving.mask[0]: 'origin' is new", "serving.deadline: 60.0 → 2.0"}
