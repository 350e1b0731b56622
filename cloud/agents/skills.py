"""What the cloud's agents can do, each skill once: a name, a promise, typed input and output, and whether it acts.

Every door (tools of a model, agent-to-agent skills, REST) is made from this list. A skill only reads, or it acts within
the bounds that its input states; one that acts needs the right to, which the door checks by ``Effect``.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cloud.agents.ports import ForecastDesk, GridDesk, MarketDesk
from cloud.agents.relief_study import StudyAnswer, StudyQuestion, study
from cloud.errors import SkillError
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.grid import Disturbance, FeederState
from contracts.market import MarketBroadcast, ProductState
from contracts.units import Instant, SiteId, ZoneId

HOURS_MAX = 48
EVENTS_MAX = 20


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Effect(StrEnum):
    """What a skill may change."""

    READS = "reads"
    ACTS = "acts"


class MarketQuestion(_Form):
    """Which zone, and how far around now."""

    zone: ZoneId
    hours_back: int = Field(default=2, ge=0, le=HOURS_MAX)
    hours_ahead: int = Field(default=2, ge=0, le=HOURS_MAX)


class MarketStatus(_Form):
    """The delivery intervals of a zone's market, and why it is halted, if it is."""

    zone: ZoneId
    halted: str | None
    products: tuple[MarketBroadcast, ...]
    last_price_mct_per_kwh: int | None
    volume_wh: int


class PriceQuote(_Form):
    """One delivery interval that still trades."""

    interval_start: Instant
    state: ProductState
    last_price_mct_per_kwh: int | None
    best_buy_mct_per_kwh: int | None
    best_sell_mct_per_kwh: int | None
    buy_wh: int
    sell_wh: int
    volume_wh: int


class PriceDiscovery(_Form):
    """What the intervals that still trade are worth, and what the last ones cleared at."""

    zone: ZoneId
    quotes: tuple[PriceQuote, ...]
    cleared: tuple[MarketBroadcast, ...]


class HealthQuestion(_Form):
    """Which zone."""

    zone: ZoneId


class HealthAnswer(_Form):
    """Whether a market's parts agree, and how it does.

    ``sound`` says that the ledger sums to zero, that all entries but perhaps the one in hand are stored, and that no
    settlement is overdue.
    """

    zone: ZoneId
    sound: bool
    at: Instant
    halted: str | None
    participants: int
    entries: int
    entries_stored: int
    entries_told: int
    commands: int
    state_hash: str
    ledger_lines: int
    ledger_sum_uct: int
    ledger_sum_wh: int
    states: dict[str, int]
    overdue: int
    settlements: int
    estimated: int
    corrected: int
    orders: int
    refused: int


class HaltRequest(_Form):
    """Stop trading in a zone; the reason is kept and shown."""

    zone: ZoneId
    reason: str = Field(min_length=3, max_length=200)


class ResumeRequest(_Form):
    """Let a zone trade again."""

    zone: ZoneId


class TradingState(_Form):
    """Whether a zone trades."""

    zone: ZoneId
    halted: str | None


class ForecastQuestion(_Form):
    """Which forecast: of a site, or of the zone where ``site`` is left out."""

    zone: ZoneId
    kind: ForecastKind
    site: SiteId | None = None


class ForecastAnswer(_Form):
    """The newest forecast, or none."""

    forecast: ForecastSeries | None


class GridQuestion(_Form):
    """Which feeder, and how many of its last events."""

    feeder: SiteId
    events: int = Field(default=3, ge=0, le=EVENTS_MAX)


class EventAnswer(_Form):
    """One demand-response event."""

    event_id: str
    detected_at: Instant
    limit_w: int
    peak_w: float
    sites: tuple[SiteId, ...]
    commands: int
    effective: int
    delivered_wh: int
    released: bool


class GridStatus(_Form):
    """How a feeder stands."""

    feeder: SiteId
    state: FeederState | None
    power_w: float | None
    limit_w: int | None
    loading_percent: float | None
    at: Instant | None
    disturbances: tuple[Disturbance, ...]
    events: tuple[EventAnswer, ...]


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What the skills stand on."""

    market: MarketDesk
    forecasts: ForecastDesk
    grid: GridDesk


Question = TypeVar("Question", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Skill(Generic[Question, Answer]):
    """One thing that an agent can do."""

    name: str
    promise: str
    agent: str
    effect: Effect
    question: type[Question]
    answer: type[Answer]
    do: Callable[[Ports, Question, datetime], Answer]

    def call(self, ports: Ports, arguments: Mapping[str, Any], *, now: datetime) -> Answer:
        """Check the arguments, do it, and return the answer.

        Raises:
            SkillError: The arguments are not what the skill takes; the sentence names the first that is not.
        """
        try:
            question = self.question.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "arguments"
            raise SkillError(f"{self.name}: {where}: {first['msg']}; nothing done") from error
        return self.do(ports, question, now)


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
        quotes=tuple(PriceQuote(**asdict(quote)) for quote in quotes),
        cleared=tuple(
            product
            for product in products
            if product.price_mct_per_kwh is not None and product.interval_start not in open_at
        ),
    )


def market_health(ports: Ports, question: HealthQuestion, now: datetime) -> HealthAnswer:
    """Return a market's integrity and health figures."""
    del now  # The market's own instant is part of the answer.
    found = ports.market.health(question.zone)
    sound = not (found.ledger_sum_uct or found.ledger_sum_wh or found.overdue)
    return HealthAnswer(zone=question.zone, sound=sound and found.entries_stored >= found.entries - 1, **asdict(found))


