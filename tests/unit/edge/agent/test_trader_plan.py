"""The agent's plan at work: what it asks of control where nothing is traded, and what it says when it has none."""

import asyncio
import dataclasses
import json
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from contracts.clock import Clock
from contracts.features import Feature
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.market import OrderMessage, OrderResult, OrderStatus, Side, TradeLine, TradesMessage
from contracts.topics import Up
from contracts.units import ClockTrust, Quality
from edge.agent.trader import Trader
from edge.control.cycle import decide
from edge.control.model import (
    BATTERIES,
    CONNECTION,
    AssetKind,
    AssetState,
    Capability,
    ControlSettings,
    Decision,
    Measured,
    Memory,
    Priority,
    Reason,
    Request,
    Snapshot,
)
from edge.loop.readings import SOC
from edge.loop.seen import CycleSeen
from edge.outbox.outbox import Outbox
from edge.site.status import SITE_SOCKET, encode, serve_status
from edge.trading.plan.problem import Method
from sitewatt.commands.edge import app
from sitewatt.plan_plot import plan_svg
from sitewatt.plan_text import plan_lines
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE, config, plain_config, reading
from tests.support.rigs.edge_parts import status as plain_status

NOON = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
SPOT = {"import_adder_mct_per_kwh": 10_000, "import_factor": 1.0, "export_adder_mct_per_kwh": -500}


def _cycle(clock: ManualClock, *, soc_percent: float) -> CycleSeen:
    return CycleSeen(
        number=1,
        taken_s=clock.monotonic(),
        connection_power=Measured(),
        readings={"inverter": {SOC: reading(soc_percent, at_s=clock.monotonic())}, "meter": {}},
    )


def _trader(outbox: Outbox, clock: ManualClock, *, soc_percent: float = 50, **trading: Any) -> Trader:
    trader = Trader(
        config=config(trading={"enabled": True, **trading}),
        clock=clock,
        outbox=outbox,
        clock_trust=lambda: ClockTrust.SYNCED,
    )
    trader.finished(_cycle(clock, soc_percent=soc_percent))
    return trader


def _broadcast(*, load_w: list[int], pv_w: list[int], price: list[int]) -> ForecastBroadcast:
    """Return two days of forecasts, a value for each hour of the first, which the second repeats."""

    def series(kind: ForecastKind, hourly: list[int], site: str | None) -> ForecastSeries:
        steps = tuple(value for value in hourly * 2 for _ in range(4))
        return ForecastSeries(kind=kind, site=site, start=NOON, p10=steps, p50=steps, p90=steps)

    told = (
        series(ForecastKind.LOAD, load_w, SITE),
        series(ForecastKind.PV, pv_w, SITE),
        series(ForecastKind.PRICE, price, None),
    )
    return ForecastBroadcast(zone="zone-1", issued_at=NOON, series=told)


async def _asked(trader: Trader, clock: ManualClock, broadcast: ForecastBroadcast) -> list[Request]:
    trader.hear_forecast(broadcast)
    await trader.replan()
    trader.finished(_cycle(clock, soc_percent=50))
    return trader.requests(clock.monotonic())


async def test_cheap_energy_is_charged_from_the_grid_and_the_reason_is_its_price(tmp_path: Path) -> None:
    """With a spot tariff, one cheap hour now and dear ones after it, the battery charges now, through the arbiter."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, spot=SPOT)
        prices = [2_000] + [40_000] * 23
        (request,) = await _asked(trader, clock, _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=prices))
        assert (request.resource, request.priority, request.reason) == (BATTERIES, Priority.OPTIMISER, Reason.PRICE)
        assert request.preferred_w == pytest.approx(4_000, abs=10)
        assert trader.plan is not None and trader.plan.method is Method.LINEAR


async def test_the_grid_charges_nothing_where_the_site_says_that_rules_forbid_it(tmp_path: Path) -> None:
    """The same cheap hour; the surplus alone may be stored."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, spot=SPOT, charge_from_grid=False)
        prices = [2_000] + [40_000] * 23
        asked = await _asked(trader, clock, _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=prices))
        assert [(request.min_w, request.preferred_w) for request in asked] == [(0.0, None)]


