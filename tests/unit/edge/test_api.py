"""The control API: what it shows, what it writes down, and how it refuses."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from starlette.applications import Starlette

import toys
from keepfit.core import errors
from keepfit.core.clock import ManualClock
from keepfit.core.facts import (
    Answered,
    Applied,
    Decided,
    Judged,
    Requested,
    RunFailed,
    RunFinished,
    RunStarted,
    Swapped,
    UpdateOpened,
    VersionRegistered,
    Watched,
)
from keepfit.core.nouns import Finding, FindingKind, Outcome, Ruling, Severity
from keepfit.core.places import Places
from keepfit.core.signature import DType, Field
from keepfit.edge.api import DOORS, application, openapi, status_code
from keepfit.edge.apply import specification_at
from keepfit.edge.declare.declaration import declare
from keepfit.edge.desk import Desk
from keepfit.edge.status import Histories
from keepfit.loop.targets import Local
from keepfit.store.blobs import Blobs, Trees
from keepfit.store.ledger import Ledger

NOW = datetime(2013, 2, 1, tzinfo=UTC)
SERVICE = """\
flights = Service(
    name="flights", estimator=Majority(), data="flights.csv", label="late", id="id", time="when", gates=[gates.Golden()]
)
"""


@dataclass
class Http:
    """Speaks HTTP with an application in this process."""

    app: Starlette

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def asked() -> httpx.Response:
            headers = {"authorization": "Bearer secret", **given.pop("headers", {})}
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://control") as http:
                return await http.request(method, path, headers=headers, **given)

        return asyncio.run(asked())

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.request("POST", path, **given)


@dataclass
class Control:
    """A control process without its loop: the API over a store."""

    places: Places
    ledger: Ledger
    http: Http

    def get(self, path: str) -> Any:
        answer = self.http.get(f"/v1/services{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        answer = self.http.post(f"/v1/services{path}", json=body)
        return answer.status_code, answer.json()


@pytest.fixture
def control(tmp_path: Path) -> Control:
    places = Places(tmp_path / "store")
    places.root.mkdir()
    ledger = Ledger(places.ledger)
    numbers = itertools.count(1)
    desk = Desk(
        places=places,
        ledger=ledger,
        clock=ManualClock(NOW),
        target=Local(places=places),
        new_id=lambda: f"id{next(numbers)}",
        histories=Histories(ledger),
    )
    return Control(places, ledger, Http(application(desk, token="secret", process=7)))


@pytest.fixture
def applied(control: Control, write: Callable[..., Path]) -> Control:
    """The control process after an apply through its API."""
    (one,) = declare(write(SERVICE), control.places)
    status, said = control.post("", {"specification": one.specification, "actor": "ada"})
    assert (status, said["first"]) == (201, True)
    return control


@pytest.fixture
def lived(applied: Control) -> Control:
    """The same, after an update passed, was swapped in, and a monitor found something."""
    at: dict[str, Any] = {"service": "flights", "time": NOW}
    run: dict[str, Any] = {**at, "key": "k1", "run": "r1", "step": "train", "update": "u1"}
    ruling = Ruling("Golden", Outcome.PASS, "the largest error is 0")
    finding = Finding("distance", FindingKind.DRIFT, Severity.WARNING, 0.5, 0.1, "'distance' moved")
    applied.ledger.append(
        UpdateOpened(**at, update="u1", reason="there is no version yet", parent=0, as_of=NOW, specification="s"),
        RunStarted(**run, process=1),
        RunFinished(**run, outputs={"bundle": "b1"}, result={"rows": 3}, cpu_seconds=2.5, wall_seconds=3.5),
        RunFinished(
            **{**run, "step": "evaluate", "key": "k2", "run": "r0"},
            outputs={"evidence": "e1", "losses": "l1"},
            result={},
            cpu_seconds=0.5,
            wall_seconds=0.5,
        ),
        VersionRegistered(**at, number=1, digest="b1", parent=0, update="u1"),
        Judged(**at, version=1, against=0, outcome=Outcome.PASS, rulings=(ruling,), evaluation="e1", update="u1"),
        Swapped(**at, slot="live", before=0, after=1, cause="promote", reason="all gates pass"),
        Swapped(**at, slot="canary", before=0, after=1, cause="promote", reason="try it", share=0.2, key="distance"),
        Swapped(**at, slot="shadow", before=0, after=1, cause="promote", reason="listen"),
        Swapped(**at, slot="live@2", before=0, after=1, cause="promote", reason="another contract"),
        Watched(**at, monitor="inputs", records=9, labels=0, measurements=(), findings=(finding,)),
        Decided(**at, fire=False, reason="9 of 100 labels"),
    )
    return applied


def test_without_the_token_nothing_is_told(control: Control) -> None:
    """Every door but health and the description of the doors needs it."""
    for door in DOORS:
        answer = control.http.request(door.method, door.path, headers={"authorization": "Bearer other"})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert control.http.get("/healthz", headers={"authorization": ""}).json() == {"ok": True, "process": 7}


def test_apply_puts_a_specification_in_force_and_tells_what_changed(
    applied: Control, write: Callable[..., Path]
) -> None:
    """Applying the same again is no new fact; applying another tells the difference."""
    first = applied.ledger.last(Applied, "flights")
    assert first is not None
    assert first.actor == "ada"
    status, said = applied.post("", {"specification": first.specification})
    assert (status, said["changes"], said["first"]) == (201, [], False)
    (other,) = declare(write(SERVICE.replace('id="id"', 'id="id", team="ops"')), applied.places)
    _, said = applied.post("", {"specification": other.specification})
    assert "team: 'default' → 'ops'" in said["changes"]
    assert len(applied.ledger.facts("flights", Applied)) == 2
    assert applied.get("/flights")["specification"]["service"]["team"] == "ops"


def test_status_tells_where_the_service_stands_and_why(lived: Control) -> None:
    """Live version, its verdict, the open update's steps, what the loop does, what was found."""
    said = lived.get("/flights/status")
    assert (said["live"], said["previous"], said["runner"]) == (1, 0, {})
    assert said["versions"][0]["verdict"] == "pass"
    assert said["versions"][0]["live"] is True
    assert ["train", "done"] in said["update"]["steps"]
    assert "there is no version yet" in said["doing"]
    assert any("'distance' moved" in event for _, event in said["events"])
    slots = {one["slot"]: (one["version"], one["share"], one["key"]) for one in said["slots"]}
    assert slots == {
        "live": (1, 0.0, ""),
        "canary": (1, 0.2, "distance"),
        "shadow": (1, 0.0, ""),
        "live@2": (1, 0.0, ""),
    }


