"""One issue of forecasts for a zone: every site's load and PV, and the price, as they go over the wire."""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

import numpy as np

from contracts.forecast import ForecastKind, ForecastSeries
from contracts.units import DELIVERY_INTERVAL_S, POWER_W_MAX, PRICE_MCT_MAX, SiteId
from domain.forecasting.blend import Covariates
from domain.forecasting.price import HISTORY_DAYS
from domain.forecasting.profiles import LoadClass
from domain.forecasting.pv import PvPlant, Weather, forecast_pv
from domain.forecasting.quantiles import Quantiles
from domain.forecasting.series import DAY_S, Floats, Series, first_step, until
from domain.forecasting.wall_load import forecast_load_by
from domain.forecasting.wall_price import forecast_price_by

# Published prices reach up to 36 hours ahead; where there are some, a plan looks a little further.
PRICE_HORIZON_S: Final = 48 * 3600


@dataclass(frozen=True, eq=False, kw_only=True)
class Published:
    """Prices published in advance, by the start of their step in mct_per_kwh, and by whom."""

    source: str
    prices: Mapping[datetime, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class PriceInputs:
    """What a price's forecast rests on beside past prices.

    Args:
        covariates: Published load, wind and sun on the price's grid, one column each; ``None`` where nothing is told.
        step: On which step of degradation they stand, in words.
        clock: The one on the zone's wall, by which its days and hours go.
        holidays: Local days whose price is like a Sunday's.
    """

    covariates: Covariates | None = None
    step: str = ""
    clock: tzinfo = UTC
    holidays: Container[date] | None = None


NO_INPUTS: Final = PriceInputs()


@dataclass(frozen=True, eq=False, kw_only=True)
class SiteHistory:
    """What is known of one site. Power in W, positive into the asset, so PV is zero or negative.

    ``load`` and ``pv`` are ``None`` where the site has not been heard of; ``has_load`` and ``plant`` say what it has.
    ``clock`` is the one on its wall, by which its load goes.
    """

    site: SiteId
    load: Series | None = None
    pv: Series | None = None
    has_load: bool = True
    plant: PvPlant | None = None
    load_class: LoadClass = LoadClass.FLAT
    typical_load_w: float = 0.0
    clock: tzinfo = UTC
    weather: Weather | None = None
    holidays: Container[date] | None = None
    weather_step: str = ""


def issue_forecasts(
    sites: Sequence[SiteHistory],
    *,
    issued_at: datetime,
    horizon_steps: int = 96,
    step_s: int = DELIVERY_INTERVAL_S,
    price: Series | None = None,
    published: Published | None = None,
    price_inputs: PriceInputs = NO_INPUTS,
) -> tuple[ForecastSeries, ...]:
    """Return the forecasts of a zone from the first step that begins at ``issued_at`` or later.

    All are over the same steps, but that of a price with published ones reaches two days.

    Args:
        sites: What is known of each site; each asset that it has is forecast, with or without a history.
        issued_at: Nothing after this instant is looked at.
        horizon_steps: How many steps.
        step_s: The step of forecasts without a history; histories must have it.
        price: Past prices of the zone in mct_per_kwh, or ``None`` to leave the price out.
        published: Prices that are known in advance; the steps after them are forecast from their end on.
        price_inputs: What the price's forecast rests on beside past prices.

    Raises:
        ValueError: A history has another step; the sentence names it.
    """
    issued: list[ForecastSeries] = []
    for site in sites:
        _check_step((site.load, site.pv), step_s=step_s, owner=site.site)
        if site.has_load:
            load = forecast_load_by(
                site.clock,
                site.load,
                issued_at=issued_at,
                horizon_steps=horizon_steps,
                step_s=step_s,
                load_class=site.load_class,
                typical_w=site.typical_load_w,
                holidays=site.holidays,
                covariates=None if site.weather is None else _temperature(site.weather),
            )
            issued.append(_on_wire(load, kind=ForecastKind.LOAD, site=site.site))
        if site.plant is not None:
            pv = forecast_pv(
                site.pv,
                plant=site.plant,
                issued_at=issued_at,
                horizon_steps=horizon_steps,
                step_s=step_s,
                weather=site.weather,
            )
            if site.weather_step:
                pv = replace(pv, method=f"{pv.method}; {site.weather_step}")
            issued.append(_on_wire(pv, kind=ForecastKind.PV, site=site.site))
    if price is not None:
        _check_step((price,), step_s=step_s, owner="price")
    start = first_step(issued_at, step_s=step_s)
    steps = horizon_steps if published is None else max(horizon_steps, PRICE_HORIZON_S // step_s)
    told = price_ahead(price, published, start=start, horizon_steps=steps, step_s=step_s, inputs=price_inputs)
    if told is not None:
        issued.append(told)
    return tuple(issued)


def price_ahead(
    price: Series | None,
    published: Published | None,
    *,
    start: datetime,
    horizon_steps: int,
    step_s: int,
    inputs: PriceInputs = NO_INPUTS,
) -> ForecastSeries | None:
    """Return a zone's price over the steps from an instant on: as published, then as forecast from where that ends.

    ``None`` where neither past nor published prices are known.
    """
    known: list[int] = []
    step = timedelta(seconds=step_s)
    while published is not None and len(known) < horizon_steps and start + len(known) * step in published.prices:
        known.append(published.prices[start + len(known) * step])
    end = start + len(known) * step
    longest = HISTORY_DAYS * DAY_S // step_s
    past = np.array([], dtype=np.float64) if price is None else until(price, start, steps_max=longest)
    past = np.concatenate([past, np.array(known, dtype=np.float64)])
    if price is None and not known:
        return None
    history = Series(start=end - len(past) * step, step_s=step_s, values=past)
    room = horizon_steps - len(known)
    rest = forecast_price_by(
        inputs.clock,
        history,
        issued_at=end,
        horizon_steps=max(1, room),
        covariates=inputs.covariates,
        holidays=inputs.holidays,
    )
    forecast = f"{rest.method}; {inputs.step}" if inputs.step else rest.method
    methods = ([published.source] if published is not None and known else []) + ([forecast] if room else [])
    missing = f" (nothing published by {published.source})" if published is not None and not known else ""
    return ForecastSeries(
        kind=ForecastKind.PRICE,
        start=start,
        step_s=step_s,
        p10=(*known, *_whole(rest.p10, PRICE_MCT_MAX)[:room]),
        p50=(*known, *_whole(rest.p50, PRICE_MCT_MAX)[:room]),
        p90=(*known, *_whole(rest.p90, PRICE_MCT_MAX)[:room]),
        method=", then ".join(methods) + missing,
        published_until=end if known else None,
    )


def _temperature(weather: Weather) -> Covariates:
    return Covariates(start=weather.start, values=weather.air_temperature_c[:, None])


def _check_step(histories: Iterable[Series | None], *, step_s: int, owner: str) -> None:
    for history in histories:
        if history is not None and history.step_s != step_s:
            raise ValueError(f"{owner} has a history in steps of {history.step_s} s, the issue is in {step_s} s")


def _on_wire(told: Quantiles, *, kind: ForecastKind, site: SiteId | None) -> ForecastSeries:
    bound = PRICE_MCT_MAX if kind is ForecastKind.PRICE else POWER_W_MAX
    return ForecastSeries(
        kind=kind,
        site=site,
        start=told.start,
        step_s=told.step_s,
        p10=_whole(told.p10, bound),
        p50=_whole(told.p50, bound),
        p90=_whole(told.p90, bound),
        method=told.method,
    )


def _whole(values: Floats, bound: int) -> tuple[int, ...]:
    """Return whole numbers within the wire's bound; rounding and cutting keep the order of the quantiles."""
    return tuple(int(value) for value in np.clip(np.rint(np.nan_to_num(values)), -bound, bound))
