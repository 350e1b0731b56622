"""What a producer's or a consumer's agent answers from: its gateway's reports, and the market's items of the site."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from cloud.errors import SkillError, SkillMissing
from cloud.grid.model import Direction
from cloud.grid.offers import Natural
from cloud.grid.offers import offers_of as parts_of
from cloud.shell.alarms import alarms_of
from cloud.shell.grid.view import observations, offers_of
from cloud.shell.market.projection import committed_upto
from cloud.stores import keys
from cloud.stores.registry import Registry, SiteRecord
from cloud.stores.tables import Item, Table, Tables, prefix
from contracts.market import OrderStatus, Side, SiteAgent
from contracts.quality import Quality
from contracts.skills.base import Agent
from contracts.skills.site import (
    Flexibility,
    FlexibilityPart,
    PointValue,
    SiteOrder,
    SiteStatus,
    SiteTrade,
    StatementLine,
)
from contracts.units import DELIVERY_INTERVAL, DeliveryInterval, SiteId, ZoneId, epoch_ms, instant

# What was told longer ago says nothing of what a site can do now; the grid agent's own bound.
STALE_AFTER: Final = timedelta(seconds=400)
_AGENTS: Final = {SiteAgent.PRODUCER: Agent.PRODUCER, SiteAgent.CONSUMER: Agent.CONSUMER}


class StoreSites:
    """The sites of a registry as the tables have them."""

    def __init__(self, tables: Tables, registry: Registry) -> None:
        self._tables = tables
        self._registry = registry

    def kind(self, site: SiteId) -> Agent:
        """Return whether a site is a producer or a consumer."""
        agent = _AGENTS.get(self._site(site).agent)
        if agent is None:
            raise SkillError(f"{site} only measures; it has no agent")
        return agent

    def zone(self, site: SiteId) -> ZoneId:
        """Return the zone that a site trades in."""
        return self._site(site).zone

    def status(self, site: SiteId) -> SiteStatus:
        """Return the newest values of a site, and whether its gateway is online."""
        record = self._site(site)
        status = self._tables.get(keys.site_state(site, keys.STATUS))
        latest = self._tables.get(keys.site_state(site, keys.LATEST))
        alarms = alarms_of(self._tables, site)
        points: dict[str, list[Any]] = latest.body["points"] if latest else {}
        return SiteStatus(
            site=site,
            zone=record.zone,
            agent=str(record.agent),
            online=status.body["online"] if status else None,
            software=status.body["software"] if status else None,
            heard_at=instant(latest.body["told_until"]) if latest else None,
            alarms=None if alarms is None else alarms.texts,
            alarms_at=None if alarms is None else alarms.at,
            import_limit_w=record.import_limit_w,
            export_limit_w=record.export_limit_w,
            points=tuple(
                PointValue(point=name, at=instant(at_ms), value=value, quality=Quality(quality))
                for name, (at_ms, value, quality) in sorted(points.items())
            ),
        )

    def orders(self, site: SiteId, *, since: datetime, until: datetime) -> Sequence[SiteOrder]:
        """Return a site's orders for delivery intervals in ``[since, until)``, in time order."""
        zone = self._site(site).zone
        upto = committed_upto(self._tables, zone)
        found = []
        interval = DeliveryInterval.containing(since)
        while interval.start < until:
            partition = keys.market(zone, interval.start)
            for item in self._tables.query(Table.MARKET_DATA, partition, **prefix(keys.orders_of(site))):
                if item.body["position"] <= upto:
                    found.append(_order(item.body))
            interval = interval.later(1)
        return found

    def trades(self, site: SiteId, *, since: datetime, until: datetime) -> Sequence[SiteTrade]:
        """Return a site's trades for delivery intervals in ``[since, until)``, in time order."""
        return [
            SiteTrade(
                interval_start=instant(body["interval_ms"]),
                trade_id=body["trade_id"],
                side=Side(body["side"]),
                quantity_wh=body["quantity_wh"],
                price_mct_per_kwh=body["price_mct_per_kwh"],
            )
            for body in self._of_site(site, keys.SIDES, since=since, until=until)
        ]

    def settlements(self, site: SiteId, *, since: datetime, until: datetime) -> Sequence[StatementLine]:
        """Return the newest settlement of each delivery interval in ``[since, until)``, in time order."""
        newest: dict[int, dict[str, Any]] = {}
        for body in self._of_site(site, keys.SETTLED, since=since, until=until):
            before = newest.get(body["interval_ms"])
            if before is None or before["version"] < body["version"]:
                newest[body["interval_ms"]] = body
        return [_line(body) for _, body in sorted(newest.items())]

    def flexibility(self, site: SiteId, *, direction: str, duration_s: int, at: datetime) -> Flexibility:
        """Return what a site can change, at an instant."""
        record = self._site(site)
        feeder = self._registry.feeder(record.feeder) if record.feeder else None
        seen = next(iter(observations(self._tables, [record])), None)
        able = next((one for one in offers_of(self._registry, feeder) if one.site == site), None) if feeder else None
        if seen is None or at - seen.at > STALE_AFTER:
            return Flexibility(site=site, seen_at=None, parts=(), change_w_max=0)
        offers = (
            ()
            if able is None
            else parts_of(
                able,
                seen=seen,
                natural=Natural(
                    connection_w=seen.connection_power_w or 0.0,
                    battery_w=seen.battery_power_w or 0.0,
                    pv_w=seen.pv_power_w or 0.0,
                ),
                direction=Direction(direction),
                duration_s=float(duration_s),
            )
        )
        parts = tuple(
            FlexibilityPart(
                means=str(offer.means),
                change_w_max=int(offer.change_w_max),
                price_mct_per_kwh=offer.price_mct_per_kwh,
            )
            for offer in offers
        )
        total = sum(part.change_w_max for part in parts)
        return Flexibility(site=site, seen_at=seen.at, parts=parts, change_w_max=total)

    def _of_site(self, site: SiteId, what: str, *, since: datetime, until: datetime) -> Iterator[dict[str, Any]]:
        """Yield a site's committed items of a kind from the months between two instants."""
        upto = committed_upto(self._tables, self._site(site).zone)
        first, end = epoch_ms(since), epoch_ms(until)
        month = since.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        while month < until + DELIVERY_INTERVAL:
            items: Sequence[Item] = self._tables.query_index(Table.TRADE_DATA, keys.site_month(site, month))
            for item in items:
                body = item.body
                if item.key.sk.startswith(what) and body["position"] <= upto and first <= body["interval_ms"] < end:
                    yield body
            month = (month + timedelta(days=32)).replace(day=1)

    def _site(self, site: SiteId) -> SiteRecord:
        record = self._registry.site(site)
        if record is None:
            raise SkillMissing(f"no site {site!r}")
        return record


def _order(body: dict[str, Any]) -> SiteOrder:
    return SiteOrder(
        interval_start=instant(body["interval_ms"]),
        order_id=body["order_id"],
        status=OrderStatus(body["status"]),
        traded_wh=body["traded_wh"],
        reason=body["reason"],
    )


def _line(body: dict[str, Any]) -> StatementLine:
    return StatementLine(
        interval_start=instant(body["interval_ms"]),
        version=body["version"],
        metered_wh=body["metered_wh"],
        traded_wh=body["traded_wh"],
        imbalance_wh=body["imbalance_wh"],
        imbalance_mct_per_kwh=body["imbalance_mct_per_kwh"],
        trades_uct=body["trades_uct"],
        imbalance_uct=body["imbalance_uct"],
        fees_uct=body["fees_uct"],
        demand_response_uct=body["demand_response_uct"],
        estimated=body["estimated"],
    )
