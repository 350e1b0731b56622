"""Files that were read without a word as something else: each is read as it is meant, or refused in a sentence."""

import gzip
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from domain.series.columns import Options
from domain.series.errors import SeriesError
from domain.series.read import Reading, read

START = datetime(2025, 10, 15, tzinfo=UTC)
STARTS = [START + timedelta(hours=hour) for hour in range(24 * 14)]


def load(at: datetime) -> float:
    """Return a load with an evening peak."""
    return round(0.4 + 1.6 * float(np.exp(-((at.hour - 19) ** 2) / 6)) + 0.013 * (at.day % 7), 3)


def _csv(
    value: Callable[[datetime], str] = lambda at: str(load(at)),
    header: str = "time,kW",
    stamp: Callable[[datetime], str] = datetime.isoformat,
) -> bytes:
    return "\n".join([header, *(f"{stamp(at)},{value(at)}" for at in STARTS)]).encode()


def _read(data: bytes, options: Options | None = None) -> Reading:
    return read(data, options or Options())


def _counted(step: float, sign: int = 1) -> Callable[[datetime], str]:
    """Return a counter of the load that is told in whole steps."""
    total = dict(zip(STARTS, np.cumsum([load(at) for at in STARTS]), strict=True))
    return lambda at: f"{sign * (5 + round(total[at] / 1000 / step) * step):.6f}"


@pytest.mark.parametrize("unit", ["öre/kWh", "p/kWh", "NOK/MWh", "$/MWh", "£/kWh", "Rp/kWh", "DKK per kWh", "gCO2/kWh"])
def test_a_price_in_another_currency_is_no_energy(unit: str) -> None:
    """80 öre a kWh were 80 kW."""
    reading = _read(_csv(lambda at: str(load(at) * 100), f"time,Spot {unit}"))
    assert "/" in reading.unit and "kW," not in reading.understood and "→" not in reading.understood
    assert reading.series.values == pytest.approx([load(at) * 100 for at in STARTS])


def test_energy_an_hour_is_a_power_whatever_the_step() -> None:
    """MWh/h in quarters were four times the power."""
    rows = [f"{(START + timedelta(minutes=15 * number)).isoformat()},{2 + number % 7}" for number in range(400)]
    reading = _read("\n".join(["time,Load [MWh/h]", *rows]).encode())
    assert reading.unit == "MW" and reading.series.values[:3] == pytest.approx([2, 3, 4])


@pytest.mark.parametrize("unit", ["kW", "W"])
def test_a_unit_behind_the_numbers_is_the_columns(unit: str) -> None:
    """The header does not say it, the cells do."""
    assert _read(_csv(lambda at: f"{load(at)} {unit}", "time,load")).unit == unit


def test_a_counter_in_coarse_steps_is_a_counter() -> None:
    """A month of hundredths of a MWh were 5 MW throughout."""
    reading = _read(_csv(_counted(0.01), "time,total MWh"))
    assert "MWh counter" in reading.understood and float(np.nanmean(reading.series.values)) < 0.01


@pytest.mark.parametrize("word", ["-9999", "65535", "6553.5", "999999", "-32768", "4294967295"])
@pytest.mark.parametrize("count", [4, 40])
def test_a_word_for_no_value_is_missing_however_often_it_stands(word: str, count: int) -> None:
    """Four of -9999 were an export."""
    reading = _read(_csv(lambda at: word if at in STARTS[50 : 50 + count] else str(load(at))))
    assert np.isnan(reading.series.values[50 : 50 + count]).all() and not reading.net
    assert f"in {count} steps" in reading.understood and float(np.nanmax(reading.series.values)) < 3


def test_a_large_use_that_is_a_round_number_stays() -> None:
    """999 W among hundreds of watts is a reading."""
    reading = _read(_csv(lambda at: "999" if at.hour == 3 else str(round(load(at) * 300)), "time,W"))
    assert np.isfinite(reading.series.values).all()


@pytest.mark.parametrize("before_s", [1, 60])
def test_times_just_before_a_step_are_its_end(before_s: int) -> None:
    """Every value of 00:59:59 stood an hour late."""
    reading = _read(_csv(stamp=lambda at: (at + timedelta(seconds=3600 - before_s)).isoformat()))
    assert reading.series.start == START and "ends of their steps" in reading.understood


