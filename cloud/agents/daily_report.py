"""What a zone's day came to: trades, settlements, events, open matters; no value of a single site is in it."""

from collections import defaultdict
from datetime import datetime
from fractions import Fraction
from typing import Any, Final

from cloud.agents.market_supervisor import market_health
from cloud.agents.skill import STAFF, AnySkill, Ports, Skill
from contracts.skills.base import Agent, Effect, Role, Scope
from contracts.skills.books import SettlementRow
from contracts.skills.market import HealthQuestion
from contracts.skills.report import SITES_MIN, DayAnswer, DayEvent, DayQuestion, DaySums

# Beyond what a day of a zone can hold.
_ROWS_MAX: Final = 1_000_000
_EVENTS_MAX: Final = 1_000


def daily_report(ports: Ports, question: DayQuestion, now: datetime) -> DayAnswer:
    """Return what a local day of a zone came to, as far as it is settled."""
    zone = question.zone
    since, until = ports.books.day(zone, question.day)
    trades = ports.books.trades(zone, since=since, until=until, count=_ROWS_MAX)
    settled = ports.books.settlements(zone, since=since, until=until, count=_ROWS_MAX)
    means = _means([(trade.interval_start, trade.quantity_wh, trade.price_mct_per_kwh) for trade in trades])
    volume_wh = sum(trade.quantity_wh for trade in trades)
    turnover = sum(trade.quantity_wh * trade.price_mct_per_kwh for trade in trades)
    dearest = max(means, key=lambda at: (means[at], -at.timestamp()), default=None)
    cheapest = min(means, key=lambda at: (means[at], at), default=None)
    health = market_health(ports, HealthQuestion(zone=zone), now)
    sites = len({row.site for row in settled})
    return DayAnswer(
        zone=zone,
        day=question.day,
        since=since,
        until=until,
        intervals=len(means),
        trades=len(trades),
        volume_wh=volume_wh,
        mean_mct_per_kwh=round(Fraction(turnover, volume_wh)) if volume_wh else None,
        dearest_at=dearest,
        dearest_mct_per_kwh=round(means[dearest]) if dearest is not None else None,
        cheapest_at=cheapest,
        cheapest_mct_per_kwh=round(means[cheapest]) if cheapest is not None else None,
        settled_sites=sites,
        settlements=len(settled),
        estimated=sum(row.estimated for row in settled),
        sums=_sums(settled) if sites >= SITES_MIN else None,
        events=_events(ports, question, since=since, until=until),
        sound=health.sound,
        halted=health.halted,
        waiting_claims=len(ports.market.claims(zone)),
    )


def _means(rows: list[tuple[datetime, int, int]]) -> dict[datetime, Fraction]:
    """Return the mean price of each delivery interval, weighed by energy."""
    sums: dict[datetime, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for at, quantity_wh, price in rows:
        before_wh, before = sums[at]
        sums[at] = (before_wh + quantity_wh, before + quantity_wh * price)
    return {at: Fraction(turnover, quantity_wh) for at, (quantity_wh, turnover) in sums.items() if quantity_wh}


def _sums(settled: Any) -> DaySums:
    rows: list[SettlementRow] = list(settled)
    return DaySums(
        import_wh=sum(max(0, row.metered_wh) for row in rows),
        export_wh=sum(max(0, -row.metered_wh) for row in rows),
        imbalance_wh=sum(abs(row.imbalance_wh) for row in rows),
        imbalance_uct=sum(row.imbalance_uct for row in rows),
        demand_response_uct=sum(row.demand_response_uct for row in rows),
    )


def _events(ports: Ports, question: DayQuestion, *, since: datetime, until: datetime) -> tuple[DayEvent, ...]:
    found = [
        event
        for feeder in ports.grid.feeders(question.zone)
        for event in ports.grid.events(feeder, count=_EVENTS_MAX)
        if since <= event.detected_at < until
    ]
    return tuple(
        DayEvent(
            feeder=event.feeder,
            event_id=event.event_id,
            detected_at=event.detected_at,
            limit_w=event.limit_w,
            peak_w=event.peak_w,
            sites=len(event.sites),
            commands=event.commands,
            effective=event.effective,
            delivered_wh=event.delivered_wh,
            released=event.released,
        )
        for event in sorted(found, key=lambda event: event.detected_at)
    )


SKILLS: Final[tuple[AnySkill, ...]] = (
    Skill(
        name="daily_report",
        promise="Show what a zone's local day came to: trades, prices, settlements, events, and what is open.",
        agent=Agent.MARKET_SUPERVISOR,
        effect=Effect.READS,
        scope=Scope.ZONE,
        roles=STAFF | {Role.AGGREGATOR, Role.GRID_OPERATOR},
        question=DayQuestion,
        answer=DayAnswer,
        do=daily_report,
    ),
)