def test_versions_runs_findings_and_decisions_are_lists(lived: Control) -> None:
    """Each noun has its list."""
    assert [one["number"] for one in lived.get("/flights/versions")] == [1]
    assert lived.get("/flights/findings")[0]["subject"] == "distance"
    assert lived.get("/flights/decisions")[0]["reason"] == "9 of 100 labels"
    (run,) = lived.get("/flights/runs")
    assert (run["run"], run["state"], run["cpu_seconds"], run["result"]) == ("r1", "finished", 2.5, {"rows": 3})


def test_facts_are_paged_by_sequence_number(lived: Control) -> None:
    """Asking again with the last number gives the rest, and each fact once."""
    found, after = [], 0
    while page := lived.get(f"/flights/facts?after={after}&limit=3"):
        found += page
        after = page[-1]["seq"]
    assert [one["kind"] for one in found][:3] == ["Applied", "UpdateOpened", "RunStarted"]
    assert len({one["seq"] for one in found}) == len(found) == 13
    assert [one["kind"] for one in lived.get("/flights/facts?kind=Swapped")] == ["Swapped"] * 4


def test_a_failed_run_is_told_with_its_reason(lived: Control) -> None:
    """A Run that ended badly is not shown as running."""
    run: dict[str, Any] = {"service": "flights", "key": "k3", "run": "r2", "step": "train", "update": "u2"}
    lived.ledger.append(RunStarted(**run, time=NOW, process=1))
    lived.ledger.append(RunFailed(**run, time=NOW + timedelta(seconds=4), code="raised", reason="ValueError: no"))
    last = lived.get("/flights/runs")[-1]
    assert (last["state"], last["seconds"], last["reason"]) == ("failed", 4.0, "ValueError: no")


def test_a_log_is_read_whole(lived: Control) -> None:
    """What the worker wrote is what is sent; an unknown run, also one that is a path, is refused."""
    folder = lived.places.run("r1")
    folder.mkdir(parents=True)
    (folder / "log").write_text("one\ntwo\n")
    (folder / "result.json").write_text("{}")
    for query in ("", "?follow=1"):
        assert lived.http.get(f"/v1/services/flights/runs/r1/log{query}").text == "one\ntwo\n"
    for run in ("r9", "..", "%2e%2e%2fruns%2fr1"):
        assert lived.http.get(f"/v1/services/flights/runs/{run}/log").status_code == 404


