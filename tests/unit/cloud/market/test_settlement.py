"""Settlement: metered minus traded, once per meter version, corrected by reversal, never paid twice."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.market import commands
from cloud.market.engine import Engine
from cloud.market.ledger import CASH, ROUNDING, Entry, Kind, Ledger, Unbalanced, whole_cents
from cloud.market.product import INTERVAL_MS, IllegalTransition, ProductEvent, advance
from cloud.market.rules import Participant
from cloud.market.settlement import demand_response, imbalance_prices, imbalance_wh
from cloud.market.shapes import EventCommand
from cloud.market.state import Outcome
from contracts.market import ProductState
from tests.support.market.streams import T0_MS, rules

FIRST = T0_MS + INTERVAL_MS
END = FIRST + INTERVAL_MS
SITES = ("farm", "mill")


def _traded(**changes: Any) -> Engine:
    """Return a market where the farm sold the mill 1000 Wh at 20, without fees, and delivery is over."""
    settings = {"mechanism": "call", "fee_mct_per_kwh": 0, "price_rule": "low"} | changes
    engine = Engine(rules(**settings))
    for site in SITES:
        participant = Participant(site=site, import_limit_wh=2000, export_limit_wh=2000)
        engine.apply(commands.register(participant, at_ms=T0_MS))
    for site, side in (("farm", "sell"), ("mill", "buy")):
        order = {"op": "new", "at_ms": T0_MS, "site": site, "order_id": "a", "interval_ms": FIRST, "side": side}
        engine.apply(order | {"quantity_wh": 1000, "price_mct_per_kwh": 20})
    engine.apply(commands.tick(at_ms=END))
    return engine


def _meter(engine: Engine, site: str, net_wh: int, version: int = 1) -> Outcome:
    reading = {"op": "meter", "at_ms": END, "site": site, "interval_ms": FIRST, "version": version}
    return engine.apply(reading | {"import_wh": max(net_wh, 0), "export_wh": max(-net_wh, 0)})


def _event(committed_wh: int, baseline_wh: int, event: str = "e1") -> EventCommand:
    line = commands.dr_line(
        site="mill", interval_ms=FIRST, committed_wh=committed_wh, baseline_wh=baseline_wh, method="10-of-10/ratio"
    )
    return commands.dr_event(event=event, price_mct_per_kwh=50, penalty_mct_per_kwh=70, lines=[line], at_ms=END)


def test_each_site_settles_its_deviation_once_every_meter_has_spoken() -> None:
    """The position was paid at the call; only the difference meets the imbalance price."""
    engine = _traded()
    assert _meter(engine, "farm", -900).settlements == []
    outcome = _meter(engine, "mill", 1100)
    assert {s.site: (s.imbalance_wh, s.imbalance_mct_per_kwh, s.imbalance_uct) for s in outcome.settlements} == {
        "farm": (100, 30, 3000),
        "mill": (100, 30, 3000),
    }
    balances = engine.balances()
    assert balances["farm"] == (-20_000 + 3000, -900)
    assert balances["mill"] == (20_000 + 3000, 1100)
    assert engine.ledger_sums() == (0, 0)


def test_the_same_version_posts_nothing_and_a_correction_posts_exactly_the_difference() -> None:
    """Law 17: corrections arrive for years."""
    engine = _traded()
    _meter(engine, "farm", -1000)
    _meter(engine, "mill", 1100)
    before = engine.balances()
    again = _meter(engine, "mill", 1100)
    assert (again.lines, again.answers[0].reason) == ([], None)
    other = _meter(engine, "mill", 1200)
    assert other.lines == []
    assert other.answers[0].reason is not None
    corrected = _meter(engine, "mill", 1150, version=2)
    assert [line.kind for line in corrected.lines] == [Kind.REVERSAL] * 2 + [Kind.IMBALANCE] * 2
    assert corrected.settlements[0].version == 2
    after = engine.balances()
    assert after["mill"] == (before["mill"][0] + 50 * 30, before["mill"][1] + 50)
    assert after["farm"] == before["farm"]
    assert engine.products()[0].state is ProductState.CORRECTED


def test_a_missing_meter_is_estimated_flagged_and_corrected_when_it_comes() -> None:
    """A silent gateway must not hold up everyone's money."""
    engine = _traded()
    _meter(engine, "farm", -1000)
    outcome = engine.apply(commands.tick(at_ms=END + 600_000))
    mill = next(settled for settled in outcome.settlements if settled.site == "mill")
    assert (mill.estimated, mill.method, mill.imbalance_wh, mill.meter_version) == (True, "worst", 0, 0)
    late = _meter(engine, "mill", 900).settlements[0]
    assert (late.estimated, late.method, late.imbalance_wh, late.version) == (False, "late", -100, 2)
    assert engine.ledger_sums() == (0, 0)


