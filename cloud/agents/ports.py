"""Where the skills get their facts and take their acts: small protocols, which stores and handlers fulfil."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Protocol

from cloud.grid.actions import RecordEvent
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.grid import GridBroadcast
from contracts.market import MarketBroadcast
from contracts.skills.base import Agent
from contracts.skills.books import MonthRow, OrderRow, SettlementRow, TradeRow
from contracts.skills.fleet import GatewayAnswer, GatewayRow, JobAnswer
from contracts.skills.forecast import ScoreAnswer
from contracts.skills.grid import EvidenceRecord, NetworkStatus, SupplyValue
from contracts.skills.joining import JoinAnswer, JoinDecision, JoinRequest
from contracts.skills.market import ClaimDecision, EstimatedSettlement, HealthFigures, PriceQuote, WaitingClaim
from contracts.skills.operations import AuditRow, ProposalDecision, ProposalRow, RecordAnswer, SetAsideRow
from contracts.skills.outlook import BroadcastLine, DemandAnswer, WeatherAnswer
from contracts.skills.parameters import BidAnswer, BidQuestion, RulesAnswer
from contracts.skills.plan import GridOrder, LoadSchedule, SitePlan
from contracts.skills.relief import CoordinateAnswer, EventState, ProgrammeState
from contracts.skills.site import Flexibility, SiteOrder, SiteStatus, SiteTrade, StatementLine
from contracts.units import SiteId, ZoneId


class MarketPort(Protocol):
    """The market of a zone as its supervisor sees it.

    Raises:
        SkillError: From every call, when the zone is not known or its market has not begun.
    """

    def products(self, zone: ZoneId, *, since: datetime, until: datetime) -> Sequence[MarketBroadcast]:
        """Return the newest state of each delivery interval that starts in ``[since, until)``, in time order."""

    def quotes(self, zone: ZoneId, *, since: datetime, until: datetime) -> Sequence[PriceQuote]:
        """Return the quote of each delivery interval in ``[since, until)`` that still trades, in time order."""

    def health(self, zone: ZoneId) -> HealthFigures:
        """Return whether the market's parts agree, and how it does."""

    def now(self, zone: ZoneId) -> datetime:
        """Return the market's own instant: that of the newest thing that happened in it."""

    def halted(self, zone: ZoneId) -> str | None:
        """Return why trading is halted, ``None`` while it is not."""

    def halt(self, zone: ZoneId, *, reason: str, at: datetime) -> None:
        """Take no more orders in the zone until ``resume``."""

    def resume(self, zone: ZoneId, *, at: datetime) -> None:
        """End a halt."""

    def claims(self, zone: ZoneId) -> Sequence[WaitingClaim]:
        """Return the flagged claims that nobody has decided."""

    def estimates(self, zone: ZoneId) -> Sequence[EstimatedSettlement]:
        """Return what was settled without a reading and may still be corrected, the earliest first."""

    def decide(self, decision: ClaimDecision, *, at: datetime) -> None:
        """Take a person's word on a claim."""


class RulesPort(Protocol):
    """The rules of a zone's running market, and trials on a copy of it.

    Raises:
        SkillError: From every call, when the zone is not known or, but for ``in_force``, its market has not begun.
    """

    def in_force(self, zone: ZoneId) -> RulesAnswer:
        """Return how the market trades."""

    def refusal(self, zone: ZoneId, changes: Mapping[str, int], *, reason: str, at: datetime) -> str | None:
        """Return why parameters would not be taken, ``None`` where they would."""

    def change(self, zone: ZoneId, changes: Mapping[str, int], *, reason: str, at: datetime) -> RulesAnswer:
        """Set parameters anew and return what is in force.

        Raises:
            SkillError: They are not taken; nothing was changed.
        """

    def bid(self, zone: ZoneId, bid: BidQuestion, *, at: datetime) -> BidAnswer:
        """Return what the market would say to a bid; nothing is ordered."""


class ForecastPort(Protocol):
    """The forecasts of a zone as they were issued."""

    def newest(self, zone: ZoneId, *, kind: ForecastKind, site: SiteId | None) -> ForecastSeries | None:
        """Return the newest forecast of a kind, of one site or of the zone, ``None`` where none was issued."""

    def score(self, site: SiteId, *, kind: ForecastKind, since: datetime, until: datetime) -> ScoreAnswer:
        """Return how good a site's forecasts were for the delivery intervals in ``[since, until)``."""