@pytest.mark.parametrize(
    ("door", "body", "deed", "forced"),
    [
        ("updates", {"reason": "new data", "actor": "ada"}, "update", False),
        ("swaps", {"version": 1, "actor": "ada"}, "swap", False),
        ("swaps", {"version": 1, "actor": "ada", "forced": True, "reason": "I know"}, "swap", True),
        ("rollbacks", {"reason": "it is bad", "actor": "ada"}, "rollback", False),
        ("swaps", {"version": 1, "actor": "ada", "slot": "canary", "share": 0.2, "key": "distance"}, "swap", False),
        ("swaps", {"version": 1, "actor": "ada", "slot": "shadow"}, "swap", False),
        ("promotions", {"actor": "ada"}, "swap", False),
        ("aborts", {"actor": "ada", "slot": "shadow"}, "swap", False),
        ("aborts", {"actor": "ada", "slot": "live", "major": 2}, "swap", False),
        ("forgets", {"ids": ["a", "b"], "actor": "ada"}, "forget", False),
    ],
)
def test_a_deed_is_written_down_as_a_wish(lived: Control, *, door: str, body: Any, deed: str, forced: bool) -> None:
    """The API performs nothing: it answers 202 with the id under which the loop will answer."""
    status, said = lived.post(f"/flights/{door}", body)
    assert (status, said["done"]) == (202, None)
    wish = lived.ledger.last(Requested, "flights", subject=said["request"])
    assert wish is not None
    assert (wish.deed, wish.actor, wish.forced) == (deed, "ada", forced)
    assert lived.get(f"/flights/requests/{said['request']}")["done"] is None
    lived.ledger.append(Answered(service="flights", time=NOW, request=wish.id, done=False, reason="because"))
    told = lived.get(f"/flights/requests/{said['request']}?wait=5")
    assert (told["done"], told["reason"]) == (False, "because")


def test_an_entity_stands_for_its_records(control: Control, write: Callable[..., Path]) -> None:
    """Where the entity is a feature, its Records are found in the first data; the wish has their ids and no more."""
    text = SERVICE.replace('time="when",', 'time="when", entity="origin", features=["origin"],')
    (one,) = declare(write(text), control.places)
    control.post("", {"specification": one.specification})
    source = pq.read_table(Blobs(control.places.blobs).path(specification_at(one.specification, control.places).source))
    entity = str(source["origin"][0])
    theirs = [str(row["_id"]) for row in source.to_pylist() if row["origin"] == entity]
    assert 0 < len(theirs) < source.num_rows
    _, said = control.post("/flights/forgets", {"entity": entity, "ids": ["more"]})
    wish = control.ledger.last(Requested, "flights", subject=said["request"])
    assert wish is not None
    assert wish.records == tuple(sorted([*theirs, "more"]))


def test_promotion_and_abort_are_swaps(lived: Control) -> None:
    """A promotion puts what the slot holds into the live one, an abort puts nothing into the slot."""
    _, said = lived.post("/flights/promotions", {"reason": "it is better"})
    wish = lived.ledger.last(Requested, "flights", subject=said["request"])
    assert wish is not None
    assert (wish.version, wish.slot, wish.reason) == (1, "live", "canary is promoted: it is better")
    _, said = lived.post("/flights/aborts", {"slot": "live", "major": 2})
    wish = lived.ledger.last(Requested, "flights", subject=said["request"])
    assert wish is not None
    assert (wish.version, wish.slot) == (0, "live@2")


@pytest.mark.parametrize(("code", "status"), [("breaking", 409), ("golden", 409), ("insufficient_memory", 507)])
def test_what_the_runner_refuses_is_an_error_to_those_who_wait(lived: Control, code: str, status: int) -> None:
    """With the runner's own sentence and machine code; the request can be asked for later too."""
    _, said = lived.post("/flights/swaps", {"version": 1})
    refused = Answered(service="flights", time=NOW, request=said["request"], done=False, reason="field x", code=code)
    lived.ledger.append(refused)
    answer = lived.http.get(f"/v1/services/flights/requests/{said['request']}?wait=5")
    assert (answer.status_code, answer.json()) == (status, {"error": "field x", "code": code})


