"""Known exports in their own shape, turned into a plain table: one time, one column a quantity.

Source: the vendors' public descriptions and samples that users posted; docs/files.md names each.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

from domain.series.errors import SeriesError
from domain.series.spreadsheet import clock_of
from domain.series.table import Table
from domain.series.times import looks_like_time
from domain.series.units import own_price_unit, unit_in

Form = Callable[[Table], Table | None]


def recognise(table: Table) -> Table:
    """Return a table in plain shape, named after the export that it is; an unknown one as it stands."""
    for form in FORMS:
        found = form(table)
        if found is not None:
            return replace(found, said=(*table.said, *found.said))
    return table


def _has(table: Table, *names: str) -> bool:
    header = {name.lower() for name in table.header}
    return all(name.lower() in header for name in names)


def _name(table: Table, pattern: str) -> str | None:
    return next((name for name in table.header if re.search(pattern, name, re.IGNORECASE)), None)


def _pivot(
    table: Table,
    *,
    keys: list[str],
    times: list[str],
    values: list[str],
    form: str,
    units: dict[str, str],
    zone: str = "",
    dates: str = "",
) -> Table:
    """Return one row a time and one column a key, in the order in which times first appear for each key.

    A time that comes again for a key (the two hours of autumn) gets a row of its own.
    """
    names = list(dict.fromkeys(keys))
    order: dict[tuple[str, int], list[str]] = {}
    lines: dict[tuple[str, int], int] = {}
    seen: dict[tuple[str, str], int] = {}
    for key, at, value, line in zip(keys, times, values, table.lines, strict=True):
        count = seen.get((key, at), 0)
        seen[key, at] = count + 1
        row = order.setdefault((at, count), [""] * len(names))
        lines.setdefault((at, count), line)
        row[names.index(key)] = value
    return Table(
        header=("time", *names),
        rows=tuple((at, *row) for (at, _), row in order.items()),
        lines=tuple(lines.values()),
        separator=table.separator,
        form=form,
        zone=zone,
        time="time",
        dates=dates,
        units=tuple((name, units[name]) for name in names if name in units),
    )


def _own_prices(table: Table) -> Table | None:
    """Name the columns of ``start,price_<unit>``, in which a zone's prices were read from the first."""
    first, price = [*table.header, "", ""][:2]
    if first.lower() != "start" or own_price_unit(price) is None:
        return None
    return replace(table, time=first, price=price)


def _home_assistant_history(table: Table) -> Table | None:
    if not _has(table, "entity_id", "state") or not (_has(table, "last_changed") or _has(table, "last_updated")):
        return None
    time = "last_changed" if _has(table, "last_changed") else "last_updated"
    header = {name.lower(): name for name in table.header}
    return _pivot(
        table,
        keys=[key or "state" for key in table.column(header["entity_id"])],
        times=table.column(header[time]),
        values=table.column(header["state"]),
        form="Home Assistant history",
        units={},
    )


def _home_assistant_statistics(table: Table) -> Table | None:
    header = {name.lower(): name for name in table.header}
    if "statistic_id" not in header or "start" not in header:
        return None
    choice = next(
        (
            name
            for name in ("mean", "change", "delta", "sum", "state")
            if name in header and any(cell.strip() for cell in table.column(header[name]))
        ),
        None,
    )
    if choice is None:
        return None
    keys = table.column(header["statistic_id"])
    unit = next((header[name] for name in ("unit", "unit_of_measurement") if name in header), None)
    units = dict(zip(keys, table.column(unit), strict=True)) if unit else {}
    found = _pivot(
        table,
        keys=keys,
        times=table.column(header["start"]),
        values=table.column(header[choice]),
        form=f"Home Assistant statistics ({choice})",
        units=units,
    )
    return replace(found, counters=tuple(dict.fromkeys(keys))) if choice in {"sum", "state"} else found


def _home_assistant_energy(table: Table) -> Table | None:
    """Turn the energy dashboard's table: a row a meter, a column a day or an hour."""
    header = [name.lower() for name in table.header]
    if "entity_id" not in header or "unit" not in header:
        return None
    places = [place for place, name in enumerate(table.header) if looks_like_time(name)]
    if not places:
        return None
    entity, unit = header.index("entity_id"), header.index("unit")
    rows = [row for row in table.rows if len(row) > max(entity, unit)]
    names = [row[entity] for row in rows]
    turned = [(table.header[place], *(row[place] if place < len(row) else "" for row in rows)) for place in places]
    return Table(
        header=("time", *names),
        rows=tuple(turned),
        lines=tuple(range(1, len(turned) + 1)),
        separator=table.separator,
        form="Home Assistant energy",
        time="time",
        units=tuple((name, row[unit]) for name, row in zip(names, rows, strict=True)),
    )


