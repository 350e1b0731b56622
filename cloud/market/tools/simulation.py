"""A market of simple agents on the real engine: how much of the possible welfare it reaches, and what it settles.

Zero-intelligence agents offer at random on the right side of their value; strategic ones ask for a margin that grows
after a trade and shrinks after none. Everything follows from the seed, by a generator of its own, in integers.

Source: zero intelligence with budget constraint as Gode and Sunder, Journal of Political Economy 101 (1993).
SplitMix64 as published by Steele, Lea and Flood, OOPSLA 2014.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cloud.market import commands
from cloud.market.auction import AuctionOrder, clear
from cloud.market.engine import Engine
from cloud.market.last_resort import UTILITY_BUYS, UTILITY_SELLS
from cloud.market.product import INTERVAL_MS
from cloud.market.rules import UTILITY, LastResort, MarketRules, Mechanism, Participant
from cloud.market.shapes import Command, MeterCommand
from cloud.market.state import Outcome
from contracts.market import Side

_MASK = 2**64 - 1
# 2025-10-09 00:00 UTC, a quarter of an hour like any other.
_BEGIN_MS = 1_759_968_000_000
_LIMIT_WH = 20_000
_STEP_MCT = 250


@dataclass(slots=True)
class Draw:
    """Whole numbers that look random and repeat for a seed."""

    state: int

    def between(self, least: int, greatest: int) -> int:
        """Return a whole number from ``least`` to ``greatest``; the bias of the remainder is below 2**-40 here."""
        self.state = (self.state + 0x9E3779B97F4A7C15) & _MASK
        mixed = self.state
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return least + (mixed ^ (mixed >> 31)) % (greatest - least + 1)


@dataclass(slots=True)
class Trader:
    """One agent: its side, what a kWh is worth to it now, how it asks for it, and what it gained."""

    site: str
    buys: bool
    strategic: bool
    margin_mct: int = 2 * _STEP_MCT
    value: int = 0
    quantity_wh: int = 0
    gained_uct: int = 0
    traded_wh: int = 0

    def price(self, draw: Draw, tariffs: LastResort) -> int:
        """Return the limit: never beyond the value, within the tariffs where that is no loss."""
        if self.strategic:
            return self.value - self.margin_mct if self.buys else self.value + self.margin_mct
        if self.buys:
            return draw.between(min(tariffs.export_mct_per_kwh, self.value), self.value)
        return draw.between(self.value, max(tariffs.import_mct_per_kwh, self.value))

    def learn(self, traded: bool) -> None:
        """Ask for more after a trade, for less after none."""
        self.margin_mct = max(0, self.margin_mct + (_STEP_MCT if traded else -2 * _STEP_MCT))


@dataclass(kw_only=True, slots=True)
class Simulated:
    """What a run came to; ``intervals`` hold price, volume, welfare and imbalance each."""

    engine: Engine
    traders: list[Trader]
    orders: int = 0
    trades: int = 0
    reached_uct: int = 0
    possible_uct: int = 0
    imbalance_uct: int = 0
    intervals: list[dict[str, Any]] = field(default_factory=list)

    def answer(self) -> dict[str, Any]:
        """Return the figures as plain values; the efficiency is in thousandths."""
        prices = [row["price"] for row in self.intervals if row["price"] is not None]
        money, energy = self.engine.ledger_sums()
        return {
            "agents": len(self.traders),
            "intervals": len(self.intervals),
            "orders": self.orders,
            "trades": self.trades,
            "volume_wh": sum(row["volume_wh"] for row in self.intervals),
            "efficiency_permille": _permille(self.reached_uct, self.possible_uct),
            "welfare_uct": self.reached_uct,
            "welfare_possible_uct": self.possible_uct,
            "price": {
                "min": min(prices, default=None),
                "mean": sum(prices) // len(prices) if prices else None,
                "max": max(prices, default=None),
            },
            "gain_uct": {
                name: sum(trader.gained_uct for trader in self.traders if trader.strategic is strategic)
                for name, strategic in (("strategic", True), ("zero_intelligence", False))
            },
            "settlement": {
                "imbalance_wh": sum(abs(row["imbalance_wh"]) for row in self.intervals),
                "imbalance_uct": self.imbalance_uct,
                "ledger": {"lines": self.engine.ledger_lines(), "sum_uct": money, "sum_wh": energy},
            },
            "state_hash": self.engine.state_hash(),
        }


def simulate(*, agents: int, intervals: int, seed: int, mechanism: Mechanism = Mechanism.CALL) -> Simulated:
    """Run a market of agents for some intervals and return its figures; half buy, every fourth is strategic."""
    tariffs = LastResort()
    rules = MarketRules(zone="simulated", mechanism=mechanism, last_resort=tariffs, opening_s=3600, correction_s=900)
    draw = Draw(seed & _MASK)
    traders = [Trader(f"agent-{n}", buys=n % 2 == 0, strategic=n % 4 >= 2) for n in range(agents)]
    run = Simulated(engine=Engine(rules), traders=traders)
    for trader in traders:
        limits = Participant(site=trader.site, import_limit_wh=_LIMIT_WH, export_limit_wh=_LIMIT_WH)
        run.engine.apply(commands.register(limits, at_ms=_BEGIN_MS))
    readings: list[MeterCommand] = []
    for number in range(intervals):
        # An interval's meters are read when it ends, which is after the gate of the next one has closed.
        before, readings = readings, _trade(run, draw, tariffs, _BEGIN_MS + (number + 1) * INTERVAL_MS)
        _settle(run, before)
    _settle(run, readings)
    return run


def _trade(run: Simulated, draw: Draw, tariffs: LastResort, start_ms: int) -> list[MeterCommand]:
    """Trade one interval from order to gate closure; return its meter readings to come."""
    for trader in run.traders:
        trader.value = draw.between(5_000, 40_000) if trader.buys else draw.between(1_000, 30_000)
        trader.quantity_wh = draw.between(100, 4_000)
        trader.traded_wh = 0
    possible = clear(_true_orders(run.traders, tariffs)).welfare_uct
    outcome = Outcome()
    for command in _orders(run, draw, tariffs, start_ms):
        _merge(outcome, run.engine.apply(command))
    _merge(outcome, run.engine.apply(commands.tick(at_ms=start_ms - run.engine.rules.gate_closure_s * 1000)))
    reached = _gains(run, outcome, tariffs)
    run.trades += len(outcome.trades)
    run.reached_uct += reached
    run.possible_uct += possible
    product = run.engine.product(start_ms)
    assert product is not None, "a product is remembered until it is settled"
    run.intervals.append(
        {
            "start_ms": start_ms,
            "price": product.price,
            "volume_wh": product.volume_wh,
            "welfare_uct": reached,
            "imbalance_wh": 0,
        }
    )
    return [_reading(trader, draw, start_ms) for trader in run.traders]


def _settle(run: Simulated, readings: list[MeterCommand]) -> None:
    """Deliver the readings of one interval and book its imbalance."""
    settled = Outcome()
    for reading in readings:
        _merge(settled, run.engine.apply(reading))
    run.imbalance_uct += sum(line.imbalance_uct for line in settled.settlements)
    imbalance: dict[int, int] = {}
    for line in settled.settlements:
        imbalance[line.interval_ms] = imbalance.get(line.interval_ms, 0) + line.imbalance_wh
    for row in run.intervals:
        row["imbalance_wh"] += imbalance.get(row["start_ms"], 0)


def _orders(run: Simulated, draw: Draw, tariffs: LastResort, start_ms: int) -> Iterator[Command]:
    at_ms = start_ms - 2 * run.engine.rules.gate_closure_s * 1000
    yield commands.tick(at_ms=at_ms)
    for trader in run.traders:
        run.orders += 1
        yield {
            "op": "new",
            "at_ms": at_ms,
            "site": trader.site,
            "order_id": f"{start_ms}",
            "interval_ms": start_ms,
            "side": "buy" if trader.buys else "sell",
            "quantity_wh": trader.quantity_wh,
            "price_mct_per_kwh": trader.price(draw, tariffs),
        }


def _gains(run: Simulated, outcome: Outcome, tariffs: LastResort) -> int:
    """Book what each trade was truly worth to both sides; return the welfare."""
    traders = {trader.site: trader for trader in run.traders}
    utility = {UTILITY_SELLS: tariffs.import_mct_per_kwh, UTILITY_BUYS: tariffs.export_mct_per_kwh}
    welfare = 0
    for trade in outcome.trades:
        for site, order_id, sign in (
            (trade.buy_site, trade.buy_order, 1),
            (trade.sell_site, trade.sell_order, -1),
        ):
            worth = utility[order_id] if site == UTILITY else traders[site].value
            welfare += sign * worth * trade.quantity_wh
            if site != UTILITY:
                traders[site].gained_uct += sign * (worth - trade.price_mct_per_kwh) * trade.quantity_wh
                traders[site].traded_wh += sign * trade.quantity_wh
    for trader in run.traders:
        trader.learn(trader.traded_wh != 0)
    return welfare


def _true_orders(traders: list[Trader], tariffs: LastResort) -> Iterator[AuctionOrder]:
    rows = [(t.site, Side.BUY if t.buys else Side.SELL, t.quantity_wh, t.value) for t in traders]
    rows.append((UTILITY_SELLS, Side.SELL, tariffs.import_wh, tariffs.import_mct_per_kwh))
    rows.append((UTILITY_BUYS, Side.BUY, tariffs.export_wh, tariffs.export_mct_per_kwh))
    for place, (name, side, quantity, value) in enumerate(rows):
        yield AuctionOrder(
            order_id=name, agent=name, side=side, quantity_wh=quantity, limit_mct_per_kwh=value, sequence=place
        )


def _reading(trader: Trader, draw: Draw, start_ms: int) -> MeterCommand:
    """Return a meter reading that misses the position by up to a tenth."""
    missed = abs(trader.traded_wh) // 10
    net = trader.traded_wh + draw.between(-missed, missed)
    return {
        "op": "meter",
        "at_ms": start_ms + INTERVAL_MS,
        "site": trader.site,
        "interval_ms": start_ms,
        "import_wh": max(net, 0),
        "export_wh": max(-net, 0),
        "version": 1,
    }


def _merge(total: Outcome, more: Outcome) -> None:
    total.trades += more.trades
    total.settlements += more.settlements


def _permille(part: int, whole: int) -> int | None:
    return part * 1000 // whole if whole else None