class GridPort(Protocol):
    """A feeder as the grid agent sees it."""

    def feeders(self, zone: ZoneId) -> Sequence[SiteId]:
        """Return the feeders of a zone."""

    def status(self, feeder: SiteId) -> GridBroadcast | None:
        """Return the newest state of a feeder, ``None`` where it is not known."""

    def supply(self, feeder: SiteId) -> Sequence[SupplyValue]:
        """Return frequency and voltages as the feeder's meter last told them."""

    def network(self, feeder: SiteId) -> NetworkStatus | None:
        """Return how the feeder's network stands, ``None`` where there is no such feeder."""

    def events(self, feeder: SiteId, *, count: int) -> Sequence[RecordEvent]:
        """Return the newest demand-response events, the newest first."""

    def evidence(self, feeder: SiteId, *, event_id: str, first: int, count: int) -> Sequence[EvidenceRecord]:
        """Return records of an event's evidence from a number on.

        Raises:
            SkillError: The feeder has no such event.
        """


class SitePort(Protocol):
    """The sites as far as their gateways told.

    Raises:
        SkillError: From every call, when the site is not known.
    """

    def kind(self, site: SiteId) -> Agent:
        """Return whether a site is a producer or a consumer."""

    def zone(self, site: SiteId) -> ZoneId:
        """Return the zone that a site trades in."""

    def status(self, site: SiteId) -> SiteStatus:
        """Return the newest values of a site, and whether its gateway is online."""

    def orders(self, site: SiteId, *, since: datetime, until: datetime) -> Sequence[SiteOrder]:
        """Return a site's orders for delivery intervals in ``[since, until)``, in time order."""

    def trades(self, site: SiteId, *, since: datetime, until: datetime) -> Sequence[SiteTrade]:
        """Return a site's trades for delivery intervals in ``[since, until)``, in time order."""

    def settlements(self, site: SiteId, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """Return the newest settlement of each delivery interval in ``[since, until)``, in time order."""

    def flexibility(self, site: SiteId, *, direction: str, duration_s: int, at: datetime) -> Flexibility:
        """Return what a site can change, at an instant."""


class BooksPort(Protocol):
    """What everybody in a zone ordered, traded and was settled for; each list by delivery interval.

    Raises:
        SkillError: From every call, when the zone is not known.
    """

    def orders(self, zone: ZoneId, *, since: datetime, until: datetime, count: int) -> Sequence[OrderRow]:
        """Return up to ``count`` orders for delivery intervals in ``[since, until)``."""

    def trades(self, zone: ZoneId, *, since: datetime, until: datetime, count: int) -> Sequence[TradeRow]:
        """Return up to ``count`` trades for delivery intervals in ``[since, until)``."""

    def settlements(self, zone: ZoneId, *, since: datetime, until: datetime, count: int) -> Sequence[SettlementRow]:
        """Return up to ``count`` settlements for intervals in ``[since, until)``, each in its newest version."""

    def day(self, zone: ZoneId, day: date) -> tuple[datetime, datetime]:
        """Return from when to when a local day of the zone lasts."""

    def months(self, zone: ZoneId, *, month: date) -> Sequence[MonthRow]:
        """Return every site's local month, by name; ``month`` is its first day."""


class PlanPort(Protocol):
    """What a site is going to do, and what the grid asked of it.

    Raises:
        SkillError: From every call, when the site is not known.
    """

    def battery(self, site: SiteId, *, at: datetime, intervals: int) -> SitePlan:
        """Return what a site's battery is to do in the intervals from an instant on."""

    def reserve_refusal(self, site: SiteId, *, percent: int, at: datetime) -> str | None:
        """Return why a level cannot be kept in a site's battery, ``None`` where what it traded leaves it there."""

    def loads(self, site: SiteId, *, at: datetime) -> LoadSchedule:
        """Return what a site's loads are expected to draw from an instant on."""

    def orders(self, site: SiteId, *, count: int) -> Sequence[GridOrder]:
        """Return the grid's newest orders to a site, the newest first."""


class OutlookPort(Protocol):
    """What is to be expected in a zone.

    Raises:
        SkillError: From every call, when the zone or the site is not known.
    """

    def weather(self, zone: ZoneId, *, site: SiteId | None, since: datetime, until: datetime) -> WeatherAnswer:
        """Return the hours of ``[since, until)`` at a site, or in the middle of the zone."""

    def demand(self, zone: ZoneId, *, at: datetime) -> DemandAnswer:
        """Return the sum of the sites' newest forecasts, from an instant on."""

    def told(self, zone: ZoneId) -> Sequence[BroadcastLine]:
        """Return the newest issue of each forecast."""


class JoinPort(Protocol):
    """Sites of other aggregators that want to take part in a zone's market.

    Raises:
        SkillError: From every call, when the zone is not known.
    """

    def ask(self, request: JoinRequest, *, at: datetime) -> JoinAnswer:
        """Keep a request that could be accepted; the same one again returns what became of it."""

    def requests(self, zone: ZoneId) -> Sequence[JoinAnswer]:
        """Return every request for a zone, by the site's id."""

    def decide(self, decision: JoinDecision, *, at: datetime) -> JoinAnswer:
        """Accept or refuse a request that waits."""


class ReliefPort(Protocol):
    """Requests to hold a feeder below a lower limit.

    Raises:
        SkillError: From every call, when the feeder is not known.
    """

    def ask(self, feeder: SiteId, *, direction: str, limit_w: int, at: datetime, until: datetime, reason: str) -> None:
        """Let the grid agent hold a feeder below a limit until an instant.

        Raises:
            SkillError: The limit is not below the feeder's own, or too low to be held, or another request holds.
        """

    def refusal(self, feeder: SiteId, *, direction: str, limit_w: int, at: datetime) -> str | None:
        """Return why a limit would not be taken at an instant, ``None`` where it would."""

    def programme(self, feeder: SiteId) -> ProgrammeState:
        """Return at which prices relief is paid."""

    def pay(self, feeder: SiteId, *, price_mct_per_kwh: int, penalty_mct_per_kwh: int, reason: str) -> ProgrammeState:
        """Set the prices anew for events that end from now on, and return them."""

    def lift(self, feeder: SiteId) -> None:
        """End a request."""

    def limits(self, feeder: SiteId, *, at: datetime) -> EventState:
        """Return the limits that hold at an instant."""

    def shares(self, feeder: SiteId, *, direction: str, need_w: int, duration_s: int, at: datetime) -> CoordinateAnswer:
        """Return the cheapest shares of the sites that give a relief."""


class RecordsPort(Protocol):
    """What is kept of calls and of conversations with language models."""

    def calls(
        self, day: date, *, count: int, before: str | None, wanted: Mapping[str, str]
    ) -> tuple[Sequence[AuditRow], str | None]:
        """Return up to ``count`` calls of a UTC day, the newest first, and where to go on.

        Args:
            day: Which day.
            count: How many at most.
            before: What the last answer said to go on from.
            wanted: What fields of a row must be.
        """

    def proposals(self, *, days: int) -> Sequence[ProposalRow]:
        """Return what was proposed in the last days, the newest first."""

    def propose(self, *, by: str, why: str, skill: str, question: Mapping[str, Any], refused: str | None) -> str:
        """Keep what somebody proposed, with the core's verdict, and return its id.

        Raises:
            SkillError: He has proposed too much today.
        """

    def decide(self, decision: ProposalDecision, *, at: datetime) -> ProposalRow:
        """Keep a decision.

        Raises:
            SkillMissing: There is no such proposal.
            SkillError: It is decided, or it acts and was not done with its key.
        """


class SetAsidePort(Protocol):
    """Records that a function could not take.

    Raises:
        SkillMissing: There is no such record.
        SkillError: From every call, where no such records are kept.
    """

    def all(self) -> Sequence[SetAsideRow]:
        """Return every record, the oldest first."""

    def whole(self, record: str) -> RecordAnswer:
        """Return one record with its data."""

    def replay(self, record: str, *, data: str | None) -> SetAsideRow:
        """Let a record be delivered again, with ``data`` in its place.

        Raises:
            SkillError: The data is no message.
        """

    def drop(self, record: str) -> SetAsideRow:
        """Forget a record."""


class FleetPort(Protocol):
    """The gateways of a fleet.

    Raises:
        SkillMissing: There is no such gateway.
        SkillError: From every call, where there is no fleet, or it refuses.
    """

    def gateways(self) -> Sequence[GatewayRow]:
        """Return all gateways by name."""

    def gateway(self, name: str) -> GatewayAnswer:
        """Return one gateway with its jobs and settings."""

    def want(self, name: str, shadow: str, wish: Mapping[str, Any]) -> int:
        """Wish settings and return the version of the wish."""

    def update(self, name: str, document: Mapping[str, Any]) -> JobAnswer:
        """Make a job of a signed update."""
