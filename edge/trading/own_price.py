"""The market's price over the next days as a gateway knows it: what is published, then a forecast from there on."""

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo

from contracts.forecast import ForecastKind, ForecastSeries
from contracts.units import DELIVERY_INTERVAL, DELIVERY_INTERVAL_S

HORIZON_STEPS = 4 * 60  # A plan looks two days ahead; half a day more, so that the same outlook serves for a while.
_DAY = timedelta(days=1)
_REPEATED = "the day before"

Months = Iterable[tuple[datetime, Sequence[int | None]]]


def own_price(
    months: Months,
    *,
    published: Mapping[datetime, int],
    source: str,
    start: datetime,
    clock: tzinfo,
    holidays: Container[date] | None = None,
) -> ForecastSeries | None:
    """Return the price from a delivery interval on, ``None`` where no price was ever read.

    Importing what this stands on needs numpy, which a 32-bit board has not; ``repeated_price`` is for that.

    Args:
        months: Each by its beginning and its quarters in mct per kWh, in the order of time; months may be missing.
        published: The prices of today and tomorrow.
        source: Who published them.
        start: Of the first interval.
        clock: On the wall, by which the price's days and hours go.
        holidays: Days whose price is like a Sunday's.
    """
    import numpy as np

    from domain.forecasting.issue import PriceInputs, Published, price_ahead
    from domain.forecasting.series import Series

    kept = [(begin, np.array(values, dtype=np.float64)) for begin, values in months]
    past = None
    if kept:
        first = kept[0][0]
        count = (kept[-1][0] - first) // DELIVERY_INTERVAL + len(kept[-1][1])
        values = np.full(count, np.nan)
        for begin, part in kept:
            offset = (begin - first) // DELIVERY_INTERVAL
            values[offset : offset + len(part)] = part
        past = Series(start=first, step_s=DELIVERY_INTERVAL_S, values=values)
        if not np.isfinite(past.before(start).values).any():
            past = None
    return price_ahead(
        past,
        Published(source=source, prices=published),
        start=start,
        horizon_steps=HORIZON_STEPS,
        step_s=DELIVERY_INTERVAL_S,
        inputs=PriceInputs(clock=clock, holidays=holidays),
    )


def repeated_price(published: Mapping[datetime, int], *, source: str, start: datetime) -> ForecastSeries | None:
    """Return the published prices from an interval on, and after them those of the day before, again and again.

    ``None`` where neither this interval nor its day before is known.
    """
    prices = dict(published)
    told: list[int] = []
    end = start
    while end in prices:
        end += DELIVERY_INTERVAL
    for step in range(HORIZON_STEPS):
        at = start + step * DELIVERY_INTERVAL
        if at >= end:
            before = prices.get(at - _DAY)
            if before is None:
                break
            prices[at] = before
        told.append(prices[at])
    if not told:
        return None
    values = tuple(told)
    known = [source] if end > start else []
    after = [_REPEATED] if start + len(told) * DELIVERY_INTERVAL > end else []
    return ForecastSeries(
        kind=ForecastKind.PRICE,
        start=start,
        p10=values,
        p50=values,
        p90=values,
        method=", then ".join(known + after),
        published_until=end if known else None,
    )
