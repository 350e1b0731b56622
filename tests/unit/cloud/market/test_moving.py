"""A market moves to another edition of its rules: what was settled stays, what is to come settles by the new."""

import json
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from cloud.market import commands
from cloud.market.engine import BadCommand, Engine
from cloud.market.moving import moved_rules, unfit, with_parameters
from cloud.market.product import INTERVAL_MS
from cloud.market.rules import MarketRules, Participant
from tests.support.market.streams import T0_MS
from tests.unit.cloud.market.test_honest_money import LATE, market, owed, read

FIRST = T0_MS + INTERVAL_MS
OLD = MarketRules(edition=1, zone="street", imbalance="single", estimate="schedule")  # type: ignore[arg-type]
CONFIGURED = MarketRules(zone="street")


def _market() -> Engine:
    """Return a market of the first edition in which nobody traded and the first interval is settled."""
    engine = Engine(OLD)
    for site in ("farm", "mill"):
        participant = Participant(site=site, import_limit_wh=2000, export_limit_wh=2000)
        engine.apply(commands.register(participant, at_ms=T0_MS))
    engine.apply(commands.tick(at_ms=T0_MS))
    _read(engine, FIRST, farm_wh=-1000, mill_wh=1500)
    return engine


def _read(engine: Engine, start_ms: int, *, farm_wh: int, mill_wh: int, version: int = 1) -> None:
    for site, net_wh in (("farm", farm_wh), ("mill", mill_wh)):
        engine.apply(
            {"op": "meter", "at_ms": start_ms + INTERVAL_MS, "site": site, "interval_ms": start_ms, "version": version}
            | {"import_wh": max(net_wh, 0), "export_wh": max(-net_wh, 0)}
        )


def _move(engine: Engine, rules: MarketRules) -> None:
    engine.apply(commands.move_rules(rules, by="ann", reason="agreed", at_ms=FIRST + INTERVAL_MS + 1))


def test_what_was_settled_stays_and_what_comes_settles_by_the_new_edition() -> None:
    """By the first edition who sold nothing earns the import tariff in a short interval, later it does not."""
    engine = _market()
    assert engine.balances()["farm"][0] == -1000 * 30_000
    _move(engine, moved_rules(OLD, CONFIGURED))
    assert (engine.rules.edition, engine.rules.version, engine.rules.imbalance) == (3, 2, "spread")
    assert engine.balances()["farm"][0] == -1000 * 30_000
    _read(engine, FIRST + INTERVAL_MS, farm_wh=-1000, mill_wh=1500)
    assert engine.balances()["farm"][0] == -1000 * 30_000 - 1000 * 8_000


def test_a_correction_of_what_was_settled_before_is_made_by_its_own_edition() -> None:
    """A reading above the connection was no case of the first edition, and is none for its intervals."""
    engine = _market()
    _move(engine, moved_rules(OLD, CONFIGURED))
    restored = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    for one in (engine, restored):
        _read(one, FIRST, farm_wh=-5000, mill_wh=1500, version=2)
    assert engine.balances()["farm"] == (-5000 * 30_000, -5000)
    assert engine.state_hash() == restored.state_hash()
    assert engine.ledger_sums() == (0, 0)


def test_parameters_change_within_an_edition_and_what_was_settled_keeps_its_own() -> None:
    """A market of the first edition that moved, and then takes a fee, still corrects its first day by the first."""
    engine = _market()
    _move(engine, moved_rules(OLD, CONFIGURED))
    changed = with_parameters(engine.rules, {"fee_mct_per_kwh": 100, "capped_free_uct": 5})
    _move(engine, changed)
    assert (engine.rules.fee_mct_per_kwh, engine.rules.claims.capped_free_uct, engine.rules.version) == (100, 5, 3)
    _read(engine, FIRST, farm_wh=-5000, mill_wh=1500, version=2)
    assert engine.balances()["farm"] == (-5000 * 30_000, -5000)
    restored = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    assert restored.state_hash() == engine.state_hash() and engine.ledger_sums() == (0, 0)


def _bought_below_zero(**changes: Any) -> Engine:
    """Return a market in which the mill bought 700 Wh at -20 mct a kWh and no reading of it came."""
    engine = market({"farm": ("sell", 700, -20), "mill": ("buy", 700, -20)}, imbalance="spread", **changes)
    read(engine, "farm", -700)
    engine.apply(commands.tick(at_ms=LATE))
    return engine