def test_a_reading_that_equals_its_estimate_only_clears_the_flag() -> None:
    """The money was right; the reader still learns that it is measured now."""
    engine = _traded()
    _meter(engine, "farm", -1000)
    engine.apply(commands.tick(at_ms=END + 600_000))
    outcome = _meter(engine, "mill", 1000)
    assert outcome.lines == []
    assert [(settled.estimated, settled.version) for settled in outcome.settlements] == [(False, 2)]


def test_a_paid_reduction_leaves_the_position_so_that_it_is_not_paid_twice() -> None:
    """Without this the mill would sell the same 300 Wh to the event and to the imbalance."""
    engine = _traded()
    engine.apply(_event(committed_wh=300, baseline_wh=1000))
    _meter(engine, "farm", -1000)
    settled = next(s for s in _meter(engine, "mill", 700).settlements if s.site == "mill")
    assert (settled.demand_response_wh, settled.imbalance_wh, settled.imbalance_uct) == (300, 0, 0)
    assert settled.demand_response_uct == -300 * 50
    assert engine.balances()["demand-response"] == (300 * 50, 300)
    assert engine.balances()["mill"][1] == 700


def test_a_second_event_for_the_same_interval_is_refused() -> None:
    """Never paid twice, whichever event comes first; a repeat of the same event is harmless."""
    engine = _traded()
    first = engine.apply(_event(300, 1000)).answers[0]
    assert engine.apply(_event(300, 1000)).answers == [first]
    second = engine.apply(_event(300, 1000, event="e2")).answers[0]
    assert second.reason == f"site mill is paid for event e1 at {FIRST} already"


def test_a_baseline_that_comes_after_settlement_corrects_it() -> None:
    """Events are measured when their baseline is known, which may be later."""
    engine = _traded()
    _meter(engine, "farm", -1000)
    _meter(engine, "mill", 800)
    outcome = engine.apply(_event(committed_wh=300, baseline_wh=1000))
    settled = outcome.settlements[0]
    assert (settled.demand_response_wh, settled.imbalance_wh) == (200, 0)
    assert settled.demand_response_uct == -200 * 50 + 100 * 70
    assert engine.ledger_sums() == (0, 0)


@given(
    baseline=st.integers(-2000, 2000),
    metered=st.integers(-2000, 2000),
    committed=st.integers(-500, 500),
)
def test_delivery_is_floored_at_zero_and_paid_up_to_the_commitment(baseline: int, metered: int, committed: int) -> None:
    """Nobody pays for using more than before, nobody is paid for more than agreed."""
    result = demand_response(
        baseline_wh=baseline,
        metered_wh=metered,
        committed_wh=committed,
        price_mct_per_kwh=50,
        penalty_mct_per_kwh=70,
    )
    assert 0 <= abs(result.delivered_wh) <= abs(committed)
    assert result.delivered_wh * committed >= 0
    assert result.payment_uct == -abs(result.delivered_wh) * 50
    assert result.penalty_uct == (abs(committed) - abs(result.delivered_wh)) * 70


