"""Seasons: the earlier rows that a window may fairly be compared with, hour by hour or weekday by weekday."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from keepfit.core.nouns import Season

MOST = 4
"""So many times the rows of the window are taken at most, the latest of each hour or weekday."""

_HOUR = 3_600_000_000
_MONDAY = 4 * 24
"""Hours from the first moment of 1970, a Thursday, to the first Monday."""


def cells(times: NDArray[np.datetime64], season: Season, tz: str = "UTC") -> NDArray[np.int64]:
    """The part of the day or week each time lies in, by the clocks of `tz`; one part for all without a season.

    >>> cells(np.array(["2018-01-01T23:30", "2018-01-02T23:59"], "M8[us]"), Season.HOUR).tolist()
    [23, 23]
    """
    hours = _hours(times, tz)
    match season:
        case Season.NONE:
            return np.zeros(times.size, np.int64)
        case Season.HOUR:
            return hours % 24
        case Season.WEEKDAY:
            return (hours - _MONDAY) // 24 % 7
        case Season.HOUR_OF_WEEK:
            return (hours - _MONDAY) % 168


def matched(
    earlier: NDArray[np.datetime64], window: NDArray[np.datetime64], season: Season, tz: str = "UTC"
) -> NDArray[np.int64]:
    """The places of those `earlier` rows, in order, that are spread over the season's parts as the window's rows are.

    Of each part the latest rows are taken, all in one ratio to the window's, at most MOST. There are none where a part
    of the window was never seen before: it is not made up for by another.
    """
    if not window.size:
        return np.empty(0, np.int64)
    was, now = cells(earlier, season, tz), cells(window, season, tz)
    parts, wanted = np.unique(now, return_counts=True)
    there = np.array([(was == part).sum() for part in parts.tolist()])
    ratio = min(float(MOST), float((there / wanted).min()))
    taken = [
        np.flatnonzero(was == part)[-int(count) :]
        for part, count in zip(parts.tolist(), np.floor(ratio * wanted).tolist(), strict=True)
        if count >= 1
    ]
    return np.sort(np.concatenate(taken)) if len(taken) == parts.size else np.empty(0, np.int64)


def told(window: NDArray[np.datetime64], season: Season, tz: str = "UTC") -> str:
    """The season's parts a window lies in, in words.

    >>> told(np.array(["2018-01-01T23:30", "2018-01-02T01:00"], "M8[us]"), Season.HOUR)
    'hours 1, 23 UTC'
    """
    found = np.unique(cells(window, season, tz)).tolist()
    match season:
        case Season.NONE:
            return "any time"
        case Season.HOUR:
            return f"hours {_some([str(hour) for hour in found])} {tz}"
        case Season.WEEKDAY:
            return f"weekdays {_some([_DAYS[day] for day in found])} in {tz}"
        case Season.HOUR_OF_WEEK:
            return f"hours {_some([f'{_DAYS[hour // 24]} {hour % 24}' for hour in found])} {tz}"


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _some(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def _hours(times: NDArray[np.datetime64], tz: str) -> NDArray[np.int64]:
    """Whole hours since 1970 by the clocks of a zone, whose offset is asked once per hour."""
    utc = times.astype("M8[us]").astype(np.int64) // _HOUR
    if tz == "UTC" or not utc.size:
        return utc
    zone = ZoneInfo(tz)
    different, place = np.unique(utc, return_inverse=True)
    shifts = [_shift(hour, zone) for hour in different.tolist()]
    local: NDArray[np.int64] = (times.astype("M8[us]").astype(np.int64) + np.array(shifts)[place]) // _HOUR
    return local


def _shift(hour: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() * 1_000_000)