async def test_energy_is_kept_for_dearer_hours_and_a_surplus_may_still_be_stored(tmp_path: Path) -> None:
    """The plan binds discharging alone: a cloud that passes earlier than forecast still charges the battery."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, soc_percent=100, spot=SPOT)
        prices = [20_000] * 4 + [60_000] * 4 + [20_000] * 16
        load_w = [500] * 4 + [4_000] * 4 + [500] * 16
        (request,) = await _asked(trader, clock, _broadcast(load_w=load_w, pv_w=[0] * 24, price=prices))
        assert (request.resource, request.min_w, request.preferred_w) == (BATTERIES, 0.0, None)
        assert request.max_w == float("inf")


async def test_generation_is_held_back_where_feeding_in_costs_money_and_rests_where_taking_is_paid(
    tmp_path: Path,
) -> None:
    """At a full battery the surplus has nowhere to go: zero feed-in at -2 ct, no generation at all at -30 ct."""
    clock = ManualClock(NOON)
    for price, resources in ((-2_000, {CONNECTION}), (-30_000, {"inverter/limit_generation"})):
        with closing(Outbox.open(tmp_path / f"{-price}.db", site=SITE, clock=clock)) as outbox:
            trader = _trader(outbox, clock, soc_percent=100, spot=SPOT)
            broadcast = _broadcast(load_w=[500] * 24, pv_w=[-3_000] * 24, price=[price] * 24)
            asked = await _asked(trader, clock, broadcast)
            limits = [request for request in asked if request.resource != BATTERIES]
            assert {request.resource for request in limits} == resources
            assert {(request.min_w, request.reason) for request in limits} == {(0.0, Reason.PRICE)}
            assert _generation_w(limits, clock) <= (500 if price > -30_000 else 0)


def _generation_w(requests: list[Request], clock: Clock) -> float:
    """Return the most that control lets a 5 kW plant generate beside a load of 500 W."""
    plant = AssetState(
        id="inverter",
        kind=AssetKind.PV,
        capabilities=frozenset({Capability.LIMIT_GENERATION}),
        power=Measured(value=-3_000, quality=Quality.GOOD, age_s=0),
        generation_rated_w=5_000,
    )
    snapshot = Snapshot(
        taken_s=clock.monotonic(),
        connection_power=Measured(value=-2_500, quality=Quality.GOOD, age_s=0),
        assets=(plant,),
    )
    decision: Decision
    decision, _ = decide(snapshot, requests, ControlSettings(import_w_max=17_000, export_w_max=10_000), Memory())
    (setpoint,) = decision.setpoints
    assert setpoint.value_w is not None and setpoint.reason is Reason.PRICE
    return setpoint.value_w


async def test_a_flat_tariff_leaves_the_battery_to_self_consumption(tmp_path: Path) -> None:
    """What is not traded costs the tariff: a low market price that nobody sold at charges nothing."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock)
        prices = [9_000] + [28_000] * 23
        assert await _asked(trader, clock, _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=prices)) == []


async def test_a_site_that_does_not_trade_plans_by_its_tariff_and_orders_nothing(tmp_path: Path) -> None:
    """``enabled: false`` keeps it out of the market; a tariff is still worth a plan, and without one there is none."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, enabled=False, spot=SPOT)
        prices = [2_000] + [40_000] * 23
        (request,) = await _asked(trader, clock, _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=prices))
        assert request.preferred_w == pytest.approx(4_000, abs=10)
        trader.look()
        assert trader.stats["orders"] == 0 and trader.waits is None
        assert outbox.read(Up.ORDERS) == []
    assert config(trading={"enabled": False, "tariff": "flat"}).trading.plans
    assert not config(trading={"enabled": False}).trading.plans


async def test_a_board_without_the_solver_plans_self_consumption_and_asks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fallback is what control does on its own; the plan says why it is no better."""
    monkeypatch.setitem(sys.modules, "highspy", None)
    monkeypatch.delitem(sys.modules, "edge.trading.plan.highs", raising=False)
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, spot=SPOT)
        prices = [2_000] + [40_000] * 23
        assert await _asked(trader, clock, _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=prices)) == []
        assert trader.plan is not None
        assert (trader.plan.method, trader.plan.why) == (Method.RULE, "highspy is not installed")


