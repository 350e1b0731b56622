"""The site's agent at work: forecasts, plans the battery, keeps its orders in the market, follows what it traded.

Decisions are ``edge.trading``'s; this keeps what they need between one look and the next, and over restarts.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from contracts.clock import Clock
from contracts.forecast import ForecastBroadcast
from contracts.market import Availability, OrderMessage, Side, SiteAgent, TradesMessage
from contracts.topics import Up
from contracts.units import (
    DELIVERY_INTERVAL,
    DELIVERY_INTERVAL_S,
    PRICE_MCT_MAX,
    ClockTrust,
    DeliveryInterval,
)
from edge.agent.batteries import known_batteries, stores_of
from edge.agent.fill_record import FillRecord
from edge.agent.held_back import HeldBack
from edge.agent.interval import IntervalSoFar, battery_w, pv_w, sum_w
from edge.agent.load_goals import LoadGoals
from edge.agent.money_book import MoneyBook
from edge.agent.month_peak import MonthPeak
from edge.agent.outlooks import Outlooks
from edge.agent.past_steps import PastSteps
from edge.agent.persistence import dump_history, dump_orders, load_history, load_orders
from edge.agent.planner import Planner
from edge.agent.site_tariff import SiteTariff, connection_of, rates_at
from edge.config import SiteConfig
from edge.control.model import CONNECTION, Priority, Reason, Request
from edge.loop.seen import CycleSeen
from edge.outbox.outbox import Outbox
from edge.trading.availability import Basis, availability_of, reach_of
from edge.trading.consumer import consumer_orders
from edge.trading.forecast import expected_prices, nothing_known, prices_at
from edge.trading.model import (
    Battery,
    IntervalEnergy,
    OrderAction,
    Outlook,
    Reach,
    SiteForecast,
)
from edge.trading.orders import OwnOrders, forget, heard, reconcile, told_orders
from edge.trading.plan.horizon import plan_intervals
from edge.trading.plan.plan import Plan, end_value
from edge.trading.plan.problem import Problem
from edge.trading.plan.scenarios import scenarios
from edge.trading.plan.steps import battery_steps, later_batteries, with_loads
from edge.trading.plan.told import told
from edge.trading.producer import producer_orders
from edge.trading.tracker import schedule_power_w

if TYPE_CHECKING:
    from edge.agent.own_prices import OwnPrices
    from edge.agent.own_weather import OwnWeather

log = logging.getLogger(__name__)

LOOK_S = 60.0
PLAN_S = 300.0
HORIZON_INTERVALS = 4 * 48  # Two days: the night after tomorrow decides what tomorrow's sun is worth.
ORDERED_INTERVALS = 8
HISTORY = timedelta(days=8)
TOLD_ORDERS_BACK = timedelta(hours=1)
TOLD_ORDERS_MAX = 48
_KEY_ORDERS = "trading.orders"
_KEY_HISTORY = "trading.history"
_SCHEDULE_LEASE_S = 60.0
# The market's words for an order beyond what it knows that the site can do: what it knows is told again.
_BEYOND = frozenset({"capacity", "storage"})
# Less of an interval than this says nothing about the rest of it.
_TELLING_S = 60.0


class Trader:
    """One site's agent."""

    def __init__(
        self,
        *,
        config: SiteConfig,
        clock: Clock,
        outbox: Outbox,
        clock_trust: Callable[[], ClockTrust],
    ) -> None:
        """Go on where an earlier process stopped."""
        self._config = config
        self._clock = clock
        self._outbox = outbox
        self._clock_trust = clock_trust
        self._cycle: CycleSeen | None = None
        self._tariff = SiteTariff(config.trading, time_zone=config.site.time_zone)
        self._reach = _reach(config)
        self._orders = load_orders(outbox.recall(_KEY_ORDERS))
        self._history = load_history(outbox.recall(_KEY_HISTORY))
        self._running: IntervalSoFar | None = None
        self._measured_s: float | None = None
        self._outlooks = Outlooks(outbox)
        self._held_back = HeldBack(outbox)
        self._fills = FillRecord(outbox)
        self._month_peak = MonthPeak()
        self._money = MoneyBook(outbox)
        self._past = PastSteps()
        self._goals = LoadGoals(outbox)
        self._last_price: int | None = None
        self._basis: Basis | None = None
        self._planner = Planner()
        self._planned_s = float("-inf")
        self._announced: Availability | None = None
        self.own_prices = self._price_reader()
        self._outlooks.weather = self._weather_reader()
        self.stats = {"orders": 0, "traded_wh": 0}
        self.waits: str | None = None

    def adopt(self, config: SiteConfig) -> None:
        """Trade by a changed configuration from the next look on."""
        self._config = config
        self._tariff = SiteTariff(config.trading, time_zone=config.site.time_zone)
        self._reach = _reach(config)
        self._planned_s = float("-inf")
        if self.own_prices is not None:
            self.own_prices.adopt(config)

    def _price_reader(self) -> "OwnPrices | None":
        section = self._config.trading.prices
        if section is None:
            return None
        # Only a gateway that reads prices bears what a client costs.
        from edge.agent.own_prices import OwnPrices

        def plan_anew() -> None:
            self._planned_s = float("-inf")

        return OwnPrices(
            self._config,
            section,
            memory=self._outbox,
            clock=self._clock,
            clock_trust=self._clock_trust,
            on_news=plan_anew,
        )

    @property
    def own_weather(self) -> "OwnWeather | None":
        """Return the weather that the gateway asks for by itself, ``None`` where it asks nobody."""
        return self._outlooks.weather

    def _weather_reader(self) -> "OwnWeather | None":
        section = self._config.site.weather
        if section is None:
            return None
        from edge.agent.own_weather import OwnWeather

        return OwnWeather(self._config, section, clock=self._clock, clock_trust=self._clock_trust)

    async def run(self) -> None:
        """Plan and look at the market once a minute until cancelled."""
        while True:
            await self.replan()
            self.look()
            await self._clock.sleep(LOOK_S)

    @property
    def plan(self) -> Plan | None:
        """Return the plan in force, ``None`` before the first."""
        return self._planner.plan

    def told_orders(self) -> list[dict[str, str | int | bool]]:
        """Return the orders and what of them has traded, from an hour ago on, for who asks the gateway."""
        return told_orders(self._orders, since=self._clock.now() - TOLD_ORDERS_BACK, count=TOLD_ORDERS_MAX)

    def told_outlook(self) -> list[dict[str, Any]]:
        """Return what is forecast of the next hours, with its bands, in plain values for who asks the gateway."""
        price = None if self.own_prices is None else self.own_prices.series
        return self._outlooks.told(self._config, self._clock.now(), price=price)

    def told_plan(self) -> dict[str, Any] | None:
        """Return the plan in plain values for who asks the gateway, ``None`` before the first."""
        now = self._clock.now()
        return None if self.plan is None else {**told(self.plan, now=now), "past": self._past.told(now=now)}

    async def replan(self) -> None:
        """Make a new plan where one is due; it is solved in a thread, so that control does not wait for it."""
        if self._clock_trust() is ClockTrust.UNTRUSTED or not self._due():
            return
        await self._outlooks.refresh(self._config, self._clock.now(), held_back=self._held_back.quarters)
        await self._month_peak.refresh(self._config, self._tariff, self._clock.now())
        problem, batteries, forecasts = self._problem(self._clock.now())
        if problem.stores:
            ways = await asyncio.to_thread(scenarios, problem.intervals, self._outlooks.past)
            problem = replace(problem, scenarios=ways)
        record = self._money.record
        why_back = record.why_back or self._outlooks.why_no_plan
        await self._planner.solve(problem, why_back=why_back, trial_stores=record.trial_stores(problem.stores))
        self._take(problem, batteries, forecasts)

    def look(self) -> None:
        """Bring the standing orders to what is wanted now; a site that does not trade wants none.

        Without a trusted clock, or with nothing to forecast from (just after a start, or with an outlook that is too
        old), nothing is ordered and the standing orders stay as they are.
        """
        if not self._config.trading.enabled:
            return
        if self._clock_trust() is ClockTrust.UNTRUSTED:
            self._wait("the clock is not trusted")
            return
        now = self._clock.now()
        outlook = self._outlook(now)
        self._wait(None if outlook.forecasts else "no forecast of the zone and no hour of the site's own yet")
        if self.waits is not None:
            return
        wanted = producer_orders(outlook) if self._config.site.agent is SiteAgent.PRODUCER else consumer_orders(outlook)
        actions, orders = reconcile(
            self._orders,
            wanted,
            site=self._config.site.id,
            now=now,
            gate_closure_s=self._config.trading.gate_closure_s,
        )
        if actions:
            # What was decided is kept with what is sent, in one commit: after a crash either both are there or neither,
            # and a restart that decides anew makes the same ids.
            availability = self._news(outlook)
            with self._outbox.together():
                self._remember(orders)
                for action in actions:
                    self._send(action, now, availability)
                    availability = None

    def _wait(self, reason: str | None) -> None:
        """Say once why nothing is ordered now, ``None`` when something may be."""
        if reason is not None and reason != self.waits:
            log.warning("trading waits", extra={"reason": reason, "standing_orders": len(self._orders.orders)})
        self.waits = reason

    def hear_trades(self, message: TradesMessage) -> None:
        """Take the market's answers and trades of one interval."""
        before = sum(abs(energy) for energy in self._orders.positions.values())
        orders = heard(self._orders, start=message.interval_start, results=message.results, trades=message.trades)
        self.stats["traded_wh"] += sum(abs(energy) for energy in orders.positions.values()) - before
        if any(result.code in _BEYOND for result in message.results):
            self._announced = None
        self._remember(orders)

    def hear_forecast(self, broadcast: ForecastBroadcast) -> None:
        """Take what the zone is forecast, and its last price; an older forecast than the last is not taken."""
        known = self._outlooks.cloud
        if known is None or broadcast.issued_at >= known.issued_at:
            self._outlooks.cloud = broadcast
            if broadcast.last_price_mct_per_kwh is not None:
                self._last_price = broadcast.last_price_mct_per_kwh
            self._planned_s = float("-inf")

    def requests(self, now_s: float) -> list[Request]:
        """Return what the traded schedule asks of control in the present interval."""
        running = self._running
        if running is None or not self._config.trading.follow_schedule:
            return []
        now = self._clock.now()
        if DeliveryInterval.containing(now).start != running.start:
            return []
        power_w = schedule_power_w(
            position_wh=self._orders.positions.get(running.start, 0),
            metered_wh=running.net_wh,
            elapsed_s=(now - running.start).total_seconds(),
            import_w_max=float(self._config.connection.import_limit_w),
            export_w_max=float(self._config.export_w_max),
        )
        loads = self._planner.load_requests(now, now_s)
        if power_w is None:
            return [*self._planner.requests(now, now_s, generators=self._generators, net_w=self._net_w()), *loads]
        return [
            *loads,
            Request(
                requester="schedule",
                resource=CONNECTION,
                priority=Priority.MARKET_DR,
                reason=Reason.SCHEDULE,
                expires_s=now_s + _SCHEDULE_LEASE_S,
                preferred_w=power_w,
            ),
        ]

    def _net_w(self) -> float | None:
        """Return what the site takes now without its batteries, ``None`` where the meter is not read."""
        if self._cycle is None:
            return None
        connection_w = self._cycle.connection_power.usable()
        return None if connection_w is None else connection_w - sum_w(self._config, self._cycle, battery_w)

    @property
    def _generators(self) -> tuple[str, ...]:
        return tuple(section.id for section in self._config.devices if section.pv_peak_w > 0)

    def finished(self, cycle: CycleSeen) -> None:
        """Add what one control cycle measured to the present interval."""
        self._cycle = cycle
        now, now_s = self._clock.now(), cycle.taken_s
        start = DeliveryInterval.containing(now).start
        passed_s = 0.0 if self._measured_s is None else now_s - self._measured_s
        self._measured_s = now_s
        running = self._running
        if running is None or running.start != start:
            self._close(running)
            if running is not None:
                self._fills.closed(
                    position_wh=self._orders.positions.get(running.start, 0),
                    orders=self._orders.of_interval(running.start),
                )
            running = self._running = IntervalSoFar(start=start)
        connection_w = cycle.connection_power.usable()
        if connection_w is None or not 0 < passed_s <= DELIVERY_INTERVAL_S:
            return
        running.add(
            passed_s,
            connection_w=connection_w,
            pv_w=sum_w(self._config, cycle, pv_w),
            battery_w=sum_w(self._config, cycle, battery_w),
        )
        running.planned_wh += self._goals.saw(self._config, self._tariff, cycle, passed_s=passed_s, now=now)
        self._held_back.saw(cycle, passed_s)

    def _close(self, running: IntervalSoFar | None) -> None:
        held_back = running is not None and self._held_back.close(running.start)
        if running is None or running.since_s < _TELLING_S:
            return
        oldest = running.start - HISTORY
        self._history = {at: energy for at, energy in self._history.items() if at >= oldest}
        energy = running.energy()
        if held_back:
            # The load is as metered; of the sun, yesterday says more.
            before = self._history.get(running.start - timedelta(days=1), energy)
            energy = IntervalEnergy(load_wh=energy.load_wh, pv_wh=min(energy.pv_wh, before.pv_wh))
        else:
            self._outlooks.happened(running.start, energy)
        self._judge_plan(running, energy)
        self._history[running.start] = energy
        self._outbox.remember(_KEY_HISTORY, dump_history(self._history), durable=False)
        self._goals.keep()

    def _judge_plan(self, running: IntervalSoFar, energy: IntervalEnergy) -> None:
        """Have the plan judged by a quarter that is over, and keep for its owner what came of it."""
        scale = running.scale
        came = IntervalEnergy(load_wh=energy.load_wh + running.planned_wh * scale, pv_wh=energy.pv_wh)
        plan = self._planner.issued_for(running.start)
        stores = stores_of(self._batteries() or ())
        self._money.closed(plan, running.start, came, stores=stores)
        self._past.closed(
            self._planner.followed_in(running.start),
            running.start,
            load_wh=came.load_wh,
            pv_wh=came.pv_wh,
            battery_wh=running.battery_wh * scale,
            grid_wh=running.net_wh * scale,
            stored_wh=sum(store.stored_wh for store in stores),
        )

    def _outlook(self, now: datetime) -> Outlook:
        first = DeliveryInterval.containing(now).later(1)
        starts = [first.later(step).start for step in range(ORDERED_INTERVALS)]
        forecasts = self._forecasts(starts, now)
        prices = expected_prices(self._outlooks.cloud, starts=starts, last_price_mct_per_kwh=self._last_price)
        basis = self._planned(forecasts, now)
        return Outlook(
            now=now,
            forecasts=with_loads(forecasts, self.plan),
            plan=basis.plan,
            positions=self._orders.positions,
            prices=prices,
            tariffs=self._tariff.over(starts, self._tariff_prices(starts, prices)),
            reach=self._reach,
            gate_closure_s=self._config.trading.gate_closure_s,
        )

    def _tariff_prices(self, starts: Sequence[datetime], market: Mapping[datetime, int]) -> Mapping[datetime, int]:
        """Return the price that the tariff follows: the one the gateway reads by itself, else what the market's is."""
        series = None if self.own_prices is None else self.own_prices.series
        return market if series is None else {**market, **prices_at(series, starts)}

    def _forecasts(self, starts: list[datetime], now: datetime) -> tuple[SiteForecast, ...]:
        return self._outlooks.over(starts, self._config, history=self._telling_history(now), now=now)

    def _telling_history(self, now: datetime) -> dict[datetime, IntervalEnergy]:
        """Return the history; just after a first start, the running interval stands for the one before it."""
        before = DeliveryInterval.containing(now).later(-1).start
        running = self._running
        if before in self._history or running is None or running.since_s < _TELLING_S:
            return self._history
        return {**self._history, before: running.energy()}

    def _due(self) -> bool:
        plan = self._planner.plan
        # Just after a start there is nothing to expect yet; a plan of nothing is not kept for long.
        if self._basis is None or plan is None or not plan.problem.intervals:
            return True
        if self._basis.batteries == () or self._goals.changed:
            return True
        return self._clock.monotonic() - self._planned_s >= PLAN_S

    def _planned(self, forecasts: tuple[SiteForecast, ...], now: datetime) -> Basis:
        """Return the plan's basis; where it is for other intervals, self-consumption stands in until the next plan."""
        if self._basis is None or _outdated(self._basis, forecasts):
            problem, batteries, horizon = self._problem(now)
            self._planner.rest(problem)
            self._take(problem, batteries, horizon)
            self._planned_s = float("-inf")
        assert self._basis is not None, "just made"
        return self._basis

    def _problem(self, now: datetime) -> tuple[Problem, tuple[Battery, ...] | None, tuple[SiteForecast, ...]]:
        """Return what is to plan, the batteries in it, and the forecasts of the present interval and the horizon."""
        present = DeliveryInterval.containing(now)
        starts = [present.later(step).start for step in range(HORIZON_INTERVALS + 1)]
        forecasts = self._forecasts(starts, now)
        prices = expected_prices(self._outlooks.cloud, starts=starts, last_price_mct_per_kwh=self._last_price)
        tariff_prices = self._tariff_prices(starts, prices)
        batteries = self._batteries()
        # Without a schedule to follow, the batteries are kept for other uses and not planned.
        planned = batteries if batteries and self._config.trading.follow_schedule else ()
        loads = self._goals.flexible(self._config, self._tariff, now)
        if loads and not forecasts:
            # A car has its time, whatever is known of the house: then its price alone decides.
            forecasts, planned = tuple(nothing_known(start) for start in starts), ()
        intervals = plan_intervals(
            forecasts,
            rates=lambda start: rates_at(
                start,
                price=tariff_prices.get(start),
                market=prices.get(start),
                trading=self._config.trading,
                tariff=self._tariff,
                fills=self._fills.fills,
                now=now,
            ),
            now=now,
            peak_weight=self._tariff.peak_weight,
        )
        problem = Problem(
            intervals=intervals,
            stores=stores_of(planned),
            connection=connection_of(self._config, tariff=self._tariff, peak_w=self._month_peak.power_w, at=now),
            end_mct_per_kwh=end_value(intervals),
            loads=loads,
        )
        return problem, batteries, forecasts

    def _take(
        self, problem: Problem, batteries: tuple[Battery, ...] | None, forecasts: tuple[SiteForecast, ...]
    ) -> None:
        """Bring the planner's plan into force: the orders' share of it begins with the next interval."""
        plan = self._planner.plan
        assert plan is not None, "solved or at rest"
        now = self._clock.now()
        later = tuple(each for each in forecasts if each.start > now)
        self._basis = Basis(
            forecasts=with_loads(later, plan),
            batteries=later_batteries(batteries, plan, before=later[0].start if later else now),
            plan=battery_steps(plan, after=now),
        )
        self._planned_s = self._clock.monotonic()

    def _batteries(self) -> tuple[Battery, ...] | None:
        return known_batteries(self._config, self._cycle, self._tariff, now=self._clock.now())

    def _news(self, outlook: Outlook) -> Availability | None:
        """Return what the site can do where the market does not know it yet."""
        assert self._basis is not None, "an outlook has a plan"
        availability = availability_of(basis=self._basis, forecasts=outlook.forecasts, reach=outlook.reach)
        if availability == self._announced:
            return None
        self._announced = availability
        return availability

    def _send(self, action: OrderAction, now: datetime, availability: Availability | None) -> None:
        def build(epoch: int, seq: int) -> OrderMessage:
            return OrderMessage(
                site=self._config.site.id,
                epoch=epoch,
                seq=seq,
                sent_at=now,
                order_id=action.order_id,
                op=action.op,
                interval_start=action.start,
                side=Side(action.side),
                quantity_wh=action.quantity_wh,
                price_mct_per_kwh=max(-PRICE_MCT_MAX, min(PRICE_MCT_MAX, action.price_mct_per_kwh)),
                issued_at=now,
                ability=availability,
            )

        self.stats["orders"] += 1
        self._outbox.append(Up.ORDERS, build)

    def _remember(self, orders: OwnOrders) -> None:
        self._orders = forget(orders, before=self._clock.now() - timedelta(hours=1))
        self._outbox.remember(_KEY_ORDERS, dump_orders(self._orders), durable=False)


def _outdated(basis: Basis, forecasts: tuple[SiteForecast, ...]) -> bool:
    """Say whether a plan is for other intervals, as after a step of the clock, or knew too little of the batteries."""
    if not forecasts or not basis.forecasts:
        return len(forecasts) != len(basis.forecasts)
    passed = forecasts[0].start - basis.forecasts[0].start
    return not timedelta(0) <= passed <= DELIVERY_INTERVAL or basis.batteries == ()


def _reach(config: SiteConfig) -> Reach:
    return reach_of(
        import_limit_w=float(config.connection.import_limit_w),
        export_limit_w=float(config.export_w_max),
        generation_w_max=float(sum(section.pv_peak_w for section in config.devices)),
        discharge_w_max=float(sum(one.battery.discharge_limit_w for one in config.devices if one.battery is not None)),
    )