def _entsoe(table: Table) -> Table | None:
    time = next((name for name in table.header if re.match(r"(MTU|Time)\s*\((UTC|CET/CEST|CET)\)", name)), None)
    if time is None:
        return None
    zone = "UTC" if "UTC" in time else "Europe/Brussels"
    rows, lines = list(table.rows), list(table.lines)
    if "Sequence" in table.header:
        # The same interval stands once for each auction; the first is the day-ahead price.
        marks = table.column("Sequence")
        first = next((mark for mark in marks if mark.strip()), "")
        kept = [(row, line) for row, line, mark in zip(rows, lines, marks, strict=True) if mark in {first, ""}]
        rows, lines = [row for row, _ in kept], [line for _, line in kept]
    found = replace(table.with_rows(rows, lines), form="ENTSO-E", zone=zone, time=time, dates="day-first")
    price = _name(found, r"price")
    areas = found.column("Area") if "Area" in found.header else []
    if price is None or len(set(areas)) < 2:
        return found
    unit = unit_in(price)
    pivoted = _pivot(
        found,
        keys=areas,
        times=found.column(time),
        values=found.column(price),
        form="ENTSO-E",
        units={} if unit is None else dict.fromkeys(areas, unit.name),
        zone=zone,
        dates="day-first",
    )
    first = pivoted.header[1]
    return replace(
        pivoted, said=(f"prices of {', '.join(pivoted.header[1:4])}; {first} is read unless a column is named",)
    )


def _nord_pool(table: Table) -> Table | None:
    """Read a day and an hour like ``00 - 01``, or the portal's delivery start."""
    start = _name(table, r"delivery start")
    if start:
        zone = "UTC" if "UTC" in start else "Europe/Oslo"
        return replace(table, form="Nord Pool", zone=zone, time=start)
    hours = _name(table, r"^hours?$")
    day = next((name for name in table.header if name != hours and looks_like_time(_first(table, name))), None)
    if hours is None or day is None or not re.match(r"\d{2}\s*[-–]\s*\d{2}", _first(table, hours)):
        return None
    times = [
        f"{date.strip()} {hour.strip()[:2]}:00"
        for date, hour in zip(table.column(day), table.column(hours), strict=True)
    ]
    found = _with_time(table, times, drop={day, hours}, form="Nord Pool", zone="Europe/Oslo")
    # The title names the currency of all areas: Elspot Prices in NOK/MWh.
    titles = [unit.name for row in table.preamble for cell in row if (unit := unit_in(cell)) is not None]
    areas = [name for name in found.header[1:] if unit_in(name) is None]
    return replace(found, units=tuple((name, titles[0]) for name in areas)) if titles else found


def _first(table: Table, name: str) -> str:
    return next((cell for cell in table.column(name) if cell.strip()), "")


def _with_time(table: Table, times: list[str], *, drop: set[str], form: str, zone: str = "") -> Table:
    keep = [place for place, name in enumerate(table.header) if name not in drop]
    rows = [
        (at, *(row[place] if place < len(row) else "" for place in keep))
        for at, row in zip(times, table.rows, strict=True)
    ]
    header = ("time", *(table.header[place] for place in keep))
    return replace(table.with_rows(rows, table.lines), header=header, form=form, zone=zone, time="time")


def _fluvius(table: Table) -> Table | None:
    if not _has(table, "Register", "Volume", "Eenheid"):
        return None
    day, clock = _name(table, r"^van.*datum"), _name(table, r"^van.*tijd")
    if day is None or clock is None:
        return None
    registers = table.column("Register")
    times = [f"{date} {hour}" for date, hour in zip(table.column(day), table.column(clock), strict=True)]
    # Day and night registers of one direction are one quantity: of a quarter only one of them counts.
    keys = [register.split()[0] if register.strip() else "Volume" for register in registers]
    units = {key: unit for key, unit in zip(keys, table.column("Eenheid"), strict=True) if unit.strip()}
    values = table.column("Volume")
    kept = [index for index, key in enumerate(keys) if "Wh" in units.get(key, "Wh") or "W" in units.get(key, "W")]
    return _pivot(
        table.with_rows([table.rows[index] for index in kept], [table.lines[index] for index in kept]),
        keys=[keys[index] for index in kept],
        times=[times[index] for index in kept],
        values=[values[index] for index in kept],
        form="Fluvius",
        units=units,
        zone="Europe/Brussels",
        dates="day-first",
    )


