"""What a load still needs, over its day, its cars and a restart; and what the agent asks for it."""

import asyncio
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.units import ClockTrust, Quality
from edge.agent.load_goals import LoadGoals
from edge.agent.site_tariff import SiteTariff
from edge.agent.trader import Trader
from edge.config import GoalSection, SiteConfig
from edge.control.model import Capability, Measured, Priority, Request, load
from edge.loop.seen import CycleSeen, LoadSeen
from edge.outbox.outbox import Outbox
from edge.state_store import VolatileStateStore
from edge.trading.plan.problem import FlexibleLoad
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE, config, plain_config

NOON = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
CAR = LoadSeen(power_w=8_000.0, connected=True, moved_by=Capability.LIMIT_CONSUMPTION, least_w=4_140.0)


def _site(goal: dict[str, Any], **trading: Any) -> SiteConfig:
    charger = {
        "id": "car",
        "profile": "alfen_eve",
        "url": "tcp://127.0.0.1:5022?unit=1",
        "role": "load",
        "load": {"rated_w": 11_000, "rest": "off", "goal": goal},
    }
    devices = [*plain_config()["devices"], charger]
    return config(devices=devices, trading={"enabled": False, **trading})


def _cycle(seen: LoadSeen | None, *, taken_s: float = 0.0) -> CycleSeen:
    return CycleSeen(
        number=1,
        taken_s=taken_s,
        connection_power=Measured(value=500.0, quality=Quality.GOOD, age_s=0.0),
        readings={"inverter": {}, "meter": {}},
        loads={} if seen is None else {"car": seen},
    )


def _after(goals: LoadGoals, site: SiteConfig, seen: LoadSeen, *, hours: float, now: datetime) -> FlexibleLoad | None:
    """Return the load to plan after it was seen so for some hours that end now."""
    tariff = SiteTariff(site.trading)
    goals.saw(site, tariff, _cycle(seen), passed_s=3600 * hours, now=now)
    found = goals.flexible(site, tariff, now)
    return found[0] if found else None


def _needed_wh(flexible: FlexibleLoad | None) -> list[int]:
    assert flexible is not None
    return [round(need.energy_wh) for need in flexible.needs]


def test_what_a_car_has_taken_is_not_charged_again_and_another_car_begins_anew() -> None:
    """Two hours at 8 kW are 16 of its 20 kWh; without a car there is nothing to plan."""
    site, goals = _site({"energy_kwh": 20, "by": "07:00"}), LoadGoals(VolatileStateStore())
    assert _needed_wh(_after(goals, site, CAR, hours=2, now=NOON)) == [4_000]
    gone = LoadSeen(power_w=0.0, connected=False, moved_by=Capability.LIMIT_CONSUMPTION, least_w=4_140.0)
    assert _after(goals, site, gone, hours=1, now=NOON + timedelta(hours=3)) is None
    again = _after(goals, site, CAR, hours=0, now=NOON + timedelta(hours=4))
    assert _needed_wh(again) == [20_000]
    assert again is not None and again.needs[0].due_at == datetime(2026, 3, 18, 7, tzinfo=UTC)
    assert (again.rated_w, again.least_w) == (11_000.0, 4_140.0)


def test_a_load_without_cars_needs_its_energy_each_day_within_its_window() -> None:
    """A switched boiler: today's rest, and tomorrow's, which begins at its own hour."""
    site = _site({"energy_kwh": 6, "from": "09:00", "by": "17:00", "in_one_go": True})
    boiler = LoadSeen(power_w=3_000.0, connected=None, moved_by=Capability.SWITCH, least_w=0.0)
    found = _after(LoadGoals(VolatileStateStore()), site, boiler, hours=1, now=NOON)
    assert _needed_wh(found) == [3_000, 6_000]
    assert found is not None and found.least_w == found.rated_w == 11_000
    assert [need.begun for need in found.needs] == [True, False]
    assert [need.from_at.hour for need in found.needs] == [9, 9]


