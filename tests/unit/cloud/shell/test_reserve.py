"""A level that a battery keeps for an outage: judged against what its site has traded, then wished of its gateway."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloud.agents.office import Office
from cloud.agents.ports import FleetPort
from cloud.agents.rights import Caller
from cloud.errors import SkillDenied, SkillError, SkillMissing
from cloud.shell.agents_office import office_of
from cloud.shell.services import Services
from contracts.skills.base import Effect, Role
from contracts.skills.fleet import GatewayAnswer, GatewayRow, JobAnswer
from tests.support.cloud.sites import START, house_in
from tests.support.market.shell import run_events, story

OWNER = Caller(name="frida", role=Role.SITE_OWNER, sites=frozenset(["farm"]), effects=frozenset(Effect))
STORED_WH, CAPACITY_WH, FLOOR_PERCENT = 4_500, 100_000, 10


@dataclass
class Fleet:
    """A fleet that knows one gateway and remembers what was wished."""

    wished: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def gateways(self) -> Sequence[GatewayRow]:
        """Return nothing: nobody asks."""
        return ()

    def gateway(self, name: str) -> GatewayAnswer:
        """Return the farm's."""
        if name != "farm":
            raise SkillMissing(f"no gateway {name}")
        return GatewayAnswer(gateway=name, certificates=(), jobs=(), settings=())

    def want(self, name: str, shadow: str, wish: Mapping[str, Any]) -> int:
        """Remember a wish."""
        self.wished.append((name, shadow, dict(wish)))
        return len(self.wished)

    def update(self, name: str, document: Mapping[str, Any]) -> JobAnswer:
        """Refuse: nobody asks."""
        raise AssertionError("no update is asked for")


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    """Return a market in which the farm has sold out of its battery."""
    with house_in(tmp_path) as (made, _):
        run_events(made, story())
        yield made


def office(services: Services, fleet: FleetPort | None) -> Office:
    """Return the office over it."""
    return office_of(services.stores.tables, services.registry, fleet=fleet, now=lambda: START)


def test_a_level_is_kept_as_far_as_what_was_sold_leaves_it(services: Services) -> None:
    """One percent is a kilowatt-hour: what the farm sold must stay above the level."""
    fleet = Fleet()
    asked = office(services, fleet)
    plan = asked.call(OWNER, "producer_battery_plan", {"site": "farm"}, door="test").answer
    assert plan["stored_wh"] == STORED_WH
    sold_wh = STORED_WH - min(step["level_wh"] for step in plan["steps"])
    assert 0 < sold_wh < STORED_WH
    verdicts = {}
    for percent in range(FLOOR_PERCENT, FLOOR_PERCENT + 8):
        question = {"site": "farm", "reserve_percent": percent, "reason": "storm"}
        verdicts[percent] = asked.judge(OWNER, "producer_set_reserve", question, door="test")
        kept_wh = (percent - FLOOR_PERCENT) * CAPACITY_WH // 100
        assert (verdicts[percent] is None) is (kept_wh <= STORED_WH - sold_wh), (percent, verdicts[percent])
    assert set(map(bool, verdicts.values())) == {True, False}, "both sides of the bound were looked at"
    assert fleet.wished == []


def test_an_owner_reserves_and_his_gateway_is_told_among_its_limits(services: Services) -> None:
    """The wish stands beside the limits that an operator set; the gateway's file is the lower bound."""
    fleet = Fleet()
    question = {"site": "farm", "reserve_percent": FLOOR_PERCENT, "reason": "storm"}
    for _ in range(2):
        reply = office(services, fleet).call(OWNER, "producer_set_reserve", question, door="test", key="k")
    assert reply.repeated and reply.answer == {"site": "farm", "reserve_percent": FLOOR_PERCENT, "version": 1}
    assert fleet.wished == [("farm", "limits", {"battery_reserve_percent": FLOOR_PERCENT})]


@pytest.mark.parametrize(
    ("skill", "question", "error", "sentence"),
    [
        ("producer_set_reserve", {"reserve_percent": 91}, SkillError, "reserve_percent"),
        ("producer_set_reserve", {"reserve_percent": 90}, SkillError, "needs .* Wh below 90 %"),
        ("consumer_set_reserve", {"reserve_percent": 20}, SkillError, "is a producer"),
        ("consumer_set_reserve", {"site": "home-1", "reserve_percent": 20}, SkillDenied, "not granted site home-1"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_reason(
    services: Services, skill: str, question: dict[str, Any], error: type[SkillError], sentence: str
) -> None:
    """Nothing is told to any gateway."""
    fleet = Fleet()
    with pytest.raises(error, match=sentence):
        office(services, fleet).call(
            OWNER, skill, {"site": "farm", "reason": "storm", **question}, door="test", key="k"
        )
    assert fleet.wished == []


def test_without_a_fleet_there_is_no_way_to_a_gateway(services: Services) -> None:
    """It is said before anything is judged good."""
    question = {"site": "farm", "reserve_percent": FLOOR_PERCENT, "reason": "storm"}
    why = office(services, None).judge(OWNER, "producer_set_reserve", question, door="test")
    assert why is not None and "no fleet is kept here" in why