def test_a_journal_of_the_second_edition_replays_to_the_sums_that_it_was_settled_with() -> None:
    """A restart reads the journal again: another sum than the tables hold would be reversed by a later reading."""
    old, new = _bought_below_zero(edition=2), _bought_below_zero()
    # The second edition counts the purchase as taken, for which the mill is paid; the third as not taken.
    assert (owed(old, "mill"), owed(new, "mill")) == (-13_600, 0)
    for engine in (old, new):
        restored = Engine.restore(json.loads(json.dumps(engine.snapshot())))
        assert restored.state_hash() == engine.state_hash() and engine.ledger_sums() == (0, 0)
    # Both come to the same once the reading is there.
    for engine in (old, new):
        read(engine, "mill", 680)
        assert owed(engine, "mill") == -13_600


def test_a_market_that_moves_twice_corrects_each_interval_by_the_edition_that_settled_it() -> None:
    """What settled by the first stays there through both moves, and what settled by the second stays there."""
    engine = _market()
    second = moved_rules(OLD, CONFIGURED).model_copy(update={"edition": 2})
    _move(engine, second)
    _read(engine, FIRST + INTERVAL_MS, farm_wh=-1000, mill_wh=1500)
    third = moved_rules(second, CONFIGURED)
    assert third.edition == 3
    engine.apply(commands.move_rules(third, by="ann", reason="agreed", at_ms=FIRST + 2 * INTERVAL_MS + 1))
    first, next_one, open_one = (engine.product(FIRST + place * INTERVAL_MS) for place in range(3))
    assert first is not None and next_one is not None and open_one is not None
    assert (first.edition, next_one.edition, open_one.edition) == (1, 2, None)
    _read(engine, FIRST, farm_wh=-5000, mill_wh=1500, version=2)
    assert engine.ledger_sums() == (0, 0)
    restored = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    assert restored.state_hash() == engine.state_hash()


@pytest.mark.parametrize("edition", [2, 3])
def test_parameters_change_in_every_edition_but_the_first(edition: int) -> None:
    """A change that a journal of the second edition holds is taken again when it is read."""
    old = CONFIGURED.model_copy(update={"edition": edition})
    assert unfit(old, with_parameters(old, {"fee_mct_per_kwh": 100})) is None
    assert unfit(OLD, with_parameters(OLD, {"fee_mct_per_kwh": 100})) is not None


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300), st.integers(0, 30_000)), min_size=1, max_size=8))
def test_another_fee_is_held_for_orders_that_stand_and_given_back_with_them(
    orders: list[tuple[bool, int, int]],
) -> None:
    """What an order can cost is a running sum: with the fee it held before, a site would never get back to nothing."""
    engine = Engine(MarketRules(zone="street"))
    engine.apply(commands.register(Participant(site="mill", import_limit_wh=10**6, export_limit_wh=10**6), at_ms=T0_MS))
    engine.apply(commands.tick(at_ms=T0_MS))
    start = T0_MS + 8 * INTERVAL_MS
    for number, (buy, quantity_wh, price) in enumerate(orders):
        engine.apply(
            {"op": "new", "at_ms": T0_MS, "id": f"1.{number}", "site": "mill", "order_id": f"o{number}"}
            | {"interval_ms": start, "quantity_wh": quantity_wh, "price_mct_per_kwh": price}
            | {"side": "buy" if buy else "sell", "tif": "gtc"}
        )
    standing = engine.product(start)
    assert standing is not None
    resting = sum(order.quantity for order in standing.book.orders())
    event(f"orders stand: {resting > 0}")
    before = engine.snapshot()["state"]["accounts"]["mill"]["open_cost_uct"]
    _move(engine, with_parameters(engine.rules, {"fee_mct_per_kwh": 700}))
    assert engine.snapshot()["state"]["accounts"]["mill"]["open_cost_uct"] == before + 700 * resting
    for number in range(len(orders)):
        engine.apply(
            {"op": "cancel", "at_ms": T0_MS, "id": f"2.{number}", "site": "mill", "order_id": f"o{number}"}
            | {"interval_ms": start}
        )
    assert engine.snapshot()["state"]["accounts"]["mill"]["open_cost_uct"] == 0


@pytest.mark.parametrize(
    ("change", "word"),
    [({"tick_mct_per_kwh": 5}, "would change tick_mct_per_kwh"), ({"edition": 1}, "has edition 1"), ({}, "")],
)
def test_a_move_changes_how_a_market_settles_never_how_it_trades(change: dict[str, int], word: str) -> None:
    """An order that stands was taken under the rules of its day."""
    engine = _market()
    before = engine.state_hash()
    rules = moved_rules(OLD, CONFIGURED).model_copy(update=change)
    if not word:
        _move(engine, rules)
        with pytest.raises(BadCommand, match="has edition 3, the market has 3"):
            _move(engine, rules)
        return
    with pytest.raises(BadCommand, match=word):
        _move(engine, rules)
    assert engine.rules.edition == 1 and before != ""
