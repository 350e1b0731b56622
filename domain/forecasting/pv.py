"""PV: the clear sky of the plant's place, and how much of it gets through, learned from what was measured.

Every plant starts with astronomy: its power under a clear sky. From the first reading on the present share of it
persists and fades into the usual one; from a week on a mix takes over, whose members scale what was measured by the
sun's course, and a ridge model that also knows the weather where a forecast of it is given.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from domain.forecasting.blend import Covariates, Predicted, blend, fold, fold_covariates
from domain.forecasting.load import DAYS_FOR_MIX, PERSISTENCE_S, departure, recent_share
from domain.forecasting.members import Folded, Member, mean_of, seven_days, yesterday
from domain.forecasting.quantiles import Quantiles, ordered
from domain.forecasting.series import DAY_S, Floats, Ints, Series, days, first_step, until
from domain.forecasting.sun import clear_sky, on_plane, split_global, sun_position

USUAL_SHARE = 0.6  # Of the clear sky's energy, before anything is measured: a temperate year's mean.
PEAK_MARGIN = 1.5
REACH_SHARE_MIN = 0.95  # Of the horizon, that a weather must know to be used.
DAYS_OF_WEATHER = 28  # Of the past, that a weather must tell to be learned from alone.
USUAL_SHARE_OF_WEATHER = 0.9  # Wiring, dirt, inverter: what physics under the weather's sky does not know.
SHARE_LOW, SHARE_HIGH = 0.1, 1.0
SHARE_OUTWARDS = 3.0  # Of one known day: the next may have four times its share, or a quarter.
SUN_OF_A_DAY_S = 2 * 3600  # A day of which less sun was seen tells no share.
TEMPERATURE_COEFFICIENT = -0.004  # Of power per kelvin; crystalline silicon, data sheets: -0.0035 to -0.0045.
NOCT_RISE_K = 26.0  # Cell above air at 800 W/m2; IEC 61215, nominal operating cell temperature 46 degrees.


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One plane of a plant: tilt from horizontal, azimuth clockwise from north, peak in W."""

    tilt_deg: float
    azimuth_deg: float
    peak_w: float


@dataclass(frozen=True, kw_only=True)
class PvPlant:
    """A plant's place and planes: tilt from horizontal, azimuth clockwise from north, peak in W.

    A plant whose azimuth is not told looks at the equator. ``planes`` counts where it is given, in place of the one
    plane; its peaks sum up to the plant's.

    Raises:
        ValueError: The place is not on the globe or the peak is not positive.
    """

    latitude_deg: float
    longitude_deg: float
    peak_w: float
    tilt_deg: float = 30.0
    azimuth_deg: float | None = None
    planes: tuple[Plane, ...] = ()

    @property
    def all_planes(self) -> tuple[Plane, ...]:
        """Return the planes, at least one."""
        if self.planes:
            return self.planes
        facing = (0.0 if self.latitude_deg < 0 else 180.0) if self.azimuth_deg is None else self.azimuth_deg
        return (Plane(tilt_deg=self.tilt_deg, azimuth_deg=facing, peak_w=self.peak_w),)

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude_deg <= 90 and -180 <= self.longitude_deg <= 180):
            raise ValueError(f"plant at {self.latitude_deg}, {self.longitude_deg} degrees is not on the globe")
        if not self.peak_w > 0:
            raise ValueError(f"plant has a peak of {self.peak_w} W, not above 0")


@dataclass(frozen=True, eq=False, kw_only=True)
class Weather:
    """Global horizontal irradiance and air temperature of past and horizon on the history's grid; NaN is missing."""

    start: datetime
    ghi_w_m2: Floats
    air_temperature_c: Floats


def clear_power_w(plant: PvPlant, middles_s: Ints | Floats) -> Floats:
    """Return a plant's generation under a clear sky at instants in epoch seconds, as a positive number."""
    sun = sun_position(middles_s, latitude_deg=plant.latitude_deg, longitude_deg=plant.longitude_deg)
    sky = clear_sky(sun)
    power = np.zeros_like(sky.ghi_w_m2)
    for plane in plant.all_planes:
        power += plane.peak_w * on_plane(sky, sun, tilt_deg=plane.tilt_deg, azimuth_deg=plane.azimuth_deg) / 1000.0
    return power


