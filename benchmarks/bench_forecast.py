"""Forecasts as the process issues them: errors beside the weekly naive, by day of the horizon, and what the bands hold.

    SITEWATT_SERIES=FOLDER python -m benchmarks forecast [--json]

The series are public sets, which the project does not ship: FOLDER holds those of ``SETS`` that are to be measured.
Everything goes through ``issue_forecasts``, which the cloud's tick and the gateway call, over the history that each
keeps: a gateway without weather a year, sites with it ``HISTORY_DAYS``, prices three years in quarters of an hour.
Weather and published load, wind and sun are
given where the set names their columns, and the row says so; weather that came is a perfect forecast of it. Days go by
the clock of the set's place, and its holidays are told as a site's file names them. Origins are local midnights:
thirty over the last 90 days of each series, 122 over the last year of a price. A relative error below 1 is better than
the same quarter one week before. ``day 2 / best member`` compares the load of the second day with the best of the
simple forecasts that it is mixed from, chosen afterwards, which no forecaster can.
"""

import csv
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from contracts.forecast import ForecastKind
from contracts.units import DELIVERY_INTERVAL_S, SiteId
from domain.calendar.holidays import Holidays, split
from domain.forecasting.blend import Covariates, fold
from domain.forecasting.issue import PriceInputs, SiteHistory, issue_forecasts
from domain.forecasting.members import SEASONAL
from domain.forecasting.price import HISTORY_DAYS as PRICE_HISTORY_DAYS
from domain.forecasting.pv import PvPlant, Weather
from domain.forecasting.scores import coverage, weekly_naive
from domain.forecasting.series import Floats, Series
from edge.trading.own_forecast import HISTORY_DAYS, YEAR_DAYS, longitude_of

FOLDER: Final = "SITEWATT_SERIES"
ORIGINS: Final = 30
# Single days of a price weigh a year's naive error: of thirty days the figure depends on which.
PRICE_ORIGINS: Final = 122
_SPREAD_DAYS: Final = 90
DUSK_SHARE: Final = 0.005  # Of the most that a plant ever gave: what a meter tells below is noise, by night too.
_DAYS: Final = 2


@dataclass(frozen=True, kw_only=True)
class Set:
    """Columns of a file, how their values become W, or mct per kWh of a price, and what is given beside them.

    ``given`` names columns of what is published of a price's load, wind and sun, a load's temperature, or irradiance
    and temperature of a plant.
    """

    file: str
    kind: ForecastKind
    columns: tuple[str, ...]
    factor: float
    timezone: str = "UTC"
    country: str = ""  # Whose holidays count.
    given: tuple[str, ...] = ()
    spread_days: int = _SPREAD_DAYS
    origins: int = ORIGINS
    plant: PvPlant | None = None  # Of a plant whose place and plane are known; its peak is not looked at.


_GOLDEN: Final = PvPlant(latitude_deg=39.7406, longitude_deg=-105.1775, peak_w=1.0, tilt_deg=45.0, azimuth_deg=158.0)
SETS: Final = {
    "regional load, PJM": Set(
        file="load_region/pjm_zones_2023_10_2024_06.csv",
        kind=ForecastKind.LOAD,
        columns=("RTO", "AP", "DOM"),
        factor=1.0,
        timezone="America/New_York",
        country="US",
    ),
    "regional load, Victoria, temperature given": Set(
        file="load_region/victoria_2012_2013.csv",
        kind=ForecastKind.LOAD,
        columns=("load_mw",),
        factor=1_000.0,
        timezone="Australia/Melbourne",
        country="AU-VIC",
        given=("temp_c",),
    ),
    "homes, load": Set(
        file="homes_fontana/homes_01_12.csv",
        kind=ForecastKind.LOAD,
        columns=tuple(f"home{number:02d}_load_kw" for number in (1, 2, 4, 5)),
        factor=1_000.0,
    ),
    "a house in Sydney, load": Set(
        file="house_sydney/ausgrid12_2011_07_2012_02.csv", kind=ForecastKind.LOAD, columns=("load_kw",), factor=1_000.0
    ),
    "a house in France, load": Set(
        file="house_fr/emhass_2024_03_2024_10.csv",
        kind=ForecastKind.LOAD,
        columns=("load_w",),
        factor=1.0,
        timezone="Europe/Paris",
        country="FR",
    ),
    "homes, sun without weather": Set(
        file="homes_fontana/homes_01_12.csv",
        kind=ForecastKind.PV,
        columns=("home03_pv_kw", "home08_pv_kw"),
        factor=-1_000.0,
    ),
    "plant in Golden, sun, irradiance given": Set(
        file="pv_golden/pvdaq50_2011_2012.csv",
        kind=ForecastKind.PV,
        columns=("ac_power_w",),
        factor=-1.0,
        timezone="America/Denver",
        given=("ghi_wm2", "temp_air_c"),
        plant=_GOLDEN,
    ),
    "plant in Golden, sun without weather": Set(
        file="pv_golden/pvdaq50_2011_2012.csv",
        kind=ForecastKind.PV,
        columns=("ac_power_w",),
        factor=-1.0,
        timezone="America/Denver",
        plant=_GOLDEN,
    ),
    "factory, load": Set(
        file="factory_steel/steel_2018_01_09.csv",
        kind=ForecastKind.LOAD,
        columns=("load_kw",),
        factor=1_000.0,
        country="KR",
    ),
    "price DE, past prices alone": Set(
        file="price_de/prices_2012_2016.csv",
        kind=ForecastKind.PRICE,
        columns=("price_eur_mwh",),
        factor=100.0,
        spread_days=365,
        origins=PRICE_ORIGINS,
    ),
    "price DE, published load, wind and sun": Set(
        file="price_de/prices_2012_2016.csv",
        kind=ForecastKind.PRICE,
        columns=("price_eur_mwh",),
        factor=100.0,
        country="DE",
        given=("load_forecast_mw", "wind_solar_forecast_mw"),
        spread_days=365,
        origins=PRICE_ORIGINS,
    ),
    "price FR, past prices alone": Set(
        file="price_markets/FR.csv",
        kind=ForecastKind.PRICE,
        columns=("price",),
        factor=100.0,
        spread_days=365,
        origins=PRICE_ORIGINS,
    ),
    "price Nordic, past prices alone": Set(
        file="price_markets/NP.csv",
        kind=ForecastKind.PRICE,
        columns=("price",),
        factor=100.0,
        spread_days=365,
        origins=PRICE_ORIGINS,
    ),
}


