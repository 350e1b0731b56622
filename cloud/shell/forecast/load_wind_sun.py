"""A zone's published load, wind and sun: asked for once for the zone, kept, and told on the grid of its prices."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import numpy as np

from cloud.errors import ProviderError, SetupError
from cloud.published.providers import publisher_of
from cloud.shell.forecast.asking_pace import keep_pace, read_pace
from cloud.shell.forecast.kept_days import keep_days, read_days
from cloud.stores import keys
from cloud.stores.registry import ZoneRecord
from cloud.stores.tables import Tables
from contracts.units import DELIVERY_INTERVAL, DeliveryInterval
from domain.forecasting.blend import Covariates
from domain.prices.due import due_until
from domain.published.power import Quantity
from domain.published.source import PublishedProvider

log = logging.getLogger(__name__)

_DAY: Final = timedelta(days=1)
# Load of tomorrow is published two hours before the auction closes, wind and sun by 18:00 Brussels time
# (Regulation (EU) 543/2013, articles 6 and 14): asked for each hour until all is there.
PUBLISHES_AT_HOUR_UTC: Final = 8
PAUSE: Final = timedelta(hours=1)
_REASON_LENGTH_MAX: Final = 120


@dataclass(frozen=True, eq=False, kw_only=True)
class LoadWindSun:
    """What is known, one column for each quantity on the grid of delivery intervals, and on which step it stands."""

    covariates: Covariates | None
    step: str


def load_wind_sun(
    tables: Tables,
    zone: ZoneRecord,
    *,
    at: datetime,
    history: timedelta,
    environ: Callable[[str], str | None] = os.environ.get,
) -> LoadWindSun:
    """Return a zone's published load, wind and sun, asked for if they are due.

    A provider that fails is no failure of the tick: what is kept counts, and the fault is told.

    Raises:
        StoreError: The tables failed.
    """
    source = zone.load_wind_sun
    if source.provider is PublishedProvider.NONE:
        return LoadWindSun(covariates=None, step="")
    key_of = partial(keys.load_wind_sun, zone.id)
    known: dict[str, Mapping[datetime, int]] = {**read_days(tables, key_of, first=at - history)}
    pace = read_pace(tables, keys.load_wind_sun_state(zone.id))
    begin = DeliveryInterval.containing(at).start
    due = due_until(at, clock=zone.clock, publishes_at_hour_utc=PUBLISHES_AT_HOUR_UTC)
    spans: list[tuple[datetime, datetime]] = []
    if _until(zone, known, begin) < due and pace.may_ask(at):
        spans.append((begin - _DAY, begin + 3 * _DAY))
    if (part := pace.past(at, first=begin - history)) is not None:
        spans.append(part)
    for first, last in spans:
        try:
            publisher = publisher_of(source, environ=environ)
            news = {} if publisher is None else publisher.powers(first=first, last=last)
        except (ProviderError, SetupError) as error:
            pace = pace.failed(at, error, since=first)
            log.warning("load, wind and sun not fetched", extra={"zone": zone.id, "error": str(error)[:300]})
            break
        rows = {name.value: {start: round(power) for start, power in row.items()} for name, row in news.items()}
        keep_days(tables, key_of, rows)
        known |= {name: {**known.get(name, {}), **row} for name, row in rows.items()}
        pace = pace.answered(at, since=first, last=last, pause=PAUSE)
    if spans:
        keep_pace(tables, keys.load_wind_sun_state(zone.id), pace)
    until = _until(zone, known, begin)
    step = f"load, wind and sun of {source.provider} to {until:%m-%dT%H:%MZ}"
    if until <= begin:
        reason = (pace.fault or "nothing published yet")[:_REASON_LENGTH_MAX]
        step = f"no load, wind and sun of {source.provider}: {reason}"
    return LoadWindSun(covariates=_on_grid(known), step=step)


def _until(zone: ZoneRecord, known: Mapping[str, Mapping[datetime, int]], begin: datetime) -> datetime:
    """Return until when each quantity is known without a gap; a file may hold one of them alone."""
    own = zone.load_wind_sun.provider is PublishedProvider.FILE and known
    rows = [known.get(name, {}) for name in (known if own else Quantity)]
    while all(begin in row for row in rows):
        begin += DELIVERY_INTERVAL
    return begin


def _on_grid(known: Mapping[str, Mapping[datetime, int]]) -> Covariates | None:
    """Return what is known over delivery intervals, NaN where nothing is; ``None`` where nothing is at all."""
    rows = [row for name in Quantity if (row := known.get(name))]
    if not rows:
        return None
    first = min(min(row) for row in rows)
    count = (max(max(row) for row in rows) - first) // DELIVERY_INTERVAL + 1
    values = np.full((count, len(rows)), np.nan)
    for column, row in enumerate(rows):
        places = [(start - first) // DELIVERY_INTERVAL for start in row]
        values[places, column] = list(row.values())
    return Covariates(start=first, values=values)
