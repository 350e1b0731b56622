"""A zone's published prices: asked for once for the zone, kept, and asked for again with growing pauses."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloud.errors import ProviderError, SetupError
from cloud.prices.providers import provider_of
from cloud.stores import keys
from cloud.stores.registry import ZoneRecord
from cloud.stores.tables import Put, Table, Tables
from contracts.units import DELIVERY_INTERVAL, DeliveryInterval, ZoneId, epoch_ms, instant
from domain.prices.source import Provider
from domain.prices.steps import Prices

log = logging.getLogger(__name__)

_DAY: Final = timedelta(days=1)
_PER_DAY: Final = _DAY // DELIVERY_INTERVAL
# Before the auction's usual hour today's prices are enough; a zone's day may end two hours before UTC's.
_ZONE_DAY_ENDS_EARLIER: Final = timedelta(hours=2)
FIRST_PAUSE: Final = timedelta(minutes=5)
PAUSE_MAX: Final = timedelta(hours=2)
LOOK_BACK: Final = _DAY  # A first question fetches yesterday too.


@dataclass(frozen=True, kw_only=True)
class DayAhead:
    """Published prices that are known, from whom, and until when without a gap from the instant of asking.

    ``fault`` says why the newest question was not answered.
    """

    source: str
    prices: Prices
    until: datetime | None = None
    fault: str = ""


def day_ahead(
    tables: Tables,
    zone: ZoneRecord,
    *,
    at: datetime,
    history: timedelta,
    environ: Callable[[str], str | None] = os.environ.get,
) -> DayAhead | None:
    """Return a zone's published prices, asked for if they are due; ``None`` where the market's own price counts.

    A provider that fails is no failure of the tick: what is kept counts, and the fault is told.

    Raises:
        StoreError: The tables failed.
    """
    if zone.prices.provider is Provider.MARKET:
        return None
    known = _kept(tables, zone.id, first=at - history)
    state = _state(tables, zone.id)
    begin = DeliveryInterval.containing(at).start
    if _until(known, begin) < _due_until(zone, at) and at >= instant(state["next_ms"]):
        first = max(at - LOOK_BACK, begin - _DAY)
        try:
            news = provider_of(zone.prices, environ=environ).prices(first=first, last=begin + 3 * _DAY)
        except (ProviderError, SetupError) as error:
            pause = min(PAUSE_MAX, FIRST_PAUSE * 2 ** min(10, int(state["failures"])))
            pause = max(pause, timedelta(seconds=getattr(error, "retry_after_s", 0.0)))
            state = {"failures": state["failures"] + 1, "next_ms": epoch_ms(at + pause), "fault": str(error)[:300]}
            log.warning("prices not fetched", extra={"zone": zone.id, "error": str(error)[:300]})
        else:
            _keep(tables, zone.id, news)
            known = {**known, **news}
            state = {"failures": 0, "next_ms": epoch_ms(at + FIRST_PAUSE), "fault": ""}
        tables.put(Put(key=keys.day_ahead_state(zone.id), body=state))
    until = _until(known, begin)
    return DayAhead(
        source=zone.prices.provider, prices=known, until=until if until > begin else None, fault=state["fault"]
    )


def _due_until(zone: ZoneRecord, at: datetime) -> datetime:
    """Return until when prices should be known: to the end of the zone's day, or of the next once it is published."""
    local = at + timedelta(seconds=zone.offset_s(at))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(seconds=zone.offset_s(at))
    published = at.astimezone(UTC).hour >= zone.prices.publishes_at_hour_utc
    return midnight + (2 if published else 1) * _DAY - _ZONE_DAY_ENDS_EARLIER


def _until(prices: Mapping[datetime, int], begin: datetime) -> datetime:
    while begin in prices:
        begin += DELIVERY_INTERVAL
    return begin


def _kept(tables: Tables, zone: ZoneId, *, first: datetime) -> dict[datetime, int]:
    items = tables.query(Table.FORECAST_DATA, keys.day_ahead(zone, first).pk, first=f"{first:%Y%m%d}", last="99999999")
    prices = {}
    for item in items:
        day = datetime.strptime(item.key.sk, "%Y%m%d").replace(tzinfo=UTC)
        for number, price in enumerate(item.body["prices"]):
            if price is not None:
                prices[day + number * DELIVERY_INTERVAL] = int(price)
    return prices


def _keep(tables: Tables, zone: ZoneId, news: Prices) -> None:
    """Work new prices into their days; what is not told anew stays."""
    for day in sorted({start.replace(hour=0, minute=0) for start in news}):
        key = keys.day_ahead(zone, day)
        item = tables.get(key)
        prices: list[int | None] = item.body["prices"] if item else [None] * _PER_DAY
        for number in range(_PER_DAY):
            price = news.get(day + number * DELIVERY_INTERVAL)
            prices[number] = prices[number] if price is None else price
        tables.put(Put(key=key, body={"prices": prices}))


def _state(tables: Tables, zone: ZoneId) -> dict[str, Any]:
    item = tables.get(keys.day_ahead_state(zone))
    return item.body if item else {"failures": 0, "next_ms": 0, "fault": ""}
