"""The market supervisor's books: what everybody ordered, traded, was settled for, and owes for a month."""

from datetime import date, datetime, timedelta
from typing import Any, Final

from cloud.agents.skill import STAFF, AnySkill, Ports, Skill
from contracts.skills.base import Agent, Effect, Scope
from contracts.skills.books import (
    BookQuestion,
    MatchingAnswer,
    OrdersAnswer,
    SettlementAnswer,
    StatementsAnswer,
    StatementsQuestion,
)


def market_orders(ports: Ports, question: BookQuestion, now: datetime) -> OrdersAnswer:
    """Return a zone's orders around now."""
    found = ports.books.orders(question.zone, **_span(question, now))
    rows = tuple(found[: question.count])
    return OrdersAnswer(zone=question.zone, orders=rows, more=len(found) > question.count)


def market_matching(ports: Ports, question: BookQuestion, now: datetime) -> MatchingAnswer:
    """Return a zone's trades around now."""
    found = ports.books.trades(question.zone, **_span(question, now))
    return MatchingAnswer(zone=question.zone, trades=tuple(found[: question.count]), more=len(found) > question.count)


def market_settlement(ports: Ports, question: BookQuestion, now: datetime) -> SettlementAnswer:
    """Return a zone's settlements around now, the newest version of each."""
    found = ports.books.settlements(question.zone, **_span(question, now))
    rows = tuple(found[: question.count])
    total = sum(row.trades_uct + row.imbalance_uct + row.fees_uct + row.demand_response_uct for row in rows)
    return SettlementAnswer(zone=question.zone, settlements=rows, total_uct=total, more=len(found) > question.count)


def market_statements(ports: Ports, question: StatementsQuestion, now: datetime) -> StatementsAnswer:
    """Return what each site of a zone bought, sold and owes in a local month."""
    del now  # The question names the month.
    month = date(int(question.month[:4]), int(question.month[5:]), 1)
    return StatementsAnswer(
        zone=question.zone, month=question.month, sites=tuple(ports.books.months(question.zone, month=month))
    )


def _span(question: BookQuestion, now: datetime) -> dict[str, Any]:
    hours = timedelta(hours=1)
    return {
        "since": now - question.hours_back * hours,
        "until": now + question.hours_ahead * hours,
        "count": question.count + 1,
    }


def _skill(name: str, promise: str, question: Any, answer: Any, do: Any) -> AnySkill:
    return Skill(
        name=name,
        promise=promise,
        agent=Agent.MARKET_SUPERVISOR,
        effect=Effect.READS,
        scope=Scope.ZONE,
        roles=STAFF,
        question=question,
        answer=answer,
        do=do,
        shows_sites=True,
    )


SKILLS: Final[tuple[AnySkill, ...]] = (
    _skill(
        "market_orders",
        "Show the orders of a zone's sites around now, and what became of each.",
        BookQuestion,
        OrdersAnswer,
        market_orders,
    ),
    _skill(
        "market_matching",
        "Show who was matched with whom in a zone around now, how much, and at which price.",
        BookQuestion,
        MatchingAnswer,
        market_matching,
    ),
    _skill(
        "market_settlement",
        "Show what each site of a zone was settled for: metered, traded, imbalance, fees, demand response.",
        BookQuestion,
        SettlementAnswer,
        market_settlement,
    ),
    _skill(
        "market_statements",
        "Show what each site of a zone bought, sold and owes in a local month, beside the zone's plain tariffs.",
        StatementsQuestion,
        StatementsAnswer,
        market_statements,
    ),
)
