"""One linear model for each time of day and each day ahead, with its honest past errors.

Ridge regression on what was known at the origin: the newest days at and around that time, weekly values, levels, the
weekday, and what is known of the day to come (weather, published forecasts). The leave-one-out error of a linear
smoother follows from the fit, so that the past record needs no refit. But it knows the days around the one left out,
which a forecast does not: the newest days, of which bands are made, are told by a second fit that has not seen them.

Source: ridge, Hoerl and Kennard, Technometrics 12 (1970); leave-one-out (PRESS), Allen, Technometrics 16 (1974).
"""

import numpy as np
from numpy.typing import NDArray

from domain.forecasting.members import Folded, like_days, mean_of, seven_days
from domain.forecasting.series import Floats, Ints

DAYS_MIN = 21
DAYS_MAX = 365
HALF_LIFE_DAYS = 120.0
PENALTIES = (3.0, 12.0, 48.0, 192.0)
UNSEEN_DAYS = 28  # The newest days that the second fit tells; it needs twice as many older ones.
SLOTS_AT_ONCE = 8  # A year of all slots at once takes 40 MB, which a gateway has not.


def ridge(
    folded: Folded, *, ahead: int, covariates: Floats | None = None, calendar: bool = True
) -> tuple[Floats, Floats] | None:
    """Return the forecast of the day ``ahead`` and what would have been told of the past days, newest first.

    Of the newest ``UNSEEN_DAYS`` that is what a fit on the days before them tells, where there are enough; of the
    others it is the leave-one-out forecast.

    Args:
        folded: The history.
        ahead: How many whole days lie between what is known and the day to forecast; 0 for the next day.
        covariates: What is known of each cell, in rows as ``Folded.weekday`` has them; the last axis counts them.
        calendar: Whether weekdays matter; to the sun they do not.

    Returns:
        ``None`` where there are too few days to learn from.
    """
    count = min(len(folded.days) - 8 - ahead, DAYS_MAX)
    if count < DAYS_MIN:
        return None
    rows = np.concatenate([np.array([-1 - ahead]), np.arange(count)])
    features = _features(folded, rows, ahead, covariates, calendar=calendar)
    target = folded.row(rows[1:])
    told, past = fit(features[:1], features[1:], target, np.arange(count))
    known = UNSEEN_DAYS + ahead  # What was known as the oldest of the unseen days was told is older than this.
    if count - known >= 2 * UNSEEN_DAYS:
        unseen = slice(1, 1 + UNSEEN_DAYS)
        past[:UNSEEN_DAYS], _ = fit(features[unseen], features[1 + known :], target[known:], np.arange(known, count))
    return told[0], past