@pytest.mark.parametrize("imbalance", ["single", "two-price"])
@given(market=st.one_of(st.none(), st.integers(-20, 60)), system=st.integers(-100, 100))
def test_the_side_that_hurts_never_gets_a_better_price_than_the_market(
    imbalance: str, market: int | None, system: int
) -> None:
    """Otherwise trading before delivery would be the worse deal."""
    prices = imbalance_prices(rules(imbalance=imbalance), start_ms=0, market_mct_per_kwh=market, system_wh=system)
    reference = (30 + 8) // 2 if market is None else market
    if system > 0:
        assert prices.short_mct_per_kwh >= max(reference, 30)
    if system < 0:
        assert prices.long_mct_per_kwh <= min(reference, 8)
    if imbalance == "single":
        assert prices.short_mct_per_kwh == prices.long_mct_per_kwh
    else:
        assert reference in (prices.short_mct_per_kwh, prices.long_mct_per_kwh)


@pytest.mark.parametrize(
    ("changes", "market", "system", "short", "long"),
    [
        ({"imbalance": "single"}, 20, 0, 20, 20),
        ({"imbalance": "single"}, 20, 1, 30, 30),
        ({"imbalance": "single"}, 20, -1, 8, 8),
        ({"imbalance": "single"}, 35, 1, 35, 35),
        ({"imbalance": "single"}, 5, -1, 5, 5),
        ({"imbalance": "single"}, None, 0, 19, 19),
        ({"imbalance": "two-price"}, 20, 1, 30, 20),
        ({"imbalance": "two-price"}, 20, -1, 20, 8),
        ({"imbalance": "two-price"}, 20, 0, 20, 20),
        ({"imbalance": "two-price", "last_resort": None}, 20, 1, 60, 20),
        ({"imbalance": "two-price", "last_resort": None}, 20, -1, 20, -20),
        ({"imbalance": "single", "last_resort": None, "edition": 1}, None, 1, 0, 0),
        ({"imbalance": "single", "last_resort": None, "edition": 1}, 20, 1, 20, 20),
        ({"imbalance": "single", "last_resort": None, "edition": 1}, 20, -1, 20, 20),
    ],
)
def test_prices_of_an_imbalance_worked_out_by_hand(
    changes: dict[str, Any], market: int | None, system: int, short: int, long: int
) -> None:
    """Tariffs of 30 and 8, or 60 and -20 where the rules' own bounds stand for them."""
    prices = imbalance_prices(rules(**changes), start_ms=0, market_mct_per_kwh=market, system_wh=system)
    assert (prices.short_mct_per_kwh, prices.long_mct_per_kwh) == (short, long)


@pytest.mark.parametrize(("low", "high", "short", "long"), [(None, None, 30, 8), (5, 35, 35, 5), (10, 25, 30, 8)])
def test_a_spread_is_the_tariffs_or_what_was_traded_beyond_them(
    low: int | None, high: int | None, short: int, long: int
) -> None:
    """A rule of its own: the system's state and the market's price have no part."""
    prices = imbalance_prices(
        rules(imbalance="spread"),
        start_ms=0,
        market_mct_per_kwh=99,
        system_wh=7,
        low_mct_per_kwh=low,
        high_mct_per_kwh=high,
    )
    assert (prices.short_mct_per_kwh, prices.long_mct_per_kwh) == (short, long)


def test_a_commitment_of_one_watt_hour_has_a_direction() -> None:
    """A reduction is positive; of an increase, what was not taken is missing."""
    terms = {"price_mct_per_kwh": 50, "penalty_mct_per_kwh": 70}
    less = demand_response(baseline_wh=10, metered_wh=8, committed_wh=1, **terms)
    assert (less.delivered_wh, less.payment_uct, less.penalty_uct) == (1, -50, 0)
    more = demand_response(baseline_wh=10, metered_wh=11, committed_wh=-3, **terms)
    assert (more.delivered_wh, more.payment_uct, more.penalty_uct) == (-1, -50, 140)


def test_imbalance_is_metered_minus_the_position_less_what_was_paid_as_reduction() -> None:
    """Positive for import, like every power in the house."""
    assert imbalance_wh(metered_wh=700, traded_wh=1000, demand_response_wh=300) == 0
    assert imbalance_wh(metered_wh=-900, traded_wh=-1000) == 100


