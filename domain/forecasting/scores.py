"""How good a forecast was. Missing actual values are left out of every score."""

import numpy as np

from domain.forecasting.series import Floats


def mae(actual: Floats, forecast: Floats) -> float:
    """Return the mean absolute error, NaN where nothing is known."""
    return _mean(np.abs(actual - forecast))


def relative_mae(actual: Floats, forecast: Floats, reference: Floats) -> float:
    """Return the error relative to a reference's on the points that both have; below 1 is better than it.

    Source: rMAE against the weekly seasonal naive, Lago, Marcjasz, De Schutter, Weron, Applied Energy 293 (2021).
    """
    both = np.isfinite(actual) & np.isfinite(forecast) & np.isfinite(reference)
    scale = mae(actual[both], reference[both])
    return mae(actual[both], forecast[both]) / scale if scale > 0 else float("nan")


def pinball(actual: Floats, quantile: Floats, *, level: float) -> float:
    """Return the mean pinball loss of a quantile. Source: Koenker and Bassett, Econometrica 46 (1978)."""
    error = actual - quantile
    return _mean(np.maximum(level * error, (level - 1) * error))


def coverage(actual: Floats, low: Floats, high: Floats) -> float:
    """Return the share of the actual values inside a band, ends included."""
    known = np.isfinite(actual)
    return _mean(((actual[known] >= low[known]) & (actual[known] <= high[known])).astype(float))


def weekly_naive(values: Floats, *, origin: int, horizon: int, steps_per_day: int) -> Floats:
    """Return the values of the same time one week before, or more whole weeks where that was not known yet."""
    week = 7 * steps_per_day
    target = np.arange(origin, origin + horizon)
    source = target - week * np.ceil((target - origin + 1) / week).astype(int)
    return np.where(source >= 0, values[np.maximum(source, 0)], np.nan)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
