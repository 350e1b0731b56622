"""Times and cells that went through a spreadsheet: day numbers, hours as fractions, what it cut off."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.series.columns import Options
from domain.series.errors import SeriesError
from domain.series.read import Reading, read
from domain.series.spreadsheet import dated

BERLIN = ZoneInfo("Europe/Berlin")
DAY_S = 86_400
WORDS = "times are day numbers of a spreadsheet (1900 system)"


def wall(first: str, count: int, step_s: int) -> list[datetime]:
    """Return instants in steps, on Berlin's clock, from a local midnight on."""
    begin = datetime.fromisoformat(first).replace(tzinfo=BERLIN).astimezone(UTC)
    return [(begin + timedelta(seconds=step_s * place)).astimezone(BERLIN) for place in range(count)]


def number(at: datetime) -> float:
    """Return the day number of a local time, whatever its offset."""
    return (at.replace(tzinfo=None) - datetime(1899, 12, 30)) / timedelta(days=1)  # noqa: DTZ001 - a sheet's clock


def value(at: datetime) -> str:
    """Return a load with a shape of its own each day."""
    return f"{1 + abs(at.hour - 12) / 10 + at.minute * 7 % 4 / 3 + at.day % 3:.3f}"


def sheet(times: list[datetime], decimals: int, *, decimal: str = ".") -> bytes:
    """Return a table of two columns, as a spreadsheet saves it."""
    rows = [f"{number(at):.{decimals}f};{value(at)}".replace(".", decimal) for at in times]
    return "\n".join(["Datum;Last kW", *rows]).encode()


def read_here(data: bytes) -> Reading:
    """Read a file of Berlin."""
    return read(data, Options(timezone="Europe/Berlin", wanted="load"))


@pytest.mark.parametrize("first", ["2024-01-01", "2024-03-28", "2024-10-25"])
@pytest.mark.parametrize(
    ("decimals", "step_s"), [(7, 3600), (6, 900), (5, 300), (4, 900), (3, 900), (2, 3600), (15, 1800), (10, 900)]
)
@pytest.mark.parametrize("decimal", [".", ","])
def test_day_numbers_are_local_times_over_clock_changes_too(
    first: str, decimals: int, step_s: int, decimal: str
) -> None:
    """45292.0416667 is one o'clock on 1 January 2024; the two hours of autumn are told apart by order."""
    times = wall(first, 5 * DAY_S // step_s, step_s)
    found = read_here(sheet(times, decimals, decimal=decimal))
    assert (found.series.start, found.series.step_s) == (times[0].astimezone(UTC), step_s)
    assert found.series.values == pytest.approx([float(value(at)) for at in times], abs=6e-4)
    assert WORDS in found.understood and WORDS in found.notes and "Europe/Berlin" in found.understood


def test_whole_day_numbers_are_days_and_the_newest_may_stand_first() -> None:
    """45292, 45293 and so on; 45292 is 1 January 2024."""
    rows = [f"{45292 + day},{20 + day % 7}" for day in reversed(range(60))]
    found = read("\n".join(["Tag,Verbrauch kWh", *rows]).encode(), Options())
    assert (found.series.start, found.series.step_s) == (datetime(2024, 1, 1, tzinfo=UTC), DAY_S)
    assert found.series.values[:2] == pytest.approx([20 / 24, 21 / 24])


@pytest.mark.parametrize("day", ["number", "text"])
@pytest.mark.parametrize("hour", ["0.0416667", "0,0416667", "01:00", "1 to 24"])
def test_a_day_number_beside_its_hour_is_one_time(day: str, hour: str) -> None:
    """A day in one column and its hour in another; by the day alone the mean of each day was read."""
    rows = []
    for at in (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=place) for place in range(240)):
        fraction = f"{at.hour / 24:.7f}".replace(".", hour[1] if hour.startswith("0,") else ".")
        told = {"01:00": f"{at:%H:%M}", "1 to 24": str(at.hour + 1)}.get(hour, fraction)
        date = str(int(number(at))) if day == "number" else f"{at:%Y-%m-%d}"
        rows.append(f"{date};{told};{value(at)}")
    found = read("\n".join(["Date;Time;Load kW", *rows]).encode(), Options())
    assert (found.series.step_s, len(found.series.values)) == (3600, 240)
    assert found.series.values[1] == 3.1 and (WORDS in found.notes) == (day == "number")


@pytest.mark.parametrize(
    "cells",
    [
        [f"{45292 + place * 3 % 17}" for place in range(40)],  # A load of some 45 kW, in W.
        [f"{45292.1 + place * 1.7:.1f}" for place in range(40)],  # A counter in kWh.
        [f"{place}" for place in range(40)],
        [f"{99999 + place}" for place in range(40)],
        ["45292", "", "", "", "45293", "text", "x", "y"],
    ],
)
def test_other_numbers_are_no_days(cells: list[str]) -> None:
    """Only a whole column of plausible days in equal steps is a column of times."""
    assert dated([["a", "b"], *([cell, "1.5"] for cell in cells)]) is None
    with pytest.raises(SeriesError, match="is a time as"):
        read("\n".join(["load,other", *(f"{cell},1.5" for cell in cells)]).encode(), Options())


def test_a_file_with_times_keeps_its_numbers() -> None:
    """A counter that looks like days stays a counter beside a column of times."""
    rows = [f"2024-01-{1 + day:02d},{45292 + day}" for day in range(28)]
    found = read("\n".join(["time,counter kWh", *rows]).encode(), Options())
    assert "kWh counter" in found.understood and WORDS not in found.understood


@pytest.mark.parametrize(
    ("stamp", "words"),
    [
        ("########", "column was too narrow"),
        ("1.70407E+12", "cut its digits off"),
        ("1,70407E+12", "cut its digits off"),
        ("14:00", "times of day without a date (14:00)"),
    ],
)
def test_what_a_spreadsheet_did_to_the_times_is_said(stamp: str, words: str) -> None:
    """The digits are gone; a sentence about the column says what to do."""
    rows = [f"{stamp};1.{place}" for place in range(50)]
    with pytest.raises(SeriesError) as error:
        read("\n".join(["Zeit;kW", *rows]).encode(), Options())
    assert words in str(error.value) and "'Zeit'" in str(error.value)