def _enedis(table: Table) -> Table | None:
    time = _name(table, r"^horodate$")
    if time is None or not _has(table, "Valeur"):
        return None
    unit = "W"
    for names, values in zip(table.preamble, table.preamble[1:], strict=False):
        for name, value in zip(names, values, strict=False):
            if name.strip().lower().startswith("unit"):
                unit = value.strip() or unit
    return replace(table, form="Enedis", zone="Europe/Paris", time=time, ends=True, units=(("Valeur", unit),))


def _green_button(table: Table) -> Table | None:
    start = _name(table, r"^start time$")
    usage = _name(table, r"^(usage|import)")
    if start is None or usage is None or not _has(table, "DATE"):
        return None
    day = next(name for name in table.header if name.lower() == "date")
    times = [f"{date} {hour}" for date, hour in zip(table.column(day), table.column(start), strict=True)]
    found = _with_time(table, times, drop={day, start}, form="Green Button")
    units = _name(table, r"^units?$")
    unit = _first(table, units) if units else ""
    ordered = [usage, *(name for name in found.header[1:] if name != usage)]
    places = [found.header.index(name) for name in ordered]
    rows = [(row[0], *(row[place] if place < len(row) else "" for place in places)) for row in found.rows]
    return replace(
        found.with_rows(rows, found.lines), header=("time", *ordered), units=((usage, unit),) if unit else ()
    )


def _octopus(table: Table) -> Table | None:
    used = _name(table, r"^consumption \(kwh\)")
    if used is None or not _has(table, "Start", "End"):
        return None
    return replace(table, form="Octopus", zone="Europe/London", time="Start")


def _energy_charts(table: Table) -> Table | None:
    time = _name(table, r"^(date|datum) \((gmt|mez|utc)")
    return replace(table, form="Energy-Charts", time=time) if time else None


def _solar_web(table: Table) -> Table | None:
    time = _name(table, r"(date and time|datum und uhrzeit)")
    return replace(table, form="Fronius Solar.web", time=time, dates="day-first") if time else None


def _solaredge(table: Table) -> Table | None:
    value = _name(table, r"(system )?production \(k?wh?\)")
    return replace(table, form="SolarEdge", time="Time", dates="month-first") if value and _has(table, "Time") else None


def _dsmr_reader(table: Table) -> Table | None:
    delivered = [
        name for name in table.header if re.search(r"(delivered|returned)(_\d)?$", name) and "current" not in name
    ]
    time = _name(table, r"^(read_at|timestamp|time)$")
    if len(delivered) < 2 or time is None:
        return None
    units = tuple((name, "kWh") for name in delivered) + tuple(
        (name, "kW") for name in table.header if "currently" in name
    )
    return replace(table, form="DSMR", zone="Europe/Amsterdam", time=time, units=units, counters=tuple(delivered))


def _date_and_time(table: Table) -> Table | None:
    """Join a column of days and one of times of day."""
    clock = re.compile(r"(\d{1,2}:\d{2}(:\d{2})?(\s*[AaPp][Mm])?)(\s*[-–]\s*\d{1,2}:\d{2}(:\d{2})?)?")
    hour = next((name for name in table.header if clock.fullmatch(_first(table, name).strip())), None)
    day = next((name for name in table.header if name != hour and looks_like_time(_first(table, name))), None)
    if hour is None or day is None or ":" in _first(table, day):
        return None
    times = [
        f"{date.strip()} {found[1] if (found := clock.fullmatch(at.strip())) else at.strip()}"
        for date, at in zip(table.column(day), table.column(hour), strict=True)
    ]
    return _with_time(table, times, drop={day, hour}, form="")


