"""Random command streams for one market, and an independent judge of what came out."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st

from cloud.market import commands
from cloud.market.engine import Engine
from cloud.market.product import INTERVAL_MS
from cloud.market.rules import LINES, UTILITY, MarketRules, Participant
from cloud.market.state import Outcome, Trade
from contracts.market import OrderStatus

# A quarter of an hour, 2025-10-09 09:30 UTC.
T0_MS = 1_760_002_200_000
SITES = ("farm", "mill", "home-1", "home-2")
LIMIT_WH = 12
INTERVALS = (T0_MS + INTERVAL_MS, T0_MS + 2 * INTERVAL_MS)
DONE = (OrderStatus.FILLED, OrderStatus.PARTLY_FILLED, OrderStatus.UNFILLED, OrderStatus.CANCELLED)

NO_AREAS: Mapping[str, str] = MappingProxyType({})

Command = dict[str, Any]


def participants(areas: Mapping[str, str] = NO_AREAS) -> list[Command]:
    """Return the registrations that every stream begins with; both homes have one owner."""
    return [
        dict(
            commands.register(
                Participant(
                    site=site,
                    owner="smith" if site.startswith("home") else "",
                    import_limit_wh=LIMIT_WH,
                    export_limit_wh=LIMIT_WH,
                    credit_limit_uct=500,
                    area=areas.get(site, ""),
                ),
                at_ms=T0_MS - 3_600_000,
            )
        )
        for site in SITES
    ]


def rules(**changes: Any) -> MarketRules:
    """Return rules with small numbers, so that random orders meet."""
    settings: dict[str, Any] = {
        "zone": "north",
        "price_mct_per_kwh_min": -20,
        "price_mct_per_kwh_max": 60,
        "opening_s": 3600,
        "fee_mct_per_kwh": 1,
        "last_resort": {"import_mct_per_kwh": 30, "export_mct_per_kwh": 8, "import_wh": 20, "export_wh": 20},
    }
    return MarketRules.model_validate(settings | changes)


@st.composite
def streams(draw: st.DrawFn, size: int = 40, areas: Mapping[str, str] = NO_AREAS) -> list[Command]:
    """Return commands of rising instants that span trading, closure, delivery and settlement of two products."""
    found = participants(areas)
    at_ms = T0_MS
    for number in range(draw(st.integers(0, size))):
        at_ms += draw(st.sampled_from([0, 1000, 40_000, 40_000, 200_000]))
        found.append(_command(draw, number, at_ms))
    return [*found, dict(commands.tick(at_ms=T0_MS + 6 * INTERVAL_MS))]


def _command(draw: st.DrawFn, number: int, at_ms: int) -> Command:
    op = draw(st.sampled_from(["new"] * 8 + ["modify", "cancel", "tick", "meter", "meter", "capacity"]))
    site, interval = draw(st.sampled_from(SITES)), draw(st.sampled_from(INTERVALS))
    command: Command = {"op": op, "at_ms": at_ms}
    if op == "tick":
        return command
    command |= {"site": site, "interval_ms": interval}
    if op == "meter":
        return command | {
            "import_wh": draw(st.integers(0, 15)),
            "export_wh": draw(st.integers(0, 15)),
            "version": draw(st.integers(1, 3)),
        }
    if op == "capacity":
        return command | {"import_wh": draw(st.integers(0, 15)), "export_wh": draw(st.integers(0, 15))}
    command |= {"id": f"c{number}", "order_id": f"o{draw(st.integers(0, 8))}"}
    if op == "cancel":
        return command
    command |= {"quantity_wh": draw(st.integers(1, 9)), "price_mct_per_kwh": draw(st.integers(-3, 40))}
    if op == "modify":
        return command
    tif = draw(st.sampled_from(["gtc", "gtc", "gtd", "ioc", "fok"]))
    command |= {"side": draw(st.sampled_from(["buy", "sell"])), "tif": tif, "post_only": draw(st.booleans())}
    return command | ({"good_till_ms": at_ms + draw(st.integers(1, 400_000))} if tif == "gtd" else {})


def run(engine: Engine, stream: list[Command]) -> list[Outcome]:
    """Apply a stream and judge the engine after every command."""
    outcomes = []
    for command in stream:
        outcome = engine.apply(command)
        outcomes.append(outcome)
        judge(engine, outcome)
    return outcomes


def judge(engine: Engine, outcome: Outcome) -> None:
    """Assert what must hold after every command: sums, limits, gates, owners, conservation, integers."""
    assert engine.ledger_sums() == (0, 0)
    for line in outcome.lines:
        assert type(line.money_uct) is int
        assert type(line.energy_wh) is int
    for trade in outcome.trades:
        _judge_trade(engine, trade)
    for interval in INTERVALS:
        product = engine.product(interval)
        if product is None:
            continue
        for order in product.orders:
            assert order.traded_wh + order.open_wh + order.cancelled_wh == order.quantity_wh
            assert (order in product.book) == (order.open_wh > 0)
            if engine.now_ms >= product.times.gate_ms:
                assert order.open_wh == 0
                assert order.status in (*DONE, OrderStatus.REJECTED)
        for position in product.positions.values():
            assert -LIMIT_WH <= position.net_wh <= LIMIT_WH
            assert position.open_buy_wh >= 0
            assert position.open_sell_wh >= 0
        for site in product.positions:
            mine = [order for order in product.orders if order.site == site]
            position = product.positions[site]
            assert sum(o.open_wh for o in mine if o.buy) == position.open_buy_wh
            assert sum(o.open_wh for o in mine if not o.buy) == position.open_sell_wh


def _judge_trade(engine: Engine, trade: Trade) -> None:
    product = engine.product(trade.interval_ms)
    assert product is not None
    owners = {participant.site: participant.account_owner for participant in engine.participants()}
    assert owners.get(trade.buy_site, trade.buy_site) != owners.get(trade.sell_site, trade.sell_site)
    for site, order_id, sign in (
        (trade.buy_site, trade.buy_order, 1),
        (trade.sell_site, trade.sell_order, -1),
    ):
        if site == LINES:
            continue
        tariff = 30 if sign < 0 else 8
        order = engine.order(site, order_id)
        limit = tariff if site == UTILITY or order is None else order.price
        assert sign * trade.price_mct_per_kwh <= sign * limit


FIRST_ORDERS: list[Command] = [
    {
        "op": "new",
        "at_ms": T0_MS,
        "site": site,
        "order_id": "a",
        "interval_ms": INTERVALS[0],
        "side": side,
        "quantity_wh": 5,
        "price_mct_per_kwh": price,
    }
    for site, side, price in (("farm", "sell", 10), ("mill", "buy", 12))
]