def halt_market(ports: Ports, request: HaltRequest, now: datetime) -> TradingState:
    """Stop a zone's trading and return that it stands."""
    ports.market.halt(request.zone, reason=request.reason, at=now)
    return TradingState(zone=request.zone, halted=ports.market.halted(request.zone))


def resume_market(ports: Ports, request: ResumeRequest, now: datetime) -> TradingState:
    """End a zone's halt and return that it trades."""
    ports.market.resume(request.zone, at=now)
    return TradingState(zone=request.zone, halted=ports.market.halted(request.zone))


def forecast(ports: Ports, question: ForecastQuestion, now: datetime) -> ForecastAnswer:
    """Return the newest forecast, unless it lies wholly in the past."""
    found = ports.forecasts.newest(question.zone, kind=question.kind, site=question.site)
    if found is not None and found.start + timedelta(seconds=found.step_s * len(found.p50)) <= now:
        found = None
    return ForecastAnswer(forecast=found)


def grid_status(ports: Ports, question: GridQuestion, now: datetime) -> GridStatus:
    """Return how a feeder stands and its last events."""
    del now  # The feeder's own instant is part of the answer.
    status = ports.grid.status(question.feeder)
    power_w = status.power_w if status is not None else None
    return GridStatus(
        feeder=question.feeder,
        state=status.state if status is not None else None,
        power_w=power_w,
        limit_w=status.limit_w if status is not None else None,
        loading_percent=(
            round(100 * abs(power_w) / status.limit_w, 1) if status is not None and power_w is not None else None
        ),
        at=status.at if status is not None else None,
        disturbances=status.disturbances if status is not None else (),
        events=tuple(
            EventAnswer(
                event_id=event.event_id,
                detected_at=event.detected_at,
                limit_w=event.limit_w,
                peak_w=event.peak_w,
                sites=event.sites,
                commands=event.commands,
                effective=event.effective,
                delivered_wh=event.delivered_wh,
                released=event.released,
            )
            for event in ports.grid.events(question.feeder, count=question.events)
        ),
    )


def relief_study(ports: Ports, question: StudyQuestion, now: datetime) -> StudyAnswer:
    """Return the cheapest changes that bring a network within its limits; nothing is ordered."""
    del ports, now  # The network is the question's own.
    return study(question)


SKILLS: tuple[Skill[Any, Any], ...] = (
    Skill(
        name="market_status",
        promise="Show a zone's delivery intervals: state, price, volume, and whether trading is halted.",
        agent="market supervisor",
        effect=Effect.READS,
        question=MarketQuestion,
        answer=MarketStatus,
        do=market_status,
    ),
    Skill(
        name="price_discovery",
        promise="Show best offers and open quantities of a zone's intervals that still trade, and the last prices.",
        agent="market supervisor",
        effect=Effect.READS,
        question=MarketQuestion,
        answer=PriceDiscovery,
        do=price_discovery,
    ),
    Skill(
        name="market_health",
        promise="Show whether a market's journal, tables and ledger agree, and how many orders and settlements it had.",
        agent="market supervisor",
        effect=Effect.READS,
        question=HealthQuestion,
        answer=HealthAnswer,
        do=market_health,
    ),
    Skill(
        name="halt_market",
        promise="Stop taking orders in a zone until it is resumed; what is agreed stays agreed.",
        agent="market supervisor",
        effect=Effect.ACTS,
        question=HaltRequest,
        answer=TradingState,
        do=halt_market,
    ),
    Skill(
        name="resume_market",
        promise="Take orders in a halted zone again.",
        agent="market supervisor",
        effect=Effect.ACTS,
        question=ResumeRequest,
        answer=TradingState,
        do=resume_market,
    ),
    Skill(
        name="forecast",
        promise="Show the newest forecast of a site's load or PV, or of the zone's price, with its band.",
        agent="forecasting",
        effect=Effect.READS,
        question=ForecastQuestion,
        answer=ForecastAnswer,
        do=forecast,
    ),
    Skill(
        name="grid_status",
        promise="Show a feeder's loading against its limit, what is done about it, and its last events.",
        agent="grid optimisation",
        effect=Effect.READS,
        question=GridQuestion,
        answer=GridStatus,
        do=grid_status,
    ),
    Skill(
        name="relief_study",
        promise="Find the cheapest changes of power that would bring a given low-voltage network within its limits.",
        agent="grid optimisation",
        effect=Effect.READS,
        question=StudyQuestion,
        answer=StudyAnswer,
        do=relief_study,
    ),
)


def skill(name: str) -> Skill[Any, Any]:
    """Return a skill by its name.

    Raises:
        SkillError: There is no such skill.
    """
    for each in SKILLS:
        if each.name == name:
            return each
    raise SkillError(f"no skill {name!r}; there are {', '.join(each.name for each in SKILLS)}")
