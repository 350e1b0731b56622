"""What a journal entry leaves in the tables, and what it tells sites: derived, so it may be written again and again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from cloud.handlers.market_shell.fold import Step
from cloud.handlers.publishing import Outgoing
from cloud.stores import keys
from cloud.stores.tables import IndexKey, Put
from contracts.market import ProductState
from contracts.topics import Broadcast, Down, broadcast_topic, site_topic
from contracts.units import SiteId, ZoneId, instant

STATE = "STATE"
CLEAR = "CLEAR"


def writes(zone: ZoneId, step: Step) -> Iterator[Put]:
    """Yield everything that a step leaves in ``market-data`` and ``trade-data``."""
    outcome = step.outcome
    for reply in outcome.replies:
        if reply.order_id and reply.site:
            body = {**_plain(reply._asdict()), "position": step.position}
            what = f"ORDER#{reply.site}#{reply.order_id}"
            yield Put(key=keys.market_item(zone, instant(reply.interval_ms), what), body=body)
    for view in outcome.broadcasts:
        start = instant(view.interval_ms)
        body = {**_plain(view._asdict()), "position": step.position, "at_ms": step.at_ms}
        index = IndexKey(pk=keys.market(zone, None), sk=_iso(start))
        yield Put(key=keys.market_item(zone, start, STATE), body=body, index=index)
        if view.state is ProductState.CLEARED:
            yield Put(key=keys.market_item(zone, start, CLEAR), body=body)
    for trade in outcome.trades:
        start, body = instant(trade.interval_ms), {**_plain(trade._asdict()), "at_ms": step.at_ms}
        yield Put(key=keys.trade_item(zone, start, f"TRADE#{trade.trade_id}"), body=body)
        for side, site in (("BUY", trade.buy_site), ("SELL", trade.sell_site)):
            key = keys.trade_item(zone, start, f"SIDE#{trade.trade_id}#{side}")
            yield Put(key=key, body={**body, "site": site, "side": side.lower()}, index=_of_month(site, start, key.sk))
    for line in outcome.lines:
        start = instant(line.interval_ms)
        yield Put(key=keys.trade_item(zone, start, f"LEDGER#{line.number:012d}"), body=_plain(line._asdict()))
    for settled in outcome.settlements:
        start = instant(settled.interval_ms)
        key = keys.trade_item(zone, start, f"SETTLED#{settled.site}#{settled.version:04d}")
        yield Put(key=key, body=_plain(settled._asdict()), index=_of_month(settled.site, start, key.sk))


def messages(zone: ZoneId, step: Step) -> Iterator[Outgoing]:
    """Yield what a step tells: each site its own results, the zone the public states."""
    for notice in step.notices:
        topic = site_topic(zone=zone, site=notice.site, channel=Down.TRADES)
        yield Outgoing(topic=topic, payload=notice.encode())
    topic = broadcast_topic(zone=zone, channel=Broadcast.MARKET)
    for told in step.broadcasts:
        yield Outgoing(topic=topic, payload=told.encode())


def _of_month(site: SiteId, start: datetime, what: str) -> IndexKey:
    return IndexKey(pk=f"{site}#{start.astimezone(UTC):%Y%m}", sk=f"{_iso(start)}#{what}")


def _iso(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record's fields as JSON values; enums of text are text."""
    return {name: str(value) if isinstance(value, str) else value for name, value in fields.items()}
