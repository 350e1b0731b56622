"""Where the skills get their facts and take their acts: small protocols, which stores and handlers fulfil."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cloud.grid.actions import RecordEvent
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.grid import GridBroadcast
from contracts.market import MarketBroadcast, ProductState
from contracts.units import SiteId, ZoneId


@dataclass(frozen=True, kw_only=True)
class Quote:
    """What one delivery interval that still trades is worth to those with orders in it; quantities are open ones."""

    interval_start: datetime
    state: ProductState
    last_price_mct_per_kwh: int | None
    best_buy_mct_per_kwh: int | None
    best_sell_mct_per_kwh: int | None
    buy_wh: int
    sell_wh: int
    volume_wh: int


@dataclass(frozen=True, kw_only=True)
class MarketHealth:
    """Whether a market's parts agree, and how it does, at its own instant ``at``.

    ``entries`` were journalled, of which ``entries_stored`` are in the tables and at least ``entries_told`` were told
    to sites; the writer may be at the last one right now. Both ledger sums are zero, or something is broken.
    ``overdue`` products wait for meters beyond the deadline.
    Settlements are counted over the products that the market remembers, orders and refusals over those since a day.
    """

    at: datetime
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
    states: Mapping[str, int]
    overdue: int
    settlements: int
    estimated: int
    corrected: int
    orders: int
    refused: int


class MarketDesk(Protocol):
    """The market of a zone as its supervisor sees it.

    Raises:
        SkillError: From every call, when the zone is not known or its market has not begun.
    """

    def products(self, zone: ZoneId, *, since: datetime, until: datetime) -> Sequence[MarketBroadcast]:
        """Return the newest state of each delivery interval that starts in ``[since, until)``, in time order."""

    def quotes(self, zone: ZoneId, *, since: datetime, until: datetime) -> Sequence[Quote]:
        """Return the quote of each delivery interval in ``[since, until)`` that still trades, in time order."""

    def health(self, zone: ZoneId) -> MarketHealth:
        """Return whether the market's parts agree, and how it does."""

    def halted(self, zone: ZoneId) -> str | None:
        """Return why trading is halted, ``None`` while it is not."""

    def halt(self, zone: ZoneId, *, reason: str, at: datetime) -> None:
        """Take no more orders in the zone until ``resume``."""

    def resume(self, zone: ZoneId, *, at: datetime) -> None:
        """End a halt."""


class ForecastDesk(Protocol):
    """The forecasts of a zone as they were issued."""

    def newest(self, zone: ZoneId, *, kind: ForecastKind, site: SiteId | None) -> ForecastSeries | None:
        """Return the newest forecast of a kind, of one site or of the zone, ``None`` where none was issued."""


class GridDesk(Protocol):
    """A feeder as the grid agent sees it."""

    def status(self, feeder: SiteId) -> GridBroadcast | None:
        """Return the newest state of a feeder, ``None`` where it is not known."""

    def events(self, feeder: SiteId, *, count: int) -> Sequence[RecordEvent]:
        """Return the newest demand-response events, the newest first."""
