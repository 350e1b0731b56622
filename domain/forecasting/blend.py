"""From a history in days to a banded forecast: members, ridge, mix and bands put together."""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from domain.forecasting.members import OF_ITS_KIND, SEASONAL, Folded, Member
from domain.forecasting.mix import mix, weighted
from domain.forecasting.quantiles import slot_bands
from domain.forecasting.ridge import UNSEEN_DAYS, ridge
from domain.forecasting.series import DAY_S, Floats, days

RECORD_DAYS = 112
RECORD_DAYS_AT_ONCE = 28
HALF_LIFE_DAYS = 56.0
PARTS = 4
EPOCH_DAY = date(1970, 1, 1).toordinal()
COVARIATE_DAYS_MIN = 28  # Of the past, before what is told of the future can be weighed.
BAND_DAYS = 28  # Bands follow the season: errors of spring are no errors of summer.

# The simple forecasts, given what is known in advance, in rows as ``Folded.weekday`` has them.
MembersOf = Callable[[Floats | None], Mapping[str, Member]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Covariates:
    """What is known of the past and of the horizon, on the history's own grid; one column each, NaN where missing."""

    start: datetime
    values: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Predicted:
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
    members: MembersOf | None = None,
    calendar: bool = True,
    band_days: int = BAND_DAYS,
) -> Predicted:
    """Mix the members, a day of the horizon at a time, and band each with the errors of its own past.

    What is known in advance may end within the horizon: cells that it does not reach are told without it.

    Args:
        folded: The history.
        horizon: How many steps to forecast.
        covariates: What is known in advance, in rows as ``Folded.weekday`` has them, for the ridge model.
        members: The simple forecasts under what is known in advance, the seasonal ones where none are given.
        calendar: Whether weekdays matter.
        band_days: Of how many of the newest days the errors make the bands.
    """
    told: list[_Day] = []
    for ahead in range(folded.future):
        given, reached = _reaching(covariates, folded, ahead)
        day = _day(folded, ahead, covariates=given, members=members, calendar=calendar, band_days=band_days)
        if given is not None and not reached.all():
            without = _day(folded, ahead, covariates=None, members=members, calendar=calendar, band_days=band_days)
            day = _Day(
                middle=np.where(reached, day.middle, without.middle),
                low=np.where(reached, day.low, without.low),
                high=np.where(reached, day.high, without.high),
                ridge=day.ridge or without.ridge,
            )
        told.append(day)
    return Predicted(
        middle=np.concatenate([day.middle for day in told])[:horizon],
        low=np.concatenate([day.low for day in told])[:horizon],
        high=np.concatenate([day.high for day in told])[:horizon],
        method="mix of ridge and seasonal" if any(day.ridge for day in told) else "mix of seasonal",
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class _Day:
    """One day's forecast with its band, by slot, and whether the ridge model has a part in it."""

    middle: Floats
    low: Floats
    high: Floats
    ridge: bool


def _day(
    folded: Folded,
    ahead: int,
    *,
    covariates: Floats | None,
    members: MembersOf | None,
    calendar: bool,
    band_days: int,
) -> _Day:
    """Mix the forecasts of one day of the horizon."""
    mixed_from = SEASONAL if members is None else members(covariates)
    steps = folded.days.shape[1]
    record = np.arange(min(RECORD_DAYS, max(1, len(folded.days) - 8)))
    actual = folded.row(record)
    told = {name: member(folded, np.array([-1 - ahead]), ahead)[0] for name, member in mixed_from.items()}
    # A part of the record at a time: a median over hours and days holds each cell 84 times.
    some = np.array_split(record, -(-len(record) // RECORD_DAYS_AT_ONCE))
    past = {name: np.concatenate([member(folded, rows, ahead) for rows in some]) for name, member in mixed_from.items()}
    learned = ridge(folded, ahead=ahead, covariates=covariates, calendar=calendar)
    if learned is not None:
        told["ridge"] = learned[0]
        past["ridge"] = np.full(actual.shape, np.nan)
        depth = min(len(record), len(learned[1]))
        past["ridge"][:depth] = learned[1][:depth]
    mixed = mix(
        told=told, past=past, actual=actual, parts=PARTS, half_life_days=HALF_LIFE_DAYS, unseen_days=UNSEEN_DAYS
    )
    below, above = slot_bands((actual - mixed.past)[:band_days], width=max(1, steps // 24))
    middle = _filled(mixed.told, folded.days)
    if folded.holiday is not None:
        # Of a holiday only those tell that know its kind of day: what goes on from ordinary days has no part in it.
        aware = {name: share for name, share in mixed.weights.items() if name in OF_ITS_KIND or name == "ridge"}
        alike = weighted(told, aware) if aware else middle
        middle = np.where(folded.holiday[folded.future - 1 - ahead] & np.isfinite(alike), alike, middle)
    return _Day(middle=middle, low=middle + below, high=middle + above, ridge="ridge" in mixed.weights)


def _reaching(covariates: Floats | None, folded: Folded, ahead: int) -> tuple[Floats | None, NDArray[np.bool_]]:
    """Return the covariates that reach into a day of the horizon with a record behind them, and where all of them do.

    Cells of that day that they do not reach are filled with the day before, or the mean.
    """
    row = folded.future - 1 - ahead
    nowhere = np.zeros(folded.days.shape[1], dtype=np.bool_)
    if covariates is None:
        return None, nowhere
    known = np.isfinite(covariates)
    record_days = known[folded.future :].sum(axis=(0, 1)) / folded.days.shape[1]
    use = known[row].any(axis=0) & (record_days >= min(COVARIATE_DAYS_MIN, 0.9 * len(folded.days)))
    if not use.any():
        return None, nowhere
    given = covariates[:, :, use].copy()
    reached = np.isfinite(given[row]).all(axis=1)
    before = given[row + 1] if row + 1 < len(given) else given[row]
    usual = np.nanmean(given, axis=(0, 1))
    given[row] = np.where(np.isfinite(given[row]), given[row], np.where(np.isfinite(before), before, usual))
    return given, reached


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
