"""Load: a mix of simple forecasts where there is a record, less and less where there is not.

From four weeks on a mix with ridge models; from a week on a mix of seasonal values; below that the mean of the known
days drawn to the present level; in the first day persistence that fades into the profile of the site's class. Gaps
and outages only thin the record.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from cloud.forecasting.members import SEASONAL, Folded, mean_of
from cloud.forecasting.mix import mix
from cloud.forecasting.profiles import LoadClass, shape_at
from cloud.forecasting.quantiles import LEVELS, Quantiles, conformal, ordered, slot_bands
from cloud.forecasting.ridge import ridge
from cloud.forecasting.series import DAY_S, Floats, Ints, Series, days, first_step, until

RECORD_DAYS = 56
HALF_LIFE_DAYS = 28.0
PARTS = 4
PERSISTENCE_S = 2 * 3600.0
DAYS_FOR_MIX = 8
SPREAD_UNKNOWN = 0.6  # The half-width of the band, relative to the forecast, before any error is known.


@dataclass(frozen=True, eq=False, kw_only=True)
class Covariates:
    """What is known of the past and of the horizon, on the history's own grid; one column each, NaN where missing."""

    start: datetime
    values: Floats


def forecast_load(
    history: Series | None,
    *,
    issued_at: datetime,
    horizon_steps: int,
    step_s: int = 900,
    load_class: LoadClass = LoadClass.FLAT,
    typical_w: float = 0.0,
    utc_offset_s: int = 0,
    covariates: Covariates | None = None,
    floor: float | None = 0.0,
) -> Quantiles:
    """Forecast a load over the steps that follow an instant.

    Args:
        history: What was measured; nothing after ``issued_at`` is looked at. ``None`` where there is nothing.
        issued_at: The forecast begins with the first step at or after this.
        horizon_steps: How many steps.
        step_s: The step; that of the history where there is one.
        load_class: What the site is, for its first days.
        typical_w: Its mean load, for its first minutes.
        utc_offset_s: The site's local time, for weekdays and class profiles.
        covariates: What is known in advance.
        floor: What a load does not fall below, or ``None``.
    """
    step_s = history.step_s if history is not None else step_s
    start = first_step(issued_at, step_s=step_s)
    known = until(history, start) if history is not None else np.array([])
    local_start_s = int(start.timestamp()) + utc_offset_s
    known_days = int(np.isfinite(known).sum()) * step_s / DAY_S
    if known_days >= DAYS_FOR_MIX and _recent_share(known, step_s) > 0:
        folded = fold(known, local_start_s=local_start_s, future=-(-horizon_steps * step_s // DAY_S), step_s=step_s)
        given = None if covariates is None else fold_covariates(covariates, folded, start=start, step_s=step_s)
        told = _by_mix(folded, given, horizon_steps)
    elif known_days >= 1:
        told = _by_days(known, horizon_steps, step_s)
    else:
        told = _by_profile(
            known,
            local_start_s + step_s * np.arange(-len(known), horizon_steps, dtype=np.int64),
            load_class=load_class,
            typical_w=typical_w,
            step_s=step_s,
        )
    middle, low, high, method = told
    if floor is not None:
        middle, low, high = np.maximum(middle, floor), np.maximum(low, floor), np.maximum(high, floor)
    return ordered(start=start, step_s=step_s, low=low, middle=middle, high=high, method=method)


def _recent_share(known: Floats, step_s: int) -> float:
    """Return how much of the last eight days is known."""
    return float(np.isfinite(known[-8 * DAY_S // step_s :]).mean())


_Told = tuple[Floats, Floats, Floats, str]


def _by_mix(folded: Folded, covariates: Floats | None, horizon: int) -> _Told:
    """Mix the members, a day of the horizon at a time, and band each with the errors of its own past."""
    steps = folded.days.shape[1]
    record = np.arange(min(RECORD_DAYS, max(1, len(folded.days) - 8)))
    actual = folded.row(record)
    middle, low, high = [], [], []
    used: set[str] = set()
    for ahead in range(folded.future):
        told = {name: member(folded, np.array([-1 - ahead]), ahead)[0] for name, member in SEASONAL.items()}
        past = {name: member(folded, record, ahead) for name, member in SEASONAL.items()}
        learned = ridge(folded, ahead=ahead, covariates=covariates)
        if learned is not None:
            told["ridge"] = learned[0]
            past["ridge"] = np.full(actual.shape, np.nan)
            depth = min(len(record), len(learned[1]))
            past["ridge"][:depth] = learned[1][:depth]
        mixed = mix(told=told, past=past, actual=actual, parts=PARTS, half_life_days=HALF_LIFE_DAYS)
        used |= set(mixed.weights)
        below, above = slot_bands(actual - mixed.past, width=max(1, steps // 24))
        day = _filled(mixed.told, folded.days)
        middle.append(day)
        low.append(day + below)
        high.append(day + above)
    return (
        np.concatenate(middle)[:horizon],
        np.concatenate(low)[:horizon],
        np.concatenate(high)[:horizon],
        "mix of ridge and seasonal" if "ridge" in used else "mix of seasonal",
    )


def fold(known: Floats, *, local_start_s: int, future: int, step_s: int) -> Folded:
    """Return a history that ends at a local second in days, with its weekdays and those of the days to come."""
    steps = DAY_S // step_s
    folded = days(known, steps_per_day=steps)
    first_of_row = local_start_s - DAY_S * np.arange(1 - future, len(folded) + 1)[:, None]
    cells = first_of_row + step_s * np.arange(steps)[None, :]
    # Day 0 of the epoch was a Thursday.
    weekday = (cells // DAY_S + 3) % 7
    return Folded(days=folded, weekday=weekday.astype(np.int64), future=future)


def fold_covariates(covariates: Covariates, folded: Folded, *, start: datetime, step_s: int) -> Floats:
    """Return covariates in rows as ``Folded.weekday`` has them, NaN where they do not reach."""
    rows, steps = folded.weekday.shape
    offset = round((start - covariates.start).total_seconds() / step_s)
    first = offset + steps * (folded.future - 1 - np.arange(rows))
    index = first[:, None] + np.arange(steps)[None, :]
    inside = (index >= 0) & (index < len(covariates.values))
    taken = covariates.values[np.clip(index, 0, len(covariates.values) - 1)]
    return np.where(inside[:, :, None], taken, np.nan)


def _filled(values: Floats, known: Floats) -> Floats:
    """Return values with what no member could tell taken from the mean of the history."""
    return np.where(np.isfinite(values), values, np.nanmean(known))


def _by_days(known: Floats, horizon: int, step_s: int) -> _Told:
    """Repeat the mean of the known days, drawn to the present level, which fades within hours."""
    steps = DAY_S // step_s
    folded = days(known, steps_per_day=steps)
    shape = mean_of(list(folded[:7, None, :]))[0]
    shape = np.where(np.isfinite(shape), shape, np.nanmean(known))
    middle = np.resize(shape, horizon) + _departure(
        known, np.resize(shape, len(known) + steps)[-len(known) :], step_s
    ) * (np.exp(-np.arange(horizon) * step_s / PERSISTENCE_S))
    errors = (folded[:7] - shape).ravel()
    below, above = conformal(errors, level=LEVELS[0]), conformal(errors, level=LEVELS[2])
    return middle, middle + below, middle + above, "mean of days"


def _departure(known: Floats, fitted: Floats, step_s: int) -> float:
    """Return by how much the last hour lay above what was fitted to it."""
    count = max(1, 3600 // step_s)
    recent = (known - fitted)[-count:]
    recent = recent[np.isfinite(recent)]
    return float(recent.mean()) if len(recent) else 0.0


def _by_profile(known: Floats, local: Ints, *, load_class: LoadClass, typical_w: float, step_s: int) -> _Told:
    """Let the last value fade into the class's profile, at the level that the first hours show."""
    horizon = len(local) - len(known)
    shape = shape_at(load_class, local % DAY_S)
    seen = np.isfinite(known)
    level = float(known[seen].sum() / shape[: len(known)][seen].sum()) if seen.any() else typical_w
    profile = level * shape
    fade = np.exp(-np.arange(horizon) * step_s / PERSISTENCE_S)
    middle = profile[len(known) :] + _departure(known, profile[: len(known)], step_s) * fade
    # The longer ago the last reading, the less is known.
    half_width = SPREAD_UNKNOWN * np.abs(middle) * (1 - 0.7 * fade * bool(seen.any()))
    method = "persistence into profile" if seen.any() else "profile"
    return middle, middle - half_width, middle + half_width, method