async def test_the_running_plan_is_told_with_the_reason_of_each_step(tmp_path: Path) -> None:
    """``sitewatt edge plan`` asks the gateway's socket and says in words why the battery does what."""
    clock = ManualClock(NOON)
    file = tmp_path / "site.yaml"
    file.write_text(yaml.safe_dump(plain_config(state_dir=str(tmp_path))), encoding="utf-8")
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, spot=SPOT)
        assert trader.told_plan() is None
        prices = [2_000] + [40_000] * 23
        await _asked(trader, clock, _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=prices))
        status = plain_status(trading={**trader.stats, "waits": "", "plan": trader.told_plan()})
        task = asyncio.create_task(serve_status(tmp_path, SITE_SOCKET, lambda: encode(status)), name="status")
        async with asyncio.timeout(60):
            while not (tmp_path / SITE_SOCKET).exists():  # noqa: ASYNC110 (a socket appears)
                await asyncio.sleep(0.01)
        text = await asyncio.to_thread(CliRunner().invoke, app, ["plan", "--config", str(file)])
        drawn = ["plan", "--config", str(file), "--json", "--plot", str(tmp_path / "plan.svg")]
        answer = await asyncio.to_thread(CliRunner().invoke, app, drawn)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert text.exit_code == 0, text.output
    assert (tmp_path / "plan.svg").read_text(encoding="utf-8").startswith("<svg")
    assert "planned by linear programme" in text.output
    assert "W while energy costs 12.0 ct/kWh, for dearer hours" in text.output
    steps = json.loads(answer.stdout)["steps"]
    assert steps[0]["aim"] == "charge from the grid"
    assert steps[0]["grid_w"] == pytest.approx(steps[0]["load_w"] + steps[0]["battery_w"], abs=2)


async def test_a_plan_that_lost_stands_back_says_so_and_asks_for_nothing(tmp_path: Path) -> None:
    """After a restart too: the cheap hour for which another plan would charge is left alone, with the reason."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        days = [[90_000.0, 40_000.0]] * 4
        outbox.remember("trading.money", {"days": days, "is_back": True}, durable=True)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, spot=SPOT)
        prices = [2_000] + [40_000] * 23
        assert await _asked(trader, clock, _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=prices)) == []
        told = trader.told_plan()
        assert told is not None
        assert (told["method"], told["why"]) == (
            "self-consumption",
            "the plan stands back: played on the last 4 days it cost 50 ct a day more than self-consumption",
        )


async def test_a_plan_that_the_cloud_switches_off_asks_for_nothing_until_it_is_on_again(tmp_path: Path) -> None:
    """A fault in a planner is ended for a whole fleet at the next outlook; a name of a later cloud means nothing."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, spot=SPOT)
        cheap = _broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=[2_000] + [40_000] * 23)
        off = cheap.model_copy(update={"off": ("of_a_later_cloud", Feature.PLANS)})
        assert await _asked(trader, clock, ForecastBroadcast.decode(off.encode())) == []
        told = trader.told_plan()
        assert told is not None
        assert (told["method"], told["why"]) == ("self-consumption", "plans are switched off by the cloud's operator")
        assert b"off" not in cheap.encode()
        (request,) = await _asked(trader, clock, cheap)
        assert request.preferred_w == pytest.approx(4_000, abs=10)


