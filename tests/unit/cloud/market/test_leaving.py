"""A site that left the market: what it traded stands, nothing is estimated for it later, and its account is closed."""

import json

from cloud.market import commands
from cloud.market.engine import Engine
from cloud.market.product import INTERVAL_MS
from cloud.market.rules import Participant
from cloud.market.state import Outcome
from contracts.market import OrderStatus
from tests.support.market.streams import T0_MS, rules

FIRST = T0_MS + INTERVAL_MS
SECOND, THIRD = FIRST + INTERVAL_MS, FIRST + 2 * INTERVAL_MS
FINAL = T0_MS + 42 * 86_400_000
SITES = ("farm", "mill", "home")


def order(site: str, side: str, interval_ms: int, at_ms: int = T0_MS) -> dict[str, object]:
    """Return an order of 1000 Wh at 20."""
    return {
        "op": "new", "at_ms": at_ms, "site": site, "order_id": f"{interval_ms}", "interval_ms": interval_ms,
        "side": side, "quantity_wh": 1000, "price_mct_per_kwh": 20,
    }  # fmt: skip


def participant(site: str) -> Participant:
    """Return a site with a connection of 2000 Wh an interval."""
    return Participant(site=site, import_limit_wh=2000, export_limit_wh=2000)


def market() -> Engine:
    """Return a market in which the farm sold the mill 1000 Wh in each of three intervals, all of them still to come."""
    engine = Engine(rules(mechanism="continuous+call", fee_mct_per_kwh=0, opening_s=86_400))
    for site in SITES:
        engine.apply(commands.register(participant(site), at_ms=T0_MS))
    for interval_ms in (FIRST, SECOND, THIRD):
        engine.apply(order("farm", "sell", interval_ms))
        if interval_ms != THIRD:
            engine.apply(order("mill", "buy", interval_ms))
    return engine


def left(engine: Engine, at_ms: int = T0_MS + 1) -> Outcome:
    """Let the farm leave."""
    return engine.apply(commands.leave(site="farm", reason="it is not in the registry", at_ms=at_ms))


def settled(engine: Engine, to_ms: int) -> list[tuple[str, int, str]]:
    """Let time pass a quarter of an hour at a time and return who was settled in which interval, and by what."""
    found = []
    for at_ms in range(engine.now_ms, to_ms + 1, INTERVAL_MS):
        outcome = engine.apply(commands.tick(at_ms=at_ms))
        found += [(one.site, one.interval_ms, one.method) for one in outcome.settlements]
    return found


def test_what_it_offers_is_withdrawn_and_what_it_traded_settles() -> None:
    """Its partner bought in good faith; an offer that nobody took binds nobody."""
    engine = market()
    (reply,) = left(engine).replies
    assert (reply.site, reply.interval_ms, reply.status) == ("farm", THIRD, OrderStatus.CANCELLED)
    assert "takes part no more: it is not in the registry" in str(reply.reason)
    refused = engine.apply(order("farm", "sell", THIRD, at_ms=T0_MS + 2)).replies[0]
    assert "not registered" in str(refused.reason)
    found = settled(engine, THIRD + 3 * INTERVAL_MS)
    assert [interval for site, interval, _ in found if site == "farm"] == [FIRST, SECOND]
    assert {site for site, interval, _ in found if interval == THIRD} == {"mill", "home"}
    assert engine.ledger_sums() == (0, 0)


def test_the_interval_in_which_it_leaves_still_settles_for_it() -> None:
    """It was connected and drew power until a moment ago."""
    engine = market()
    engine.apply(commands.tick(at_ms=THIRD))
    left(engine, at_ms=THIRD + 60_000)
    intervals = {interval for site, interval, _ in settled(engine, THIRD + 5 * INTERVAL_MS) if site == "farm"}
    assert intervals == {SECOND, THIRD}


def test_its_account_is_closed_when_its_last_interval_is_final_and_not_before() -> None:
    """A reading may correct it for forty days; after that what it owes is moved to cash and its name is forgotten."""
    engine = market()
    left(engine)
    closing = commands.close_account(site="farm", reason="final", interval_ms=FIRST, at_ms=SECOND + 4 * INTERVAL_MS)
    settled(engine, SECOND + 4 * INTERVAL_MS)
    owed = engine.balances()["farm"][0]
    assert owed and not engine.apply(closing).lines and engine.departed()[0].open_intervals == 3
    engine.apply(commands.tick(at_ms=FINAL))
    assert engine.departed()[0].open_intervals == 0
    lines = engine.apply({**closing, "at_ms": FINAL}).lines
    assert [str(line.kind) for line in lines] == ["invoice"] * len(lines) and lines[0].account == "farm"
    assert engine.balances()["farm"][0] == 0 and not engine.departed() and engine.ledger_sums() == (0, 0)
    again = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    assert again.state_hash() == engine.state_hash() and {one.site for one in again.participants()} == {"mill", "home"}


def test_a_site_that_comes_back_keeps_its_account() -> None:
    """Somebody had taken the wrong line out of the registry."""
    engine = market()
    left(engine)
    restored = Engine.restore(json.loads(json.dumps(engine.snapshot())))
    assert restored.departed() == engine.departed() and restored.state_hash() == engine.state_hash()
    engine.apply(commands.register(participant("farm"), at_ms=T0_MS + 2))
    assert not engine.departed() and {one.site for one in engine.participants()} == set(SITES)
    assert not engine.apply(commands.close_account(site="farm", reason="", interval_ms=0, at_ms=T0_MS + 3)).lines
    taken = engine.apply(order("farm", "sell", THIRD + INTERVAL_MS, at_ms=T0_MS + 4)).replies[0]
    assert taken.status is OrderStatus.ACCEPTED
    found = settled(engine, THIRD + 3 * INTERVAL_MS)
    assert [interval for site, interval, _ in found if site == "farm"] == [FIRST, SECOND, THIRD]


def test_nobody_waits_for_the_meter_of_a_site_that_left() -> None:
    """With it an interval would settle ten minutes late for everyone, for ever."""
    engine = market()
    left(engine)
    engine.apply(commands.tick(at_ms=THIRD + INTERVAL_MS))
    read = {"op": "meter", "at_ms": engine.now_ms, "interval_ms": THIRD, "version": 1, "import_wh": 5, "export_wh": 0}
    engine.apply({**read, "site": "mill"})
    outcome = engine.apply({**read, "site": "home"})
    assert [(one.site, one.method) for one in outcome.settlements] == [("home", "meter"), ("mill", "meter")]
    late = engine.apply({**read, "site": "farm"})
    assert "no product of site farm" in str(late.answers[0].reason)
