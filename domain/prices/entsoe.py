"""ENTSO-E's price document (A44): XML, in hours or quarters, with points left out where a price repeats.

Source: ENTSO-E Transparency Platform RESTful API guide, documentType A44; curve types A01 (all points) and A03
(a point holds until the next one), IEC 62325-451-3 publication document.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from xml.etree import ElementTree as Xml

from domain.prices.steps import PriceFault, PriceStep, from_per_mwh, instant_of

RESOLUTIONS: Final = {
    "PT15M": timedelta(minutes=15),
    "PT30M": timedelta(minutes=30),
    "PT60M": timedelta(hours=1),
    "PT1H": timedelta(hours=1),
}
POINTS_MAX: Final = 40_000  # A year of quarters.


def entsoe(body: bytes, *, currency: str) -> list[PriceStep]:
    """Decode a price document; where an area has several auctions the first one counts.

    Raises:
        PriceFault: It is no such document, says that there are no data, or has another unit.
    """
    root = document(body, root="Publication_MarketDocument")
    steps = [
        step
        for series in children_of(root, "TimeSeries")
        if _first_auction(series)
        for step in _steps(series, currency)
    ]
    # An area that went over to quarters may tell both; the finer steps count.
    fine = {step.start for step in steps if step.end - step.start < timedelta(hours=1)}
    return sorted(
        (step for step in steps if step.start not in fine or step.end - step.start < timedelta(hours=1)),
        key=lambda step: step.start,
    )


def document(body: bytes, *, root: str) -> Xml.Element:
    """Return the root of a document of the platform.

    Raises:
        PriceFault: It is another document, says that there are no data, or is cut short.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise PriceFault("entsoe: the answer defines entities, which a document of theirs does not; not used")
    try:
        found = Xml.fromstring(body)
    except Xml.ParseError as error:
        raise PriceFault(f"entsoe: the answer of {len(body)} bytes is no XML, perhaps cut short; not used") from error
    if _name(found) == "Acknowledgement_MarketDocument":
        raise PriceFault(f"entsoe refuses: {text_of(found, 'Reason', 'text')[:120]}")
    if _name(found) != root:
        raise PriceFault(f"entsoe: the answer is a {_name(found)[:40]}, no {root}; not used")
    return found


def _first_auction(series: Xml.Element) -> bool:
    position = text_of(series, "classificationSequence_AttributeInstanceComponent.position")
    return position in {"", "1"}


def _steps(series: Xml.Element, currency: str) -> Iterator[PriceStep]:
    told = (text_of(series, "currency_Unit.name"), text_of(series, "price_Measure_Unit.name"))
    if told != (currency, "MWH"):
        raise PriceFault(f"entsoe: prices in {told[0][:10]}/{told[1][:10]}, expected {currency}/MWH; not used")
    for start, end, text in points_of(series, value="price.amount"):
        try:
            price = float(text)
        except ValueError as error:
            raise PriceFault("entsoe: a point without a price; the answer is not used") from error
        yield PriceStep(start=start, end=end, price_mct_per_kwh=from_per_mwh(price, where="entsoe"))


def points_of(series: Xml.Element, *, value: str) -> Iterator[tuple[datetime, datetime, str]]:
    """Yield the span of each point of a time series and what it tells; one that repeats the last may be left out.

    Args:
        series: A time series of a document.
        value: The element of a point that holds its value.

    Raises:
        PriceFault: The resolution is unknown, a period is empty or too long, or a point has no position.
    """
    holds = text_of(series, "curveType") != "A01"
    for period in children_of(series, "Period"):
        start = instant_of(text_of(period, "timeInterval", "start"), where="entsoe")
        end = instant_of(text_of(period, "timeInterval", "end"), where="entsoe")
        length = RESOLUTIONS.get(text_of(period, "resolution"))
        if length is None:
            raise PriceFault(f"entsoe: resolution {text_of(period, 'resolution')[:20]!r} is not known; not used")
        count = (end - start) // length
        if not 0 < count <= POINTS_MAX:
            raise PriceFault(f"entsoe: a period of {count} points, must be 1 to {POINTS_MAX}; not used")
        points = {_position(point): text_of(point, value) for point in children_of(period, "Point")}
        told: str | None = None
        for position in range(1, count + 1):
            told = points.get(position, told if holds else None)
            if told is not None:
                at = start + (position - 1) * length
                yield at, at + length, told


def _position(point: Xml.Element) -> int:
    try:
        return int(text_of(point, "position"))
    except ValueError as error:
        raise PriceFault("entsoe: a point without a position; the answer is not used") from error


def children_of(element: Xml.Element, name: str) -> list[Xml.Element]:
    """Return the children of a name, whatever its namespace."""
    return [child for child in element if _name(child) == name]


def text_of(element: Xml.Element, *path: str) -> str:
    """Return the text at the end of a path, empty where it does not lead anywhere."""
    for name in path:
        inner = children_of(element, name)
        if not inner:
            return ""
        element = inner[0]
    return (element.text or "").strip()


def _name(element: Xml.Element) -> str:
    return element.tag.rpartition("}")[2]
