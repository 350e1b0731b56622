"""Baselines of files: the clock on the wall in three countries and both hemispheres, holidays, gaps, midnight."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from cloud.market.tools.baseline_file import baseline_of
from domain.calendar.holidays import Holidays, NoSuchCalendar
from domain.calendar.wall import quarters_of, usual_quarters
from sitewatt.commands.market import app


def answer(data: Any, code: int = 0) -> Any:
    """Return the command's JSON answer."""
    result = CliRunner().invoke(app, ["baseline", "-", "--json"], input=json.dumps(data))
    assert result.exit_code == code, result.output
    return json.loads(result.output)


def days(zone: str, event_day: date, *, back: int = 45) -> dict[str, list[int]]:
    """Return days of a use of 1000 Wh a quarter at 17 and 18 o'clock on the wall, else 200."""
    return {
        day.isoformat(): [1000 if quarter // 4 in (17, 18) else 200 for quarter in quarters_of(day, ZoneInfo(zone))]
        for day in (event_day - timedelta(days=number) for number in range(back))
    }


CHANGES = [
    ("Europe/Berlin", date(2025, 10, 26), 100),
    ("Europe/Berlin", date(2026, 3, 29), 92),
    ("America/New_York", date(2025, 11, 2), 100),
    ("America/New_York", date(2026, 3, 8), 92),
    ("Australia/Sydney", date(2026, 4, 5), 100),
    ("Australia/Sydney", date(2025, 10, 5), 92),
    ("Australia/Lord_Howe", date(2026, 4, 5), 98),
]


@pytest.mark.parametrize("later", [0, 1, 3])
@pytest.mark.parametrize(("zone", "day", "length"), CHANGES, ids=str)
def test_an_event_at_six_is_compared_with_six_around_a_clock_change(
    zone: str, day: date, length: int, later: int
) -> None:
    """The hour of the day is the wall's, on the day of the change and after it."""
    assert len(quarters_of(day, ZoneInfo(zone))) == length
    event_day = day + timedelta(days=later)
    first = quarters_of(event_day, ZoneInfo(zone)).index(18 * 4)
    data = {
        "timezone": zone,
        "history": days(zone, event_day),
        "event": {"day": event_day.isoformat(), "first": first, "count": 4},
    }
    found = answer(data)
    assert (found["baseline_wh"], found["reduction_wh"], found["flags"]) == ([1000] * 4, [0] * 4, [])
    late = answer(data | {"event": {"day": event_day.isoformat(), "first": first + 20, "count": 4}})
    assert late["baseline_wh"] == [200] * 4


@pytest.mark.parametrize(("day", "length"), [(date(2025, 10, 26), 100), (date(2026, 3, 29), 92)])
def test_the_length_of_a_day_tells_its_change_where_no_zone_is_named(day: date, length: int) -> None:
    """Files without a zone have days of 92 and 100 values, too; an event may lie in the last hour of them."""
    history = days("Europe/Berlin", day)
    assert usual_quarters(length) == quarters_of(day, ZoneInfo("Europe/Berlin"))
    for first, wh in ((length - 24, 1000), (length - 4, 200)):
        found = answer({"history": history, "event": {"day": day.isoformat(), "first": first, "count": 4}})
        assert found["baseline_wh"] == [wh] * 4


HOLIDAYS = [
    ("DE-BY", date(2026, 1, 6), "Epiphany in Bavaria"),
    ("US", date(2025, 11, 27), "Thanksgiving"),
    ("AU-NSW", date(2026, 1, 26), "Australia Day"),
]


@pytest.mark.parametrize(("code", "day", "name"), HOLIDAYS, ids=str)
def test_a_holiday_is_like_a_weekend(code: str, day: date, name: str) -> None:
    """An office that is shut has left nothing out, and is no weekday to compare with."""
    country, _, part = code.partition("-")
    calendar = Holidays(country=country, subdivision=part)
    assert day in calendar, name
    history = {
        one.isoformat(): [10 if one.weekday() >= 5 or one in calendar else 100] * 96
        for one in (day - timedelta(days=number) for number in range(45))
    }
    event = {"day": day.isoformat(), "first": 48, "count": 4}
    found = answer({"history": history, "event": event, "holidays": code})
    assert (found["baseline_wh"], found["flags"]) == ([10] * 4, [])
    assert answer({"history": history, "event": event})["baseline_wh"][0] > 50
    after = day + timedelta(days=1)
    history[after.isoformat()] = [100] * 96
    event = {"day": after.isoformat(), "first": 48, "count": 4}
    assert day.isoformat() not in answer({"history": history, "event": event, "holidays": code})["days"]


def test_days_named_as_holidays_and_an_excluded_event_day_are_like_weekends() -> None:
    """A file may name its days; the event's own day that is excluded can only be a holiday."""
    day = date(2025, 12, 25)
    history = {
        one.isoformat(): [10 if one.weekday() >= 5 or one == day else 100] * 96
        for one in (day - timedelta(days=number) for number in range(40))
    }
    event = {"day": day.isoformat(), "first": 48, "count": 4}
    for key in ("holidays", "excluded"):
        assert answer({"history": history, "event": event, key: ["2025-12-25"]})["baseline_wh"] == [10] * 4


def _flat(level: int = 200) -> dict[str, list[int | None]]:
    return {(date(2025, 11, 20) - timedelta(days=number)).isoformat(): [level] * 96 for number in range(40)}


def test_adjustment_hours_with_a_gap_are_flagged_and_those_before_midnight_are_the_evenings() -> None:
    """A ratio of 1000 that says nothing was paid as if it did."""
    event = {"day": "2025-11-20", "first": 72, "count": 4}
    history = _flat()
    history["2025-11-20"][60] = None
    assert answer({"history": history, "event": event})["flags"] == ["unadjusted"]
    night = _flat()
    night["2025-11-19"] = [*[200] * 80, *[220] * 16]
    found = answer({"history": night, "event": {"day": "2025-11-20", "first": 8, "count": 4}})
    assert (found["ratio_permille"], found["flags"]) == (1100, ["high-adjustment-load"])
    del night["2025-11-19"]
    assert "unadjusted" in answer({"history": night, "event": {"day": "2025-11-20", "first": 8, "count": 4}})["flags"]


def test_an_event_may_go_on_over_midnight() -> None:
    """Its later part is compared with the small hours of the days after its like days."""
    history = {name: [*[50] * 8, *[200] * 88] for name in _flat()}
    found = answer({"history": history, "event": {"day": "2025-11-20", "first": 92, "count": 8}})
    assert found["baseline_wh"] == [200] * 4 + [50] * 4


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"history": {"2025-11-19": [400] * 24}}, "days have 24 values, not 96"),
        ({"history": {"2025-11-19": [400] * 96}, "timezone": "Europe/Nowhere"}, "no IANA time zone"),
        ({"history": {"2025-10-26": [400] * 96}, "timezone": "Europe/Berlin"}, "its day has 100 quarters"),
        ({"holidays": "DE-XX"}, "no holidays are known of 'DE-XX'"),
        ({"holidays": {"land": "DE"}}, "unknown key 'land'"),
        ({"event": {"day": "2025-11-20", "first": 96, "count": 1}}, "does not begin within the 96"),
    ],
)
def test_a_history_or_a_calendar_that_cannot_be_is_named(more: dict[str, Any], words: str) -> None:
    """One sentence, exit 2."""
    data = {"history": _flat(), "event": {"day": "2025-11-20", "first": 72, "count": 4}} | more
    assert words in answer(data, code=2)["error"]["message"]


