"""Nothing is paid without a reading, nothing settles that cannot be, and nobody gains by not trading."""

import json
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from cloud.market import commands
from cloud.market.engine import Engine
from cloud.market.product import INTERVAL_MS
from cloud.market.rules import MarketRules, Participant
from cloud.market.settlement import imbalance_prices, spread_prices
from cloud.market.shapes import EventCommand
from cloud.market.state import Outcome, SiteSettlement
from tests.support.market.streams import T0_MS, rules

FIRST = T0_MS + INTERVAL_MS
END = FIRST + INTERVAL_MS
LATE = END + 600_000
DAY_MS = 86_400_000
CONNECTION_WH = 2000
FULL = {
    "tick_mct_per_kwh": 1,
    "quantity_wh_min": 1,
    "gate_closure_s": 300,
    "call_s": 300,
    "version": 1,
    "mechanism": "call",
    "tie": "time",
    "price_rule": "low",
    "fee_mct_per_kwh": 0,
    "self_trade": "cancel-resting",
    "imbalance": "single",
    "meter_wait_s": 600,
    "estimate": "schedule",
    "correction_s": 40 * 86_400,
    "position_limits": [],
    "commands_per_minute": 6000,
    "open_orders_max": 1000,
}


def market(orders: dict[str, tuple[str, int, int]], **changes: Any) -> Engine:
    """Return a market after delivery in which each site had one order ``(side, Wh, price)``, and perhaps traded."""
    settings = {"mechanism": "call", "fee_mct_per_kwh": 0, "price_rule": "low"} | changes
    engine = Engine(rules(**settings))
    for site in sorted(orders):
        participant = Participant(site=site, import_limit_wh=CONNECTION_WH, export_limit_wh=CONNECTION_WH)
        engine.apply(commands.register(participant, at_ms=T0_MS))
    for site, (side, quantity_wh, price) in orders.items():
        order = {"op": "new", "at_ms": T0_MS, "site": site, "order_id": "a", "interval_ms": FIRST, "side": side}
        if quantity_wh:
            engine.apply(order | {"quantity_wh": quantity_wh, "price_mct_per_kwh": price})
    engine.apply(commands.tick(at_ms=END))
    return engine


def traded(**changes: Any) -> Engine:
    """Return a market in which the farm sold the mill 1000 Wh at 20."""
    return market({"farm": ("sell", 1000, 20), "mill": ("buy", 1000, 20)}, **changes)


def read(engine: Engine, site: str, net_wh: int, **more: Any) -> Outcome:
    """Take a reading."""
    reading = {"op": "meter", "at_ms": END, "site": site, "interval_ms": FIRST, "version": 1}
    return engine.apply(reading | {"import_wh": max(net_wh, 0), "export_wh": max(-net_wh, 0)} | more)


def reduction(flags: tuple[str, ...] = (), committed_wh: int = 300, price: int = 50) -> EventCommand:
    """Return the mill's commitment against a baseline of 1000 Wh."""
    line = commands.dr_line(
        site="mill", interval_ms=FIRST, committed_wh=committed_wh, baseline_wh=1000, method="m", flags=flags
    )
    return commands.dr_event(event="e1", price_mct_per_kwh=price, penalty_mct_per_kwh=70, lines=[line], at_ms=END)


def of(outcome: Outcome, site: str) -> SiteSettlement:
    """Return a site's settlement."""
    return next(settled for settled in outcome.settlements if settled.site == site)


def owed(engine: Engine, site: str) -> int:
    """Return what a site owes, in millionths of a cent."""
    return engine.balances().get(site, (0, 0))[0]


@pytest.mark.parametrize("net_wh", [10**9, -(10**9), 2201, -2201])
def test_a_reading_above_the_connection_is_held_and_moves_nobody(net_wh: int) -> None:
    """One wrong register was 300,000 EUR, and everybody's imbalance price."""
    engine, sound = traded(imbalance="single"), traded(imbalance="single")
    answer = read(engine, "mill", net_wh).answers[0]
    assert answer.reason is not None and "2200 Wh that the connection can carry" in answer.reason
    for one in (engine, sound):
        read(one, "farm", -1000)
    outcome, without = engine.apply(commands.tick(at_ms=LATE)), sound.apply(commands.tick(at_ms=LATE))
    assert of(outcome, "farm") == of(without, "farm")
    held = of(outcome, "mill")
    assert (held.method, held.estimated, held.metered_wh) == ("implausible", True, 1000)
    restored = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    corrected = of(read(restored, "mill", 1100, version=2), "mill")
    assert (corrected.method, corrected.metered_wh, corrected.estimated) == ("late", 1100, False)
    assert restored.ledger_sums() == (0, 0)


def test_a_reading_that_the_connection_can_carry_settles() -> None:
    """Fuses are slow and meters have tolerances; an agreed export limit of zero is no physics."""
    engine = traded()
    assert read(engine, "mill", 2200).answers[0].reason is None


