"""ENTSO-E's price document (A44): XML, in hours or quarters, with points left out where a price repeats.

Source: ENTSO-E Transparency Platform RESTful API guide, documentType A44; curve types A01 (all points) and A03
(a point holds until the next one), IEC 62325-451-3 publication document.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from xml.etree import ElementTree as Xml

from domain.prices.steps import PriceFault, PriceStep, from_per_mwh, instant_of

RESOLUTIONS: Final = {
    "PT15M": timedelta(minutes=15),
    "PT30M": timedelta(minutes=30),
    "PT60M": timedelta(hours=1),
    "PT1H": timedelta(hours=1),
}
POINTS_MAX: Final = 2000


def entsoe(body: bytes, *, currency: str) -> list[PriceStep]:
    """Decode a price document; where an area has several auctions the first one counts.

    Raises:
        PriceFault: It is no such document, says that there are no data, or has another unit.
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise PriceFault("entsoe: the answer defines entities, which a price document does not; not used")
    try:
        root = Xml.fromstring(body)
    except Xml.ParseError as error:
        raise PriceFault(f"entsoe: the answer of {len(body)} bytes is no XML, perhaps cut short; not used") from error
    if _name(root) == "Acknowledgement_MarketDocument":
        raise PriceFault(f"entsoe refuses: {_text(root, 'Reason', 'text')[:120]}")
    if _name(root) != "Publication_MarketDocument":
        raise PriceFault(f"entsoe: the answer is a {_name(root)[:40]}, no price document; not used")
    steps = [
        step for series in _children(root, "TimeSeries") if _first_auction(series) for step in _steps(series, currency)
    ]
    # An area that went over to quarters may tell both; the finer steps count.
    fine = {step.start for step in steps if step.end - step.start < timedelta(hours=1)}
    return sorted(
        (step for step in steps if step.start not in fine or step.end - step.start < timedelta(hours=1)),
        key=lambda step: step.start,
    )


def _first_auction(series: Xml.Element) -> bool:
    position = _text(series, "classificationSequence_AttributeInstanceComponent.position")
    return position in {"", "1"}


def _steps(series: Xml.Element, currency: str) -> Iterator[PriceStep]:
    told = (_text(series, "currency_Unit.name"), _text(series, "price_Measure_Unit.name"))
    if told != (currency, "MWH"):
        raise PriceFault(f"entsoe: prices in {told[0][:10]}/{told[1][:10]}, expected {currency}/MWH; not used")
    holds = _text(series, "curveType") != "A01"
    for period in _children(series, "Period"):
        start = instant_of(_text(period, "timeInterval", "start"), where="entsoe")
        end = instant_of(_text(period, "timeInterval", "end"), where="entsoe")
        length = RESOLUTIONS.get(_text(period, "resolution"))
        if length is None:
            raise PriceFault(f"entsoe: resolution {_text(period, 'resolution')[:20]!r} is not known; not used")
        count = (end - start) // length
        if not 0 < count <= POINTS_MAX:
            raise PriceFault(f"entsoe: a period of {count} points, must be 1 to {POINTS_MAX}; not used")
        points = dict(_point(point) for point in _children(period, "Point"))
        price: int | None = None
        for position in range(1, count + 1):
            price = points.get(position, price if holds else None)
            if price is not None:
                at = start + (position - 1) * length
                yield PriceStep(start=at, end=at + length, price_mct_per_kwh=price)


def _point(point: Xml.Element) -> tuple[int, int]:
    try:
        position, price = int(_text(point, "position")), float(_text(point, "price.amount"))
    except ValueError as error:
        raise PriceFault("entsoe: a point without position or price; the answer is not used") from error
    return position, from_per_mwh(price, where="entsoe")


def _children(element: Xml.Element, name: str) -> list[Xml.Element]:
    return [child for child in element if _name(child) == name]


def _text(element: Xml.Element, *path: str) -> str:
    """Return the text at the end of a path, empty where it does not lead anywhere."""
    for name in path:
        inner = _children(element, name)
        if not inner:
            return ""
        element = inner[0]
    return (element.text or "").strip()


def _name(element: Xml.Element) -> str:
    return element.tag.rpartition("}")[2]