def weather_power_w(plant: PvPlant, middles_s: Ints | Floats, *, ghi_w_m2: Floats, air_c: Floats) -> Floats:
    """Return a plant's generation under a given weather, as a positive number.

    Source: PVWatts version 5 (Dobos, NREL/TP-6A20-62641) for the temperature's effect.
    """
    sun = sun_position(middles_s, latitude_deg=plant.latitude_deg, longitude_deg=plant.longitude_deg)
    sky = split_global(np.maximum(ghi_w_m2, 0.0), sun)
    power = np.zeros_like(sky.ghi_w_m2)
    for plane in plant.all_planes:
        light = on_plane(sky, sun, tilt_deg=plane.tilt_deg, azimuth_deg=plane.azimuth_deg)
        cell_c = air_c + light / 800.0 * NOCT_RISE_K
        power += plane.peak_w * light / 1000.0 * (1 + TEMPERATURE_COEFFICIENT * (cell_c - 25.0))
    return power


def quarters_of_hours(
    start: datetime, ghi_w_m2: Floats, air_c: Floats, *, latitude_deg: float, longitude_deg: float, step_s: int
) -> Weather:
    """Return hourly means of weather in shorter steps: within an hour the irradiance follows the clear sky."""
    parts = 3600 // step_s
    middles = int(start.timestamp()) + step_s // 2 + step_s * np.arange(parts * len(ghi_w_m2))
    clear = clear_sky(sun_position(middles, latitude_deg=latitude_deg, longitude_deg=longitude_deg)).ghi_w_m2
    mean = np.repeat(clear.reshape(-1, parts).mean(axis=1), parts)
    # Near the horizon the ratio is noise.
    course = np.where(mean > 20.0, clear / np.maximum(mean, 1.0), 1.0)
    return Weather(start=start, ghi_w_m2=np.repeat(ghi_w_m2, parts) * course, air_temperature_c=np.repeat(air_c, parts))


def forecast_pv(
    history: Series | None,
    *,
    plant: PvPlant,
    issued_at: datetime,
    horizon_steps: int,
    step_s: int = 900,
    weather: Weather | None = None,
) -> Quantiles:
    """Forecast a plant's power over the steps that follow an instant; zero or negative, as is the history.

    Args:
        history: What was measured; nothing after ``issued_at`` is looked at.
        plant: Where the plant stands and how it looks at the sky.
        issued_at: The forecast begins with the first step at or after this.
        horizon_steps: How many steps.
        step_s: The step; that of the history where there is one.
        weather: Weather of the past and forecast weather of the horizon.
    """
    step_s = history.step_s if history is not None else step_s
    start = first_step(issued_at, step_s=step_s)
    known = np.maximum(-until(history, start), 0.0) if history is not None else np.array([])
    known = _without_slips(known, peak_w=plant.peak_w)
    known_days = int(np.isfinite(known).sum()) * step_s / DAY_S
    if weather is not None and not _reaches(weather, start=start, horizon=horizon_steps, step_s=step_s):
        weather = None
    if weather is not None:
        known = known[-_told_steps(weather, start=start, step_s=step_s, known=len(known)) :]
    if known_days >= DAYS_FOR_MIX and recent_share(known, step_s) > 0:
        told = _by_mix(known, plant, start=start, horizon=horizon_steps, step_s=step_s, weather=weather)
    else:
        told = _by_share(known, plant, start=start, horizon=horizon_steps, step_s=step_s, weather=weather)
    peak_w = max(plant.peak_w, float(np.nanmax(known, initial=0.0)))
    low, middle, high = (np.clip(values, 0.0, peak_w) for values in (told.low, told.middle, told.high))
    return ordered(
        # Zero is added so that night is 0 and not -0.
        start=start,
        step_s=step_s,
        low=0.0 - high,
        middle=0.0 - middle,
        high=0.0 - low,
        method=told.method,
    )


def _middles(start: datetime, *, past: int, horizon: int, step_s: int) -> Ints:
    """Return the middle of each step in epoch seconds, the past's first."""
    return int(start.timestamp()) + step_s // 2 + step_s * np.arange(-past, horizon, dtype=np.int64)


