"""The producer's and the consumer's agent: a site's state, its business on the market, and what it can offer the grid.

A site far away is answered for from what its gateway reported. Both kinds do the same; the names differ, so that a
caller says whom it means and a mistake is told.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from cloud.agents.skill import AnySkill, Ports, Skill
from cloud.errors import SkillError
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.parameters import BidAnswer, BidQuestion
from contracts.skills.site import (
    Flexibility,
    FlexibilityQuestion,
    OfferAnswer,
    ResponseOffer,
    SiteMarket,
    SiteMarketQuestion,
    SiteQuestion,
    SiteStatus,
    Statement,
    StatementQuestion,
)
from contracts.skills.site_list import STATUS


def site_status(ports: Ports, question: SiteQuestion, now: datetime) -> SiteStatus:
    """Return how a site stands as far as it told."""
    del now
    return ports.sites.status(question.site)


def site_market(ports: Ports, question: SiteMarketQuestion, now: datetime) -> SiteMarket:
    """Return a site's orders and trades around now."""
    since, until = now - timedelta(hours=question.hours_back), now + timedelta(hours=question.hours_ahead)
    return SiteMarket(
        site=question.site,
        orders=tuple(ports.sites.orders(question.site, since=since, until=until)),
        trades=tuple(ports.sites.trades(question.site, since=since, until=until)),
    )


def statement(ports: Ports, question: StatementQuestion, now: datetime) -> Statement:
    """Return a site's settlements, the newest version of each delivery interval."""
    lines = tuple(ports.sites.settlements(question.site, since=now - timedelta(days=question.days), until=now))
    total = sum(line.trades_uct + line.imbalance_uct + line.fees_uct + line.demand_response_uct for line in lines)
    return Statement(site=question.site, lines=lines, total_uct=total)


def flexibility(ports: Ports, question: FlexibilityQuestion, now: datetime) -> Flexibility:
    """Return what a site can change now."""
    return ports.sites.flexibility(question.site, direction=question.direction, duration_s=question.duration_s, at=now)


def response_offer(ports: Ports, offer: ResponseOffer, now: datetime) -> OfferAnswer:
    """Judge an offer against what the site can do now; whoever wants it asks for it."""
    able = ports.sites.flexibility(offer.site, direction=offer.direction, duration_s=offer.duration_s, at=now)
    energy_wh = offer.change_w * offer.duration_s // 3600
    if able.seen_at is None:
        accepted, reason = False, f"{offer.site} has not reported lately; what it can do is not known"
    elif offer.change_w > able.change_w_max:
        accepted = False
        reason = f"{offer.site} offers {offer.change_w} W, above the {able.change_w_max} W that it can change now"
    else:
        accepted, reason = True, f"{offer.site} can change {able.change_w_max} W now, the offer lies within"
    return OfferAnswer(
        site=offer.site,
        accepted=accepted,
        reason=reason,
        change_w_max=able.change_w_max,
        cost_uct=energy_wh * offer.price_mct_per_kwh,
    )


def bid(ports: Ports, question: BidQuestion, now: datetime) -> BidAnswer:
    """Return what the market would say to a site's bid, tried on a copy of it."""
    return ports.rules.bid(ports.sites.zone(question.site), question, at=now)


OWNERS: Final = frozenset({Role.OPERATOR, Role.AGGREGATOR, Role.SITE_OWNER, Role.AGENT})
_AND_GRID: Final = OWNERS | {Role.GRID_OPERATOR}


def only(agent: Agent, do: Callable[[Ports, Any, datetime], Any]) -> Callable[[Ports, Any, datetime], Any]:
    """Refuse a site of the other kind before anything is told of it."""

    def checked(ports: Ports, question: Any, now: datetime) -> Any:
        kind = ports.sites.kind(question.site)
        if kind != agent:
            raise SkillError(f"{question.site} is a {kind}, not a {agent}; ask the {kind}'s agent")
        return do(ports, question, now)

    return checked


def _of(agent: Agent) -> tuple[AnySkill, ...]:
    def one(
        what: str, promise: str, *, effect: Effect, roles: frozenset[Role], forms: tuple[Any, Any], do: Any
    ) -> AnySkill:
        question, answer = forms
        return Skill(
            name=f"{agent}_{what}",
            promise=promise.format(agent=agent),
            agent=agent,
            effect=effect,
            scope=Scope.SITE,
            roles=roles,
            question=question,
            answer=answer,
            do=only(agent, do),
        )

    reads, proposes = Effect.READS, Effect.PROPOSES
    return (
        one(
            STATUS.what,
            STATUS.promise,
            effect=reads,
            roles=OWNERS,
            forms=(STATUS.question, STATUS.answer),
            do=site_status,
        ),
        one(
            "market",
            "Show a {agent}'s orders and what became of them, and its trades.",
            effect=reads,
            roles=OWNERS,
            forms=(SiteMarketQuestion, SiteMarket),
            do=site_market,
        ),
        one(
            "statement",
            "Show what a {agent} owes or is owed for each settled delivery interval, and the sum.",
            effect=reads,
            roles=OWNERS,
            forms=(StatementQuestion, Statement),
            do=statement,
        ),
        one(
            "flexibility",
            "Show by how much a {agent} can change its connection power now, by which means and at which price.",
            effect=reads,
            roles=_AND_GRID,
            forms=(FlexibilityQuestion, Flexibility),
            do=flexibility,
        ),
        one(
            "response_offer",
            "Judge a {agent}'s offer to the grid, with its price, against what the site can do; nothing is ordered.",
            effect=proposes,
            roles=OWNERS,
            forms=(ResponseOffer, OfferAnswer),
            do=response_offer,
        ),
        one(
            "bid",
            "Judge a {agent}'s bid: what the market would say to it now and what would trade; nothing is ordered.",
            effect=proposes,
            roles=OWNERS,
            forms=(BidQuestion, BidAnswer),
            do=bid,
        ),
    )


SKILLS: Final[tuple[AnySkill, ...]] = (*_of(Agent.PRODUCER), *_of(Agent.CONSUMER))
