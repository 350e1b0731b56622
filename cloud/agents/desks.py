"""Where the skills get their facts and take their acts: small protocols, which stores and handlers fulfil."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from cloud.grid.actions import RecordEvent
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.grid import GridBroadcast
from contracts.market import MarketBroadcast
from contracts.units import SiteId, ZoneId


class MarketDesk(Protocol):
    """The market of a zone as its supervisor sees it."""

    def products(self, zone: ZoneId, *, since: datetime, until: datetime) -> Sequence[MarketBroadcast]:
        """Return the newest state of each delivery interval that starts in ``[since, until)``, in time order."""

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
