"""ENTSO-E's load forecast (A65) and wind and solar forecast (A69): XML, a time series for each production type.

Source: ENTSO-E Transparency Platform RESTful API guide, 6.1.B day-ahead total load forecast and 14.1.D generation
forecasts for wind and solar; IEC 62325-451-6 generation load document. B16 is solar, B18 wind offshore, B19 onshore.
"""

from collections import defaultdict
from datetime import timedelta
from typing import Final

from domain.published.power import PowerStep, PublishedFault, by_interval, power_of, summed
from domain.series.decode import decode
from domain.series.entsoe import checked, points_of
from domain.series.errors import SeriesError
from domain.series.xml_text import children_of, root_of, text_of

WIND_AND_SUN_TYPES: Final = ("B16", "B18", "B19")
_ROOT: Final = "GL_MarketDocument"


def entsoe_load(body: bytes) -> list[PowerStep]:
    """Decode a day-ahead load forecast.

    Raises:
        PublishedFault: It is no such document, says that there are no data, or has another unit.
    """
    return _steps(body)[""]


def entsoe_wind_and_sun(body: bytes) -> list[PowerStep]:
    """Decode a wind and solar forecast: the sum of the types that it tells.

    Raises:
        PublishedFault: It is no such document, says that there are no data, or has another unit.
    """
    told = _steps(body)
    unknown = sorted(set(told) - set(WIND_AND_SUN_TYPES))
    if unknown:
        raise PublishedFault(f"entsoe: production type {unknown[0][:10]!r} is neither wind nor sun; not used")
    total = summed(by_interval(steps) for steps in told.values())
    quarter = timedelta(minutes=15)
    return [PowerStep(start=start, end=start + quarter, power_mw=power) for start, power in total.items()]


def _steps(body: bytes) -> dict[str, list[PowerStep]]:
    """Return the steps of each production type; a load has none."""
    told: dict[str, list[PowerStep]] = defaultdict(list)
    try:
        for series in children_of(checked(root_of(decode(body)[0]), _ROOT), "TimeSeries"):
            unit = text_of(series, "quantity_Measure_Unit.name")
            if unit != "MAW":
                raise PublishedFault(f"entsoe: power in {unit[:10]!r}, expected MAW; not used")
            psr = text_of(series, "MktPSRType", "psrType")
            for start, end, text in points_of(series, value="quantity"):
                told[psr].append(PowerStep(start=start, end=end, power_mw=_power(text)))
    except SeriesError as error:
        raise PublishedFault(f"entsoe: {error}; the answer is not used") from error
    return told


def _power(text: str) -> float:
    try:
        return power_of(float(text), where="entsoe")
    except ValueError as error:
        raise PublishedFault(f"entsoe: quantity {text[:20]!r} is no power; the answer is not used") from error
