"""ENTSO-E's documents: XML, in hours or quarters, with points left out where a value repeats.

Source: ENTSO-E Transparency Platform RESTful API guide, documentType A44; curve types A01 (all points) and A03
(a point holds until the next one), IEC 62325-451-3 publication document.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from xml.etree.ElementTree import Element

from domain.series.errors import SeriesError
from domain.series.table import Table
from domain.series.xml_text import children_of, local_name, text_of

PRICES: Final = "Publication_MarketDocument"
REFUSAL: Final = "Acknowledgement_MarketDocument"
RESOLUTIONS: Final = {
    "PT15M": timedelta(minutes=15),
    "PT30M": timedelta(minutes=30),
    "PT60M": timedelta(hours=1),
    "PT1H": timedelta(hours=1),
}
POINTS_MAX: Final = 40_000  # A year of quarters.


def entsoe_prices(root: Element) -> Table:
    """Return the prices of a publication document; where an area has several auctions the first one counts.

    Raises:
        SeriesError: It says that there are no data, holds two units, or a point without a position.
    """
    checked(root, PRICES)
    units: set[str] = set()
    steps: list[tuple[datetime, datetime, str]] = []
    for series in children_of(root, "TimeSeries"):
        if text_of(series, "classificationSequence_AttributeInstanceComponent.position") in {"", "1"}:
            measure = text_of(series, "price_Measure_Unit.name")
            units.add(f"{text_of(series, 'currency_Unit.name')}/{'MWh' if measure == 'MWH' else measure}")
            steps += points_of(series, value="price.amount")
    if len(units) > 1:
        raise SeriesError(f"its prices are in {' and '.join(sorted(units))}; one document has one unit")
    # An area that went over to quarters may tell both; the finer steps count.
    fine = {start for start, end, _ in steps if end - start < timedelta(hours=1)}
    kept = sorted(step for step in steps if step[0] not in fine or step[1] - step[0] < timedelta(hours=1))
    return Table(
        header=("start", "end", "price"),
        rows=tuple((start.isoformat(), end.isoformat(), price) for start, end, price in kept),
        lines=tuple(range(1, len(kept) + 1)),
        form="ENTSO-E",
        time="start",
        end="end",
        price="price",
        units=tuple(("price", unit) for unit in units),
    )


def checked(root: Element, name: str) -> Element:
    """Return the root of a document of a name.

    Raises:
        SeriesError: It is another document, or says that there are no data.
    """
    if local_name(root) == REFUSAL:
        raise SeriesError(f"ENTSO-E refuses: {text_of(root, 'Reason', 'text')[:120]}")
    if local_name(root) != name:
        raise SeriesError(f"it is a {local_name(root)[:40]}, no {name}")
    return root


def points_of(series: Element, *, value: str) -> Iterator[tuple[datetime, datetime, str]]:
    """Yield the span of each point of a time series and what it tells; one that repeats the last may be left out.

    Args:
        series: A time series of a document.
        value: The element of a point that holds its value.

    Raises:
        SeriesError: The resolution is unknown, a period is empty or too long, or a point has no position.
    """
    holds = text_of(series, "curveType") != "A01"
    for period in children_of(series, "Period"):
        start = _instant(text_of(period, "timeInterval", "start"))
        end = _instant(text_of(period, "timeInterval", "end"))
        length = RESOLUTIONS.get(text_of(period, "resolution"))
        if length is None:
            raise SeriesError(f"resolution {text_of(period, 'resolution')[:20]!r} is not known")
        count = (end - start) // length
        if not 0 < count <= POINTS_MAX:
            raise SeriesError(f"a period of {count} points, must be 1 to {POINTS_MAX}")
        points = {_position(point): text_of(point, value) for point in children_of(period, "Point")}
        told: str | None = None
        for position in range(1, count + 1):
            told = points.get(position, told if holds else None)
            if told is not None:
                at = start + (position - 1) * length
                yield at, at + length, told


def _position(point: Element) -> int:
    try:
        return int(text_of(point, "position"))
    except ValueError as error:
        raise SeriesError("a point without a position") from error


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise SeriesError(f"{text[:40]!r} is no instant") from error
    if at.tzinfo is None:
        raise SeriesError(f"{text[:40]!r} names no time zone")
    return at.astimezone(UTC)
