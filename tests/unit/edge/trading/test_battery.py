"""The battery's plan."""

import itertools
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.trading.battery import plan_battery
from edge.trading.model import Battery, PlanStep, SiteForecast
from tests.support.rigs.trading import BATTERY, TARIFFS, forecast, sunny_day


def prices(day: list[SiteForecast], *values: int) -> dict[datetime, int]:
    """Return prices that repeat over a day."""
    return {each.start: price for each, price in zip(day, itertools.cycle(values), strict=False)}


def test_the_sun_is_kept_for_the_evening() -> None:
    """The everyday case: charge from the surplus at noon, give it back after sunset."""
    day = sunny_day()
    plan = plan_battery(battery=BATTERY, forecasts=day, prices={}, tariffs=TARIFFS)
    noon = sum(step.battery_wh for step in plan[36:60])
    evening = sum(step.battery_wh for step in plan[76:])
    assert noon > 3_000
    assert evening < -1_500


def test_a_cheap_interval_before_a_dear_one_is_used() -> None:
    """Arbitrage that pays for losses and wear, and does not happen where it would not."""
    day = [forecast(index, load_wh=1_000) for index in range(8)]
    spread = {each.start: 8_000 if index < 4 else 30_000 for index, each in enumerate(day)}
    plan = plan_battery(battery=BATTERY, forecasts=day, prices=spread, tariffs=TARIFFS)
    assert sum(step.battery_wh for step in plan[:4]) > 0
    assert sum(step.battery_wh for step in plan[4:]) < -3_000
    flat = plan_battery(battery=BATTERY, forecasts=day, prices=prices(day, 20_000), tariffs=TARIFFS)
    assert all(step.battery_wh <= 0 for step in flat)


def test_energy_is_worth_less_to_buy_than_to_sell() -> None:
    """Losses and wear lie between; an agent that forgets them trades itself poor."""
    for step in plan_battery(battery=BATTERY, forecasts=sunny_day(), prices={}, tariffs=TARIFFS):
        assert step.buy_mct_per_kwh < step.sell_mct_per_kwh
        assert step.buy_mct_per_kwh <= TARIFFS.import_mct_per_kwh


def test_a_battery_without_usable_energy_has_no_plan() -> None:
    """A plan with a state of charge of -247 % is a published failure."""
    empty = Battery(capacity_wh=0, charge_w_max=5_000, discharge_w_max=5_000, soc_percent=50)
    assert plan_battery(battery=empty, forecasts=sunny_day(), prices={}, tariffs=TARIFFS) == ()
    assert plan_battery(battery=BATTERY, forecasts=(), prices={}, tariffs=TARIFFS) == ()


def cost(plan: tuple[PlanStep, ...], day: list[SiteForecast]) -> float:
    """Return what a plan costs at the tariffs, in mct/kWh times Wh."""
    total = 0.0
    for step, each in zip(plan, day, strict=True):
        grid_wh = each.net_wh + step.battery_wh
        rate = TARIFFS.import_mct_per_kwh if grid_wh > 0 else TARIFFS.export_mct_per_kwh
        total += grid_wh * rate + max(0, -step.battery_wh) * BATTERY.wear_mct_per_kwh
    return total


@given(
    st.lists(st.tuples(st.integers(0, 1_500), st.integers(-2_500, 0), st.integers(-5_000, 60_000)), max_size=12),
    st.floats(0, 100),
    st.sampled_from([0.0, 800.0, 5_000.0]),
)
@settings(max_examples=60)
def test_no_plan_asks_for_what_the_battery_cannot_do(
    drawn: list[tuple[int, int, int]], soc_percent: float, power_w: float
) -> None:
    """Power, energy and state of charge stay within the battery's own limits at every step."""
    day = [forecast(index, load_wh=load_wh, pv_wh=pv_wh) for index, (load_wh, pv_wh, _) in enumerate(drawn)]
    paid = {each.start: price for each, (_, _, price) in zip(day, drawn, strict=True)}
    own = Battery(capacity_wh=10_000, charge_w_max=power_w, discharge_w_max=power_w, soc_percent=soc_percent)
    usable_wh, before_wh = 9_500.0, None
    for step in plan_battery(battery=own, forecasts=day, prices=paid, tariffs=TARIFFS):
        assert 0 <= step.stored_wh <= usable_wh + 1e-6
        assert abs(step.battery_wh) <= power_w / 4 + 1
        if before_wh is not None:
            change_wh = step.stored_wh - before_wh
            terminal_wh = change_wh / own.efficiency if change_wh > 0 else change_wh * own.efficiency
            assert step.battery_wh == pytest.approx(terminal_wh, abs=1)
        before_wh = step.stored_wh


def test_the_plan_is_no_dearer_than_doing_nothing_or_the_plain_rule() -> None:
    """The optimum over all paths is at least as good as two of them; the end of both holds the same energy."""
    day = sunny_day()
    start = Battery(capacity_wh=10_000, charge_w_max=5_000, discharge_w_max=5_000, soc_percent=5)
    plan = plan_battery(battery=start, forecasts=day, prices={}, tariffs=TARIFFS)
    idle = tuple(
        PlanStep(start=each.start, battery_wh=0, stored_wh=0, buy_mct_per_kwh=0, sell_mct_per_kwh=0) for each in day
    )
    assert cost(plan, day) < cost(idle, day)
