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
from edge.config import GoalSection, LoadSection, SiteConfig
from edge.control.model import Capability, Measured, Priority, Request, load
from edge.loop.seen import CycleSeen, LoadSeen
from edge.outbox.outbox import Outbox
from edge.state_store import VolatileStateStore
from edge.trading.plan.flexible import runnable
from edge.trading.plan.problem import FlexibleLoad, PlanInterval
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE, config, plain_config

NOON = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
CAR = LoadSeen(power_w=8_000.0, connected=True, moved_by=Capability.LIMIT_CONSUMPTION, least_w=4_140.0)


def _site(goal: dict[str, Any], **trading: Any) -> SiteConfig:
    charger = {
        "id": "car",
        "profile": "alfen_eve",
        "url": "tcp://127.0.0.1:4?unit=1",
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


SHIFTS = [
    {"energy_kwh": 20, "from": "06:00", "by": "14:00", "days": ["workday"]},
    {"energy_kwh": 10, "from": "14:00", "by": "22:00", "days": ["workday"]},
    {"energy_kwh": 5, "from": "22:00", "by": "05:00", "days": ["sun"], "in_one_go": True},
]
KILN = LoadSeen(power_w=8_000.0, connected=None, moved_by=Capability.LIMIT_CONSUMPTION, least_w=2_000.0)


def _works(schedule: list[dict[str, Any]], **trading: Any) -> SiteConfig:
    site = _site({"energy_kwh": 1, "by": "07:00"}, **trading)
    told = site.model_dump(mode="json", by_alias=True)
    told["devices"][-1]["load"] |= {"goal": None, "schedule": schedule}
    return SiteConfig.model_validate(told)


def test_a_production_schedule_is_its_shifts_one_after_the_other() -> None:
    """Tuesday noon: what the first shift still needs, then the second, then Wednesday's; a plan looks no further."""
    works, goals = _works(SHIFTS), LoadGoals(VolatileStateStore())
    found = _after(goals, works, KILN, hours=1, now=NOON)
    assert _needed_wh(found) == [12_000, 10_000, 20_000, 10_000]
    assert found is not None
    assert [(need.from_at.hour, need.due_at.hour) for need in found.needs[:2]] == [(6, 14), (14, 22)]
    # The second shift begins with nothing taken; what runs between shifts counts for none.
    second = _after(goals, works, KILN, hours=0.5, now=NOON + timedelta(hours=3))
    assert _needed_wh(second)[:2] == [6_000, 20_000]
    night = _after(goals, works, KILN, hours=1, now=NOON + timedelta(hours=12))
    assert _needed_wh(night)[0] == 20_000


def test_a_schedule_rests_at_weekends_and_on_the_tariffs_holidays() -> None:
    """On Friday 1 May 2026 nobody works in Spain; on Sunday night the kiln is heated up through midnight."""
    works = _works(SHIFTS, tariff="es-2.0td")
    tariff = SiteTariff(works.trading)
    eve = datetime(2026, 4, 30, 21, 0, tzinfo=UTC)  # Thursday, 23:00 in Madrid.
    goals = LoadGoals(VolatileStateStore())
    goals.saw(works, tariff, _cycle(KILN), passed_s=0.0, now=eve)
    assert goals.flexible(works, tariff, eve)[0].needs == ()
    sunday = datetime(2026, 5, 3, 12, 0, tzinfo=UTC)
    goals.saw(works, tariff, _cycle(KILN), passed_s=0.0, now=sunday)
    first = goals.flexible(works, tariff, sunday)[0].needs[0]
    assert (first.from_at, first.due_at) == (
        datetime(2026, 5, 3, 20, tzinfo=UTC),
        datetime(2026, 5, 4, 3, tzinfo=UTC),
    )
    assert first.in_one_go and first.energy_wh == 5_000


@pytest.mark.parametrize(
    ("other", "overlaps"),
    [
        ({"from": "13:00", "by": "15:00"}, True),
        ({"from": "14:00", "by": "15:00"}, False),
        ({"from": "13:00", "by": "15:00", "days": ["weekend"]}, False),
        ({"from": "13:00", "by": "15:00", "days": ["holiday"]}, False),
        ({"from": "22:00", "by": "07:00", "days": ["sun"]}, True),
        ({"from": "22:00", "by": "07:00", "days": ["fri"]}, False),
    ],
)
def test_jobs_that_share_a_time_are_refused(other: dict[str, Any], overlaps: bool) -> None:
    """What a load takes then would count for either."""
    jobs = [SHIFTS[0], {"energy_kwh": 1, **other}]
    if not overlaps:
        assert _works(jobs).plans
        return
    with pytest.raises(ValidationError, match="overlap"):
        _works(jobs)
    with pytest.raises(ValidationError, match="a goal and a schedule"):
        LoadSection.model_validate({"rated_w": 1, "goal": {"energy_kwh": 1, "by": "07:00"}, "schedule": jobs[:1]})


def test_jobs_of_both_kinds_are_planned_side_by_side() -> None:
    """A batch that runs through at night, and hours of the day that may be chosen one by one."""
    works = _works([SHIFTS[0], {"energy_kwh": 11, "from": "20:00", "by": "05:00", "in_one_go": True}])
    load_to_plan = _after(LoadGoals(VolatileStateStore()), works, KILN, hours=0, now=NOON)
    assert load_to_plan is not None
    intervals = [
        PlanInterval(
            start=NOON + timedelta(hours=hour),
            hours=1.0,
            load_wh=0.0,
            pv_wh=0.0,
            buy_mct_per_kwh=10_000.0 if hour in (11, 12, 20) else 30_000.0,
            sell_mct_per_kwh=0.0,
        )
        for hour in range(24)
    ]
    prices = [each.buy_mct_per_kwh for each in intervals]
    taken = runnable(load_to_plan, intervals, wanted_wh=[0.0] * 24, worth_mct_per_kwh=prices)
    assert {hour: round(wh) for hour, wh in enumerate(taken) if wh} == {
        0: 11_000,
        1: 9_000,
        11: 11_000,
        18: 9_000,
        20: 11_000,
    }


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