def _by_share(
    known: Floats, plant: PvPlant, *, start: datetime, horizon: int, step_s: int, weather: Weather | None
) -> Predicted:
    """Let the present departure from the usual share of the clear sky, or of the weather's sky, fade into it."""
    middles = _middles(start, past=len(known), horizon=horizon, step_s=step_s)
    clear = clear_power_w(plant, middles)
    sky = None if weather is None else _power_on(weather, plant, middles, start=start, past=len(known), step_s=step_s)
    if sky is not None:
        clear = sky
    before, ahead = clear[: len(known)], clear[len(known) :]
    sunny = np.isfinite(known) & (before > 0.05 * plant.peak_w)
    measured_s = int(sunny.sum()) * step_s
    # A day of sun decides the share; until then the usual one holds its part.
    trust = min(1.0, measured_s / (8 * 3600))
    usual = USUAL_SHARE if sky is None else USUAL_SHARE_OF_WEATHER
    share = usual
    if measured_s:
        share += trust * (float(known[sunny].sum() / before[sunny].sum()) - usual)
    fade = np.exp(-np.arange(horizon) * step_s / PERSISTENCE_S)
    middle = np.maximum(0.0, share * ahead + departure(known, share * before, step_s) * fade)
    certain = 0.7 * fade * bool(np.isfinite(known[-1:]).any())
    share_low, share_high = _share_bounds(known, before, sunny, step_s)
    low = middle - (1 - certain) * np.maximum(0.0, middle - share_low * ahead)
    high = middle + (1 - certain) * np.maximum(0.0, share_high * ahead - middle)
    if sky is not None:
        low, high = np.maximum(low, 0.5 * middle), np.maximum(high, 1.4 * middle)
    return Predicted(middle=middle, low=low, high=high, method="share of clear sky" if sky is None else "weather's sky")


def _share_bounds(known: Floats, before: Floats, sunny: NDArray[np.bool_], step_s: int) -> tuple[float, float]:
    """Return the least and the greatest share of the clear sky that a day to come may have.

    They are those of any climate until days are known; then those of these days, drawn outwards the less the more days
    there are: a December's sun of few days does not make a day of May.
    """
    steps = DAY_S // step_s
    parts = [days(np.where(sunny, values, 0.0), steps_per_day=steps) for values in (np.nan_to_num(known), before)]
    energy, clear = (np.nansum(part, axis=1) for part in parts)
    enough = days(sunny.astype(float), steps_per_day=steps)
    seen = np.nansum(enough, axis=1) * step_s >= SUN_OF_A_DAY_S
    if not seen.any():
        return SHARE_LOW, SHARE_HIGH
    shares = energy[seen] / clear[seen]
    outwards = 1 + SHARE_OUTWARDS / len(shares)
    # Under snow or fog a share is nothing, and so is any multiple of it.
    least_high = SHARE_HIGH / (1 + len(shares))
    high = min(SHARE_HIGH, max(least_high, float(shares.max()) * outwards))
    return min(SHARE_LOW, float(shares.min()) / outwards), high


def _without_slips(known: Floats, *, peak_w: float) -> Floats:
    """Return what was measured without what no plant gives: half as much again as its peak, told or shown."""
    finite = known[np.isfinite(known)]
    if not len(finite):
        return known
    # A plant that was extended shows its new peak on many days; a slip stands alone.
    most_w = PEAK_MARGIN * max(peak_w, float(np.quantile(finite, 0.995)))
    return np.where(known > most_w, np.nan, known)


def _reaches(weather: Weather, *, start: datetime, horizon: int, step_s: int) -> bool:
    """Return whether a weather covers the horizon: what is missing of it would be told as night."""
    first = round((start - weather.start).total_seconds() / step_s)
    if first < 0 or first + horizon > len(weather.ghi_w_m2):
        return False
    return bool(np.isfinite(weather.ghi_w_m2[first : first + horizon]).mean() >= REACH_SHARE_MIN)


def _told_steps(weather: Weather, *, start: datetime, step_s: int, known: int) -> int:
    """Return how many of the newest known steps a model under this weather learns from.

    Days before the weather begins would be told as nights with a sun. Where it tells less than a month of the past, all
    are kept: too little to learn from, the members without weather hold.
    """
    first = int(np.flatnonzero(np.isfinite(weather.ghi_w_m2))[0])
    told = round((start - weather.start).total_seconds() / step_s) - first
    return known if told < DAYS_OF_WEATHER * DAY_S // step_s else min(known, told)


