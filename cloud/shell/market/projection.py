"""What a journal entry leaves in the tables, and what it tells sites: derived, so it may be written again and again.

An entry that leaves more than one transaction holds is written in several. ``STORED`` says which entry is *prepared*
(being written) and up to which all are *committed*; every trade, ledger line and settlement carries its entry's
position, and a reader leaves out what is not committed, so that nobody sees half a clearing.
"""

from collections.abc import Iterator
from typing import Any, Final

from cloud.market.settling import IMPLAUSIBLE
from cloud.shell.market.fold import Step
from cloud.shell.publishing import Outgoing
from cloud.stores import keys
from cloud.stores.tables import TRANSACT_MAX, Check, Key, Put, Tables, Write
from contracts.market import ProductState, Side
from contracts.topics import Broadcast, Down, broadcast_topic, site_topic
from contracts.units import DELIVERY_INTERVAL, ZoneId, instant

# What the events say that the market itself reports of a site, with the epoch 0 that no gateway has.
READING_HELD: Final = "reading held as implausible"
CLAIM_WAITS: Final = "claim waits for a person"
# More lines than one demand-response command may have.
_CLAIMS_MAX: Final = 100_000
# A transaction also holds the fence and the note of what is stored.
_PART_MAX: Final = TRANSACT_MAX - 2


def writes(zone: ZoneId, step: Step) -> Iterator[Put]:
    """Yield everything that a step leaves in ``market-data`` and ``trade-data``; what is only added comes first."""
    outcome, position = step.outcome, step.position
    for trade in outcome.trades:
        start, body = instant(trade.interval_ms), {**_plain(trade._asdict()), "at_ms": step.at_ms, "position": position}
        yield Put(key=keys.trade(zone, start, trade.trade_id), body=body)
        for side, site in ((Side.BUY, trade.buy_site), (Side.SELL, trade.sell_site)):
            key = keys.trade_side(zone, start, trade.trade_id, side)
            yield Put(key=key, body={**body, "site": site, "side": side.value}, index=keys.site_trade(site, start, key))
    for line in outcome.lines:
        start, body = instant(line.interval_ms), {**_plain(line._asdict()), "position": position}
        yield Put(key=keys.ledger_line(zone, start, line.number), body=body)
    for settled in outcome.settlements:
        start, body = instant(settled.interval_ms), {**_plain(settled._asdict()), "position": position}
        key = keys.settlement(zone, start, settled.site, settled.version)
        yield Put(key=key, body=body, index=keys.site_trade(settled.site, start, key))
    for claim in step.claims:
        start = instant(claim.line["interval_ms"])
        body = {**claim.line, "taken": claim.reason is None, "reason": claim.reason, "position": position}
        yield Put(key=keys.claim(zone, start, claim.line["event"], claim.line["site"]), body=body)
    yield from _events(zone, step)
    for reply in outcome.replies:
        if reply.order_id and reply.site:
            body = {**_plain(reply._asdict()), "position": position}
            yield Put(key=keys.market_order(zone, instant(reply.interval_ms), reply.site, reply.order_id), body=body)
    for view in outcome.broadcasts:
        start = instant(view.interval_ms)
        body = {**_plain(view._asdict()), "position": position, "at_ms": step.at_ms}
        yield Put(key=keys.market_item(zone, start, keys.STATE), body=body, index=keys.market_products(zone, start))
        if view.state is ProductState.CLEARED:
            yield Put(key=keys.market_item(zone, start, keys.CLEAR), body=body)


def _events(zone: ZoneId, step: Step) -> Iterator[Put]:
    """Yield what an operator should look at: readings that were held, claims that wait for a person."""
    for answer in step.outcome.answers:
        if answer.refusal == IMPLAUSIBLE:
            at = instant(answer.interval_ms)
            fields = {
                "zone": zone,
                "interval_start": at.isoformat(),
                "reading": answer.order_id,
                "reason": answer.reason,
            }
            key = keys.site_event(answer.site, at + DELIVERY_INTERVAL, 0, step.position)
            yield Put(key=key, body={"phrase": READING_HELD, "fields": fields, "position": step.position})
    for number, claim in enumerate(step.waiting):
        line = claim.line
        at = instant(line["interval_ms"])
        fields = {
            "zone": zone,
            "event": line["event"],
            "interval_start": at.isoformat(),
            "flags": ", ".join(line["flags"]),
            "claimed_uct": abs(line["committed_wh"]) * line["price_mct_per_kwh"],
        }
        key = keys.site_event(line["site"], instant(step.at_ms), 0, step.position * _CLAIMS_MAX + number)
        yield Put(key=key, body={"phrase": CLAIM_WAITS, "fields": fields, "position": step.position})


def transactions(zone: ZoneId, step: Step, *, fence: Check, committed: int) -> Iterator[list[Write]]:
    """Yield the transactions that store a step: one where it fits, else prepared by all but the last.

    Args:
        zone: Whose market it is.
        step: What is to be stored.
        fence: The demand that nobody has written to the journal since.
        committed: Up to which entry all were stored before; a repeat of an earlier one takes nothing back.
    """
    puts = list({put.key: put for put in writes(zone, step)}.values())
    parts = [puts[start : start + _PART_MAX] for start in range(0, len(puts), _PART_MAX)] or [[]]
    for number, part in enumerate(parts, start=1):
        done = max(committed, step.position) if number == len(parts) else committed
        stored = Put(key=_stored(zone), body={"prepared": max(committed, step.position), "committed": done})
        yield [fence, stored, *part]


def committed_upto(tables: Tables, zone: ZoneId) -> int:
    """Return up to which entry of the journal everything is in the tables; read it before what it is to judge.

    Raises:
        StoreError: The tables failed.
    """
    item = tables.get(_stored(zone))
    return int(item.body["committed"]) if item is not None else 0


def messages(zone: ZoneId, step: Step) -> Iterator[Outgoing]:
    """Yield what a step tells: each site its own results, the zone the public states."""
    for notice in step.notices:
        topic = site_topic(zone=zone, site=notice.site, channel=Down.TRADES)
        yield Outgoing(topic=topic, payload=notice.encode())
    topic = broadcast_topic(zone=zone, channel=Broadcast.MARKET)
    for state in step.broadcasts:
        yield Outgoing(topic=topic, payload=state.encode())


def _stored(zone: ZoneId) -> Key:
    return keys.market_item(zone, None, keys.STORED)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a record's fields as JSON values; enums of text are text."""
    return {name: str(value) if isinstance(value, str) else value for name, value in fields.items()}
