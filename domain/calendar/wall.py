"""Between UTC and the clock on the wall: use follows the wall, meters and markets follow UTC.

In spring a wall hour is skipped and has no value; in autumn one comes twice and has the mean of both.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np

from domain.forecasting.series import DAY_S, Floats, Ints, Series

QUARTER_S = 900
DAY_QUARTERS = DAY_S // QUARTER_S


def offsets_s(instants: Ints, zone: tzinfo) -> Ints:
    """Return wall clock minus UTC at each of many instants in rising order, epoch seconds in and seconds out."""
    found = np.zeros(len(instants), dtype=np.int64)
    _fill(found, instants, zone, 0, len(instants) - 1)
    return found


def _fill(found: Ints, instants: Ints, zone: tzinfo, first: int, last: int) -> None:
    """Fill a stretch; one of less than a month with equal offsets at its ends has no change inside."""
    if last < first:
        return
    low, high = _offset_s(int(instants[first]), zone), _offset_s(int(instants[last]), zone)
    if last - first < 2 or (low == high and instants[last] - instants[first] < 28 * DAY_S):
        found[first:last] = low
        found[last] = high
        return
    middle = (first + last) // 2
    _fill(found, instants, zone, first, middle)
    _fill(found, instants, zone, middle + 1, last)


def _offset_s(instant: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(instant, UTC).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


def to_wall(series: Series, zone: tzinfo) -> Series:
    """Return a series over steps of the wall clock, stamped as if the wall were UTC."""
    if not len(series.values):
        return series
    step = series.step_s
    instants = int(series.start.timestamp()) + step * np.arange(len(series.values), dtype=np.int64)
    cells = (instants + offsets_s(instants, zone)) // step
    begin = int(cells.min())
    sums, counts = np.zeros(int(cells.max()) - begin + 1), np.zeros(int(cells.max()) - begin + 1)
    known = np.isfinite(series.values)
    np.add.at(sums, cells[known] - begin, series.values[known])
    np.add.at(counts, cells[known] - begin, 1.0)
    values = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
    return Series(start=datetime.fromtimestamp(begin * step, UTC), step_s=step, values=values)


def wall_time(instant: datetime, zone: tzinfo) -> datetime:
    """Return what the clock shows at an instant, stamped as if the wall were UTC."""
    return instant.astimezone(zone).replace(tzinfo=UTC)


def wall_places(start: datetime, *, count: int, step_s: int, zone: tzinfo, wall_start: datetime) -> Ints:
    """Return at which step of a wall series from ``wall_start`` on each UTC step from ``start`` on lies."""
    instants = int(start.timestamp()) + step_s * np.arange(count, dtype=np.int64)
    walls: Ints = (instants + offsets_s(instants, zone)) // step_s
    places: Ints = walls - int(wall_start.timestamp()) // step_s
    return places


def on_wall_values(values: Floats, places: Ints) -> Floats:
    """Return wall values for UTC steps, the last one for what lies beyond."""
    found: Floats = values[np.clip(places, 0, len(values) - 1)]
    return found


def quarters_of(day: date, zone: tzinfo) -> list[int]:
    """Return which quarter of the wall clock each delivery interval of a local day is: 92, 96 or 100 of them."""
    begin = datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
    after = day + timedelta(days=1)
    end = datetime(after.year, after.month, after.day, tzinfo=zone).astimezone(UTC)
    found = []
    while begin < end:
        local = begin.astimezone(zone)
        found.append((local.hour * 3600 + local.minute * 60) // QUARTER_S)
        begin += timedelta(seconds=QUARTER_S)
    return found


def usual_quarters(count: int) -> list[int]:
    """Return the same for a day of which only the number of intervals is known: the clock changes at 2 or 3 o'clock."""
    if count <= DAY_QUARTERS:
        skipped = DAY_QUARTERS - count if count in {92, 94} else 0
        return [index if index < 8 else index + skipped for index in range(count)]
    twice = count - DAY_QUARTERS
    return [index if index < 8 + twice else index - twice for index in range(count)]
