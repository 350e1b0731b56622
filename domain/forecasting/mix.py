"""A weighted mix of simple forecasts, the weights from the recent errors of each, for each part of the horizon.

No single model wins everywhere, and a mix of cheap ones weighted by their recent record beats each. The weights
are never negative and sum to one; they minimise the mean absolute error of the past weeks by exponentiated gradient
steps, drawn a little towards equal shares so that a short record does not decide.

Source: combination of forecasts, Bates and Granger, Operational Research Quarterly 20 (1969); exponentiated gradient,
Kivinen and Warmuth, Information and Computation 132 (1997).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from domain.forecasting.series import Floats

STEPS = 150
RATE = 5.0  # Of the first step, for errors in units of their mean size.
SHRINK = 0.03


@dataclass(frozen=True, eq=False, kw_only=True)
class Mixed:
    """One day's forecast, the same mix told of past days, and the weight of each member in each part of the day."""

    told: Floats
    past: Floats
    weights: dict[str, Floats]


def mix(
    *,
    told: Mapping[str, Floats],
    past: Mapping[str, Floats],
    actual: Floats,
    parts: int,
    half_life_days: float,
    unseen_days: int = 0,
) -> Mixed:
    """Mix the members' forecasts of one day.

    Weights that were made by a day's errors flatter the mix of that day. So of the newest days it is told by weights
    of the days before them, where there are as many of these.

    Args:
        told: The forecast of each member, by slot.
        past: What each would have told of past days, newest first, by day and slot.
        actual: What those days were.
        parts: Into how many parts of equal length the day is split; each has its own weights.
        half_life_days: After how many days a past error counts half.
        unseen_days: Of how many of the newest days the past mix has not seen the errors.
    """
    names = [name for name in told if np.isfinite(told[name]).any()]
    forecasts = np.stack([told[name] for name in names])
    record = np.stack([past[name] for name in names])
    slots = forecasts.shape[1]
    age = 0.5 ** (np.arange(len(actual)) / half_life_days)
    out, out_past = np.full(slots, np.nan), np.full(actual.shape, np.nan)
    weights = {name: np.zeros(parts) for name in names}
    for part, span in enumerate(np.array_split(np.arange(slots), parts)):
        errors = record[:, :, span] - actual[None, :, span]
        share = _shares(errors, age)
        out[span] = _weighted(forecasts[:, span], share)
        out_past[:, span] = _weighted(record[:, :, span], share)
        if unseen_days and len(actual) >= 2 * unseen_days:
            before = _shares(errors[:, unseen_days:], age[unseen_days:])
            out_past[:unseen_days, span] = _weighted(record[:, :unseen_days, span], before)
        for index, name in enumerate(names):
            weights[name][part] = share[index]
    return Mixed(told=out, past=out_past, weights=weights)


def weighted(told: Mapping[str, Floats], weights: Mapping[str, Floats]) -> Floats:
    """Return the mix of those members whose weights are given, each part of the day by its own.

    Args:
        told: The forecast of each member, by slot.
        weights: The weight of each that counts in each part of the day; they need not sum to one.
    """
    values = np.stack([told[name] for name in weights])
    shares = np.stack(list(weights.values()))
    spans = np.array_split(np.arange(values.shape[1]), shares.shape[1])
    return np.concatenate([_weighted(values[:, span], shares[:, part]) for part, span in enumerate(spans)])


def _shares(errors: Floats, age: Floats) -> Floats:
    """Return weights on the simplex for members by days by slots of errors."""
    members = len(errors)
    equal = np.full(members, 1.0 / members)
    flat = errors.reshape(members, -1)
    importance = np.repeat(age, errors.shape[2])
    known = np.isfinite(flat).all(axis=0)
    if known.sum() < 4 * members:
        return equal
    flat, importance = flat[:, known], importance[known] / importance[known].sum()
    spread = float((np.abs(flat) @ importance).mean()) or 1.0
    flat = flat / spread
    share, best, least = equal, equal, np.inf
    for step in range(STEPS):
        error = share @ flat
        loss = float(np.abs(error) @ importance)
        if loss < least:
            best, least = share, loss
        gradient = flat @ (np.sign(error) * importance)
        # Only differences count; the least is taken off so that no exponential overflows.
        share = share * np.exp(-RATE * (gradient - gradient.min()) / np.sqrt(1.0 + step / 10))
        share = share / share.sum()
    return (1 - SHRINK) * best + SHRINK * equal


def _weighted(values: Floats, share: Floats) -> Floats:
    """Return the mix over the first axis; where a member is missing the others fill its share."""
    known = np.isfinite(values)
    spread = share.reshape(-1, *([1] * (values.ndim - 1)))
    total = (spread * known).sum(axis=0)
    mixed = (spread * np.where(known, values, 0.0)).sum(axis=0)
    out: Floats = np.divide(mixed, total, out=np.full_like(mixed, np.nan), where=total > 0)
    return out