def run() -> Mapping[str, float]:
    """Return the figures by name; none where no folder is told."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        print(f"forecasts are not measured: {FOLDER} names no folder of series", file=sys.stderr)
        return {}
    found: dict[str, float] = {}
    for name, of in SETS.items():
        path = Path(folder) / of.file
        if not path.exists():
            print(f"{name} is not measured: {path} is not there", file=sys.stderr)
            continue
        found |= {f"{name} | {label}": value for label, value in _measured(path, of).items()}
    return found


@dataclass(kw_only=True)
class _Sums:
    """Absolute errors of one day of the horizon, summed, and what its bands held."""

    told: float = 0.0
    naive: float = 0.0
    inside: float = 0.0
    count: int = 0


def _measured(path: Path, of: Set) -> dict[str, float]:
    days = [_Sums() for _ in range(_DAYS)]
    members = dict.fromkeys(SEASONAL, 0.0)
    columns = list(_series(path, of))
    given = {name: series for name, series in columns if name in of.given}
    for name, series in columns:
        if name in given:
            continue
        scale = float(np.nanmean(np.abs(series.values))) or 1.0
        steps = series.steps_per_day
        dusk = DUSK_SHARE * float(np.nanmin(series.values))
        for origin in _origins(series, of):
            told = _told(series, of, origin, list(given.values()))
            naive = weekly_naive(series.values, origin=origin, horizon=_DAYS * steps, steps_per_day=steps)
            for day, sums in enumerate(days):
                span = slice(day * steps, (day + 1) * steps)
                actual = series.values[origin : origin + _DAYS * steps][span]
                low, middle, high = (values[span] for values in told)
                counts = np.isfinite(actual) & np.isfinite(naive[span])
                if of.kind is ForecastKind.PV:
                    counts &= (actual < dusk) | (naive[span] < dusk)
                if not counts.any():
                    continue
                actual = actual[counts]
                sums.told += float(np.abs(actual - middle[counts]).sum()) / scale
                sums.naive += float(np.abs(actual - naive[span][counts]).sum()) / scale
                sums.inside += coverage(actual, low[counts], high[counts]) * len(actual)
                sums.count += len(actual)
            if of.kind is ForecastKind.LOAD:
                for member, error in _member_errors(series, of, origin).items():
                    members[member] += error / scale
    figures = {
        "rMAE day 1": days[0].told / days[0].naive,
        "rMAE day 2": days[1].told / days[1].naive,
        "in band, %": 100 * sum(day.inside for day in days) / sum(day.count for day in days),
    }
    if of.kind is ForecastKind.LOAD:
        figures["day 2 / best"] = days[1].told / min(members.values())
    return figures


def _told(series: Series, of: Set, origin: int, given: list[Series]) -> tuple[Floats, Floats, Floats]:
    """Return low, middle and high of two days as issued at an origin, in the series' unit."""
    steps = series.steps_per_day
    first = max(0, origin - _history_days(of) * steps)
    past = Series(
        start=series.start + timedelta(seconds=first * series.step_s),
        step_s=series.step_s,
        values=series.values[first:origin],
    )
    plant, weather = None, None
    if of.kind is ForecastKind.PV:
        peak_w = -float(np.nanmin(past.values))
        unplaced = PvPlant(latitude_deg=48.0, longitude_deg=longitude_of(past), peak_w=peak_w)
        plant = unplaced if of.plant is None else replace(of.plant, peak_w=peak_w)
    if of.kind is ForecastKind.PV and given:
        irradiance, air = (one.values[: origin + _DAYS * steps] for one in given)
        weather = Weather(start=series.start, ghi_w_m2=irradiance, air_temperature_c=air)
    if of.kind is ForecastKind.LOAD and given:
        air = given[0].values[: origin + _DAYS * steps]
        weather = Weather(start=series.start, ghi_w_m2=np.full(len(air), np.nan), air_temperature_c=air)
    site = SiteHistory(
        site=SiteId("site"),
        load=past if of.kind is ForecastKind.LOAD else None,
        pv=past if of.kind is ForecastKind.PV else None,
        has_load=of.kind is ForecastKind.LOAD,
        plant=plant,
        clock=ZoneInfo(of.timezone),
        weather=weather,
        holidays=_holidays(of) if of.country else None,
    )
    inputs = PriceInputs(clock=ZoneInfo(of.timezone), holidays=_holidays(of))
    if of.kind is ForecastKind.PRICE and given:
        # Published for the next day; nothing of the day after it.
        published = np.stack([one.values[: origin + steps] for one in given], axis=1)
        inputs = replace(inputs, covariates=Covariates(start=series.start, values=published))
    issued = issue_forecasts(
        [] if of.kind is ForecastKind.PRICE else [site],
        issued_at=series.start + timedelta(seconds=origin * series.step_s),
        horizon_steps=_DAYS * steps,
        step_s=series.step_s,
        price=past if of.kind is ForecastKind.PRICE else None,
        price_inputs=inputs,
    )
    one = next(each for each in issued if each.kind is of.kind)
    low, middle, high = (np.array(values, dtype=np.float64) for values in (one.p10, one.p50, one.p90))
    return low, middle, high