@pytest.mark.parametrize(
    ("zone", "first", "step_s"),
    [
        ("Europe/Berlin", date(2025, 10, 20), 3_600),
        ("Europe/Berlin", date(2025, 3, 24), 900),
        ("America/New_York", date(2025, 10, 28), 900),
        ("Australia/Sydney", date(2025, 10, 1), 1_800),
        ("Australia/Sydney", date(2025, 4, 1), 3_600),
    ],
)
def test_a_row_a_day_is_a_value_a_step_over_clock_changes(zone: str, first: date, step_s: int) -> None:
    """Only the first hour of each day was read, as the day."""
    wall = ZoneInfo(zone)
    width, rows, expected = 25 * 3600 // step_s, [], []
    begin = datetime.combine(first, time(), tzinfo=wall).astimezone(UTC)
    for number in range(12):
        at, end = (
            datetime.combine(first + timedelta(days=number + more), time(), tzinfo=wall).astimezone(UTC)
            for more in (0, 1)
        )
        values = [
            str(load(at + step * timedelta(seconds=step_s)))
            for step in range(int((end - at).total_seconds()) // step_s)
        ]
        expected += [float(value) for value in values]
        rows.append(",".join([str(first + timedelta(days=number)), *values, *[""] * (width - len(values))]))
    data = "\n".join([",".join(["Date", *(f"H{number + 1}" for number in range(width))]), *rows]).encode()
    reading = _read(data, Options(timezone=zone))
    assert (reading.series.start, reading.series.step_s) == (begin, step_s)
    assert reading.series.values == pytest.approx(expected)


def test_an_instant_may_name_its_zone_in_brackets() -> None:
    """Programs in Java write it."""
    reading = _read(_csv(stamp=lambda at: f"{at.astimezone(ZoneInfo('Europe/Berlin')).isoformat()}[Europe/Berlin]"))
    assert reading.zone == "Europe/Berlin"


DAYS = "\n".join(f"2025-10-{day:02d}," + ",".join("1" * 24) for day in (1, 2, 2)).encode()
REFUSED: dict[str, tuple[bytes, str]] = {
    "decimal commas without quotes": (_csv(lambda at: str(load(at)).replace(".", ",")), "are its commas decimals"),
    "another unit from a row on": (
        _csv(lambda at: str(load(at) * (1000 if at > STARTS[170] else 1)), "time,load"),
        "from step 171 on, of 336",
    ),
    "two units behind the numbers": (
        _csv(lambda at: f"{load(at)} kW" if at.hour else f"{load(at) * 1000} W", "time,load"),
        "line 3: a value in kW among values in W",
    ),
    "a unit against the header's": (_csv(lambda at: f"{load(at) * 1000} W"), "a value in W in a column of kW"),
    "a counter that falls": (_csv(_counted(1e-6, -1), "time,total MWh"), "falls without end, from -5.0"),
    "a day in two rows": (
        b"Date," + ",".join(f"{hour}:00" for hour in range(24)).encode() + b"\n" + DAYS,
        "in several",
    ),
    "gzip": (gzip.compress(b"time,kW"), "gzip"),
    "Parquet": (b"PAR1" + bytes(40), "Parquet"),
    "PDF": (b"%PDF-1.7\n", "a PDF"),
    "a web page": (b"\n<!DOCTYPE html><html></html>", "a web page"),
    "an old spreadsheet": (b"\xd0\xcf\x11\xe0\xa1\xb1", "a spreadsheet"),
    "a database": (b"SQLite format 3\x00", "a database"),
}


@pytest.mark.parametrize(("data", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_would_be_read_as_something_else_is_refused(data: bytes, words: str) -> None:
    """A sentence, never a wrong series."""
    with pytest.raises(SeriesError) as error:
        _read(data)
    assert words in str(error.value) and "\n" not in str(error.value)


def _times(zone: str, count: int, minutes: int) -> list[datetime]:
    """Return local times from 20 October 2026 on, over the end of summer time."""
    first = datetime(2026, 10, 20, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return [(first + timedelta(minutes=minutes * step)).astimezone(ZoneInfo(zone)) for step in range(count)]


def test_a_bar_inside_of_every_cell_of_one_column_separates_nothing() -> None:
    """An export of more than fifty rows was cut at the bar of ``BZN|BE``, quoted or not."""
    for quote in ('"', ""):
        rows = [f"{quote}MTU (CET/CEST){quote},{quote}Area{quote},{quote}Day-ahead Price (EUR/MWh){quote}"]
        for at in _times("Europe/Brussels", 1200, 15):
            end = (at.astimezone(UTC) + timedelta(minutes=15)).astimezone(at.tzinfo)
            span = f"{at:%d/%m/%Y %H:%M:%S} - {end:%d/%m/%Y %H:%M:%S}"
            rows.append(f"{quote}{span}{quote},{quote}BZN|BE{quote},{quote}{at.hour % 5}.5{quote}")
        found = read("\n".join(rows).encode(), Options(wanted="price"))
        assert found.understood == "ENTSO-E, quarterly (15 min), Europe/Brussels, EUR/MWh, no gaps"
        assert len(found.series.values) == 1200
    bars = "\n".join(["time|kW", *(f"{at:%d.%m.%Y %H:%M}|{at.hour % 5},25" for at in _times("Europe/Berlin", 300, 60))])
    assert read(bars.encode(), Options(timezone="Europe/Berlin")).series.values[1] == 1.25


def test_a_block_of_facts_with_dates_is_no_data() -> None:
    """It says from when to when the file is; the names of the series stand below it."""
    rows = [
        "Identifiant PRM;Type de donnees;Date de debut;Date de fin;Grandeur physique;Unite;Pas en minutes",
        "'12345678901234;Courbe de charge;20/10/2026;01/11/2026;Energie active;W;",
        "Horodate;Valeur",
        *(f"{at.isoformat()};{at.hour % 5 * 100}" for at in _times("Europe/Paris", 480, 30)),
    ]
    found = read("\n".join(rows).encode(), Options())
    assert (found.column, found.unit, found.notes) == ("Valeur", "W", ())
    assert found.understood.startswith("Enedis, half-hourly")


def test_the_currency_of_a_title_is_that_of_every_area() -> None:
    """The columns are names of areas; the line above them says what they are in."""
    rows = ["Elspot Prices in NOK/MWh", "", "Date;Hours;NO1;NO2"]
    for at in _times("Europe/Oslo", 300, 60):
        rows.append(f"{at:%d-%m-%Y};{at.hour:02d} - {(at.hour + 1) % 24:02d};{at.hour % 5},5;500,1")
    found = read("\r\n".join(rows).encode("cp1252"), Options(wanted="price"))
    assert (found.unit, found.column, found.series.values[1]) == ("NOK/MWh", "NO1", 1.5)


@pytest.mark.parametrize(
    ("header", "wanted", "column"),
    [
        ("time,temp_c,load_kw", "load", "load_kw"),
        ("time,PV Yield (kWh),Consumption (kWh)", "load", "Consumption (kWh)"),
        ("time,PV Yield (kWh),Consumption (kWh)", "pv", "PV Yield (kWh)"),
        ("time,soc_percent,grid_w", "load", "grid_w"),
        ("time,Consumption (kWh),Yield (kWh)", "pv", "Yield (kWh)"),
        ("time,one,two", "load", "one"),
    ],
)
def test_of_several_columns_that_of_the_quantity_is_read(header: str, wanted: str, column: str) -> None:
    """The first column of a portal's table may be the temperature, or what the roof gave."""
    rows = [f"{at.isoformat()},20,{load(at)}" for at in STARTS]
    assert read("\n".join([header, *rows]).encode(), Options(wanted=wanted)).column == column


@pytest.mark.parametrize(
    "style", ["{:%Y-%m-%dT%H:%M}", "{:%Y-%m-%dT%H:%M:%S}", "{:%Y-%m-%d %H:%M:%S}", "{:%Y-%m-%d %H:%M}"]
)
@pytest.mark.parametrize("hours", [-1, -5, -8, -12, 2])
def test_an_offset_west_of_greenwich_is_no_end_of_a_range(style: str, hours: int) -> None:
    """The offset of New York was taken for a time of day, and its times for those of UTC."""
    zone = timezone(timedelta(hours=hours))
    sign = f"{'-' if hours < 0 else '+'}{abs(hours):02d}:00"
    reading = _read(_csv(stamp=lambda at: style.format(at.astimezone(zone)) + sign))
    assert reading.series.start == START
    assert reading.series.values[19] == load(STARTS[19])


def test_a_range_of_times_of_day_begins_where_it_begins() -> None:
    """Its end looks like an offset, and is always the same while after the beginning."""
    for length in (timedelta(minutes=15), timedelta(hours=1)):

        def ranged(at: datetime, length: timedelta = length) -> str:
            return f"{at:%Y-%m-%d %H:%M}-{at + length:%H:%M}"

        ended = _read(_csv(stamp=ranged))
        assert ended.series.start == START and ended.zone == ""
        assert "times without a zone taken as UTC" in ended.understood


def test_an_instant_in_short_iso_form_is_read() -> None:
    """As 20251015T0000Z, and by the week of the year."""
    assert _read(_csv(stamp=lambda at: f"{at:%Y%m%dT%H%MZ}")).series.start == START
    assert _read(_csv(stamp=lambda at: f"{at:%G-W%V-%uT%H:%M:%SZ}")).series.start == START


@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("Electric kWh", "kW"),
        ("Public MWh", "MW"),
        ("price_mct_per_kwh", "mct/kWh"),
        ("price_ct_per_kwh", "ct/kWh"),
        ("Preis c/kWh", "ct/kWh"),
        ("PriceEUR/MWh", "EUR/MWh"),
    ],
)
def test_a_word_that_ends_in_c_names_no_cents(header: str, unit: str) -> None:
    """An energy was read as a price, and thousandths of a cent as cents."""
    assert _read(_csv(header=f"time,{header}")).unit == unit