def test_a_heat_pump_is_ahead_of_its_day_by_what_it_took_beyond_it() -> None:
    """12 kWh a day are 500 W; an hour at 2 kW is 1.5 kWh ahead, never more than the house holds."""
    site, goals = _site({"energy_kwh": 12, "comfort_kwh": 2}), LoadGoals(VolatileStateStore())
    pump = LoadSeen(power_w=2_000.0, connected=None, moved_by=Capability.SG_READY, least_w=0.0)
    found = _after(goals, site, pump, hours=1, now=NOON)
    assert found is not None and found.band is not None
    assert (found.band.drain_w, round(found.band.ahead_wh), found.band.reach_wh) == (500.0, 1_500, 2_000.0)
    assert found.rated_w < 11_000, "encouraged, not forced to start"
    found = _after(goals, site, pump, hours=1, now=NOON)
    assert found is not None and found.band is not None and found.band.ahead_wh == 2_000.0


def test_a_restart_goes_on_with_what_was_taken() -> None:
    """A gateway that was updated at night does not charge the car twice."""
    memory, site = VolatileStateStore(), _site({"energy_kwh": 20, "by": "07:00"})
    goals = LoadGoals(memory)
    _after(goals, site, CAR, hours=2, now=NOON)
    goals.keep()
    idle = LoadSeen(power_w=0.0, connected=True, moved_by=Capability.LIMIT_CONSUMPTION, least_w=4_140.0)
    assert _needed_wh(_after(LoadGoals(memory), site, idle, hours=1, now=NOON)) == [4_000]


@pytest.mark.parametrize(
    ("goal", "complaint"),
    [
        ({"energy_kwh": 6}, "needs either by, a time, or comfort_kwh"),
        ({"energy_kwh": 6, "by": "07:00", "comfort_kwh": 2}, "needs either by, a time, or comfort_kwh"),
        ({"energy_kwh": 6, "comfort_kwh": 2, "in_one_go": True}, "belong to a goal with by"),
    ],
)
def test_a_goal_that_says_two_things_is_refused_by_its_keys(goal: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        GoalSection.model_validate(goal)


async def test_the_agent_lets_a_car_wait_for_the_cheap_hours_and_leaves_it_alone_once_it_has_enough(
    tmp_path: Path,
) -> None:
    """Dear now and cheap later: zero is asked of the charger; then its power; and nothing after its 20 kWh."""
    clock = ManualClock(NOON)
    site = _site({"energy_kwh": 20, "by": "18:00"}, spot={"import_adder_mct_per_kwh": 10_000})
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = Trader(config=site, clock=clock, outbox=outbox, clock_trust=lambda: ClockTrust.SYNCED)
        trader.hear_forecast(_prices([40_000] * 2 + [5_000] * 22))
        waiting = LoadSeen(power_w=0.0, connected=True, moved_by=Capability.LIMIT_CONSUMPTION, least_w=4_140.0)
        (asked,) = await _asked(trader, clock, waiting)
        assert (asked.resource, asked.preferred_w, asked.priority) == (load("car"), 0.0, Priority.OPTIMISER)
        clock.advance(2 * 3600)
        (asked,) = await _asked(trader, clock, waiting)
        assert asked.preferred_w is not None and asked.preferred_w >= 4_140.0
        for _ in range(11):
            clock.advance(900)
            trader.finished(_cycle(CAR, taken_s=clock.monotonic()))
        assert await _asked(trader, clock, CAR) == []


async def _asked(trader: Trader, clock: ManualClock, seen: LoadSeen) -> list[Request]:
    for _ in range(2):
        clock.advance(1.0)
        trader.finished(_cycle(seen, taken_s=clock.monotonic()))
    async with asyncio.timeout(60):
        await trader.replan()
    return [each for each in trader.requests(clock.monotonic()) if each.resource == load("car")]


def _prices(hourly: list[int]) -> ForecastBroadcast:
    def series(kind: ForecastKind, values: list[int], site: str | None) -> ForecastSeries:
        steps = tuple(value for value in values * 2 for _ in range(4))
        return ForecastSeries(kind=kind, site=site, start=NOON, p10=steps, p50=steps, p90=steps)

    told = (series(ForecastKind.LOAD, [500] * 24, SITE), series(ForecastKind.PRICE, hourly, None))
    return ForecastBroadcast(zone="zone-1", issued_at=NOON, series=told)
