"""A goal counts as met by what the plant says that the device drew, not by what its gateway believes."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from firmware_sim.plant_config import DeviceKind
from firmware_sim.series import Week
from sitewatt.demo.goals import goals_met, met, told
from sitewatt.demo.neighbourhood import Goal, neighbourhood

CAR = Goal(device="charger", kind=DeviceKind.HEIDELBERG_EC, rated_w=11_000, energy_wh=2_000, by="12:15")
PUMP = Goal(device="heat-pump", kind=DeviceKind.STIEBEL_ISG, rated_w=3_000, energy_wh=24_000, comfort_wh=500)
NOON_MS = round(datetime(2026, 3, 17, 12, tzinfo=UTC).timestamp() * 1000)
MINUTE_MS = 60_000


def minutes(*powers_w: float) -> list[tuple[int, float]]:
    """Return powers of a minute each, from noon on."""
    return [(NOON_MS + number * MINUTE_MS, power_w) for number, power_w in enumerate(powers_w)]


@pytest.mark.parametrize(
    ("powers", "taken_wh", "is_met"),
    [
        (minutes(*[8_000.0] * 15, 0.0), 2_000, True),
        (minutes(*[7_900.0] * 15, 0.0), 1_975, False),
        # What is charged after its time comes too late.
        (minutes(*[0.0] * 15, *[11_000.0] * 20), 0, False),
        # The story ended before: nobody can tell.
        (minutes(*[8_000.0] * 10), 1_200, None),
        ([], 0, None),
    ],
)
def test_a_car_has_its_energy_by_its_time_or_not(
    powers: list[tuple[int, float]], taken_wh: int, is_met: bool | None
) -> None:
    """A car that leaves empty is no success of a cheap plan."""
    found = met(CAR, powers)
    assert (found["taken_wh"], found["met"]) == (taken_wh, is_met)


@pytest.mark.parametrize(("idle_minutes", "is_met"), [(30, True), (31, False)])
def test_a_house_is_comfortable_while_its_pump_is_within_the_band(idle_minutes: int, is_met: bool) -> None:
    """A pump that catches up later does not undo a cold hour."""
    found = met(PUMP, minutes(*[0.0] * idle_minutes, *[3_000.0] * 15, 0.0))
    assert found["met"] is is_met
    assert found["off_wh_max"] == pytest.approx(1_000 * idle_minutes / 60, abs=1)


def test_each_goal_of_the_neighbourhood_is_told_from_the_plant_s_own_record() -> None:
    """The second home's pump and the third's car are read each from its own device."""
    place = neighbourhood(sites=5, week=Week.SUNNY)
    powers = {"home-2": {"heat-pump": 1_000.0}, "home-3": {"charger": 8_000.0}}
    sites = {site.id: {"consumers_w": powers.get(site.id, {})} for site in place.sites}
    truth = [json.dumps({"at": at, "sites": sites}) for at, _ in minutes(*[0.0] * 16)]
    pump, car = goals_met(place, truth)
    assert told(pump) == "home-2 heat-pump: 0.25 kWh, at most 0.00 of 0.50 kWh ahead or behind, met"
    assert told(car) == "home-3 charger: 2.00 kWh of 2.00 by 12:15 UTC, met"
    assert "NOT met" in told({**car, "met": False}) and "not due" in told({**car, "met": None})
    assert goals_met(replace(place, sites=place.sites[:2]), truth) == []
