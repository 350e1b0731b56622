"""Price: the mix, on a scale that tames spikes, with a ridge model over whole days beside it.

A price of tomorrow hangs on all hours of the days before and on what is published about tomorrow (load, wind and
sun). The day model sees them all at once and is fitted over several windows whose mean is taken: short ones follow,
long ones are steady. Negative prices are ordinary values.

Source: expert and LEAR models and window averaging, Lago, Marcjasz, De Schutter, Weron, Applied Energy 293 (2021);
area hyperbolic sine transform, Uniejewski, Weron, Ziel, IEEE Transactions on Power Systems 33 (2018).
"""

from collections.abc import Container
from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np

from domain.forecasting.blend import Covariates, Predicted, blend, fold, fold_covariates
from domain.forecasting.load import DAYS_FOR_MIX, departure, recent_share
from domain.forecasting.members import SEASONAL, Folded, Member, mean_of
from domain.forecasting.quantiles import LEVELS, Quantiles, conformal, ordered
from domain.forecasting.series import DAY_S, Floats, Ints, Series, days, first_step, until

WINDOWS_DAYS = (56, 84, 364, 728, 1092)
RECORD_DAYS = 56  # The least past record that a window must leave room for.
REFIT_DAYS = 14
PENALTY_PER_DAY = 0.05
PERSISTENCE_S = 3600.0
HOUR_S = 3600
HISTORY_DAYS = max(WINDOWS_DAYS) + RECORD_DAYS + 12  # What the longest window can use.
BAND_DAYS = 56  # A price's errors follow no season; four weeks of them are too few for the spikes among them.
SHAPE_DAYS = 28  # Of the course within an hour.


