"""The reader on files as people have them: each shape gives the same series, or one sentence that says what to add."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from domain.series.columns import Options
from domain.series.errors import SeriesError, Undecided
from domain.series.read import Reading, read

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2025, 10, 9, 22, tzinfo=UTC)
LOADS = [
    round(0.4 + 1.6 * math.exp(-((hour % 24 - 19) ** 2) / 6) + 0.003 * (hour * 7 % 11), 3) for hour in range(24 * 12)
]
Row = tuple[datetime, float]
ROWS: list[Row] = [(START + timedelta(hours=hour), load) for hour, load in enumerate(LOADS)]


def csv(rows: list[tuple[str, str]], header: str = "time,kW", separator: str = ",") -> bytes:
    """Return a file of two columns."""
    return "\n".join([header, *(separator.join(row) for row in rows)]).encode()


def shaped(time: Callable[[datetime], str], value: Callable[[float], str] = str) -> list[tuple[str, str]]:
    """Return the rows in some style of times and values."""
    return [(time(at.astimezone(BERLIN)), value(load)) for at, load in ROWS]


def iso(at: datetime) -> str:
    """Return an instant as ISO 8601."""
    return at.isoformat()


def comma(value: float) -> str:
    """Return a number with a decimal comma."""
    return str(value).replace(".", ",")


LOCAL = Options(timezone="Europe/Berlin")
SAME: dict[str, tuple[bytes, Options]] = {
    "plain": (csv(shaped(iso)), Options()),
    "semicolon and decimal comma": (csv(shaped(iso, comma), "Zeit;Leistung [kW]", ";"), Options()),
    "nanoseconds": (csv(shaped(lambda at: f"{int(at.timestamp())}000000000")), Options()),
    "a range of hours": (csv(shaped(lambda at: f"{at:%d.%m.%Y %H}:00 - {(at + timedelta(hours=1)):%H}:00")), LOCAL),
    "a range of hours beside the day": (
        csv(shaped(lambda at: f"{at:%d.%m.%Y},{at:%H}:00-{at:%H}:59"), "Tag,Zeit,kW"),
        LOCAL,
    ),
    "tabs": (csv(shaped(iso), "Zeit\tLeistung [kW]", "\t"), Options()),
    "pipes": (csv(shaped(iso), "Zeit|Leistung [kW]", "|"), Options()),
    "quoted decimal comma": (csv(shaped(iso, lambda load: f'"{comma(load)}"')), Options()),
    "a mark of UTF-8": (b"\xef\xbb\xbf" + csv(shaped(iso)), Options()),
    "UTF-16": (csv(shaped(iso)).decode().encode("utf-16"), Options()),
    "UTF-16 without a mark": (csv(shaped(iso)).decode().encode("utf-16-le"), Options()),
    "Windows-1252": (csv(shaped(iso), "Zeit,Wärmepumpe [kW]").decode().encode("cp1252"), Options()),
    "blank lines": (csv(shaped(iso)).replace(b"\n", b"\n\n") + b"\n\n", Options()),
    "carriage returns": (csv(shaped(iso)).replace(b"\n", b"\r\n"), Options()),
    "newest first": (csv(shaped(iso)[::-1]), Options()),
    "jitter": (csv(shaped(lambda at: iso(at + timedelta(seconds=at.day % 8)))), Options()),
    "a repeated row": (csv([*shaped(iso), shaped(iso)[40]]), Options()),
    "a total at the end": (csv([*shaped(iso), ("Total", "123.4")]), Options()),
    "a stray row": (csv([*shaped(iso), ("2025-10-12T03:30:00+02:00", "9.9")]), Options()),
    "a row of 1970": (csv([("1991-01-01T00:00:00+00:00", "0.5"), *shaped(iso)]), Options()),
    "epoch seconds": (csv(shaped(lambda at: str(int(at.timestamp())))), Options()),
    "epoch milliseconds": (csv(shaped(lambda at: str(int(at.timestamp() * 1000)))), Options()),
    "German dates": (csv(shaped(lambda at: f"{at:%d.%m.%Y %H:%M}")), LOCAL),
    "American dates": (csv(shaped(lambda at: f"{at:%m/%d/%Y %I:%M %p}")), LOCAL),
    "British dates": (csv(shaped(lambda at: f"{at:%d/%m/%Y %H:%M}")), LOCAL),
    "months by name": (csv(shaped(lambda at: f"{at:%d-%b-%Y %H:%M}")), LOCAL),
    "day and hour apart": (csv(shaped(lambda at: f"{at:%d.%m.%Y},{at:%H:%M}"), "Datum,Zeit,kW"), LOCAL),
    "ranges": (csv(shaped(lambda at: f"{at:%d/%m/%Y %H:%M} - {at + timedelta(hours=1):%d/%m/%Y %H:%M}")), LOCAL),
    "watts": (csv(shaped(iso, lambda load: str(load * 1000)), "time,W"), Options()),
    "thousands": (csv(shaped(iso, lambda load: f'"{load * 1e6:,.1f}"'), "time,total"), Options()),
    "units behind the numbers": (csv(shaped(iso, lambda load: f"{load} kW"), "time,load"), Options(unit="kW")),
    "energy of an hour": (csv(shaped(iso), "time,kWh"), Options()),
    "another column": (csv(shaped(iso, lambda load: f"9,{load}"), "time,other,kW"), Options(column="KW")),
    "lines before the header": (b"Name,Somebody\nAccount,1\n\n" + csv(shaped(iso)), Options()),
}


@pytest.mark.parametrize(("data", "options"), SAME.values(), ids=SAME.keys())
def test_the_same_series_comes_of_every_shape(data: bytes, options: Options) -> None:
    """Nobody rewrites an export by hand."""
    reading = read(data, options)
    scale = {"W": 1000.0, "": 1e6}.get(reading.unit, 1.0) if reading.column in {"W", "total"} else 1.0
    assert (reading.series.start, reading.series.step_s) == (START, 3600)
    assert reading.series.values == pytest.approx(np.asarray(LOADS) * scale, rel=1e-6)
    assert "hourly" in reading.understood


def _changed(place: int, cell: str) -> bytes:
    rows = shaped(iso)
    rows[place] = (rows[place][0], cell)
    return csv(rows)


@pytest.mark.parametrize(
    "cell", ["", "NA", "n/a", "NaN", "null", "unavailable", "unknown", "-", "n/e", "inf", "-Infinity"]
)
def test_a_word_for_nothing_is_a_gap(cell: str) -> None:
    """A missing value is never zero."""
    reading = read(_changed(30, cell), Options())
    assert math.isnan(reading.series.values[30]) and "1 gap" in reading.understood


def test_the_two_hours_of_autumn_are_told_apart_by_order() -> None:
    """Local times without an offset repeat an hour; either order of the file gives the same instants."""
    quarters = [datetime(2025, 10, 24, 22, tzinfo=UTC) + timedelta(minutes=15 * index) for index in range(300)]
    rows = [(f"{at.astimezone(BERLIN):%Y-%m-%d %H:%M}", str(index)) for index, at in enumerate(quarters)]
    noisy = [(at, str(int(value) % 7 + 1)) for at, value in rows]
    for data in (csv(noisy), csv(noisy[::-1])):
        reading = read(data, LOCAL)
        assert (reading.series.start, len(reading.series.values)) == (quarters[0], 300)
        assert reading.series.values.tolist() == [index % 7 + 1 for index in range(300)]
    told = read(csv(noisy), Options()).understood
    assert "--timezone" in told and "two values (line" in told


def test_a_zone_is_found_by_the_offsets_of_the_stamps() -> None:
    """A file that says +02:00 and then +01:00 tells its own local days."""
    rows = [(START + timedelta(hours=hour)).astimezone(BERLIN).isoformat() for hour in range(800)]
    assert read(csv([(at, str(index % 5)) for index, at in enumerate(rows)]), Options()).zone == "Europe/Berlin"


def _counter(unit: str = "kWh", reset_at: int = -1) -> bytes:
    total, rows = 12_345.0, []
    for index, (at, load) in enumerate(ROWS):
        total = 0.0 if index == reset_at else total + load
        rows.append((at.isoformat(), f"{total:.3f}"))
    return csv(rows, f"time,energy_total_{unit}")


def test_a_counter_becomes_power_and_a_reset_is_a_gap() -> None:
    """A register forecast as a power was 12,558 kW."""
    reading = read(_counter(), Options())
    assert reading.series.values == pytest.approx(LOADS[1:], abs=2e-3)
    assert "kWh counter → kW" in reading.understood and reading.unit == "kW"
    swapped = read(_counter(reset_at=200), Options(measures="counter"))
    assert math.isnan(swapped.series.values[199]) and "counter fell once (line 202)" in swapped.understood


def _daily(unit: str = "kWh") -> bytes:
    """Return a counter that begins anew with each local day, as inverters show it."""
    rows, total, day = [], 0.0, None
    for at, load in ROWS:
        local = at.astimezone(BERLIN)
        total = load if local.date() != day else total + load
        day = local.date()
        rows.append((at.isoformat(), f"{total:.3f}"))
    return csv(rows, f"time,today_{unit}")


def test_a_counter_that_begins_each_day_anew_becomes_power() -> None:
    """Taken for the energy of each hour it was ten times the use."""
    reading = read(_daily(), Options())
    midnights = [index for index, (at, _) in enumerate(ROWS[1:]) if at.astimezone(BERLIN).hour == 0]
    inside = np.setdiff1d(np.arange(len(LOADS) - 1), midnights)
    assert reading.series.values[inside] == pytest.approx(np.asarray(LOADS[1:])[inside], abs=2e-3)
    assert np.isfinite(reading.series.values).all() and reading.series.values.max() < 2.5
    assert "counter begins each day anew" in reading.understood
    with pytest.raises(Undecided, match=r"once a day.*--measures counter --unit kWh"):
        read(_daily("x"), Options())


@pytest.mark.parametrize("boiler", [(0.0, 2.0, 2.0), (0.0, 1.0, 2.0)])
def test_a_load_that_runs_once_a_day_is_no_counter(boiler: tuple[float, ...]) -> None:
    """A boiler on a timer falls to nothing once a day as well."""
    night = {3: boiler[1], 4: boiler[2]}
    rows = [(at.isoformat(), str(night.get(at.hour, boiler[0]))) for at, _ in ROWS]
    reading = read(csv(rows, "time,kWh"), Options())
    assert "counter" not in reading.understood and np.nanmax(reading.series.values) == 2.0


def test_values_in_another_unit_for_a_while_are_named_and_missing() -> None:
    """Nine hours in W amid kW made a forecast of 312 kW."""
    rows = [
        (at.isoformat(), f"{load * (1000 if 100 <= index < 109 else 1):.3f}") for index, (at, load) in enumerate(ROWS)
    ]
    reading = read(csv(rows), Options())
    assert "9 values from 2025-10-14T02:00:00Z on are a thousand times off" in reading.understood
    assert np.nanmax(reading.series.values) == max(LOADS) and reading.removed == pytest.approx(9 / len(ROWS))


def test_two_levels_of_use_are_no_other_unit() -> None:
    """A charger stands by at 3 W and charges at 11 kW: both are true."""
    rows = [(at.isoformat(), "11.0" if at.hour in {2, 3, 4} else "0.003") for at, _ in ROWS]
    reading = read(csv(rows), Options())
    assert "another unit" not in reading.understood and np.nanmax(reading.series.values) == 11.0


def test_an_hour_at_lord_howe_goes_back_by_half() -> None:
    """Of an hourly file each time of the half hour that comes twice stands once."""
    zone = ZoneInfo("Australia/Lord_Howe")
    start = datetime(2026, 4, 1, 13, tzinfo=UTC)
    rows = [
        (f"{(start + timedelta(hours=index)).astimezone(zone):%Y-%m-%d %H:%M}", str(load))
        for index, load in enumerate(LOADS)
    ]
    reading = read(csv(rows), Options(timezone="Australia/Lord_Howe"))
    assert reading.series.start == start and reading.series.values == pytest.approx(LOADS) and not reading.notes


COUNTED = {
    (2025, 10, 26, "Europe/Berlin"): 25,
    (2025, 3, 30, "Europe/Berlin"): 23,
    (2025, 11, 2, "America/New_York"): 25,
    (2026, 4, 5, "Australia/Sydney"): 25,
    (2025, 6, 1, "Europe/Berlin"): 24,
}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("step", [900, 1800, 3600])
@pytest.mark.parametrize("case", COUNTED)
def test_a_column_that_counts_the_hours_of_a_day_is_a_time(
    case: tuple[int, int, int, str], step: int, first: int
) -> None:
    """The hour's number was taken for the value; days of 23 and 25 hours count on."""
    zone = ZoneInfo(case[3])
    begin = datetime(*case[:3], tzinfo=zone).astimezone(UTC) - timedelta(days=3)
    length, numbers, rows = int(7 * 86_400 // step), {}, []  # type: ignore[var-annotated]
    for index in range(length):
        day = (begin + timedelta(seconds=index * step)).astimezone(zone).date()
        numbers[day] = numbers.get(day, first - 1) + 1
        rows.append((f"{day:%Y-%m-%d};{numbers[day]}", str(LOADS[index % len(LOADS)])))
    reading = read(csv(rows, "Date;Hour;MW", ";"), Options(timezone=case[3]))
    assert reading.series.start == begin and len(reading.series.values) == length and reading.column == "MW"
    assert reading.series.values == pytest.approx([LOADS[index % len(LOADS)] for index in range(length)])


def test_a_counter_without_a_unit_of_energy_is_asked_about() -> None:
    """What rises without end is no power, and only the person knows its unit."""
    data = _counter("x")
    with pytest.raises(Undecided, match=r"rises without end.*--measures counter --unit kWh"):
        read(data, Options())
    assert read(data, Options(measures="counter", unit="kWh")).series.values == pytest.approx(LOADS[1:], abs=2e-3)


def test_energies_of_quarters_are_four_times_their_power() -> None:
    """A unit names what a figure is; 0.25 kWh in a quarter is 1 kW."""
    rows = [((START + timedelta(minutes=15 * index)).isoformat(), f"{0.25 + index % 3}") for index in range(96)]
    assert read(csv(rows, "time,kWh"), Options()).series.values[:3].tolist() == [1.0, 5.0, 9.0]
    assert read(csv(rows, "time,x"), Options(unit="Wh")).unit == "W"


def test_mixed_steps_keep_the_price_of_each_hour() -> None:
    """Day-ahead prices are hourly until 30 September 2025, quarters after: an hour's price is that of its quarters."""
    hours = [(START - timedelta(hours=400 - index), 80.0 + index % 24) for index in range(400)]
    quarters = [(START + timedelta(minutes=15 * index), 50.0 + index % 96) for index in range(192)]
    data = csv([(at.isoformat(), str(price)) for at, price in [*hours, *quarters]], "start,EUR/MWh")
    reading = read(data, Options(wanted="price"))
    assert (reading.series.step_s, len(reading.series.values)) == (900, 400 * 4 + 192)
    assert reading.series.values[:8].tolist() == [80.0] * 4 + [81.0] * 4
    assert "mixed steps" in reading.understood


def test_values_written_on_change_hold_until_the_next() -> None:
    """Home Assistant writes a state when it changes, not each quarter."""
    at = [START + timedelta(minutes=minute) for minute in (0, 7, 31, 60, 61, 240, 300, 400, 507)]
    rows = ["entity_id,state,last_changed"]
    rows += [f"sensor.power,{100 * index},{moment:%Y-%m-%dT%H:%M:%S.123Z}" for index, moment in enumerate(at)]
    reading = read("\n".join(rows).encode(), Options())
    assert reading.understood.startswith("Home Assistant history, values at irregular times → quarters")
    assert reading.series.values[0] == pytest.approx(100 * 8 / 15, rel=0.02)


def _oddity(rows: list[tuple[str, str]], options: Options | None = None) -> Reading:
    return read(csv(rows, "time,value"), options or Options())


def test_an_outlier_is_named_and_missing() -> None:
    """65535 is a sensor's way to say nothing."""
    reading = _oddity([*shaped(iso)[:100], (shaped(iso)[100][0], "65535"), *shaped(iso)[101:]])
    assert "outlier 65535 at 2025-10-14T02:00:00Z" in reading.understood
    assert math.isnan(reading.series.values[100]) and reading.removed > 0


def test_a_flat_line_is_named_and_missing() -> None:
    """A sensor that stands still for three days says nothing of them."""
    rows = [(at, "0.7" if 100 <= index < 172 else load) for index, (at, load) in enumerate(shaped(iso))]
    reading = _oddity(rows)
    assert "flat line: 0.7 for 72 h" in reading.understood and math.isnan(reading.series.values[120])


def test_a_net_meter_keeps_its_export() -> None:
    """Export forced to zero was a forecast of nothing."""
    reading = _oddity([(at, str(float(load) - 1)) for at, load in shaped(iso)])
    assert reading.net and "net values" in reading.understood and reading.series.values.min() < 0


REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "it is empty"),
    "blanks": (b"\n\n \n", "it is empty"),
    "a header": (b"time,kW\n", "a header and no rows"),
    "one row": (csv(shaped(iso)[:1]), "fewer than 2"),
    "no values": (csv([(at, "") for at, _ in shaped(iso)]), "it holds no value"),
    "only words": (csv([(at, "NaN") for at, _ in shaped(iso)]), "it holds no value"),
    "no header": (csv(shaped(iso))[8:], "its first line is data"),
    "a quote left open": (csv(shaped(iso)).replace(b",0.4", b',"0.4', 1), "line 2 opens a quote that is not closed"),
    "a number too large": (
        csv([*shaped(iso)[:5], (shaped(iso)[5][0], "1.7e308")]),
        "line 7: '1.7e308' is beyond 1e+15",
    ),
    "a number that is none": (csv([*shaped(iso)[:5], (shaped(iso)[5][0], "x")]), "line 7: 'x' is no number"),
    "no time": (b"id,side,qty\nb,buy,1\n", "is a time"),
    "a spreadsheet": (b"PK\x03\x04rest", "save it as CSV"),
    "thousands or decimals": (csv(shaped(iso, lambda load: f'"1,{round(load * 100):03d}"')), "--decimal comma"),
    "day or month": (csv([("01/02/2025 00:00", "1"), ("01/02/2025 01:00", "2")]), "--dates day-first|month-first"),
    "entities": (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "declares entities"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "not text"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_series_is_one_sentence(data: bytes, words: str) -> None:
    """A sentence that says what to change, never a traceback or a zero."""
    with pytest.raises(SeriesError) as error:
        read(data, Options())
    assert words in str(error.value) and "\n" not in str(error.value)


def test_wrong_options_are_named() -> None:
    """The person's mistake, by the option's name."""
    with pytest.raises(SeriesError, match="no column 'pv', only kW"):
        read(csv(shaped(iso)), Options(column="pv"))
    with pytest.raises(SeriesError, match="'Mars/Base' is no IANA time zone"):
        read(csv(shaped(iso)), Options(timezone="Mars/Base"))
    with pytest.raises(SeriesError, match="'furlong' is none of W, kW"):
        read(csv(shaped(iso)), Options(unit="furlong"))