@pytest.mark.parametrize(
    ("metered", "delivered", "imbalance"),
    [
        (-5, 1, -4),
        (-5, 5, 0),
        (-5, 9, 0),
        (0, 4, 0),
        (5, 4, 5),
        (5, -1, 4),
        (5, -5, 0),
        (5, -9, 0),
        (0, -4, 0),
        (5, 0, 5),
    ],
)
def test_a_paid_change_worked_out_by_hand(metered: int, delivered: int, imbalance: int) -> None:
    """Of a paid reduction, what was bought and not taken; of a paid increase, what was taken beyond it."""
    assert imbalance_wh(metered_wh=metered, traded_wh=0, demand_response_wh=delivered) == imbalance


@given(metered=st.integers(-2000, 2000), traded=st.integers(-2000, 2000), delivered=st.integers(-500, 500))
def test_a_paid_change_moves_an_imbalance_towards_zero_never_across_or_away(
    metered: int, traded: int, delivered: int
) -> None:
    """Paid once, and a site that bought nothing is not charged for what it did not use."""
    before = imbalance_wh(metered_wh=metered, traded_wh=traded)
    after = imbalance_wh(metered_wh=metered, traded_wh=traded, demand_response_wh=delivered)
    assert min(before, 0) <= after <= max(before, 0)
    assert abs(before - after) <= abs(delivered)
    first = imbalance_wh(metered_wh=metered, traded_wh=traded, demand_response_wh=delivered, edition=1)
    assert first == before + delivered


@given(amounts=st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=6))
def test_the_ledger_sums_to_zero_after_postings_reversals_and_invoices(amounts: list[int]) -> None:
    """Law 4, at any size."""
    ledger = Ledger()
    lines = ledger.post(
        Kind.TRADE,
        [
            *(Entry(f"a{n}", amount, -amount) for n, amount in enumerate(amounts)),
            Entry("b", -sum(amounts), sum(amounts)),
        ],
        interval_ms=0,
        reference="t",
        rules_version=1,
    )
    ledger.invoice("a0", interval_ms=0, rules_version=1)
    assert ledger.sums() == (0, 0)
    assert ledger.balance("a0").money_uct == 0
    assert ledger.balance(CASH).money_uct % 1_000_000 == 0
    assert abs(ledger.balance(ROUNDING).money_uct) <= 500_000
    ledger.reverse(lines, rules_version=1)
    assert ledger.sums() == (0, 0)
    assert ledger.balance("b").energy_wh == 0


def test_an_unbalanced_posting_is_refused_whole() -> None:
    """A ledger that accepts one such posting is worth nothing."""
    ledger = Ledger()
    with pytest.raises(Unbalanced, match="off by 1 uct"):
        ledger.post(Kind.FEE, [Entry("a", 1, 0)], interval_ms=0, reference="t", rules_version=1)
    assert ledger.lines == 0


@pytest.mark.parametrize(
    ("uct", "cents"), [(500_000, 0), (1_500_000, 2), (2_500_000, 2), (-500_000, 0), (-1_500_000, -2), (500_001, 1)]
)
def test_cents_round_half_to_even(uct: int, cents: int) -> None:
    """One written rule."""
    assert whole_cents(uct) == cents


def test_every_move_that_the_table_does_not_have_is_refused() -> None:
    """A product never goes back, and never skips its clearing."""
    legal = {
        (ProductState.OPENS, ProductEvent.START_CONTINUOUS),
        (ProductState.OPENS, ProductEvent.START_CALL),
        (ProductState.CONTINUOUS, ProductEvent.START_CALL),
        (ProductState.CALL, ProductEvent.CLEAR),
        (ProductState.CLEARED, ProductEvent.DELIVER),
        (ProductState.DELIVERED, ProductEvent.METER),
        (ProductState.METERED, ProductEvent.SETTLE),
        (ProductState.SETTLED, ProductEvent.CORRECT),
        (ProductState.CORRECTED, ProductEvent.CORRECT),
    }
    for state in ProductState:
        for event in ProductEvent:
            if (state, event) in legal:
                assert advance(state, event) is not state or event is ProductEvent.CORRECT
            else:
                with pytest.raises(IllegalTransition):
                    advance(state, event)