# How many hours, half hours or quarters a local day counts, and how long each is in minutes.
_COUNTED = {length * 60 // step: step for step in (60, 30, 15) for length in (23, 24, 25)}


def _date_and_fraction(table: Table) -> Table | None:
    """Join a column of days and one with the hour as a fraction of a day, as a spreadsheet keeps it."""
    day = next((name for name in table.header if looks_like_time(_first(table, name))), None)
    if day is None or ":" in _first(table, day):
        return None
    days = [cell.strip() for cell in table.column(day)]
    for name in table.header:
        clock = None if name == day else clock_of(table.column(name), days)
        if clock is not None:
            times = [f"{date} {at}" for date, at in zip(days, clock, strict=True)]
            return _with_time(table, times, drop={day, name}, form="")
    return None


def _date_and_number(table: Table) -> Table | None:
    """Join a column of days and one that counts the hours, half hours or quarters of each: 1 to 24, or 0 to 23.

    On the day on which the clock changes the count goes on: of 25 hours the fourth is the second from 02:00, in
    November (America) the third the second from 01:00; of 23 hours the third begins at 03:00.
    """
    day = next((name for name in table.header if looks_like_time(_first(table, name))), None)
    if day is None or ":" in _first(table, day):
        return None
    days = [cell.strip() for cell in table.column(day)]
    for name in table.header:
        cells = [cell.strip() for cell in table.column(name)]
        if name == day or not all(re.fullmatch(r"\d{1,3}(\.0)?", cell) for cell in cells):
            continue
        numbers = [int(float(cell)) for cell in cells]
        by_day: dict[str, list[int]] = {}
        for date, number in zip(days, numbers, strict=True):
            by_day.setdefault(date, []).append(number)
        least = min(numbers)
        whole = [sorted(found) == list(range(least, least + len(found))) for found in by_day.values()]
        usual = max((len(found) for found in by_day.values()), key=[len(found) for found in by_day.values()].count)
        step = _COUNTED.get(usual)
        if least > 1 or step is None or sum(whole) < 0.9 * len(whole) or max(numbers) - least >= 25 * 60 // step:
            continue
        minutes = {date: len(found) * step for date, found in by_day.items()}
        # A first or last day that is short is cut, whatever the clock did.
        ends = (days[0], days[-1]) if days else ()
        minutes |= {date: 24 * 60 for date in ends if minutes[date] < 24 * 60}
        times = [
            f"{date} {_of_day(date, (number - least) * step, minutes=minutes[date])}"
            for date, number in zip(days, numbers, strict=True)
        ]
        return _with_time(table, times, drop={day, name}, form="")
    return None


_OF_DAY = re.compile(r"\D{0,12}(\d{1,3})(?:[:.]\d{2})?(?:\s*-\s*\d{1,2}[:.]\d{2})?\D{0,6}")
_WIDTHS = frozenset(length * 60 // step for step in (60, 30, 15) for length in (24, 25))


def _row_a_day(table: Table) -> Table | None:
    """Turn rows of days, with a column for each hour, half hour or quarter, into one row a time.

    Raises:
        SeriesError: A day stands in several rows.
    """
    day = next((name for name in table.header if looks_like_time(_first(table, name))), None)
    if day is None or ":" in _first(table, day):
        return None
    of_day = [name for name in table.header if name != day and _OF_DAY.fullmatch(name)]
    if len(of_day) not in _WIDTHS:
        return None
    days = [cell.strip() for cell in table.column(day)]
    if len(set(days)) < len(days):
        raise SeriesError(
            f"its rows are days of {len(of_day)} values, and a day stands in several; keep one meter's rows"
        )
    rows, lines = [], []
    for date, line, cells in zip(days, table.lines, zip(*map(table.column, of_day), strict=True), strict=True):
        # A day that the clock makes shorter leaves its last columns empty.
        last = max((place for place, cell in enumerate(cells) if cell.strip()), default=-1)
        rows += [(date, str(place), cell) for place, cell in enumerate(cells[: last + 1])]
        lines += [line] * (last + 1)
    return _date_and_number(
        replace(table, header=(day, "place", "value"), rows=tuple(rows), lines=tuple(lines), form="a row a day")
    )


def _of_day(date: str, passed: int, *, minutes: int) -> str:
    """Return the time of day after so many minutes of a day that has so many of them."""
    hour = 60
    twice_at = hour if re.search(r"\D11\D|nov", date, re.IGNORECASE) else 2 * hour
    if minutes == 25 * hour and passed >= twice_at + hour:
        passed -= hour
    elif minutes == 23 * hour and passed >= 2 * hour:
        passed += hour
    return f"{passed // hour:02d}:{passed % hour:02d}"


def _open_meteo(table: Table) -> Table | None:
    """Read hours of weather below a block of facts, one of which is their time zone."""
    if not _has(table, "time") or _name(table, r"^(shortwave_radiation|temperature_2m) \(") is None:
        return None
    facts = next((pair for pair in pairwise(table.preamble) if "timezone" in pair[0]), ((), ()))
    zone = dict(zip(*facts, strict=False)).get("timezone", "")
    names = [re.sub(r" \(.*\)$", "", name) for name in table.header]
    units = tuple(
        (name, found[1])
        for name, long in zip(names, table.header, strict=True)
        if (found := re.search(r"\((.*)\)$", long))
    )
    return replace(table, header=tuple(names), form="Open-Meteo", zone=zone, time="time", units=units)


FORMS: tuple[Form, ...] = (
    _own_prices,
    _home_assistant_history,
    _home_assistant_statistics,
    _home_assistant_energy,
    _entsoe,
    _nord_pool,
    _fluvius,
    _enedis,
    _green_button,
    _octopus,
    _energy_charts,
    _open_meteo,
    _solar_web,
    _solaredge,
    _dsmr_reader,
    _date_and_time,
    _date_and_fraction,
    _date_and_number,
    _row_a_day,
)
