"""Energy sharing: nothing is lost or made, each key keeps its promise, and a later reading shares anew."""

import json
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud.market import commands
from cloud.market.community import SharingKey, SharingRules
from cloud.market.engine import Engine
from cloud.market.product import INTERVAL_MS
from cloud.market.rules import MarketRules, Participant
from cloud.market.sharing import allocate, proportional
from tests.support.market.streams import T0_MS

FIRST = T0_MS + INTERVAL_MS
END = FIRST + INTERVAL_MS
PRICE = 15_000
STATIC = SharingRules(key=SharingKey.STATIC, price_mct_per_kwh=PRICE, shares_permille={"a": 500, "b": 300, "c": 100})
DYNAMIC = SharingRules(key=SharingKey.DYNAMIC, price_mct_per_kwh=PRICE)
CLOSE = SharingRules(key=SharingKey.HIERARCHICAL, price_mct_per_kwh=PRICE, levels=((("a", "roof"), ("b", "c")),))
NETS = st.dictionaries(st.sampled_from(["a", "b", "c", "roof", "mill"]), st.integers(-5000, 5000))


@pytest.mark.parametrize("rules", [STATIC, DYNAMIC, CLOSE], ids=["static", "dynamic", "hierarchical"])
@given(nets=NETS)
def test_no_member_gives_or_takes_more_than_its_meter_counted(rules: SharingRules, nets: dict[str, int]) -> None:
    """Energy is only moved between those who had it and those who used it, in the same interval."""
    shares = allocate(rules, nets)
    event(f"shares {bool(shares)}")
    for site, net in nets.items():
        taken = sum(share.energy_wh for share in shares if share.buyer == site)
        given_wh = sum(share.energy_wh for share in shares if share.seller == site)
        assert 0 <= taken <= max(net, 0)
        assert 0 <= given_wh <= max(-net, 0)
    assert all(share.energy_wh > 0 and share.seller != share.buyer for share in shares)
    wanted, offered = sum(max(net, 0) for net in nets.values()), sum(max(-net, 0) for net in nets.values())
    if rules.key is not SharingKey.STATIC:
        assert sum(share.energy_wh for share in shares) == min(wanted, offered)


def test_a_static_key_keeps_the_shares_and_a_dynamic_one_follows_consumption() -> None:
    """The two keys of the law, by hand: 1000 Wh for three members."""
    nets = {"roof": -1000, "a": 100, "b": 900, "c": 400}
    taken = {share.buyer: share.energy_wh for share in allocate(STATIC, nets)}
    assert taken == {"a": 100, "b": 300, "c": 100}
    taken = {share.buyer: share.energy_wh for share in allocate(DYNAMIC, nets)}
    assert taken == {"a": 71, "b": 643, "c": 286}


def test_a_hierarchical_key_serves_the_closest_first() -> None:
    """The roof's own house before the rest of the street."""
    nets = {"roof": -1000, "a": 800, "b": 900, "c": 100}
    assert {share.buyer: share.energy_wh for share in allocate(CLOSE, nets)} == {"a": 800, "b": 180, "c": 20}


@given(total=st.integers(0, 10**9), weights=st.dictionaries(st.text(max_size=3), st.integers(0, 10**9), max_size=6))
def test_proportional_parts_are_whole_and_sum_to_the_total(total: int, weights: dict[str, int]) -> None:
    """No Wh is lost to rounding, and none differs from its exact part by one or more."""
    parts = proportional(total, weights)
    whole = sum(weights.values())
    if not whole or not total:
        assert parts == {}
        return
    assert sum(parts.values()) == total
    assert all(abs(part * whole - total * weights[name]) < whole for name, part in parts.items())


def community(**more: Any) -> Engine:
    """Return a community after an interval in which nobody bid."""
    sharing = {"key": "dynamic", "price_mct_per_kwh": PRICE}
    rules = {"zone": "street", "mechanism": "sharing", "sharing": sharing, **more}
    engine = Engine(MarketRules.model_validate(rules))
    for site in ("ann", "ben", "roof"):
        participant = Participant(site=site, import_limit_wh=5000, export_limit_wh=5000)
        engine.apply(commands.register(participant, at_ms=T0_MS))
    engine.apply(commands.tick(at_ms=T0_MS))
    return engine


def read(engine: Engine, site: str, net_wh: int, *, version: int = 1) -> None:
    """Give a community a reading."""
    engine.apply(
        {"op": "meter", "at_ms": END + 1000, "site": site, "interval_ms": FIRST, "version": version}
        | {"import_wh": max(net_wh, 0), "export_wh": max(-net_wh, 0)}
    )


