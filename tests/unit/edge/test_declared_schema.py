"""A service file names its schema: read, fitted to what is recorded, and every mistake told with its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from keepfit.core.nouns import Severity
from keepfit.core.places import Places
from keepfit.core.registry import from_plain
from keepfit.core.service import Specification
from keepfit.data.profile import Kind
from keepfit.data.schema import Schema
from keepfit.edge.apply import apply
from keepfit.edge.declare.declaration import declare
from keepfit.edge.declare.mistakes import Mistaken
from keepfit.store.blobs import Blobs

Write = Callable[..., Path]

BODY = """\
flights = Service(
    name="flights",
    estimator=Majority(),
    data="flights.csv",
    label="late",
    id="id",
    time="when",
    {more}
)
"""
SCHEMA = """\
label: late
environments: [TRAINING, SERVING]
time: {column: when}
rules: [delay <= distance]
columns:
  id: {kind: text, unique: true}
  when: {kind: time}
  origin: {kind: text, domain: [EWR, JFK, LGA], severity: {ENUM_TYPE_UNEXPECTED_STRING_VALUES: error}}
  distance: {kind: integer, minimum: 0, required: 1.0}
  delay: {kind: integer, minimum: -60, maximum: 600}
  late: {kind: text, domain: ['no', 'yes'], not_in: [SERVING]}
"""


def written(write: Write, schema: str, more: str = 'schema="schema.yaml",') -> Path:
    path = write(BODY.format(more=more))
    (path.parent / "schema.yaml").write_text(schema)
    return path


def stored(path: Path, places: Places) -> tuple[Specification, Schema]:
    (one,) = declare(path, places)
    blobs = Blobs(places.blobs)
    found = from_plain(Specification, msgspec.json.decode(blobs.get(one.specification)))
    return found, from_plain(Schema, msgspec.json.decode(blobs.get(found.schema)))


def test_it_is_kept_under_the_names_of_a_dataset(write: Write, tmp_path: Path) -> None:
    """Label, id and time have their own names there; a whole number of which some are missing is a float there."""
    specification, schema = stored(written(write, SCHEMA), Places(tmp_path / "store"))
    kinds = {column.name: column.kind for column in schema.columns}
    assert kinds["delay"] is Kind.FLOAT
    assert kinds["distance"] is Kind.INTEGER
    assert (kinds["_id"], kinds["_time"], schema.label) == (Kind.TEXT, Kind.TIME, "_label")
    assert schema.time is not None
    assert schema.time.column == "_time"
    assert schema.rules == ("`delay` <= `distance`",)
    assert specification.service.schema == "schema.yaml"


def test_requests_are_held_to_it(write: Write, tmp_path: Path) -> None:
    """What single requests must be is in the Specification: without the label, and without what nobody sends."""
    specification, _ = stored(written(write, SCHEMA), Places(tmp_path / "store"))
    found = {one.name: one for one in specification.requirements.columns if one.name[0] != "_"}
    assert list(found) == ["origin", "distance", "delay"]
    assert found["origin"].severity.get("ENUM_TYPE_UNEXPECTED_STRING_VALUES", "error") == Severity.ERROR
    assert (found["delay"].least, found["delay"].most, found["distance"].absent) == (
        -60,
        600,
        "FEATURE_TYPE_NOT_PRESENT",
    )


def test_another_schema_is_a_change(write: Write, tmp_path: Path) -> None:
    """Applying says that the data is held to something else now; the same file again changes nothing."""
    path, places = written(write, SCHEMA), Places(tmp_path / "store")
    assert apply(path, places, actor="me")[0].first
    assert not apply(path, places, actor="me")[0].changed
    (path.parent / "schema.yaml").write_text(SCHEMA.replace("600", "900"))
    assert apply(path, places, actor="me")[0].changes == ("schema: what it expects is another",)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ("columns: {distance: {knd: integer}}", "'knd'"),
        (SCHEMA.replace("distance: {", "distanze: {"), "['distanze'], which the data does not have"),
        (SCHEMA.replace("delay <= distance", "delay <= gate"), "['gate'], which are no features"),
        (SCHEMA.replace("delay <= distance", "delay <= <="), "cannot be read"),
        (SCHEMA.replace("TRAINING, SERVING", "SERVING"), "the environment TRAINING"),
        (SCHEMA.replace("minimum: -60", "minimum: 900"), "no number is from 900"),
        (SCHEMA.replace("column: when", "column: day"), "its times are in 'day'"),
    ],
)
def test_mistakes(write: Write, tmp_path: Path, schema: str, words: str) -> None:
    """What is wrong with the schema is told with the line that names it, before anything is stored."""
    with pytest.raises(Mistaken) as caught:
        declare(written(write, schema), Places(tmp_path / "store"))
    (mistake,) = caught.value.mistakes
    assert words in mistake.sentence
    assert 'schema="schema.yaml"' in Path(mistake.file).read_text().splitlines()[mistake.line - 1]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ('schema="none.yaml",', "no such schema"),
        ('serving=Serving(check="warn"),', "serving.check: 'warn' needs the Service's schema"),
        ('schema="schema.yaml", serving=Serving(check="loudly"),', "expected Check.OFF or Check.WARN or Check.REFUSE"),
    ],
)
def test_mistakes_of_the_service(write: Write, tmp_path: Path, more: str, words: str) -> None:
    """A file that is not there, requests to be checked by nothing, and a word that means nothing."""
    path = written(write, SCHEMA, more)
    path.write_text(path.read_text().replace("Service, Slice", "Service, Serving, Slice"))
    with pytest.raises(Mistaken, match=words):
        declare(path, Places(tmp_path / "store"))
