"""Load: a mix of simple forecasts where there is a record, less and less where there is not.

From four weeks on a mix with ridge models; from a week on a mix of seasonal values; below that the mean of the known
days drawn to the present level; in the first day persistence that fades into the profile of the site's class. Gaps
and outages only thin the record.
"""

from collections.abc import Container
from datetime import date, datetime

import numpy as np

from domain.forecasting.blend import Covariates, Predicted, blend, fold, fold_covariates
from domain.forecasting.members import Folded, like_days, mean_of, seven_days
from domain.forecasting.profiles import LoadClass, shape_at
from domain.forecasting.quantiles import LEVELS, Quantiles, conformal, ordered
from domain.forecasting.series import DAY_S, Floats, Ints, Series, first_step, until, without_slips

PERSISTENCE_S = 2 * 3600.0
DAYS_FOR_MIX = 8
LIKE_DAYS_WORSE_MAX = 1.1
SPREAD_UNKNOWN = 0.6  # The half-width of the band, relative to the forecast, before any error is known.


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
    holidays: Container[date] | None = None,
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
        holidays: Local days that are like Sundays.
        floor: What a load does not fall below, or ``None``.
    """
    step_s = history.step_s if history is not None else step_s
    start = first_step(issued_at, step_s=step_s)
    known = without_slips(until(history, start), step_s=step_s) if history is not None else np.array([])
    local_start_s = int(start.timestamp()) + utc_offset_s
    known_days = int(np.isfinite(known).sum()) * step_s / DAY_S
    if known_days >= DAYS_FOR_MIX and recent_share(known, step_s) > 0:
        folded = fold(
            known,
            local_start_s=local_start_s,
            future=-(-horizon_steps * step_s // DAY_S),
            step_s=step_s,
            holidays=holidays,
        )
        given = None if covariates is None else fold_covariates(covariates, folded, start=start, step_s=step_s)
        told = blend(folded, horizon=horizon_steps, covariates=given)
    elif known_days >= 1:
        folded = fold(
            known,
            local_start_s=local_start_s,
            future=-(-horizon_steps * step_s // DAY_S),
            step_s=step_s,
            holidays=holidays,
        )
        told = _by_days(folded, known, horizon_steps, step_s)
    else:
        told = _by_profile(
            known,
            local_start_s + step_s * np.arange(-len(known), horizon_steps, dtype=np.int64),
            load_class=load_class,
            typical_w=typical_w,
            step_s=step_s,
        )
    middle, low, high = (
        values if floor is None else np.maximum(values, floor) for values in (told.middle, told.low, told.high)
    )
    return ordered(start=start, step_s=step_s, low=low, middle=middle, high=high, method=told.method)


def recent_share(known: Floats, step_s: int) -> float:
    """Return how much of the last eight days is known."""
    return float(np.isfinite(known[-8 * DAY_S // step_s :]).mean())


def _by_days(folded: Folded, known: Floats, horizon: int, step_s: int) -> Predicted:
    """Repeat the mean of the known days, drawn to the present level, which fades within hours.

    Days of the same kind (working day, Saturday, Sunday) count alone where that would not have told the known days
    worse: a works that rests on a weekend says nothing of its Monday by it, and a household hardly differs.
    """
    steps = folded.days.shape[1]
    rows = np.arange(len(folded.days))
    usual = mean_of(list(folded.days[:7, None, :]))[0]
    usual = np.where(np.isfinite(usual), usual, np.nanmean(known))
    alike_past, all_past = like_days(folded, rows, 0), seven_days(folded, rows, 0)
    both = np.isfinite(alike_past) & np.isfinite(all_past) & np.isfinite(folded.days)
    by_kind = np.abs(alike_past - folded.days)[both].sum() <= LIKE_DAYS_WORSE_MAX * (
        np.abs(all_past - folded.days)[both].sum()
    )
    shapes = []
    for ahead in range(folded.future):
        alike = like_days(folded, np.array([-1 - ahead]), ahead)[0]
        shapes.append(np.where(np.isfinite(alike) & by_kind, alike, usual))
    fitted = np.resize(usual[::-1], len(known))[::-1]
    fade = np.exp(-np.arange(horizon) * step_s / PERSISTENCE_S)
    middle = np.concatenate(shapes)[:horizon] + departure(known, fitted, step_s) * fade
    errors = (folded.days[:7] - usual).ravel()
    below, above = conformal(errors, level=LEVELS[0]), conformal(errors, level=LEVELS[2])
    # The errors of one day about itself are nothing, and of two are few: the prior's share falls with their number.
    unknown = SPREAD_UNKNOWN / max(1.0, np.isfinite(known).sum() / steps) * np.abs(middle)
    return Predicted(
        middle=middle,
        low=middle + np.minimum(below, -unknown),
        high=middle + np.maximum(above, unknown),
        method="mean of days",
    )


def departure(known: Floats, fitted: Floats, step_s: int) -> float:
    """Return by how much the last hour lay above what was fitted to it."""
    count = max(1, 3600 // step_s)
    recent = (known - fitted)[-count:]
    recent = recent[np.isfinite(recent)]
    return float(recent.mean()) if len(recent) else 0.0


def _by_profile(known: Floats, local: Ints, *, load_class: LoadClass, typical_w: float, step_s: int) -> Predicted:
    """Let the last value fade into the class's profile, at the level that the first hours show."""
    horizon = len(local) - len(known)
    shape = shape_at(load_class, local % DAY_S)
    seen = np.isfinite(known)
    level = float(known[seen].sum() / shape[: len(known)][seen].sum()) if seen.any() else typical_w
    profile = level * shape
    fade = np.exp(-np.arange(horizon) * step_s / PERSISTENCE_S)
    middle = profile[len(known) :] + departure(known, profile[: len(known)], step_s) * fade
    # The longer ago the last reading, the less is known.
    half_width = SPREAD_UNKNOWN * np.abs(middle) * (1 - 0.7 * fade * bool(seen.any()))
    method = "persistence into profile" if seen.any() else "profile"
    return Predicted(middle=middle, low=middle - half_width, high=middle + half_width, method=method)
