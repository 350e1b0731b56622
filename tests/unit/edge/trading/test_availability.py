"""What a site announces: enough for every order that its own agent wants, and no more than its parts can do."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cloud.market import commands
from cloud.market.engine import Engine
from cloud.market.rules import MarketRules, Participant
from contracts.market import Availability
from contracts.units import epoch_ms
from edge.trading.availability import Basis, availability_of, reach_of
from edge.trading.model import Battery, SiteForecast
from edge.trading.orders import OwnOrders, reconcile
from edge.trading.producer import producer_orders
from tests.support.rigs.trading import BATTERY, REACH, T0, battery_plan, forecast, outlook

SITE = "farm"
EIGHT = st.lists(st.tuples(st.integers(0, 2_000), st.integers(-2_500, 0)), min_size=8, max_size=8)


def _availability(**parts: Any) -> Availability:
    availability = availability_of(**parts)
    assert availability is not None
    return availability


def test_without_a_forecast_there_is_nothing_to_announce() -> None:
    """Just after a start, or with an outlook that is too old."""
    for batteries in (None, ()):
        empty = Basis(forecasts=(), batteries=batteries, plan=())
        assert availability_of(basis=empty, forecasts=(), reach=REACH) is None


def _refusals(found: Any, availability: Any, now: datetime) -> list[tuple[str | None, str | None]]:
    """Return what a market that knows the ability refuses of an agent's orders."""
    engine = Engine(MarketRules(zone="zone-1"))
    at_ms = epoch_ms(now)
    participant = Participant(site=SITE, owner=SITE, import_limit_wh=REACH.import_wh, export_limit_wh=REACH.export_wh)
    engine.apply(commands.register(participant, at_ms=at_ms))
    engine.apply(commands.tick(at_ms=at_ms))
    for command in commands.availability_inputs(SITE, availability, at_ms=at_ms):
        engine.apply(command)
    replies = []
    for action in found:
        order = {
            "op": action.op.value,
            "at_ms": at_ms,
            "site": SITE,
            "order_id": action.order_id,
            "interval_ms": epoch_ms(action.start),
            "side": action.side.value,
            "quantity_wh": action.quantity_wh,
            "price_mct_per_kwh": action.price_mct_per_kwh,
        }
        replies += engine.apply(order).replies
    return [(reply.refusal, reply.reason) for reply in replies if reply.refusal is not None]


@given(
    energies=EIGHT, soc_percent=st.floats(0, 100), prices=st.lists(st.integers(8_000, 30_000), min_size=8, max_size=8)
)
def test_a_market_that_knows_it_takes_every_order_that_the_agent_wants(
    energies: list[tuple[int, int]], soc_percent: float, prices: list[int]
) -> None:
    """An agent must not be refused for what it said itself, whatever sun, load, prices and charge."""
    forecasts = [forecast(index, load_wh=load, pv_wh=pv) for index, (load, pv) in enumerate(energies, start=8)]
    expected: Mapping[datetime, int] = {each.start: price for each, price in zip(forecasts, prices, strict=True)}
    battery = replace(BATTERY, soc_percent=soc_percent)
    plan = battery_plan(battery, forecasts, prices=expected)
    basis = Basis(forecasts=forecasts, batteries=[battery], plan=plan)
    availability = _availability(basis=basis, forecasts=forecasts, reach=REACH)
    wanted = producer_orders(outlook(forecasts, now=T0, plan=plan, prices=expected))
    actions, _ = reconcile(OwnOrders(), wanted, site=SITE, now=T0, gate_closure_s=300)
    assert _refusals(actions, availability, T0) == []


def test_what_the_batteries_hold_is_said_without_losses_and_with_what_the_sun_will_bring() -> None:
    """Half of ten kWh is 4.5 above the floor; 0.4 kWh of surplus goes in, 0.3 kWh of load comes out."""
    forecasts = [forecast(0, pv_wh=-500), forecast(1, load_wh=300)]
    (step, other) = battery_plan(BATTERY, forecasts)
    plan = [replace(step, battery_wh=400), replace(other, battery_wh=-350)]
    told = _availability(
        basis=Basis(forecasts=forecasts, batteries=[BATTERY], plan=plan), forecasts=forecasts[1:], reach=REACH
    )
    loose_wh = 25 + 15
    assert told.stored_wh == round(4_500 * 0.95 + 400 + loose_wh)
    assert told.room_wh == round(5_000 / 0.95 + 300 + loose_wh)
    assert (told.interval_start, told.own_net_wh) == (T0, (-500, 300))


def test_a_battery_that_is_not_heard_is_promised_to_nobody() -> None:
    """Only what orders may be off by is left of it; a site without a battery says nothing of one."""
    forecasts: list[SiteForecast] = [forecast(0, load_wh=100)]
    silent = _availability(basis=Basis(forecasts=forecasts, batteries=[], plan=()), forecasts=forecasts, reach=REACH)
    assert (silent.stored_wh, silent.room_wh) == (10, 10)
    without = _availability(basis=Basis(forecasts=forecasts, batteries=None, plan=()), forecasts=forecasts, reach=REACH)
    assert (without.stored_wh, without.room_wh, without.own_net_wh) == (None, None, ())
    assert (without.import_wh, without.export_wh) == ((REACH.import_wh,), (REACH.export_wh,))


def test_a_connection_exports_no_more_than_the_site_could_make() -> None:
    """A wide connection behind a small inverter sells what the inverter can."""
    wide = reach_of(import_limit_w=17_000, export_limit_w=10_000, generation_w_max=3_000, discharge_w_max=2_000)
    assert (wide.import_wh, wide.export_wh) == (4_250, 1_250)
    narrow = reach_of(import_limit_w=17_000, export_limit_w=4_000, generation_w_max=3_000, discharge_w_max=2_000)
    assert narrow.export_wh == 1_000


def test_a_full_or_an_empty_battery_is_never_less_than_nothing() -> None:
    """A state of charge outside the configured range is a range of the site's, not a negative energy."""
    for soc_percent in (0.0, 100.0):
        battery: Battery = replace(BATTERY, soc_percent=soc_percent, soc_percent_min=5, soc_percent_max=95)
        told = _availability(
            basis=Basis(forecasts=[forecast(0)], batteries=[battery], plan=()), forecasts=[forecast(0)], reach=REACH
        )
        assert told.stored_wh is not None and told.stored_wh >= 0
        assert told.room_wh is not None and told.room_wh >= 0
