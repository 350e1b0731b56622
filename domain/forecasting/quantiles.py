"""Bands around a forecast that hold what they promise: rolling conformal quantiles of past errors.

Source: split conformal prediction (Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005) on a rolling
window of out-of-sample errors, the finite-sample rank (n + 1) q included; errors that are alike count as fewer by the
design effect of a cluster sample (Kish, Survey Sampling, 1965), their likeness by the analysis of variance.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from domain.forecasting.series import Floats

LEVELS = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False, kw_only=True)
class Quantiles:
    """Quantiles over consecutive steps, ``p10 <= p50 <= p90``; the p50 is the forecast."""

    start: datetime
    step_s: int
    p10: Floats
    p50: Floats
    p90: Floats
    method: str


def ordered(*, start: datetime, step_s: int, low: Floats, middle: Floats, high: Floats, method: str) -> Quantiles:
    """Return quantiles in order: a bound that would cross the forecast stops at it."""
    return Quantiles(
        start=start,
        step_s=step_s,
        p10=np.minimum(low, middle),
        p50=middle,
        p90=np.maximum(high, middle),
        method=method,
    )


def conformal(errors: Floats, *, level: float, independent: float | None = None) -> float:
    """Return the bound of past errors (actual minus forecast) that a new one stays below with this probability.

    With too few errors for the rank the largest (or smallest) seen stands in; without any the bound is zero.

    Args:
        errors: Past errors, in any order.
        level: The probability.
        independent: As how many independent errors they count, all of them where it is not told.
    """
    known = np.sort(errors[np.isfinite(errors)])
    if not len(known):
        return 0.0
    # Errors of few days are drawn outwards by the finite-sample rank, on either side of the middle.
    count = len(known) if independent is None else max(1.0, min(independent, len(known)))
    share = ((count + 1) * level - 1) / max(count - 1, 1e-9)
    return float(np.interp(share * (len(known) - 1), np.arange(len(known)), known))


def slot_bands(errors: Floats, *, width: int) -> tuple[Floats, Floats]:
    """Return the 10 % and 90 % bounds of the errors of each slot and its neighbours.

    A day's errors an hour apart may be alike, or not at all: a region that is warmer than was told is so all day, a
    kettle boils once. They count as so many as their likeness within a day makes of them.

    Args:
        errors: Past errors, one row a day, one column a slot of the day.
        width: How many neighbours on either side count; the day is closed to a ring.
    """
    slots = errors.shape[1]
    low, high = np.zeros(slots), np.zeros(slots)
    reach = np.arange(-width, width + 1)
    for slot in range(slots):
        near = errors[:, (slot + reach) % slots]
        independent = _independent(near)
        low[slot] = conformal(near.ravel(), level=LEVELS[0], independent=independent)
        high[slot] = conformal(near.ravel(), level=LEVELS[2], independent=independent)
    return low, high


def _independent(errors: Floats) -> float:
    """Return as how many independent errors those of some days count, one row a day: no fewer than there are days."""
    known = np.isfinite(errors)
    counts = known.sum(axis=1)
    days, total = int((counts > 0).sum()), int(counts.sum())
    if days < 2 or total == days:
        return float(max(1, total))
    filled = np.where(known, errors, 0.0)
    means = filled.sum(axis=1) / np.maximum(1, counts)
    a_day = total / days
    between = a_day * float(np.square(means[counts > 0] - filled.sum() / total).sum()) / (days - 1)
    within = float(np.square(np.where(known, errors - means[:, None], 0.0)).sum()) / (total - days)
    spread = between + (a_day - 1) * within
    likeness = min(1.0, max(0.0, (between - within) / spread)) if spread > 0 else 1.0
    return total / (1 + (a_day - 1) * likeness)