def test_a_bundle_from_outside_is_written_down_as_a_wish(lived: Control) -> None:
    """It has to lie in the store and to be made for this service."""
    made = toys.bundle(lived.places.root / "made")
    digest = Trees(lived.places.trees).put(made)
    body = {"digest": digest, "origin": "model.onnx", "actor": "ada"}
    assert lived.post("/flights/versions", body)[1]["code"] == "wrong_service"
    toys.meant_for(made, "flights", Field("late", DType.INT64))
    body["digest"] = Trees(lived.places.trees).put(made)
    assert lived.post("/flights/versions", body)[1]["code"] == "wrong_label"
    toys.meant_for(made, "flights", Field("late", DType.BYTES))
    body["digest"] = Trees(lived.places.trees).put(made)
    status, said = lived.post("/flights/versions", body)
    assert (status, said["done"]) == (202, None)
    wish = lived.ledger.last(Requested, "flights", subject=said["request"])
    assert wish is not None
    assert (wish.deed, wish.bundle, wish.origin) == ("register", body["digest"], "model.onnx")


def test_an_approval_is_recorded_at_once(lived: Control) -> None:
    """With the person and the reason, and shown beside the version."""
    body = {"version": 1, "yes": True, "reason": "looked at it", "actor": "ada"}
    status, said = lived.post("/flights/approvals", body)
    assert (status, said["approved"]) == (201, "yes by ada: looked at it")


@pytest.mark.parametrize(
    ("door", "body", "status", "code"),
    [
        ("updates", {}, 422, "invalid_body"),
        ("forgets", {}, 422, "invalid"),
        ("forgets", {"entity": "N1"}, 409, "no_entity"),
        ("updates", {"reason": 3}, 422, "invalid_body"),
        ("updates", {"reason": "x", "dataset": "0" * 64}, 404, "not_found"),
        ("swaps", {"version": 9}, 404, "not_found"),
        ("swaps", {"version": "one"}, 422, "invalid_body"),
        ("swaps", {"version": 1, "forced": True}, 422, "invalid"),
        ("swaps", {"version": 1, "slot": "elsewhere"}, 422, "invalid_body"),
        ("swaps", {"version": 1, "slot": "canary", "share": 1.5}, 422, "invalid"),
        ("swaps", {"version": 1, "slot": "canary", "key": "late"}, 422, "invalid"),
        ("promotions", {"slot": "canary", "major": 2}, 409, "empty"),
        ("aborts", {"slot": "canary", "major": 2}, 409, "empty"),
        ("aborts", {"slot": "live"}, 409, "live_slot"),
        ("versions", {"digest": "0" * 64, "origin": "model.onnx"}, 404, "not_found"),
        ("versions", {"digest": "b1", "origin": "model.onnx"}, 409, "known"),
        ("approvals", {"version": 1, "yes": True, "reason": ""}, 422, "invalid"),
        ("approvals", {"version": 9, "yes": True, "reason": "x"}, 404, "not_found"),
    ],
)
def test_a_wrong_wish_is_refused_and_not_written_down(
    lived: Control, door: str, body: Any, status: int, code: str
) -> None:
    """A sentence and a machine code; the ledger stays as it was."""
    before = len(lived.ledger.facts("flights"))
    found, said = lived.post(f"/flights/{door}", body)
    assert (found, said["code"]) == (status, code)
    assert said["error"]
    assert len(lived.ledger.facts("flights")) == before


def test_what_is_not_there_is_told(lived: Control) -> None:
    """Unknown services, versions, kinds, doors, and numbers that are none."""
    for path, status, code in (
        ("/trains/status", 404, "not_found"),
        ("/flights/versions/9", 404, "not_found"),
        ("/flights/facts?kind=Rumour", 422, "invalid"),
        ("/flights/facts?after=x", 422, "invalid"),
        ("/flights/requests/none", 404, "not_found"),
        ("/flights/nothing", 404, "no_route"),
    ):
        answer = lived.http.get(f"/v1/services{path}")
        assert (answer.status_code, answer.json()["code"]) == (status, code), path


def test_a_body_that_is_too_large_or_no_json_is_refused(applied: Control) -> None:
    """Before it is held in memory whole."""
    for content, code in ((b"x" * (2 << 20), "body_too_large"), (b"{", "invalid_body")):
        answer = applied.http.post("/v1/services/flights/updates", content=content)
        assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_every_error_has_a_status() -> None:
    """The nearest ancestor in the table counts, so a new error needs no new entry."""
    assert status_code(errors.SpecInvalid("x")) == 422
    assert status_code(errors.NotFound("x")) == 404
    assert status_code(errors.Refused("x")) == 409
    assert status_code(errors.StorageFault("x")) == 500


def test_the_description_names_every_door() -> None:
    """OpenAPI is made from the table that is served."""
    described = openapi()
    for door in DOORS:
        operation = described["paths"][door.path][door.method.lower()]
        assert str(door.status) in operation["responses"]
        assert ("requestBody" in operation) == (door.takes is not None)
    assert "Swap" in described["components"]["schemas"]