def test_a_zone_shares_without_bids_and_the_rest_is_the_grids() -> None:
    """What members give one another costs the community's price, what is left the tariffs."""
    engine = community()
    engine.apply(commands.tick(at_ms=END))
    for site, net in (("ann", 300), ("ben", 900), ("roof", -1000)):
        read(engine, site, net)
    ann, ben = 300 * 1000 // 1200, 900 * 1000 // 1200
    assert engine.balances()["ann"] == (ann * PRICE + (300 - ann) * 30_000, 300)
    assert engine.balances()["ben"] == (ben * PRICE + (900 - ben) * 30_000, 900)
    assert engine.balances()["roof"] == (-1000 * PRICE, -1000)
    assert engine.ledger_sums() == (0, 0)


def test_a_later_reading_shares_anew_and_settles_whom_it_moves() -> None:
    """One member's missing reading is no estimate of what the others got; when it comes, all are right."""
    engine = community()
    engine.apply(commands.tick(at_ms=END))
    read(engine, "ann", 300)
    read(engine, "roof", -1000)
    engine.apply(commands.tick(at_ms=END + 601_000))
    assert engine.balances()["ann"] == (300 * PRICE, 300)
    assert engine.balances()["roof"] == (-300 * PRICE - 700 * 8_000, -1000)
    read(engine, "ben", 900)
    restored = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    at_once = community()
    at_once.apply(commands.tick(at_ms=END))
    for site, net in (("ann", 300), ("ben", 900), ("roof", -1000)):
        read(at_once, site, net)
    for one in (engine, restored):
        assert {site: one.balances()[site] for site in ("ann", "ben", "roof")} == {
            site: at_once.balances()[site] for site in ("ann", "ben", "roof")
        }
    read(restored, "ben", 800, version=2)
    assert restored.ledger_sums() == (0, 0)


def test_charges_and_tax_are_posted_and_a_correction_posts_them_anew() -> None:
    """A bill's grid fee and tax are in the same book as its energy."""
    charges = [
        {"name": "grid fee", "mct_per_kwh": 8_000},
        {"name": "relief", "on": "shared", "mct_per_kwh": -3_000},
    ]
    engine = community(charges=charges, vat_permille=190)
    engine.apply(commands.tick(at_ms=END))
    for site, net in (("ann", 300), ("ben", 0), ("roof", -100)):
        read(engine, site, net)
    net_uct = 100 * PRICE + 200 * 30_000 + 300 * 8_000 - 100 * 3_000
    assert engine.balances()["ann"] == (net_uct + net_uct * 190 // 1000, 300)
    read(engine, "ann", 200, version=2)
    net_uct = 100 * PRICE + 100 * 30_000 + 200 * 8_000 - 100 * 3_000
    assert engine.balances()["ann"] == (net_uct + net_uct * 190 // 1000, 200)
    assert engine.balances()["charges"][0] == -(200 * 8_000 - 100 * 3_000)
    assert engine.ledger_sums() == (0, 0)


def test_an_order_in_a_zone_that_shares_is_refused() -> None:
    """A bid would trade with nobody; its site hears why."""
    engine = community()
    order = {"op": "new", "at_ms": T0_MS, "site": "ann", "order_id": "a", "interval_ms": FIRST + 4 * INTERVAL_MS}
    out = engine.apply(order | {"side": "buy", "quantity_wh": 5, "price_mct_per_kwh": 20_000})
    assert [reply.refusal for reply in out.replies] == ["no-orders"]


@pytest.mark.parametrize(
    ("given_rules", "word"),
    [
        ({"mechanism": "sharing"}, "are given together"),
        ({"sharing": {"key": "dynamic", "price_mct_per_kwh": 1}}, "are given together"),
        ({"mechanism": "sharing", "sharing": {"key": "static", "price_mct_per_kwh": 1}}, "needs shares_permille"),
        (
            {
                "mechanism": "sharing",
                "sharing": {"key": "static", "price_mct_per_kwh": 1, "shares_permille": {"a": 600, "b": 500}},
            },
            "sum to 1100",
        ),
        ({"mechanism": "sharing", "sharing": {"key": "hierarchical", "price_mct_per_kwh": 1}}, "needs levels"),
    ],
)
def test_a_key_without_what_it_needs_is_refused(given_rules: dict[str, Any], word: str) -> None:
    """A community finds out when it writes its rules, not on its first bill."""
    with pytest.raises(ValidationError, match=word):
        MarketRules.model_validate({"zone": "street", **given_rules})
