"""How good forecasts would have been: one origin a day, nothing of the future, scored by lead."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from domain.forecasting import scores
from domain.forecasting.quantiles import LEVELS, Quantiles
from domain.forecasting.series import DAY_S, Floats, Series, first_step

Forecaster = Callable[[datetime, int], Quantiles]


@dataclass(frozen=True, kw_only=True)
class Score:
    """The scores of one span of leads over all origins, in the unit of the series where they have one."""

    lead: str
    points: int
    mae: float
    relative_mae: float
    pinball: float
    coverage: float


def backtest(
    series: Series, forecast: Forecaster, *, horizon_steps: int, origins_max: int, utc_offset_s: int = 0
) -> tuple[Score, ...]:
    """Score a forecaster at the last local midnights that have a week before and the whole horizon after them.

    Args:
        series: What was measured.
        forecast: Told an origin and how many steps; must look at nothing from the origin on.
        horizon_steps: How far to forecast.
        origins_max: How many origins at most, the last ones of the series.
        utc_offset_s: The site's local time.

    Returns:
        One score for each started day of the horizon, none where the series is too short.
    """
    origins = _origins(series, horizon_steps=horizon_steps, utc_offset_s=utc_offset_s)[-origins_max:]
    if not origins:
        return ()
    steps = series.steps_per_day
    actual, naive = [], []
    told: list[Quantiles] = []
    for origin in origins:
        index = round((origin - series.start).total_seconds() / series.step_s)
        actual.append(series.values[index : index + horizon_steps])
        naive.append(scores.weekly_naive(series.values, origin=index, horizon=horizon_steps, steps_per_day=steps))
        told.append(forecast(origin, horizon_steps))
    real, reference = np.stack(actual), np.stack(naive)
    low, middle, high = (np.stack([getattr(one, name) for one in told]) for name in ("p10", "p50", "p90"))
    return tuple(
        _score(first, min(first + steps, horizon_steps), series.step_s, real, reference, bands=(low, middle, high))
        for first in range(0, horizon_steps, steps)
    )


def _origins(series: Series, *, horizon_steps: int, utc_offset_s: int) -> list[datetime]:
    start = series.start + timedelta(seconds=7 * DAY_S)
    local = int(start.timestamp()) + utc_offset_s
    origin = first_step(start + timedelta(seconds=-local % DAY_S), step_s=series.step_s)
    found = []
    while origin + timedelta(seconds=horizon_steps * series.step_s) <= series.end:
        found.append(origin)
        origin += timedelta(seconds=DAY_S)
    return found


def _score(
    first: int, last: int, step_s: int, actual: Floats, naive: Floats, *, bands: tuple[Floats, Floats, Floats]
) -> Score:
    span = slice(first, last)
    real, reference = actual[:, span].ravel(), naive[:, span].ravel()
    low, middle, high = (band[:, span].ravel() for band in bands)
    losses = [scores.pinball(real, band, level=level) for band, level in zip((low, middle, high), LEVELS, strict=True)]
    return Score(
        lead=f"{first * step_s // 3600}-{last * step_s // 3600}h",
        points=int(np.isfinite(real).sum()),
        mae=scores.mae(real, middle),
        relative_mae=scores.relative_mae(real, middle, reference),
        pinball=float(np.mean(losses)),
        coverage=scores.coverage(real, low, high),
    )