def forecast_price(
    history: Series,
    *,
    issued_at: datetime,
    horizon_steps: int,
    utc_offset_s: int = 0,
    covariates: Covariates | None = None,
    holidays: Container[date] | None = None,
) -> Quantiles:
    """Forecast a price over the steps that follow an instant, in the unit of the history.

    Args:
        history: Past prices; those published beyond ``issued_at`` belong to nobody's forecast and are not looked at.
        issued_at: The forecast begins with the first step at or after this.
        horizon_steps: How many steps.
        utc_offset_s: The zone's local time, for weekdays.
        covariates: What is published in advance, such as the zone's load, wind and sun.
        holidays: Local days whose price is like a Sunday's.
    """
    step_s = history.step_s
    start = first_step(issued_at, step_s=step_s)
    known = until(history, start, steps_max=HISTORY_DAYS * DAY_S // step_s)
    known_days = int(np.isfinite(known).sum()) * step_s / DAY_S
    if known_days >= DAYS_FOR_MIX and recent_share(known, step_s) > 0:
        tell = _by_hours if step_s < HOUR_S and HOUR_S % step_s == 0 else _by_mix
        told = tell(
            known,
            start,
            horizon_steps,
            step_s,
            utc_offset_s=utc_offset_s,
            covariates=covariates,
            holidays=holidays,
        )
    else:
        told = _by_recent(known, horizon_steps, step_s)
    return ordered(start=start, step_s=step_s, low=told.low, middle=told.middle, high=told.high, method=told.method)


def _by_recent(known: Floats, horizon: int, step_s: int) -> Predicted:
    """Repeat the mean of the known days, drawn to the last hour's price; zero where no price was ever seen."""
    if not np.isfinite(known).any():
        nothing = np.zeros(horizon)
        return Predicted(middle=nothing, low=nothing, high=nothing, method="no price known")
    steps = DAY_S // step_s
    shape = mean_of(list(days(known, steps_per_day=steps)[:7, None, :]))[0]
    shape = np.where(np.isfinite(shape), shape, np.nanmean(known))
    back = np.resize(shape[::-1], len(known))[::-1]
    fade = np.exp(-np.arange(horizon) * step_s / PERSISTENCE_S)
    middle = np.resize(shape, horizon) + departure(known, back, step_s) * fade
    errors = known - np.nanmedian(known)
    low, high = conformal(errors, level=LEVELS[0]), conformal(errors, level=LEVELS[2])
    return Predicted(middle=middle, low=middle + min(0.0, low), high=middle + max(0.0, high), method="mean of days")


def _by_hours(
    known: Floats,
    start: datetime,
    horizon: int,
    step_s: int,
    *,
    utc_offset_s: int,
    covariates: Covariates | None,
    holidays: Container[date] | None,
) -> Predicted:
    """Mix hourly means, and lay the usual course within each hour over them.

    An auction's quarters follow their hours, and years of hours cost what months of quarters would.
    """
    parts = HOUR_S // step_s
    gone = int(start.timestamp()) % HOUR_S // step_s  # Of the present hour.
    whole = known[(len(known) - gone) % parts : len(known) - gone]
    hours = _mean_of_parts(whole, parts)
    begin = start - timedelta(seconds=gone * step_s)
    told = _by_mix(
        hours,
        begin,
        -(-(gone + horizon) // parts),
        HOUR_S,
        utc_offset_s=utc_offset_s,
        covariates=None if covariates is None else _by_the_hour(covariates, parts, step_s),
        holidays=holidays,
    )
    course = days(whole - np.repeat(hours, parts), steps_per_day=DAY_S // step_s)[:SHAPE_DAYS]
    known_course = np.isfinite(course)
    usual = np.where(known_course, course, 0.0).sum(axis=0) / np.maximum(1, known_course.sum(axis=0))
    apart = (course - usual).ravel()
    below, above = (conformal(apart, level=level) if known_course.any() else 0.0 for level in (LEVELS[0], LEVELS[2]))
    span = slice(gone, gone + horizon)
    middle, low, high = (np.repeat(values, parts)[span] for values in (told.middle, told.low, told.high))
    shaped = middle + np.resize(usual, gone + horizon)[span]
    return Predicted(
        middle=shaped,
        low=shaped - np.hypot(middle - low, min(0.0, below)),
        high=shaped + np.hypot(high - middle, max(0.0, above)),
        method=told.method,
    )


def _by_the_hour(covariates: Covariates, parts: int, step_s: int) -> Covariates:
    skipped = -(int(covariates.start.timestamp()) // step_s) % parts
    values = covariates.values[skipped:]
    values = values[: len(values) // parts * parts]
    hours = np.stack([_mean_of_parts(column, parts) for column in values.T], axis=1)
    return Covariates(start=covariates.start + timedelta(seconds=skipped * step_s), values=hours)


def _mean_of_parts(values: Floats, parts: int) -> Floats:
    """Return the mean of each hour's known parts, NaN where none is."""
    cells = values.reshape(-1, parts)
    known = np.isfinite(cells)
    mean: Floats = np.where(known, cells, 0.0).sum(axis=1) / np.maximum(1, known.sum(axis=1))
    return np.where(known.any(axis=1), mean, np.nan)


def _by_mix(
    known: Floats,
    start: datetime,
    horizon: int,
    step_s: int,
    *,
    utc_offset_s: int,
    covariates: Covariates | None,
    holidays: Container[date] | None,
) -> Predicted:
    middle = float(np.nanmedian(known))
    spread = float(np.nanmedian(np.abs(known - middle))) * 1.4826 or 1.0
    calm = np.arcsinh((known - middle) / spread)
    future = -(-horizon * step_s // DAY_S)
    local_start_s = int(start.timestamp()) + utc_offset_s
    # A holiday counts as a Sunday; what is published about it says the rest, and no mean of Sundays takes its place.
    folded = replace(
        fold(calm, local_start_s=local_start_s, future=future, step_s=step_s, holidays=holidays), holiday=None
    )
    given = None if covariates is None else fold_covariates(covariates, folded, start=start, step_s=step_s)

    def members(reaching: Floats | None) -> dict[str, Member]:
        models = {f"days of {window}": _day_model(reaching, window=window) for window in _windows(len(folded.days))}
        return {**SEASONAL, **models}

    told = blend(folded, horizon=horizon, covariates=given, members=members, band_days=BAND_DAYS)

    def back(values: Floats) -> Floats:
        # Beyond what was ever seen the transform would stretch an error into a spike.
        bounded = np.clip(values, float(np.nanmin(calm)) - 1.0, float(np.nanmax(calm)) + 1.0)
        price: Floats = np.sinh(bounded) * spread + middle
        return price

    return Predicted(middle=back(told.middle), low=back(told.low), high=back(told.high), method=told.method)


def _windows(rows: int) -> list[int]:
    """Return the windows that a history can fill, their past record included."""
    return [window for window in WINDOWS_DAYS if rows >= window + RECORD_DAYS + 9]


def _day_model(covariates: Floats | None, *, window: int) -> Member:
    """Return the member that tells all hours of a day from all hours of the days before.

    A past day is told by the newest fit that had ended before it; fits are ``REFIT_DAYS`` apart.
    """

    def member(folded: Folded, rows: Ints, ahead: int) -> Floats:
        out = np.full((len(rows), folded.days.shape[1]), np.nan)
        blocks = rows // REFIT_DAYS
        for block in np.unique(blocks):
            mine = blocks == block
            newest_known = int(rows[mine].max()) + 1 + ahead
            learn = np.arange(newest_known, newest_known + window)
            x, y = _day_features(folded, learn, ahead, covariates), folded.row(learn)
            usable = np.isfinite(x).all(axis=1) & np.isfinite(y).all(axis=1)
            if usable.sum() < window // 2:
                continue
            here = _day_features(folded, rows[mine], ahead, covariates)
            out[mine] = _ridge(x[usable], y[usable], here)
        return out

    return member


def _day_features(folded: Folded, rows: Ints, ahead: int, covariates: Floats | None) -> Floats:
    """Return for each day what was known before it, one row a day."""
    newest = rows + 1 + ahead
    parts = [folded.row(newest + day) for day in (0, 1, 2)] + [folded.row(rows + 7 * (ahead // 7 + 1))]
    parts += [np.stack([part.min(axis=1), part.max(axis=1)], axis=1) for part in parts[:1]]
    weekday = folded.weekdays(rows)[:, folded.days.shape[1] // 2]
    parts.append((weekday[:, None] == np.arange(6)[None, :]).astype(float))
    if covariates is not None:
        parts += [_rows(covariates, rows + folded.future), _rows(covariates, newest + folded.future)]
    return np.concatenate(parts, axis=1)


def _rows(values: Floats, index: Ints) -> Floats:
    """Return rows of covariates, each flat; beyond the oldest they are missing."""
    taken = values[np.minimum(index, len(values) - 1)].reshape(len(index), -1)
    return np.where((index < len(values))[:, None], taken, np.nan)


def _ridge(x: Floats, y: Floats, here: Floats) -> Floats:
    """Fit all hours with one factorisation and tell new days; the penalty grows with features per day.

    A feature that is missing of a new day tells nothing: it is as usual.
    """
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    here = np.where(np.isfinite(here), here, x_mean)
    scale = x.std(axis=0)
    scale = np.where(scale > 1e-9, scale, np.inf)
    centred = (x - x_mean) / scale
    count, width = centred.shape
    penalty = PENALTY_PER_DAY * width * max(1.0, width / count)
    gram = centred.T @ centred + penalty * np.eye(width)
    coefficients = np.linalg.solve(gram, centred.T @ (y - y_mean))
    # A day far from all that was learned is told as if it were at the edge of it.
    told: Floats = y_mean + np.clip((here - x_mean) / scale, -5.0, 5.0) @ coefficients
    return told