def test_a_seller_without_a_meter_is_not_paid_until_it_reads() -> None:
    """A sale that nobody saw delivered counts as undelivered, the buyer's trade stands."""
    engine = traded()
    read(engine, "mill", 1000)
    farm = of(engine.apply(commands.tick(at_ms=LATE)), "farm")
    assert (farm.method, farm.imbalance_wh, farm.imbalance_mct_per_kwh) == ("worst", 1000, 30)
    assert owed(engine, "farm") == 1000 * (30 - 20) > 0
    assert owed(engine, "mill") == 1000 * 20
    read(engine, "farm", -1000)
    assert owed(engine, "farm") == -1000 * 20
    assert engine.ledger_sums() == (0, 0)


@pytest.mark.parametrize("estimated", [True, False], ids=["estimated", "missing"])
def test_demand_response_is_open_without_a_reading_and_lost_at_the_end(estimated: bool) -> None:
    """Nothing is paid on an estimate; whoever never reads is charged for what it did not prove."""
    engine = traded(final_days=2)
    engine.apply(reduction())
    read(engine, "farm", -1000)
    outcome = read(engine, "mill", 700, estimated=True) if estimated else engine.apply(commands.tick(at_ms=LATE))
    mill = of(outcome, "mill")
    assert (mill.demand_response_wh, mill.demand_response_uct, mill.estimated) == (0, 0, True)
    corrected = of(read(Engine.restore(engine.snapshot()), "mill", 700, version=2), "mill")
    assert (corrected.demand_response_wh, corrected.demand_response_uct) == (300, -300 * 50)
    final = engine.apply(commands.tick(at_ms=LATE + 2 * DAY_MS))
    mill = of(final, "mill")
    assert (mill.method, mill.demand_response_wh, mill.demand_response_uct) == ("final", 0, 300 * 70)
    assert any(line.reference == "final: no reading in 2 days" for line in final.lines) or not mill.imbalance_wh
    assert read(engine, "mill", 700, version=2, at_ms=LATE + 2 * DAY_MS + 1).answers[0].reason is not None
    assert engine.ledger_sums() == (0, 0)


@pytest.mark.parametrize("imbalance", ["spread", "single", "two-price"])
@given(farm=st.integers(-1500, 500), mill=st.integers(-500, 1500), third=st.integers(-1500, 1500))
def test_a_late_reading_is_never_cheaper_than_one_on_time(imbalance: str, farm: int, mill: int, third: int) -> None:
    """Otherwise a site would wait to see the prices."""
    orders = {"farm": ("sell", 1000, 20), "mill": ("buy", 1000, 20), "home": ("buy", 0, 0)}
    prompt, waits = market(orders, imbalance=imbalance), market(orders, imbalance=imbalance)
    for engine in (prompt, waits):
        read(engine, "mill", mill)
        read(engine, "home", third)
    read(prompt, "farm", farm)
    waits.apply(commands.tick(at_ms=LATE))
    read(waits, "farm", farm, at_ms=LATE + 1)
    prompt.apply(commands.tick(at_ms=LATE))
    event("dearer" if owed(waits, "farm") > owed(prompt, "farm") else "equal")
    assert owed(waits, "farm") >= owed(prompt, "farm")


price = st.integers(8, 30)
books = st.dictionaries(
    st.sampled_from(["farm", "mill", "home-1", "home-2", "home-3"]),
    st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 20), price),
    min_size=2,
)


@given(book=books, value=price, off_wh=st.integers(-30, 30), data=st.data())
def test_metered_as_traded_is_best_for_every_site(
    book: dict[str, tuple[str, int, int]], value: int, off_wh: int, data: st.DataObject
) -> None:
    """With the trades fixed, a kWh more costs at least what any is worth, and a kWh less brings at most that."""
    off = data.draw(st.sampled_from(sorted(book)))
    others = {site: data.draw(st.integers(-30, 30)) for site in book if site != off}
    costs = []
    for deviation_wh in (0, off_wh):
        engine = market(book)
        product = engine.product(FIRST)
        assert product is not None
        for site in book:
            position = product.positions.get(site)
            net_wh = position.net_wh if position else 0
            read(engine, site, net_wh + (deviation_wh if site == off else others[site]))
        costs.append(owed(engine, off) - value * deviation_wh)
    assert costs[0] <= costs[1]


@given(book=books, data=st.data())
def test_no_site_gains_by_withdrawing_an_order_that_it_can_deliver(
    book: dict[str, tuple[str, int, int]], data: st.DataObject
) -> None:
    """Selling never earns less than not selling, whoever is pivotal; the meters are the same in both worlds."""
    site = data.draw(st.sampled_from(sorted(book)))
    engine = market(book)
    product = engine.product(FIRST)
    assert product is not None
    nets = {name: (product.positions[name].net_wh if name in product.positions else 0) for name in book}
    event("filled" if nets[site] else "not filled")
    without = market(book | {site: (book[site][0], 0, 0)})
    for name, net_wh in nets.items():
        read(engine, name, net_wh)
        read(without, name, net_wh)
    assert owed(engine, site) <= owed(without, site)


