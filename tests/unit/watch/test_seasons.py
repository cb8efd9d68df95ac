"""Seasons: rows of the same hours and weekdays, or none."""

from __future__ import annotations

import numpy as np
import pytest

from keepfit.core.errors import SpecInvalid
from keepfit.core.nouns import Reference, Season, Subject
from keepfit.core.service import Monitor
from keepfit.watch.detectors import Auto
from keepfit.watch.seasons import MOST, cells, matched, told


def hourly(start: str, hours: int) -> np.ndarray:
    return np.datetime64(start, "us") + np.arange(hours) * np.timedelta64(1, "h")


def test_parts_of_day_and_week() -> None:
    """Hours count from midnight, weekdays from Monday, also before 1970; without a season there is one part."""
    times = np.array(["2018-01-01T00:00", "2018-01-07T23:59", "1969-12-31T23:00"], "M8[us]")
    assert cells(times, Season.HOUR).tolist() == [0, 23, 23]
    assert cells(times, Season.WEEKDAY).tolist() == [0, 6, 2]
    assert cells(times, Season.HOUR_OF_WEEK).tolist() == [0, 167, 71]
    assert cells(times, Season.NONE).tolist() == [0, 0, 0]


def test_clocks_of_a_zone() -> None:
    """Hours are those people live by: 8 in Berlin is 8 before and after its clocks change, which UTC's is not."""
    times = np.array(["2018-03-24T07:00", "2018-03-26T06:00"], "M8[us]")
    assert cells(times, Season.HOUR, "Europe/Berlin").tolist() == [8, 8]
    assert cells(times, Season.HOUR).tolist() == [7, 6]
    assert cells(np.array(["2018-01-01T00:15"], "M8[us]"), Season.HOUR, "Asia/Kolkata").tolist() == [5]


@pytest.mark.parametrize("season", [Season.HOUR, Season.WEEKDAY, Season.HOUR_OF_WEEK])
def test_spread_as_the_window(season: Season) -> None:
    """The rows chosen are spread over hours or weekdays exactly as the window's, and are the latest of each."""
    earlier = hourly("2018-01-01", 24 * 7 * 5)
    window = hourly("2018-02-05T22:00", 30)
    kept = matched(earlier, window, season)
    was, now = (np.bincount(cells(side, season), minlength=168) for side in (earlier[kept], window))
    ratio = was.sum() / now.sum()
    assert 1 <= ratio <= MOST
    assert (was == np.floor(ratio * now)).all()
    assert (np.diff(kept) > 0).all()
    for part in np.flatnonzero(was):
        there = np.flatnonzero(cells(earlier, season) == part)
        assert set(there[-was[part] :]) <= set(kept)


def test_what_was_never_seen() -> None:
    """A window with an hour that no earlier row has is compared with nothing, rather than with other hours."""
    nights = hourly("2018-01-01", 24 * 14).reshape(-1, 24)[:, :6].ravel()
    assert matched(nights, hourly("2018-01-15", 6), Season.HOUR).size == 24
    assert not matched(nights, hourly("2018-01-15", 7), Season.HOUR).size
    assert not matched(nights[:0], hourly("2018-01-15", 6), Season.HOUR).size
    assert not matched(nights, nights[:0], Season.HOUR).size


def test_said() -> None:
    """The hours and days are named, a few of them."""
    assert told(hourly("2018-01-01", 3), Season.HOUR) == "hours 0, 1, 2 UTC"
    assert told(hourly("2018-01-05", 48), Season.WEEKDAY, "Europe/Berlin") == "weekdays Fri, Sat, Sun in Europe/Berlin"
    assert told(hourly("2018-01-01T22:00", 12), Season.HOUR_OF_WEEK).endswith(" and 6 more UTC")


def test_only_where_there_is_a_span() -> None:
    """A season asks for an earlier Span of inputs or outputs, the clocks for a zone that exists."""
    fine = {"name": "m", "on": Subject.INPUTS, "detector": Auto(), "reference": Reference.EARLIER}
    assert Monitor(**fine, season=Season.HOUR).season is Season.HOUR
    for wrong in ({"reference": Reference.TRAINING}, {"on": Subject.LOSS}):
        with pytest.raises(SpecInvalid, match=r"Monitor\.season"):
            Monitor(**{**fine, **wrong}, season=Season.HOUR)
    with pytest.raises(SpecInvalid, match="IANA name"):
        Monitor(**fine, tz="Mars/Olympus")
    for wrong in ({"detector": None}, {"on": Subject.RECORDS}, {"on": Subject.QUALITY}):
        with pytest.raises(SpecInvalid, match=r"Monitor\.detector"):
            Monitor(**{**fine, **wrong})
