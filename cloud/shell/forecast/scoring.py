"""How good a site's forecasts were: the newest issue from before each delivery interval against what was metered."""

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from cloud.shell.forecast.site_history import read_history
from cloud.stores import keys
from cloud.stores.registry import SiteRecord
from cloud.stores.tables import LAST_TEXT, Table, Tables
from contracts.forecast import ForecastKind, ForecastSeries
from contracts.skills.forecast import ScoreAnswer
from contracts.units import DELIVERY_INTERVAL_S, epoch_ms, instant
from domain.forecasting.scores import coverage, mae

_STEP_MS: Final = DELIVERY_INTERVAL_S * 1000
# An issue reaches a day ahead; one from before that tells nothing of the first interval.
_REACH: Final = timedelta(days=2)


def score(tables: Tables, site: SiteRecord, *, kind: ForecastKind, since: datetime, until: datetime) -> ScoreAnswer:
    """Return the errors over the delivery intervals in ``[since, until)``.

    Raises:
        StoreError: The tables failed.
    """
    load, pv = read_history(tables, site, until=until)
    metered = load if kind is ForecastKind.LOAD else pv
    told = (
        {
            epoch_ms(metered.start) + number * _STEP_MS: float(value)
            for number, value in enumerate(metered.values)
            if np.isfinite(value)
        }
        if metered is not None
        else {}
    )
    issues, expected = _expected(tables, site, kind=kind, since=since, until=until)
    starts = sorted(at for at in expected if at in told)
    actual = np.array([told[at] for at in starts], dtype=np.float64)
    low, middle, high = (np.array([expected[at][part] for at in starts], dtype=np.float64) for part in range(3))
    naive = np.array([told.get(at - 96 * _STEP_MS, np.nan) for at in starts], dtype=np.float64)
    return ScoreAnswer(
        site=site.id,
        kind=kind,
        issues=issues,
        intervals=len(starts),
        mean_error_w=_number(mae(actual, middle)),
        naive_error_w=_number(mae(actual, naive)),
        band_share=_number(coverage(actual, low, high)),
    )


def _expected(
    tables: Tables, site: SiteRecord, *, kind: ForecastKind, since: datetime, until: datetime
) -> tuple[int, dict[int, tuple[int, int, int]]]:
    """Return how many issues there are, and by delivery interval the quantiles of the newest from before its start."""
    first, last = epoch_ms(since), epoch_ms(until)
    items = tables.query(
        Table.FORECAST_DATA,
        keys.forecast(site.id, kind, instant(0), instant(0)).pk,
        first=f"{epoch_ms(since - _REACH):015d}",
        last=f"{last:015d}#{LAST_TEXT}",
    )
    expected: dict[int, tuple[int, int, int]] = {}
    for item in items:
        issued_ms = int(item.key.sk.partition("#")[0])
        series = ForecastSeries.model_validate(item.body)
        if series.step_s != DELIVERY_INTERVAL_S:
            continue
        for number, quantiles in enumerate(zip(series.p10, series.p50, series.p90, strict=True)):
            at = epoch_ms(series.start) + number * _STEP_MS
            if issued_ms <= at and first <= at < last:
                expected[at] = quantiles
    return len(items), expected


def _number(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