def _history_days(of: Set) -> int:
    if of.kind is ForecastKind.PRICE:
        return PRICE_HISTORY_DAYS
    return HISTORY_DAYS if of.given else YEAR_DAYS


def _holidays(of: Set) -> Holidays:
    country, part = split(of.country)
    return Holidays(country=country, subdivision=part)


def _offset_s(series: Series, of: Set, origin: int) -> int:
    """Return by how much the wall of a set is ahead of UTC at an origin."""
    at = series.start + timedelta(seconds=origin * series.step_s)
    offset = at.astimezone(ZoneInfo(of.timezone)).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())


def _member_errors(series: Series, of: Set, origin: int) -> dict[str, float]:
    """Return the summed error of each simple forecast over the second day."""
    offset_s = _offset_s(series, of, origin)
    steps = series.steps_per_day
    known = series.values[max(0, origin - _history_days(of) * steps) : origin]
    start_s = int(series.start.timestamp()) + origin * series.step_s + offset_s
    folded = fold(known, local_start_s=start_s, future=_DAYS, step_s=series.step_s, holidays=_holidays(of))
    actual = series.values[origin + steps : origin + 2 * steps]
    naive = weekly_naive(series.values, origin=origin, horizon=2 * steps, steps_per_day=steps)[steps:]
    counts = np.isfinite(actual) & np.isfinite(naive)
    return {
        name: float(np.nansum(np.abs(member(folded, np.array([-2]), 1)[0] - actual)[counts]))
        for name, member in SEASONAL.items()
    }


def _origins(series: Series, of: Set) -> list[int]:
    """Return the steps at which forecasts are issued: midnights of the set's clock."""
    steps = series.steps_per_day
    zone = ZoneInfo(of.timezone)
    last = series.start + timedelta(seconds=(len(series.values) - _DAYS * steps) * series.step_s)
    first = max(series.start + timedelta(days=30), last - timedelta(days=of.spread_days))
    origins = []
    for share in range(of.origins):
        at = (first + share * (last - first) / (of.origins - 1)).astimezone(zone)
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        origins.append(round((midnight.astimezone(UTC) - series.start).total_seconds() / series.step_s))
    return sorted(set(origins))


def _series(path: Path, of: Set) -> Iterator[tuple[str, Series]]:
    """Yield the columns of a file on its own grid, prices in quarters of an hour; what is missing is missing."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    stamp = next(iter(rows[0]))
    at = [datetime.fromisoformat(row[stamp]) for row in rows]
    at = [each.replace(tzinfo=UTC) if each.tzinfo is None else each.astimezone(UTC) for each in at]
    step_s = round((at[1] - at[0]).total_seconds())
    parts = step_s // DELIVERY_INTERVAL_S if of.kind is ForecastKind.PRICE else 1
    places = [round((each - at[0]).total_seconds() / step_s) for each in at]
    for column in (*of.columns, *of.given):
        values = np.full(places[-1] + 1, np.nan)
        for place, row in zip(places, rows, strict=True):
            if row[column]:
                values[place] = float(row[column]) * (1.0 if column in of.given else of.factor)
        yield column, Series(start=at[0], step_s=step_s // parts, values=np.repeat(values, parts))
