"""The market supervisor: the state, the prices and the health of a zone's market; halt and resume."""

from datetime import datetime, timedelta
from typing import Final

from cloud.agents.skill import EVERYONE, STAFF, AnySkill, Ports, Skill
from cloud.errors import SkillMissing
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.market import (
    ClaimDecision,
    ClaimsAnswer,
    EstimatesAnswer,
    HaltRequest,
    HealthAnswer,
    HealthQuestion,
    MarketQuestion,
    MarketStatus,
    PriceDiscovery,
    ResumeRequest,
    ReviewQuestion,
    TradingState,
)


def market_status(ports: Ports, question: MarketQuestion, now: datetime) -> MarketStatus:
    """Return the market of a zone around now; the last price is that of the newest interval with a trade."""
    products = tuple(
        ports.market.products(
            question.zone,
            since=now - timedelta(hours=question.hours_back),
            until=now + timedelta(hours=question.hours_ahead),
        )
    )
    priced = [product.price_mct_per_kwh for product in products if product.price_mct_per_kwh is not None]
    return MarketStatus(
        zone=question.zone,
        halted=ports.market.halted(question.zone),
        products=products,
        last_price_mct_per_kwh=priced[-1] if priced else None,
        volume_wh=sum(product.volume_wh for product in products),
    )


def price_discovery(ports: Ports, question: MarketQuestion, now: datetime) -> PriceDiscovery:
    """Return the quotes of the intervals that still trade around now, and the prices of those that have cleared."""
    since, until = now - timedelta(hours=question.hours_back), now + timedelta(hours=question.hours_ahead)
    quotes = ports.market.quotes(question.zone, since=since, until=until)
    products = ports.market.products(question.zone, since=since, until=until)
    open_at = {quote.interval_start for quote in quotes}
    return PriceDiscovery(
        zone=question.zone,
        quotes=tuple(quotes),
        cleared=tuple(
            product
            for product in products
            if product.price_mct_per_kwh is not None and product.interval_start not in open_at
        ),
    )


def market_health(ports: Ports, question: HealthQuestion, now: datetime) -> HealthAnswer:
    """Return a market's integrity and health figures."""
    del now  # The market's own instant is part of the answer.
    figures = ports.market.health(question.zone)
    balanced = not (figures.ledger_sum_uct or figures.ledger_sum_wh)
    sound = balanced and not figures.overdue and figures.entries_stored >= figures.entries - 1
    return HealthAnswer(zone=question.zone, sound=sound, **figures.model_dump())


def halt_market(ports: Ports, request: HaltRequest, now: datetime) -> TradingState:
    """Stop a zone's trading and return that it stands."""
    ports.market.halt(request.zone, reason=request.reason, at=now)
    return TradingState(zone=request.zone, halted=ports.market.halted(request.zone))


def resume_market(ports: Ports, request: ResumeRequest, now: datetime) -> TradingState:
    """End a zone's halt and return that it trades."""
    ports.market.resume(request.zone, at=now)
    return TradingState(zone=request.zone, halted=ports.market.halted(request.zone))


def market_claims(ports: Ports, question: ReviewQuestion, now: datetime) -> ClaimsAnswer:
    """Return the claims of a zone that wait for a person."""
    del now  # A claim waits until it is decided.
    return ClaimsAnswer(zone=question.zone, claims=tuple(ports.market.claims(question.zone)))


def market_estimates(ports: Ports, question: ReviewQuestion, now: datetime) -> EstimatesAnswer:
    """Return what was settled in a zone without a reading."""
    del now  # The market's own instant decides what may still be corrected.
    return EstimatesAnswer(zone=question.zone, settlements=tuple(ports.market.estimates(question.zone)))


def decide_claim(ports: Ports, decision: ClaimDecision, now: datetime) -> ClaimsAnswer:
    """Take a person's word on a claim and return what still waits.

    Raises:
        SkillError: No such claim waits.
    """
    waiting = {(claim.event, claim.site) for claim in ports.market.claims(decision.zone)}
    if (decision.event, decision.site) not in waiting:
        raise SkillMissing(f"no claim of {decision.site} for event {decision.event} waits; nothing was decided")
    ports.market.decide(decision, at=now)
    return ClaimsAnswer(zone=decision.zone, claims=tuple(ports.market.claims(decision.zone)))


def _halts(ports: Ports, request: HaltRequest, now: datetime) -> str | None:
    del now
    why = ports.market.halted(request.zone)
    return None if why is None else f"{request.zone} is halted already: {why}"


def _resumes(ports: Ports, request: ResumeRequest, now: datetime) -> str | None:
    del now
    return f"{request.zone} trades; there is nothing to resume" if ports.market.halted(request.zone) is None else None


def _decides(ports: Ports, decision: ClaimDecision, now: datetime) -> str | None:
    del now
    waiting = {(claim.event, claim.site) for claim in ports.market.claims(decision.zone)}
    if (decision.event, decision.site) in waiting:
        return None
    return f"no claim of {decision.site} for event {decision.event} waits"


_OPERATOR: Final = frozenset({Role.OPERATOR})

SKILLS: Final[tuple[AnySkill, ...]] = (
    Skill(
        name="market_status",
        promise="Show a zone's delivery intervals: state, price, volume, and whether trading is halted.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=EVERYONE,
        effect=Effect.READS,
        question=MarketQuestion,
        answer=MarketStatus,
        do=market_status,
    ),
    Skill(
        name="price_discovery",
        promise="Show best offers and open quantities of a zone's intervals that still trade, and the last prices.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=EVERYONE,
        effect=Effect.READS,
        question=MarketQuestion,
        answer=PriceDiscovery,
        do=price_discovery,
    ),
    Skill(
        name="market_health",
        promise="Show whether a market's journal, tables and ledger agree, and how many orders and settlements it had.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=STAFF,
        effect=Effect.READS,
        question=HealthQuestion,
        answer=HealthAnswer,
        do=market_health,
    ),
    Skill(
        name="halt_market",
        promise="Stop taking orders in a zone until it is resumed; what is agreed stays agreed.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=_OPERATOR,
        effect=Effect.ACTS,
        question=HaltRequest,
        answer=TradingState,
        do=halt_market,
        judge=_halts,
    ),
    Skill(
        name="resume_market",
        promise="Take orders in a halted zone again.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=_OPERATOR,
        effect=Effect.ACTS,
        question=ResumeRequest,
        answer=TradingState,
        do=resume_market,
        judge=_resumes,
    ),
    Skill(
        name="market_claims",
        promise="Show the demand-response claims on flagged baselines that wait for a person.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=STAFF,
        effect=Effect.READS,
        question=ReviewQuestion,
        answer=ClaimsAnswer,
        do=market_claims,
        shows_sites=True,
    ),
    Skill(
        name="market_estimates",
        promise="Show what was settled without a reading, and until when a reading still corrects it.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=STAFF,
        effect=Effect.READS,
        question=ReviewQuestion,
        answer=EstimatesAnswer,
        do=market_estimates,
        shows_sites=True,
    ),
    Skill(
        name="decide_claim",
        promise="Pay a waiting claim for what the meter confirms, or neither pay nor charge it.",
        agent=Agent.MARKET_SUPERVISOR,
        scope=Scope.ZONE,
        roles=_OPERATOR,
        effect=Effect.ACTS,
        question=ClaimDecision,
        answer=ClaimsAnswer,
        do=decide_claim,
        judge=_decides,
        shows_sites=True,
    ),
)
