"""Who may ask what: checked before anything is done."""

from dataclasses import replace
from typing import Any

import pytest

from cloud.agents.rights import ALL, Caller, refusal
from cloud.agents.skills import SKILLS, skill
from cloud.doors.offering import Offering
from contracts.skills.base import Agent, Effect, Role, Scope

EVERYTHING = frozenset(Effect)
ZONES = {"farm": "zone-1", "home-1": "zone-1", "far": "zone-2", "feeder-1": "zone-1"}


class Places:
    """Two zones."""

    def zone_of(self, member: str) -> str | None:
        """Return where a member lies."""
        return ZONES.get(member)


def caller(role: Role, *, zones: tuple[str, ...] = (), sites: tuple[str, ...] = ()) -> Caller:
    """Return a caller that was granted every effect."""
    return Caller(name="anna", role=role, zones=frozenset(zones), sites=frozenset(sites), effects=EVERYTHING)


HALT = {"zone": "zone-1", "reason": "price feed wrong"}


@pytest.mark.parametrize(
    ("who", "name", "arguments", "may"),
    [
        (caller(Role.OPERATOR, zones=("zone-1",)), "halt_market", HALT, True),
        (caller(Role.OPERATOR, zones=("zone-2",)), "halt_market", HALT, False),
        (caller(Role.OPERATOR, zones=("zone-1",)), "producer_status", {"site": "farm"}, True),
        (caller(Role.OPERATOR, zones=("zone-1",)), "producer_status", {"site": "far"}, False),
        (caller(Role.OPERATOR, zones=(ALL,)), "producer_status", {"site": "nobody"}, True),
        (caller(Role.AGENT, zones=(ALL,)), "halt_market", HALT, False),
        (caller(Role.AGGREGATOR, sites=("farm",)), "producer_status", {"site": "farm"}, True),
        (caller(Role.AGGREGATOR, zones=("zone-1",)), "producer_status", {"site": "farm"}, False),
        (caller(Role.SITE_OWNER, sites=("home-1",)), "consumer_status", {"site": "farm"}, False),
        (caller(Role.SITE_OWNER, sites=("home-1",)), "market_status", {"zone": "zone-1"}, True),
        (caller(Role.SITE_OWNER, sites=("home-1",)), "market_status", {"zone": "zone-2"}, False),
        (caller(Role.SITE_OWNER, sites=("home-1",)), "forecast", {"zone": "zone-1", "kind": "load", "site": "farm"},
         False),
        (caller(Role.GRID_OPERATOR, zones=("zone-1",)), "producer_status", {"site": "farm"}, False),
        (caller(Role.GRID_OPERATOR, zones=("zone-1",)), "producer_flexibility", {"site": "farm"}, True),
        (caller(Role.GRID_OPERATOR, zones=("zone-1",)), "grid_status", {"feeder": "feeder-1"}, True),
        (caller(Role.GRID_OPERATOR, zones=("zone-2",)), "grid_status", {"feeder": "feeder-1"}, False),
        (caller(Role.MEMBER, zones=("zone-1",)), "market_status", {"zone": "zone-1"}, True),
        (caller(Role.MEMBER, zones=("zone-1",)), "market_health", {"zone": "zone-1"}, False),
    ],
)  # fmt: skip
def test_a_role_opens_a_skill_and_the_grant_says_where(
    who: Caller, name: str, arguments: dict[str, object], may: bool
) -> None:
    """A household's values are for its owner, its aggregator and the operator of its zone."""
    chosen = skill(name)
    assert (refusal(who, chosen, chosen.read(arguments), Places()) is None) is may


def test_without_the_grant_to_act_nobody_acts() -> None:
    """A token that only looks is the usual one."""
    looks = Caller(name="anna", role=Role.OPERATOR, zones=frozenset([ALL]))
    chosen = skill("halt_market")
    assert "not granted what acts" in str(refusal(looks, chosen, chosen.read(HALT), Places()))


def test_only_who_runs_the_market_or_the_grid_acts_on_it_and_every_question_names_its_scope() -> None:
    """A new skill must say what it is about, or the grant could not be checked."""
    owning = {Role.OPERATOR, Role.AGGREGATOR, Role.SITE_OWNER, Role.AGENT}
    acting = {
        Agent.PRODUCER: owning,
        Agent.CONSUMER: owning,
        Agent.MARKET_SUPERVISOR: {Role.OPERATOR},
        Agent.GRID_OPTIMISATION: {Role.OPERATOR, Role.GRID_OPERATOR, Role.AGENT},
    }
    for each in SKILLS:
        fields = set(each.question.model_fields)
        assert each.effect is not Effect.ACTS or each.roles <= acting[each.agent]
        assert each.scope is not Scope.SITE or "site" in fields
        assert (each.scope is Scope.CLOUD) <= (each.roles == {Role.OPERATOR})
        assert each.scope is not Scope.ZONE or fields & {"zone", "feeder"}


def test_what_looks_at_the_whole_cloud_needs_every_zone() -> None:
    """The operator of one zone must not read another's calls."""
    chosen = skill("audit_log")
    whole = Caller(name="anna", role=Role.OPERATOR, zones=frozenset([ALL]))
    part = Caller(name="bert", role=Role.OPERATOR, zones=frozenset(["zone-1"]))
    assert refusal(whole, chosen, chosen.read({}), Places()) is None
    assert "not granted every zone" in str(refusal(part, chosen, chosen.read({}), Places()))


def test_what_looks_at_the_whole_cloud_is_not_offered_to_who_holds_a_part() -> None:
    """A page shows what its token can ask for, and no section that only refuses."""
    unused: Any = None  # Skills are listed without asking anything.
    offering = Offering(office=unused, registry=unused, tables=unused, callers=unused)
    whole = Caller(name="anna", role=Role.OPERATOR, zones=frozenset([ALL]))
    names = {each.name for each in offering.skills(whole)}
    part = {each.name for each in offering.skills(replace(whole, zones=frozenset(["zone-1"])))}
    assert names - part == {each.name for each in SKILLS if each.scope is Scope.CLOUD and each.effect is Effect.READS}