@given(low=st.integers(-20, 60), more=st.integers(0, 20))
def test_the_spread_holds_every_trade_and_both_tariffs(low: int, more: int) -> None:
    """Between long and short lies every price at which anyone traded or could have."""
    prices = spread_prices(rules(), start_ms=0, low_mct_per_kwh=low, high_mct_per_kwh=low + more)
    assert prices.long_mct_per_kwh <= min(low, 8) <= max(low + more, 30) <= prices.short_mct_per_kwh


@pytest.mark.parametrize("imbalance", ["spread", "single", "two-price"])
def test_without_tariff_and_trade_the_price_is_a_rule(imbalance: str) -> None:
    """100 kWh were free because nobody had traded."""
    bare = rules(imbalance=imbalance, last_resort=None)
    prices = imbalance_prices(bare, start_ms=0, market_mct_per_kwh=None, system_wh=5)
    assert (prices.short_mct_per_kwh, prices.long_mct_per_kwh) == (60, -20)
    named = rules(imbalance=imbalance, last_resort=None, imbalance_short_mct_per_kwh=40, imbalance_long_mct_per_kwh=3)
    prices = imbalance_prices(named, start_ms=0, market_mct_per_kwh=None, system_wh=5)
    assert (prices.short_mct_per_kwh, prices.long_mct_per_kwh) == (40, 3)
    with pytest.raises(ValueError, match="being out would pay"):
        rules(imbalance_short_mct_per_kwh=3, imbalance_long_mct_per_kwh=4)


@pytest.mark.parametrize("flags", [("few-days",), ("high-adjustment-load",), ("unadjusted",), ("capped", "few-days")])
def test_a_flagged_claim_waits_for_a_person(flags: tuple[str, ...]) -> None:
    """A baseline that looks odd is money that someone may have made up."""
    engine = traded()
    engine.apply(reduction(flags))
    read(engine, "farm", -1000)
    settled = of(read(engine, "mill", 700), "mill")
    assert (settled.demand_response_wh, settled.demand_response_uct) == (0, 0)
    assert [(site, line.event) for _, site, line in engine.open_claims()] == [("mill", "e1")]
    restored = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    approved = restored.apply(
        commands.claim(event="e1", site="mill", approve=True, by="ann", reason="looked at", at_ms=LATE)
    )
    assert of(approved, "mill").demand_response_uct == -300 * 50
    assert of(approved, "mill").imbalance_wh == 0
    refused = engine.apply(commands.claim(event="e1", site="mill", approve=False, by="ann", reason="no", at_ms=LATE))
    assert refused.settlements == []
    assert engine.open_claims() == restored.open_claims() == []
    assert engine.ledger_sums() == restored.ledger_sums() == (0, 0)
    unknown = engine.apply(commands.claim(event="e2", site="mill", approve=True, by="a", reason="r", at_ms=LATE))
    assert unknown.answers[0].reason == "no claim of site mill for event e2 waits"


@pytest.mark.parametrize(("committed_wh", "uct_max", "paid"), [(300, 15_000, True), (300, 14_999, False)])
def test_a_claim_that_is_capped_alone_is_paid_up_to_a_bound(committed_wh: int, uct_max: int, paid: bool) -> None:
    """A cap is the method at work; only much money is worth a look."""
    engine = traded(claims={"capped_free_uct": uct_max})
    engine.apply(reduction(("capped",), committed_wh))
    read(engine, "farm", -1000)
    assert (of(read(engine, "mill", 700), "mill").demand_response_wh == committed_wh) is paid
    off = traded(claims={"hold": False})
    off.apply(reduction(("few-days",)))
    read(off, "farm", -1000)
    assert of(read(off, "mill", 700), "mill").demand_response_wh == 300


def test_rules_stored_before_settle_as_they_did_and_keep_their_form() -> None:
    """A journal replays as it was written: what changed since is a rule, and the old one is named."""
    today = json.loads(rules(**FULL, edition=2).model_dump_json())
    stored = {
        name: value
        for name, value in today.items()
        if name not in ("edition", "claims", "implausible_permille") and not name.startswith("imbalance_")
    }
    old = MarketRules.model_validate(stored)
    assert old.edition == 1
    assert json.loads(old.model_dump_json()) == stored
    assert MarketRules.model_validate(today).edition == 2
    engine = traded(**stored)
    engine.apply(reduction(("few-days",)))
    assert read(engine, "mill", 10**9, estimated=True).answers[-1].reason is None
    outcome = engine.apply(commands.tick(at_ms=LATE))
    assert of(outcome, "mill").imbalance_wh == 10**9 - 1000
    assert (of(outcome, "farm").method, of(outcome, "farm").imbalance_wh) == ("schedule", 0)
    assert "trade_prices" not in json.dumps(engine.snapshot())


@pytest.mark.parametrize("days", [-1, "40", 1.5])
def test_final_days_are_whole(days: Any) -> None:
    """A zone's rule is refused by name, not rounded."""
    with pytest.raises(ValueError, match="final_days"):
        rules(final_days=days)
    assert rules(final_days=3).correction_s == 3 * 86_400