def _features(folded: Folded, rows: Ints, ahead: int, covariates: Floats | None, *, calendar: bool) -> Floats:
    """Return what was known for each target cell: rows by slots by features."""
    newest = rows + 1 + ahead
    level = seven_days(folded, rows, ahead)
    shape = level.shape
    columns: list[Floats] = [level]
    columns += [folded.row(newest + day) for day in (0, 1, 2)]
    columns += [np.roll(columns[1], -1, axis=1), np.roll(columns[1], 1, axis=1)]
    if calendar:
        week = 7 * (ahead // 7 + 1)
        columns += [like_days(folded, rows, ahead), folded.row(rows + week), folded.row(rows + week + 7)]
    columns = [np.where(np.isfinite(column), column, level) for column in columns]
    for width in {max(1, shape[1] // 24), max(1, shape[1] // 6), shape[1]}:
        recent = folded.row(newest)[:, -width:] - mean_of([folded.row(newest + day)[:, -width:] for day in range(1, 8)])
        known = np.isfinite(recent)
        mean = np.where(known, recent, 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
        columns.append(np.broadcast_to(mean[:, None], shape))
    if calendar:
        weekday = folded.weekdays(rows)
        columns += [(weekday == day).astype(float) for day in range(6)]
    if covariates is not None:
        columns += _weather(covariates, rows, newest, folded.future)
    return np.stack(columns, axis=2)


def _weather(covariates: Floats, rows: Ints, newest: Ints, future: int) -> list[Floats]:
    """Return a covariate, its square, its day's mean, and its change since the newest known day.

    What is missing is the mean.
    """
    here = covariates[rows + future]
    last = len(covariates) - 1
    before = covariates[np.minimum(newest + future, last)]
    columns = []
    for index in range(covariates.shape[2]):
        spread = np.nanstd(covariates[:, :, index]) or 1.0
        middle = np.nanmean(covariates[:, :, index])
        value, newer = (np.where(np.isfinite(told[:, :, index]), told[:, :, index], middle) for told in (here, before))
        day = np.broadcast_to(value.mean(axis=1, keepdims=True), value.shape)
        columns += [
            value,
            np.square((value - middle) / spread),
            day,
            np.square((day - middle) / spread),
            value - newer,
        ]
    return columns


def fit(here: Floats, features: Floats, target: Floats, ages: Floats | Ints) -> tuple[Floats, Floats]:
    """Return what is told of some days, and the leave-one-out forecasts of those that were learned from.

    Every slot is fitted by itself; the penalty is the one with the least leave-one-out error of all.

    Args:
        here: What is known of the days to tell: days by slots by features.
        features: The same of the days to learn from.
        target: What those were: days by slots.
        ages: How old those are, in days; only their differences count.
    """
    weight = 0.5 ** ((ages - ages.min()) / HALF_LIFE_DAYS)
    count, slots = target.shape
    told, past = np.empty((len(PENALTIES), len(here), slots)), np.empty((len(PENALTIES), count, slots))
    score = np.zeros(len(PENALTIES))
    for begin in range(0, slots, SLOTS_AT_ONCE):
        block = slice(begin, begin + SLOTS_AT_ONCE)
        told[:, :, block], past[:, :, block], scored = _fit_slots(
            here[:, block], features[:, block], target[:, block], weight
        )
        score += scored
    best = int(score.argmin())
    return told[best], past[best]


def _fit_slots(here: Floats, features: Floats, target: Floats, weight: Floats) -> tuple[Floats, Floats, Floats]:
    """Return of each penalty what is told, the leave-one-out forecasts, and the sum of their weighted errors."""
    usable = np.isfinite(target) & np.isfinite(features).all(axis=2)
    weights = np.where(usable, weight[:, None], 0.0).T  # slots by days
    x = np.nan_to_num(features).transpose(1, 0, 2)
    y = np.where(usable, target, 0.0).T
    total = np.maximum(weights.sum(axis=1), 1e-9)
    x_mean = np.einsum("sn,snp->sp", weights, x) / total[:, None]
    y_mean = (weights * y).sum(axis=1) / total
    centred = x - x_mean[:, None, :]
    scale = np.sqrt(np.einsum("sn,snp->sp", weights, centred**2) / total[:, None])
    scale = np.where(scale > 1e-9, scale, np.inf)
    centred /= scale[:, None, :]
    aside = y - y_mean[:, None]
    weighted = centred * weights[:, :, None]
    gram = centred.transpose(0, 2, 1) @ weighted
    moment = np.einsum("snp,sn->sp", weighted, aside)
    values, vectors = np.linalg.eigh(gram)
    rotated = centred @ vectors
    projected = np.einsum("spq,sp->sq", vectors, moment)
    aimed = (np.nan_to_num(here).transpose(1, 0, 2) - x_mean[:, None, :]) / scale[:, None, :]
    aimed = _within_reach(aimed, centred, weights > 0) @ vectors  # slots by days by features
    told, past, score = [], [], []
    for penalty in PENALTIES:
        shrunk = 1.0 / (np.maximum(values, 0.0) + penalty)
        fitted = np.einsum("snq,sq->sn", rotated, projected * shrunk)
        leverage = weights * (np.einsum("snq,sq->sn", rotated**2, shrunk) + 1.0 / total[:, None])
        error = (aside - fitted) / np.maximum(1.0 - leverage, 0.05)
        told.append((y_mean[:, None] + np.einsum("snq,sq->sn", aimed, projected * shrunk)).T)
        past.append(np.where(weights > 0, y - error, np.nan).T)
        score.append((weights * np.abs(error)).sum())
    return np.stack(told), np.stack(past), np.array(score)


def _within_reach(here: Floats, past: Floats, known: NDArray[np.bool_]) -> Floats:
    """Return the features of the days to forecast, drawn to within once the span of the past's beyond it.

    The minutes of dawn lie in the dark for weeks: the first light there is thousands of the past's deviations away, and
    a line through the dark says nothing about it.
    """
    low = np.where(known[:, :, None], past, np.inf).min(axis=1)
    high = np.where(known[:, :, None], past, -np.inf).max(axis=1)
    span = high - low
    some = np.isfinite(span)
    least, most = np.where(some, low - span, -np.inf), np.where(some, high + span, np.inf)
    return np.clip(here, least[:, None, :], most[:, None, :])
