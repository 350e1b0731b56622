"""A zone's books out of the tables, as far as the market's journal is committed."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final, TypeVar

from cloud.errors import SkillMissing
from cloud.shell.market.projection import committed_upto
from cloud.shell.market.statements import statements
from cloud.stores import keys
from cloud.stores.registry import Registry, ZoneRecord
from cloud.stores.tables import Table, Tables, prefix
from contracts.market import OrderStatus
from contracts.skills.books import MonthRow, OrderRow, SettlementRow, TradeRow
from contracts.units import DeliveryInterval, ZoneId, instant

Row = TypeVar("Row")

_DAY: Final = timedelta(days=1)


class StoreBooks:
    """The books of the zones of a registry."""

    def __init__(self, tables: Tables, registry: Registry) -> None:
        self._tables = tables
        self._registry = registry

    def orders(self, zone: ZoneId, *, since: datetime, until: datetime, count: int) -> Sequence[OrderRow]:
        """Return up to ``count`` orders for delivery intervals in ``[since, until)``."""
        return self._rows(zone, Table.MARKET_DATA, keys.ORDERS, _order, since=since, until=until, count=count)

    def trades(self, zone: ZoneId, *, since: datetime, until: datetime, count: int) -> Sequence[TradeRow]:
        """Return up to ``count`` trades for delivery intervals in ``[since, until)``."""
        return self._rows(zone, Table.TRADE_DATA, keys.TRADES, _trade, since=since, until=until, count=count)

    def settlements(self, zone: ZoneId, *, since: datetime, until: datetime, count: int) -> Sequence[SettlementRow]:
        """Return up to ``count`` settlements for intervals in ``[since, until)``, each in its newest version."""
        found: list[SettlementRow] = []
        for bodies in self._by_interval(zone, Table.TRADE_DATA, keys.SETTLED, since=since, until=until):
            newest: dict[str, dict[str, Any]] = {}
            for body in bodies:
                newest[body["site"]] = max(newest.get(body["site"], body), body, key=lambda one: int(one["version"]))
            found += [_settlement(body) for _, body in sorted(newest.items())]
            if len(found) >= count:
                break
        return found[:count]

    def day(self, zone: ZoneId, day: date) -> tuple[datetime, datetime]:
        """Return from when to when a local day of the zone lasts."""
        clock = self._zone(zone).clock
        first, next_day = (datetime.combine(each, time(), clock).astimezone(UTC) for each in (day, day + _DAY))
        return first, next_day

    def months(self, zone: ZoneId, *, month: date) -> Sequence[MonthRow]:
        """Return every site's local month, by name."""
        names = list(MonthRow.model_fields)
        made = statements(self._tables, self._zone(zone), month=month, site=None)
        return [MonthRow(**{name: getattr(one, name) for name in names}) for one in made]

    def _rows(
        self,
        zone: ZoneId,
        table: Table,
        what: str,
        row: Callable[[dict[str, Any]], Row],
        *,
        since: datetime,
        until: datetime,
        count: int,
    ) -> list[Row]:
        intervals = self._by_interval(zone, table, what, since=since, until=until)
        return list(islice((row(body) for bodies in intervals for body in bodies), count))

    def _by_interval(
        self, zone: ZoneId, table: Table, what: str, *, since: datetime, until: datetime
    ) -> Iterator[list[dict[str, Any]]]:
        self._zone(zone)
        upto = committed_upto(self._tables, zone)
        interval = DeliveryInterval.containing(since)
        while interval.start < until:
            items = self._tables.query(table, keys.market(zone, interval.start), **prefix(what))
            yield [item.body for item in items if item.body["position"] <= upto]
            interval = interval.later(1)

    def _zone(self, zone: ZoneId) -> ZoneRecord:
        record = self._registry.zone(zone)
        if record is None:
            raise SkillMissing(f"no zone {zone!r}")
        return record


def _order(body: dict[str, Any]) -> OrderRow:
    return OrderRow(
        interval_start=instant(body["interval_ms"]),
        site=body["site"],
        order_id=body["order_id"],
        status=OrderStatus(body["status"]),
        traded_wh=body["traded_wh"],
        reason=body["reason"],
    )


def _trade(body: dict[str, Any]) -> TradeRow:
    names = [name for name in TradeRow.model_fields if name != "interval_start"]
    return TradeRow(interval_start=instant(body["interval_ms"]), **{name: body[name] for name in names})


def _settlement(body: dict[str, Any]) -> SettlementRow:
    names = [name for name in SettlementRow.model_fields if name != "interval_start"]
    return SettlementRow(interval_start=instant(body["interval_ms"]), **{name: body[name] for name in names})