async def test_each_day_is_played_both_ways_and_remembered(tmp_path: Path) -> None:
    """From the meter's readings to the record that the next process finds."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, spot=SPOT)
        trader.hear_forecast(_broadcast(load_w=[1_000] * 24, pv_w=[0] * 24, price=[9_000] * 24))
        for index in range(98):
            if index % 8 == 0:
                await trader.replan()
            for _ in range(3):
                trader.finished(_metered(clock, power_w=1_000))
                clock.advance(300)
        kept, told = outbox.recall("trading.money"), trader.told_plan()
    assert kept is not None and len(kept["days"]) == 1
    planned, ruled = kept["days"][0]
    # 24 kWh at 19 ct are 456 ct, and a little more for what storing takes.
    assert 440_000 < planned < 500_000
    assert 440_000 < ruled < 500_000
    # The owner sees beside the plan what came of it in the last four hours.
    assert told is not None and len(told["past"]) == 16
    last = told["past"][-1]
    assert (last["grid_w"], last["load_w"], last["battery_w"], last["stored_wh"]) == (1_000, 1_000, 0, 5_000)
    assert all(step["why"] and step["buy_mct_per_kwh"] == 19_000 for step in told["past"])
    lines = list(plan_lines(told))
    assert told["past"][0]["why"] in lines[2]
    assert 2 < lines.index("now") < len(lines) - 1
    assert plan_svg(told).count("stroke-dasharray") == 1


def _metered(clock: ManualClock, *, power_w: float) -> CycleSeen:
    """Return a cycle that measures the connection point and a battery that rests."""
    measured = Measured(value=power_w, quality=Quality.GOOD, age_s=0.0)
    return dataclasses.replace(_cycle(clock, soc_percent=50), connection_power=measured)


async def _bought(trader: Trader, clock: ManualClock, outbox: Outbox, *, number: int) -> float:
    """Let a site order, the market fill what it buys for the next quarter, and the quarter pass; return its price."""
    trader.hear_forecast(_broadcast(load_w=[2_000] * 24, pv_w=[0] * 24, price=[12_000] * 24))
    await trader.replan()
    trader.look()
    start = NOON + number * timedelta(minutes=15)
    orders = [OrderMessage.decode(record.payload) for record in outbox.read(Up.ORDERS, limit=1_000)]
    mine = {order.order_id: order for order in orders if order.interval_start == start and order.side is Side.BUY}
    assert mine, "a site that needs energy orders it"
    lines = tuple(
        TradeLine(
            trade_id=f"t-{name}",
            order_id=name,
            side=Side.BUY,
            quantity_wh=order.quantity_wh,
            price_mct_per_kwh=12_000,
        )
        for name, order in mine.items()
    )
    results = tuple(
        OrderResult(order_id=name, status=OrderStatus.FILLED, traded_wh=order.quantity_wh)
        for name, order in mine.items()
    )
    trader.hear_trades(
        TradesMessage(
            zone="zone-1",
            site=SITE,
            interval_start=start,
            issued_at=clock.now(),
            epoch=1,
            seq=number,
            results=results,
            trades=lines,
        )
    )
    clock.advance(900.0)
    trader.finished(_cycle(clock, soc_percent=5))
    assert trader.plan is not None
    return trader.plan.problem.intervals[4].buy_mct_per_kwh


async def test_a_site_whose_orders_trade_plans_nearer_to_the_price_after_a_restart_too(tmp_path: Path) -> None:
    """Half of the way to the tariff is for a site that knows nothing of its market."""
    clock = ManualClock(NOON)
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)) as outbox:
        trader = _trader(outbox, clock, soc_percent=5)
        planned = [await _bought(trader, clock, outbox, number=number) for number in range(1, 5)]
        assert planned[0] > planned[-1] > 12_000
        restarted = _trader(outbox, clock, soc_percent=5)
        restarted.hear_forecast(_broadcast(load_w=[2_000] * 24, pv_w=[0] * 24, price=[12_000] * 24))
        await restarted.replan()
        assert restarted.plan is not None
        assert restarted.plan.problem.intervals[4].buy_mct_per_kwh < planned[0]
