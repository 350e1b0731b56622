"""The page's totals come from the history: what was bought, sold, used, stored, and what it cost."""

import sqlite3
from pathlib import Path

import pytest

from edge.telemetry.history_file import FILE, HistoryFile, Row
from edge.web.course import BINS_MAX, Names, read_course

NAMES = Names(
    grid="meter/active_power_w",
    pv=("inverter/pv_power_w",),
    battery=("inverter/battery_power_w",),
    soc=("inverter/soc_pct",),
)
DAY_S = 86_400
FIRST_S = 1_773_702_000 // DAY_S * DAY_S


def _kept(folder: Path, *, step_s: int, count: int, silent: frozenset[int] = frozenset()) -> None:
    """Keep steps in which 1 kW is bought while the sun gives 2 kW and the battery takes 0.5 kW."""
    values = {
        "meter/active_power_w": 1000.0,
        "inverter/pv_power_w": -2000.0,
        "inverter/battery_power_w": 500.0,
        "inverter/soc_pct": 50.0,
    }
    file = HistoryFile(folder / FILE, now_ms=FIRST_S * 1000)
    file.write(
        Row(
            step_s=step_s,
            start_s=FIRST_S + step * step_s,
            cycles=1,
            values={name: value for name, value in values.items() if step not in silent or "pv" not in name},
        )
        for step in range(count)
    )
    file.close()


def test_a_day_is_summed_at_the_tariff(tmp_path: Path) -> None:
    """24 h of 1 kW at 30 ct are 7.20 EUR; the house used what came in less what the battery took."""
    _kept(tmp_path, step_s=10, count=8_640)
    course = read_course(tmp_path, NAMES, first_s=FIRST_S, last_s=FIRST_S + DAY_S, rates=lambda _: (30_000, 8_000))
    assert course["totals"] == {
        "imported_kwh": 24.0, "exported_kwh": 0.0, "pv_kwh": 48.0, "charged_kwh": 12.0, "discharged_kwh": 0.0,
        "used_kwh": 60.0, "own_percent": 60.0, "cost_eur": 7.2,
    }  # fmt: skip
    assert len(course["at"]) <= BINS_MAX
    assert set(course["used_w"]) == {2500}


def test_what_a_gateway_has_not_written_yet_is_shown_and_counted_once(tmp_path: Path) -> None:
    """The file is minutes behind; a chart that ends there looks like a gateway that stands."""
    _kept(tmp_path, step_s=10, count=10)
    values = {"meter/active_power_w": 4000.0, "inverter/pv_power_w": 0.0}

    def unwritten(step_s: int) -> list[Row]:
        return [
            Row(step_s=step_s, start_s=FIRST_S + at_s, cycles=10, values=values) for at_s in (-10, 90, 100, 110, 200)
        ]

    course = read_course(tmp_path, NAMES, first_s=FIRST_S, last_s=FIRST_S + 200, unwritten=unwritten)
    assert course["at"] == [FIRST_S + at_s for at_s in range(0, 120, 10)]
    assert course["grid_w"] == [1000] * 9 + [4000] * 3, "what memory holds of a step is newer than what the file does"


def test_steps_in_which_a_generator_was_silent_are_left_out(tmp_path: Path) -> None:
    """Its power would be counted as the house's."""
    _kept(tmp_path, step_s=10, count=10, silent=frozenset(range(5)))
    course = read_course(tmp_path, NAMES, first_s=FIRST_S, last_s=FIRST_S + 100)
    assert course["totals"]["used_kwh"] == pytest.approx(2.5 * 50 / 3600, abs=0.001)
    assert course["totals"]["cost_eur"] is None


@pytest.mark.parametrize("days", [7, 31, 365, 1800])
def test_any_span_is_a_bounded_answer(tmp_path: Path, days: int) -> None:
    """A year in seconds would be 30 MB for a phone."""
    _kept(tmp_path, step_s=900 if days > 7 else 60, count=3000)
    course = read_course(tmp_path, NAMES, first_s=FIRST_S, last_s=FIRST_S + days * DAY_S)
    assert 0 < len(course["at"]) <= BINS_MAX
    assert course["at"] == sorted(course["at"])


@pytest.mark.parametrize(("first_s", "last_s"), [(FIRST_S, FIRST_S), (FIRST_S, FIRST_S - 1), (0, FIRST_S * 10)])
def test_a_span_that_cannot_be_is_refused(tmp_path: Path, first_s: int, last_s: int) -> None:
    """By name, with its bound."""
    with pytest.raises(ValueError, match="must be longer than 0 and at most"):
        read_course(tmp_path, NAMES, first_s=first_s, last_s=last_s)


def test_a_gateway_that_has_kept_nothing_yet_says_so(tmp_path: Path) -> None:
    """The first five minutes."""
    with pytest.raises(sqlite3.Error):
        read_course(tmp_path, NAMES, first_s=FIRST_S, last_s=FIRST_S + 60)
