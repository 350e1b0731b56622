"""A zone's published prices: asked for once for the zone, kept, and asked for again with growing pauses."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from cloud.errors import ProviderError, SetupError
from cloud.prices.providers import provider_of
from cloud.shell.forecast.asking_pace import keep_pace, read_pace
from cloud.shell.forecast.kept_days import keep_days, read_days
from cloud.stores import keys
from cloud.stores.registry import ZoneRecord
from cloud.stores.tables import Tables
from contracts.units import DeliveryInterval
from domain.asking_pace import Pace
from domain.prices.due import due_until, known_until
from domain.prices.questions import TELL_THE_PAST
from domain.prices.source import Provider
from domain.prices.steps import Prices

log = logging.getLogger(__name__)

_DAY: Final = timedelta(days=1)
LOOK_BACK: Final = _DAY  # A first question fetches yesterday too; the years before follow, a part each tick.
_ROW: Final = "prices"  # Of a kept day.


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
    key_of = partial(keys.day_ahead, zone.id)
    known = read_days(tables, key_of, first=at - history).get(_ROW, {})
    pace = read_pace(tables, keys.day_ahead_state(zone.id))
    begin = DeliveryInterval.containing(at).start
    due = due_until(at, clock=zone.clock, publishes_at_hour_utc=zone.prices.publishes_at_hour_utc)
    if known_until(known, begin) < due and pace.may_ask(at):
        pace, news = _asked(zone, pace, at, max(at - LOOK_BACK, begin - _DAY), begin + 3 * _DAY, environ=environ)
        known = {**known, **news}
        keep_days(tables, key_of, {_ROW: news})
        keep_pace(tables, keys.day_ahead_state(zone.id), pace)
    part = pace.past(at, first=begin - history) if zone.prices.provider in TELL_THE_PAST else None
    if part is not None:
        pace, news = _asked(zone, pace, at, *part, environ=environ)
        known = {**known, **news}
        keep_days(tables, key_of, {_ROW: news})
        keep_pace(tables, keys.day_ahead_state(zone.id), pace)
    until = known_until(known, begin)
    return DayAhead(source=zone.prices.provider, prices=known, until=until if until > begin else None, fault=pace.fault)


def _asked(
    zone: ZoneRecord,
    pace: Pace,
    at: datetime,
    first: datetime,
    last: datetime,
    *,
    environ: Callable[[str], str | None],
) -> tuple[Pace, Prices]:
    """Ask for a span; return the pace after it and what was told."""
    try:
        news = provider_of(zone.prices, environ=environ).prices(first=first, last=last)
    except (ProviderError, SetupError) as error:
        pace = pace.failed(at, error, since=first)
        log.warning("prices not fetched", extra={"zone": zone.id, "error": str(error)[:300]})
        return pace, {}
    return pace.answered(at, since=first, last=last), news