def test_a_history_may_be_a_file_of_readings(tmp_path: Path) -> None:
    """The same reader as everywhere: a counter in local time becomes the days to compare with."""
    berlin, total, rows = ZoneInfo("Europe/Berlin"), 1000.0, ["Zeit;Zählerstand [kWh]"]
    start = datetime(2025, 9, 20, 22, tzinfo=UTC)
    for number in range(96 * 40):
        at = (start + timedelta(minutes=15 * number)).astimezone(berlin)
        rows.append(f"{at:%d.%m.%Y %H:%M};{total:.3f}".replace(".", ",").replace(",", ".", 2))
        total += 1.0 if at.hour in (17, 18) else 0.2
    file = tmp_path / "meter.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    data = {
        "history": {"file": str(file), "timezone": "Europe/Berlin"},
        "event": {"day": "2025-10-28", "first": 72, "count": 4},
    }
    found = answer(data)
    assert (found["baseline_wh"], found["flags"]) == ([1000] * 4, [])
    assert "cannot be read" in answer(data | {"history": {"file": str(tmp_path / "none.csv")}}, 2)["error"]["message"]


def test_unknown_calendars_are_refused() -> None:
    """A country without a calendar would be one without holidays."""
    with pytest.raises(NoSuchCalendar, match="XX"):
        Holidays(country="XX")
    assert baseline_of({"method": "pre-event", "before_wh": [1], "event": {"count": 1}})
