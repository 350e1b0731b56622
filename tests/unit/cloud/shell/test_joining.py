"""A site of one aggregator joins another's market: it asks, a person decides, and it trades."""

from pathlib import Path

import pytest

from cloud.agents.rights import ALL, Caller
from cloud.errors import SkillDenied, SkillError, SkillMissing
from cloud.handlers import market_tick, orders
from cloud.shell import services as shell_services
from cloud.shell.agents_office import office_of
from cloud.shell.services import Services
from cloud.stores.registry import load_registry, save_registry, with_joined
from contracts.market import OrderStatus, Side, TradesMessage
from contracts.skills.base import Effect, Role
from contracts.topics import Up
from tests.support.cloud.sites import FEEDER, START, ZONE, Recorder, batch, context, house_in, order, registry_data
from tests.support.market.shell import run_events, tick_at

OPERATOR = Caller(name="anna", role=Role.OPERATOR, zones=frozenset([ALL]), effects=frozenset(Effect))
GUEST = Caller(name="west", role=Role.AGGREGATOR, zones=frozenset([ZONE]), effects=frozenset(Effect))
REQUEST = {
    "zone": ZONE, "applicant": "west-1", "kind": "producer", "owner": "west", "feeder": FEEDER,
    "import_limit_w": 10_000, "export_limit_w": 30_000, "pv_peak_w": 30_000,
}  # fmt: skip
APPROVAL = {"zone": ZONE, "applicant": "west-1", "approve": True, "by": "anna", "reason": "contract 17"}


def asked(
    services: Services, caller: Caller, name: str, question: dict[str, object], key: str = "k"
) -> dict[str, object]:
    """Ask a skill over a cloud's tables."""
    registry = load_registry(services.stores.tables)
    return dict(office_of(services.stores.tables, registry).call(caller, name, question, door="test", key=key).answer)


def begun(services: Services) -> None:
    """Let the market of the neighbourhood begin."""
    save_registry(services.stores.tables, services.registry)
    run_events(services, [tick_at(0)])


def test_a_site_that_was_let_in_trades_and_one_that_waits_does_not(tmp_path: Path) -> None:
    """Its order is refused until a person has said yes; then the warm process that runs the market takes it."""
    with house_in(tmp_path) as (services, publisher):
        begun(services)
        tables, memory = services.stores.tables, services.memory
        waiting = asked(services, GUEST, "join_market", REQUEST)
        assert waiting["state"] == "waiting" and load_registry(tables).site("west-1") is None
        decided = asked(services, OPERATOR, "decide_join", APPROVAL)
        assert (decided["state"], decided["by"]) == ("accepted", "anna")
        again = asked(services, GUEST, "join_market", REQUEST, key="k-2")
        assert (again["state"], again["reason"]) == ("accepted", "contract 17")
        joined = load_registry(tables)
        assert joined.site("west-1") is not None and joined.zone_of("west-1") == ZONE
        assert with_joined(tables, services.registry) == joined
        later = Services(
            stores=services.stores, registry=joined, publisher=publisher, signer=services.signer, memory=memory
        )
        shell_services.install(later)
        market_tick.handler({"time": START.isoformat(), "zone": ZONE}, context())
        told = _sold(publisher)
        assert told == [OrderStatus.ACCEPTED]


def _sold(publisher: Recorder) -> list[OrderStatus]:
    interval = START.replace(hour=START.hour + 1)
    sale = order("west-1", 1, interval, Side.SELL, 1_000, 9_000, at=START)
    orders.handler(batch(Up.ORDERS, sale, at=START), context())
    notices = [TradesMessage.decode(payload) for payload in publisher.on("west-1/trades")]
    return [result.status for notice in notices for result in notice.results]


def test_what_cannot_be_registered_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Nothing that a stranger asks may stand in the way of those who trade."""
    with house_in(tmp_path) as (services, _):
        begun(services)
        for change, kind, sentence in (
            ({"applicant": "home-1"}, SkillError, "id of another member"),
            ({"feeder": "feeder-9"}, SkillMissing, "no feeder"),
            ({"zone": "zone-9"}, SkillDenied, "not granted"),
            ({"import_limit_w": -1}, SkillError, "import_limit_w"),
        ):
            with pytest.raises(kind, match=sentence):
                asked(services, GUEST, "join_market", {**REQUEST, **change}, key=str(change))
        with pytest.raises(SkillMissing, match="has not asked"):
            asked(services, OPERATOR, "decide_join", APPROVAL)
        assert asked(services, OPERATOR, "join_requests", {"zone": ZONE})["requests"] == []


def test_a_decision_is_the_operators_and_stands(tmp_path: Path) -> None:
    """Who asks cannot let himself in; a refusal has its reason, and may be asked against with other figures."""
    with house_in(tmp_path) as (services, _):
        begun(services)
        asked(services, GUEST, "join_market", REQUEST)
        with pytest.raises(SkillDenied):
            asked(services, GUEST, "decide_join", APPROVAL)
        refusal = {**APPROVAL, "approve": False, "reason": "feeder is full"}
        assert asked(services, OPERATOR, "decide_join", refusal)["state"] == "refused"
        with pytest.raises(SkillError, match="refused already"):
            asked(services, OPERATOR, "decide_join", APPROVAL, key="k-2")
        assert asked(services, GUEST, "join_market", REQUEST, key="k-3")["reason"] == "feeder is full"
        smaller = {**REQUEST, "export_limit_w": 5_000, "pv_peak_w": 5_000}
        assert asked(services, GUEST, "join_market", smaller, key="k-4")["state"] == "waiting"
        asked(services, OPERATOR, "decide_join", APPROVAL, key="k-5")
        with pytest.raises(SkillError, match="takes part already, with other figures"):
            asked(services, GUEST, "join_market", REQUEST, key="k-6")


def test_a_guest_that_no_longer_fits_stops_no_market(tmp_path: Path) -> None:
    """The operator may take a feeder out, or give the id to a site of his own."""
    with house_in(tmp_path) as (services, _):
        begun(services)
        asked(services, GUEST, "join_market", REQUEST)
        asked(services, OPERATOR, "decide_join", APPROVAL)
        tables = services.stores.tables
        data = registry_data()
        own = {"id": "west-1", "zone": ZONE, "agent": "consumer", "import_limit_w": 1, "export_limit_w": 1}
        for sites, feeders in (([*data["sites"], own], data["feeders"]), ([own], [])):
            save_registry(tables, type(services.registry).model_validate({**data, "sites": sites, "feeders": feeders}))
            found = load_registry(tables).site("west-1")
            assert found is not None and found.import_limit_w == 1
        save_registry(tables, type(services.registry).model_validate({"zones": data["zones"]}))
        assert load_registry(tables).sites == ()
