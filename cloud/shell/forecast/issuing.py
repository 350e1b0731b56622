"""Forecasts of a zone: made from its sites' history, kept for scoring, told to all its gateways."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from cloud.errors import SetupError
from cloud.figures import FORECASTS
from cloud.shell.counting import count
from cloud.shell.forecast.day_ahead import DayAhead, day_ahead
from cloud.shell.forecast.load_wind_sun import load_wind_sun
from cloud.shell.forecast.site_history import HISTORY_DAYS, read_history, update_history
from cloud.shell.forecast.weather import ZoneWeather
from cloud.shell.publishing import Outgoing
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.registry import SiteRecord, ZoneRecord
from cloud.stores.tables import Put, Table, Tables
from contracts.forecast import ForecastBroadcast, ForecastSeries
from contracts.market import SiteAgent
from contracts.topics import Broadcast, Down, broadcast_topic, site_topic
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S, instant
from domain.forecasting.issue import PriceInputs, Published, SiteHistory, issue_forecasts
from domain.forecasting.price import HISTORY_DAYS as PRICE_HISTORY_DAYS
from domain.forecasting.profiles import LoadClass
from domain.forecasting.pv import Plane, PvPlant
from domain.forecasting.series import Series, regular

HORIZON_STEPS: Final = 96
PRICE_HISTORY: Final = timedelta(days=PRICE_HISTORY_DAYS)
# A gateway plans two days and knows no weather: the whole first day is worth its bytes, the second it tells itself.
OUTLOOK_STEPS: Final = 96
KEEP_FORECASTS_D: Final = 30
# So many of the longest series stay well below the broker's bound of 128 KB.
SERIES_PER_MESSAGE: Final = 40


def issue(services: Services, zone: ZoneRecord, *, at: datetime) -> tuple[ForecastSeries, ...]:
    """Make, keep and tell the forecasts of a zone as they stand at an instant.

    Raises:
        SetupError: A site has a load class that does not exist.
        CloudError: The forecasts could not be stored or published; the next tick issues new ones.
    """
    tables = services.stores.tables
    sites = services.registry.sites_in(zone.id)
    for site in sites:
        update_history(tables, site, until=at)
    published = day_ahead(tables, zone, at=at, history=PRICE_HISTORY)
    inputs = load_wind_sun(tables, zone, at=at, history=PRICE_HISTORY)
    features = services.features()
    weather = ZoneWeather(tables=tables, zone=zone, at=at, history_days=HISTORY_DAYS, on=features.weather)
    cleared = _prices(tables, zone, at)
    prices = cleared if published is None else _past(published, at)
    series = issue_forecasts(
        [_history(tables, zone, site, at, weather) for site in sites],
        issued_at=at,
        horizon_steps=HORIZON_STEPS,
        price=prices,
        published=None if published is None else Published(source=published.source, prices=published.prices),
        price_inputs=PriceInputs(
            covariates=inputs.covariates,
            step=inputs.step,
            clock=zone.clock,
            holidays=zone.calendar,
        ),
    )
    tables.put_each([_kept(zone, one, at) for one in series])
    told = ForecastBroadcast(
        zone=zone.id, issued_at=at, series=(), last_price_mct_per_kwh=_last(cleared), off=features.off or None
    )
    services.publisher.publish(list(_told(told, zone, sites, series)))
    count(FORECASTS, len(series))
    return series


def _history(tables: Tables, zone: ZoneRecord, site: SiteRecord, at: datetime, weather: ZoneWeather) -> SiteHistory:
    load, pv = read_history(tables, site, until=at)
    plant, sky = None, weather.of(site)
    if site.pv_peak_w:
        plant = PvPlant(
            latitude_deg=site.latitude_in(zone),
            longitude_deg=site.longitude_in(zone),
            peak_w=site.pv_peak_w,
            planes=tuple(Plane(**plane.model_dump()) for plane in site.pv_planes),
        )
    try:
        load_class = LoadClass(site.load_class)
    except ValueError as error:
        known = ", ".join(LoadClass)
        raise SetupError(f"site {site.id} has load class {site.load_class!r}, must be one of {known}") from error
    return SiteHistory(
        site=site.id,
        load=load,
        pv=pv,
        plant=plant,
        load_class=load_class,
        typical_load_w=float(site.typical_load_w),
        clock=zone.clock,
        holidays=zone.calendar,
        weather=sky.weather,
        weather_step=sky.step,
    )


def _prices(tables: Tables, zone: ZoneRecord, at: datetime) -> Series | None:
    """Return the prices of past products, ``None`` before the first."""
    first = at - timedelta(days=HISTORY_DAYS)
    items = tables.query_index(
        Table.MARKET_DATA, keys.market(zone.id, None), first=keys.interval_text(first), last=keys.interval_text(at)
    )
    prices = [
        (instant(item.body["interval_ms"]), float(item.body["price"]))
        for item in items
        if item.body["price"] is not None
    ]
    series = regular(prices, step_s=DELIVERY_INTERVAL_S).before(at) if prices else None
    return series if series is not None and np.isfinite(series.values).any() else None


def _past(published: DayAhead, at: datetime) -> Series | None:
    """Return the published prices of before an instant."""
    past = [(start, float(price)) for start, price in published.prices.items() if start < at]
    longest = PRICE_HISTORY // DELIVERY_INTERVAL
    return regular(past, step_s=DELIVERY_INTERVAL_S, steps_max=longest).before(at) if past else None


def _kept(zone: ZoneRecord, series: ForecastSeries, at: datetime) -> Put:
    key = keys.forecast(series.site or zone.id, series.kind, at, series.start)
    body = series.model_dump(mode="json", exclude_none=True)
    return Put(key=key, body=body, expires_at=at + timedelta(days=KEEP_FORECASTS_D))


def _told(
    told: ForecastBroadcast, zone: ZoneRecord, sites: Sequence[SiteRecord], series: Sequence[ForecastSeries]
) -> Iterator[Outgoing]:
    """Yield all forecasts to who watches the zone, and to each site its own; the broker keeps the last ones.

    A zone's forecasts are hundreds of kilobytes, which every site would pay for: a site hears of itself and of prices.
    """
    topic = broadcast_topic(zone=zone.id, channel=Broadcast.FORECAST)
    for start in range(0, len(series), SERIES_PER_MESSAGE):
        part = told.model_copy(update={"series": tuple(series[start : start + SERIES_PER_MESSAGE])})
        yield Outgoing(topic=topic, payload=part.encode(), retain=True)
    for site in sites:
        if site.agent is SiteAgent.MONITOR:
            continue
        own = tuple(_beginning(one) for one in series if one.site in {site.id, None})
        topic = site_topic(zone=zone.id, site=site.id, channel=Down.OUTLOOK)
        yield Outgoing(topic=topic, payload=told.model_copy(update={"series": own}).encode(), retain=True)


def _beginning(series: ForecastSeries) -> ForecastSeries:
    """Return the steps for which a gateway plans; prices as far as they are published."""
    known = 0 if series.published_until is None else (series.published_until - series.start) // DELIVERY_INTERVAL
    steps = slice(max(OUTLOOK_STEPS, known))
    return series.model_copy(update={"p10": series.p10[steps], "p50": series.p50[steps], "p90": series.p90[steps]})


def _last(prices: Series | None) -> int | None:
    if prices is None:
        return None
    known = prices.values[np.isfinite(prices.values)]
    return round(float(known[-1])) if known.size else None
