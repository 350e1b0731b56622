"""From a history in days to a banded forecast: members, ridge, mix and bands put together."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from domain.forecasting.members import SEASONAL, Folded, Member, like_days
from domain.forecasting.mix import mix
from domain.forecasting.quantiles import slot_bands
from domain.forecasting.ridge import ridge
from domain.forecasting.series import DAY_S, Floats, days

RECORD_DAYS = 112
HALF_LIFE_DAYS = 56.0
PARTS = 4
EPOCH_DAY = date(1970, 1, 1).toordinal()
BAND_DAYS = 28  # Bands follow the season: errors of spring are no errors of summer.


@dataclass(frozen=True, eq=False, kw_only=True)
class Covariates:
    """What is known of the past and of the horizon, on the history's own grid; one column each, NaN where missing."""

    start: datetime
    values: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Told:
    """A forecast with its band and how it was made."""

    middle: Floats
    low: Floats
    high: Floats
    method: str


def blend(
    folded: Folded,
    *,
    horizon: int,
    covariates: Floats | None = None,
    members: Mapping[str, Member] | None = None,
    calendar: bool = True,
) -> Told:
    """Mix the members, a day of the horizon at a time, and band each with the errors of its own past.

    Args:
        folded: The history.
        horizon: How many steps to forecast.
        covariates: What is known in advance, in rows as ``Folded.weekday`` has them, for the ridge model.
        members: The simple forecasts, the seasonal ones where none are given.
        calendar: Whether weekdays matter.
    """
    members = SEASONAL if members is None else members
    steps = folded.days.shape[1]
    record = np.arange(min(RECORD_DAYS, max(1, len(folded.days) - 8)))
    actual = folded.row(record)
    middle, low, high = [], [], []
    used: set[str] = set()
    for ahead in range(folded.future):
        told = {name: member(folded, np.array([-1 - ahead]), ahead)[0] for name, member in members.items()}
        past = {name: member(folded, record, ahead) for name, member in members.items()}
        learned = ridge(folded, ahead=ahead, covariates=covariates, calendar=calendar)
        if learned is not None:
            told["ridge"] = learned[0]
            past["ridge"] = np.full(actual.shape, np.nan)
            depth = min(len(record), len(learned[1]))
            past["ridge"][:depth] = learned[1][:depth]
        mixed = mix(told=told, past=past, actual=actual, parts=PARTS, half_life_days=HALF_LIFE_DAYS)
        used |= set(mixed.weights)
        below, above = slot_bands((actual - mixed.past)[:BAND_DAYS], width=max(1, steps // 24))
        day = _filled(mixed.told, folded.days)
        if folded.holiday is not None:
            # A holiday is forecast from Sundays and holidays alone: the weights were found on ordinary days.
            alike = like_days(folded, np.array([-1 - ahead]), ahead)[0]
            day = np.where(folded.holiday[folded.future - 1 - ahead] & np.isfinite(alike), alike, day)
        middle.append(day)
        low.append(day + below)
        high.append(day + above)
    return Told(
        middle=np.concatenate(middle)[:horizon],
        low=np.concatenate(low)[:horizon],
        high=np.concatenate(high)[:horizon],
        method="mix of ridge and seasonal" if "ridge" in used else "mix of seasonal",
    )


def fold(
    known: Floats, *, local_start_s: int, future: int, step_s: int, holidays: Container[date] | None = None
) -> Folded:
    """Return a history that ends at a local second in days, with its weekdays and those of the days to come."""
    steps = DAY_S // step_s
    folded = days(known, steps_per_day=steps)
    first_of_row = local_start_s - DAY_S * np.arange(1 - future, len(folded) + 1)[:, None]
    cells = first_of_row + step_s * np.arange(steps)[None, :]
    # Day 0 of the epoch was a Thursday.
    weekday = (cells // DAY_S + 3) % 7
    if holidays is None:
        return Folded(days=folded, weekday=weekday.astype(np.int64), future=future)
    listed = [day for day in np.unique(cells // DAY_S).tolist() if date.fromordinal(EPOCH_DAY + day) in holidays]
    holiday = np.isin(cells // DAY_S, listed)
    weekday = np.where(holiday, 6, weekday)
    return Folded(days=folded, weekday=weekday.astype(np.int64), future=future, holiday=holiday)


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