def _power_on(
    weather: Weather, plant: PvPlant, middles: Ints, *, start: datetime, past: int, step_s: int
) -> Floats | None:
    """Return the plant's power under a weather at the steps, ``None`` where it does not reach over the horizon."""
    offset = round((start - weather.start).total_seconds() / step_s) - past
    index = offset + np.arange(len(middles))
    inside = (index >= 0) & (index < len(weather.ghi_w_m2))
    index = np.clip(index, 0, len(weather.ghi_w_m2) - 1)
    ghi = np.where(inside, weather.ghi_w_m2[index], np.nan)
    air = np.where(inside, weather.air_temperature_c[index], np.nan)
    if not np.isfinite(ghi[past:]).all():
        return None
    power = weather_power_w(plant, middles, ghi_w_m2=np.nan_to_num(ghi), air_c=np.nan_to_num(air, nan=15.0))
    return np.where(np.isfinite(ghi), power, 0.0)


def _by_mix(
    known: Floats, plant: PvPlant, *, start: datetime, horizon: int, step_s: int, weather: Weather | None
) -> Predicted:
    """Mix what was measured, scaled by the sun's course, with a model that knows the sky."""
    future = -(-horizon * step_s // DAY_S)
    folded = fold(known, local_start_s=int(start.timestamp()), future=future, step_s=step_s)
    rows, steps = folded.weekday.shape
    first = int(start.timestamp()) + DAY_S * (future - 1 - np.arange(rows))
    middles = first[:, None] + step_s // 2 + step_s * np.arange(steps)[None, :]
    clear = clear_power_w(plant, middles)
    known_ahead = [clear]
    members: dict[str, Member] = {
        "yesterday": yesterday,
        "seven days": seven_days,
        "yesterday by the sun": _by_sun(clear, days=1),
        "week by the sun": _by_sun(clear, days=7),
        "month by the sun": _by_sun(clear, days=28),
    }
    if weather is not None:
        given = Covariates(start=weather.start, values=np.stack([weather.ghi_w_m2, weather.air_temperature_c], axis=1))
        sky = fold_covariates(given, folded, start=start, step_s=step_s)
        power = weather_power_w(
            plant, middles, ghi_w_m2=np.nan_to_num(sky[:, :, 0]), air_c=np.nan_to_num(sky[:, :, 1], nan=15.0)
        )
        known_ahead += [power, np.nan_to_num(sky[:, :, 0]), np.nan_to_num(sky[:, :, 1])]
        members["weather"] = _by_weather(power)
    told = blend(
        folded,
        horizon=horizon,
        covariates=np.stack(known_ahead, axis=2),
        members=lambda _: members,
        calendar=False,
    )
    night = np.concatenate([clear[future - 1 - day] for day in range(future)])[:horizon] <= 0
    return Predicted(
        middle=np.where(night, 0.0, told.middle),
        low=np.where(night, 0.0, told.low),
        high=np.where(night, 0.0, told.high),
        method="mix with weather" if weather is not None else "mix under the clear sky",
    )


def _by_sun(clear: Floats, *, days: int) -> Member:
    """Return the member that scales the clear sky by the share of it in the newest known days."""

    def member(folded: Folded, ahead_rows: Ints, ahead: int) -> Floats:
        parts, skies = [], []
        for day in range(days):
            source = ahead_rows + 1 + ahead + day
            value = folded.row(source)
            sky = clear[np.minimum(source + folded.future, len(clear) - 1)]
            parts.append(value)
            skies.append(np.where(np.isfinite(value), sky, np.nan))
        measured, possible = mean_of(parts), mean_of(skies)
        here = clear[ahead_rows + folded.future]
        # Near the horizon the share is noise; a floor under the sky keeps it from growing without bound.
        floor = 0.02 * float(clear.max())
        told: Floats = measured * (here + floor) / (possible + floor)
        return np.where(here > 0, told, 0.0)

    return member


def _by_weather(power: Floats) -> Member:
    """Return the member that scales the physics of the weather by how the plant did against it in a month."""

    def member(folded: Folded, ahead_rows: Ints, ahead: int) -> Floats:
        measured, expected = np.zeros(len(ahead_rows)), np.zeros(len(ahead_rows))
        for day in range(28):
            source = ahead_rows + 1 + ahead + day
            value = folded.row(source)
            physics = power[np.minimum(source + folded.future, len(power) - 1)]
            usable = np.isfinite(value) & (physics > 0)
            measured += np.where(usable, value, 0.0).sum(axis=1)
            expected += np.where(usable, physics, 0.0).sum(axis=1)
        scale = np.divide(measured, expected, out=np.ones_like(measured), where=expected > 0)
        told: Floats = scale[:, None] * power[ahead_rows + folded.future]
        return told

    return member
