"""What a site that comes online is told again: its trades, and its orders that traded, of intervals not yet delivered.

A broker that dies forgets what waits for a site, and a session ends when a site is away for long; the ledger has the
trades either way. A site takes a trade once by its id, and of an order the newest state.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from cloud.market.rules import OPENING_S_MAX
from cloud.shell.market.projection import committed_upto
from cloud.shell.publishing import Outgoing
from cloud.stores import keys
from cloud.stores.tables import Table, Tables, prefix
from contracts.market import LINES_MAX, OrderResult, OrderStatus, Side, TradeLine, TradesMessage
from contracts.topics import Down, site_topic
from contracts.units import DeliveryInterval, SiteId, ZoneId, epoch_ms, instant


def retold(tables: Tables, zone: ZoneId, site: SiteId, *, at: datetime) -> list[Outgoing]:
    """Return the messages to a site that came online at an instant, by interval; they have an epoch of their own.

    What is being stored at this moment is left out: the market tells it by itself.

    Raises:
        StoreError: The tables failed.
    """
    upto = committed_upto(tables, zone)
    trades: dict[int, list[TradeLine]] = {}
    for body in _traded(tables, site, since=DeliveryInterval.containing(at).start):
        if body["position"] <= upto:
            trades.setdefault(body["interval_ms"], []).append(_line(body))
    return [
        Outgoing(
            topic=site_topic(zone=zone, site=site, channel=Down.TRADES),
            payload=TradesMessage(
                zone=zone,
                site=site,
                interval_start=instant(start_ms),
                issued_at=at,
                epoch=epoch_ms(at),
                seq=seq,
                results=tuple(_results(tables, zone, site, instant(start_ms), upto=upto))[:LINES_MAX],
                trades=tuple(lines[:LINES_MAX]),
            ).encode(),
        )
        for seq, (start_ms, lines) in enumerate(sorted(trades.items()), start=1)
    ]


def _traded(tables: Tables, site: SiteId, *, since: datetime) -> Iterator[dict[str, Any]]:
    """Yield a site's side of each trade for an interval and those after it: they lie in one month or two."""
    end = since + timedelta(seconds=OPENING_S_MAX)
    for month in dict.fromkeys((keys.site_month(site, since), keys.site_month(site, end))):
        for item in tables.query_index(Table.TRADE_DATA, month, first=keys.site_trades_from(since)):
            if item.key.sk.startswith(keys.SIDES):
                yield item.body


def _results(tables: Tables, zone: ZoneId, site: SiteId, start: datetime, *, upto: int) -> Iterator[OrderResult]:
    key = keys.market_item(zone, start, keys.orders_of(site))
    for item in tables.query(key.table, key.pk, **prefix(key.sk)):
        body = item.body
        if body["position"] <= upto:
            yield OrderResult(
                order_id=body["order_id"],
                status=OrderStatus(body["status"]),
                reason=None if body["refusal"] is None else f"{body['refusal']}: {body['reason']}",
                traded_wh=body["traded_wh"],
            )


def _line(body: dict[str, Any]) -> TradeLine:
    side = Side(body["side"])
    return TradeLine(
        trade_id=body["trade_id"],
        order_id=body["buy_order"] if side is Side.BUY else body["sell_order"],
        side=side,
        quantity_wh=body["quantity_wh"],
        price_mct_per_kwh=body["price_mct_per_kwh"],
    )
