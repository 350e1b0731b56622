"""Battery energy over time: no set of trades empties a battery below nothing or fills it above its room."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from cloud.market import commands
from cloud.market.engine import BadCommand, Engine
from cloud.market.storage import battery_wh
from contracts.market import OrderStatus
from tests.support.branches import Branches
from tests.support.market.streams import INTERVALS, SITES, T0_MS, Command, participants, rules, streams

FIRST, SECOND = INTERVALS
STORED_WH, ROOM_WH, OWN_WH = 7, 5, (2, -3)


def _announce(**changes: Any) -> Command:
    told: dict[str, Any] = {"site": "farm", "interval_ms": FIRST, "stored_wh": STORED_WH, "room_wh": ROOM_WH}
    return dict(commands.storage(at_ms=T0_MS, **(told | changes)))


def _engine(**announced: Any) -> Engine:
    engine = Engine(rules(fee_mct_per_kwh=0))
    for command in participants():
        engine.apply(command)
    engine.apply(commands.tick(at_ms=T0_MS))
    engine.apply(_announce(**announced))
    return engine


def _order(order_id: str, side: str, quantity: int, interval: int, *, site: str = "farm") -> Command:
    return {
        "op": "new",
        "at_ms": T0_MS,
        "site": site,
        "order_id": order_id,
        "interval_ms": interval,
        "side": side,
        "quantity_wh": quantity,
        "price_mct_per_kwh": 10,
    }


def _refusal(engine: Engine, command: Command) -> str | None:
    return engine.apply(command).replies[0].refusal


_levels = Branches("battery traded")


@_levels
@settings(max_examples=60, deadline=None)
@given(stream=streams())
def test_no_stream_of_orders_sells_energy_that_the_battery_has_not_or_buys_more_than_it_takes(
    stream: list[Command],
) -> None:
    """Whatever trades and whatever does not, the battery can do it in order of time."""
    engine = Engine(rules())
    for command in stream[: len(SITES)]:
        engine.apply(command)
    for site in SITES:
        engine.apply(_announce(site=site, own_net_wh=OWN_WH) | {"at_ms": T0_MS - 3_600_000})
    for command in stream[len(SITES) :]:
        engine.apply(command)
        for site in SITES:
            level_wh = STORED_WH
            for interval, own_wh in zip(INTERVALS, OWN_WH, strict=True):
                product = engine.product(interval)
                net_wh = 0 if product is None or site not in product.positions else product.positions[site].net_wh
                level_wh += battery_wh(net_wh=net_wh, own_net_wh=own_wh)
                assert 0 <= level_wh <= STORED_WH + ROOM_WH
                _levels.met("battery traded", net_wh)


def test_energy_is_sold_once_over_all_intervals() -> None:
    """Seven Wh in the battery are seven Wh, though each interval alone would carry twelve."""
    engine = _engine()
    assert _refusal(engine, _order("a", "sell", 5, SECOND)) is None
    assert _refusal(engine, _order("b", "sell", 3, FIRST)) == "storage"
    assert _refusal(engine, _order("c", "sell", 2, FIRST)) is None


def test_only_what_is_bought_for_certain_can_be_sold_later() -> None:
    """An open order to buy may never trade; a trade has."""
    engine = _engine(stored_wh=0)
    assert _refusal(engine, _order("b", "buy", 4, FIRST)) is None
    assert _refusal(engine, _order("s1", "sell", 4, SECOND)) == "storage"
    engine.apply(_order("x", "sell", 4, FIRST, site="mill"))
    assert _refusal(engine, _order("s2", "sell", 4, SECOND)) is None
    assert _refusal(engine, _order("s3", "sell", 1, FIRST)) == "storage"


def test_what_a_battery_has_no_room_for_cannot_be_sold_later() -> None:
    """A purchase that a newer announcement leaves no room for stands as a trade, but fills nothing."""
    engine = _engine(stored_wh=0)
    engine.apply(_order("b", "buy", 4, FIRST))
    engine.apply(_order("x", "sell", 4, FIRST, site="mill"))
    engine.apply(_announce(stored_wh=0, room_wh=1))
    assert _refusal(engine, _order("s1", "sell", 2, SECOND)) == "storage"
    assert _refusal(engine, _order("s2", "sell", 1, SECOND)) is None


def test_own_generation_and_load_need_no_battery() -> None:
    """A roof sells what it makes and a house buys what it uses, whatever the battery holds."""
    engine = _engine(stored_wh=0, room_wh=0, own_net_wh=[-5, 6])
    assert _refusal(engine, _order("a", "sell", 5, FIRST)) is None
    assert _refusal(engine, _order("b", "sell", 1, FIRST)) == "storage"
    assert _refusal(engine, _order("c", "buy", 6, SECOND)) is None
    assert _refusal(engine, _order("d", "buy", 1, SECOND)) == "storage"


def test_a_battery_that_turns_out_empty_sells_nothing_at_gate_closure() -> None:
    """The latest orders go first, as with the connection."""
    engine = _engine()
    engine.apply(_order("early", "sell", 3, FIRST))
    engine.apply(_order("late", "sell", 4, FIRST))
    engine.apply(_announce(stored_wh=3))
    outcome = engine.apply(commands.tick(at_ms=FIRST - 300_000))
    ends = {reply.order_id: (reply.status, reply.refusal) for reply in outcome.replies}
    assert ends["late"] == (OrderStatus.CANCELLED, "storage")
    assert ends["early"][1] is None


def test_an_announcement_outlives_a_restart_and_a_broken_one_changes_nothing() -> None:
    """Without it the restored engine would sell the battery twice."""
    engine = _engine(own_net_wh=[1, 2])
    again = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    assert again.state_hash() == engine.state_hash()
    assert _refusal(again, _order("a", "sell", 8, FIRST)) == "storage"
    with pytest.raises(BadCommand, match="own_net_wh"):
        engine.apply(_announce() | {"own_net_wh": [1.5]})


def test_a_purchase_that_no_longer_fits_leaves_the_load_its_energy() -> None:
    """A forecast that falls after the trade is imbalance there, not darkness in every interval that follows."""
    engine = _engine(stored_wh=5, room_wh=0, own_net_wh=[6, 6])
    assert _refusal(engine, _order("b", "buy", 6, FIRST)) is None
    engine.apply(_order("x", "sell", 6, FIRST, site="mill"))
    engine.apply(_announce(stored_wh=5, room_wh=0, own_net_wh=[2, 6]))
    assert _refusal(engine, _order("more", "buy", 1, FIRST)) == "storage"
    assert _refusal(engine, _order("load", "buy", 6, SECOND)) is None
    outcome = engine.apply(commands.tick(at_ms=SECOND - 300_000))
    assert all(reply.refusal != "storage" for reply in outcome.replies)
