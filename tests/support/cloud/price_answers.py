"""Answers in the shapes that the providers of prices document, one day of each."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

QUARTER = timedelta(minutes=15)


def energy_charts(
    start: datetime, prices: Sequence[float | None], *, step: timedelta = QUARTER, unit: str = "EUR / MWh"
) -> bytes:
    """``/price?bzn=…``."""
    seconds = [int((start + number * step).timestamp()) for number in range(len(prices))]
    told = {"license_info": "CC BY 4.0", "unix_seconds": seconds, "price": list(prices), "unit": unit}
    return json.dumps({**told, "deprecated": False}).encode()


def awattar(start: datetime, prices: Sequence[float], *, unit: str = "Eur/MWh") -> bytes:
    """``/v1/marketdata``."""
    first = int(start.timestamp() * 1000)
    rows = [
        {
            "start_timestamp": first + number * 3_600_000,
            "end_timestamp": first + (number + 1) * 3_600_000,
            "marketprice": price,
            "unit": unit,
        }
        for number, price in enumerate(prices)
    ]
    return json.dumps({"object": "list", "data": rows, "url": "/de/v1/marketdata"}).encode()


def tibber(start: datetime, prices: Sequence[float], *, currency: str = "EUR") -> bytes:
    """``viewer.homes.currentSubscription.priceInfo``, in quarters."""
    rows = [
        {"energy": price, "startsAt": (start + number * QUARTER).isoformat(), "currency": currency}
        for number, price in enumerate(prices)
    ]
    home = {"currentSubscription": {"priceInfo": {"today": rows, "tomorrow": []}}}
    return json.dumps({"data": {"viewer": {"homes": [{"currentSubscription": None}, home]}}}).encode()


def octopus(start: datetime, pence: Sequence[float]) -> bytes:
    """``standard-unit-rates``, the newest first."""
    half = timedelta(minutes=30)
    rows = [
        {
            "value_exc_vat": price,
            "value_inc_vat": round(price * 1.05, 4),
            "valid_from": f"{start + number * half:%Y-%m-%dT%H:%M:%SZ}",
            "valid_to": f"{start + (number + 1) * half:%Y-%m-%dT%H:%M:%SZ}",
            "payment_method": None,
        }
        for number, price in enumerate(pence)
    ]
    return json.dumps({"count": len(rows), "next": None, "previous": None, "results": rows[::-1]}).encode()


_ENTSOE = """<?xml version="1.0" encoding="utf-8"?>
<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3">
  <mRID>1</mRID><type>A44</type>{series}
</Publication_MarketDocument>"""
_SERIES = """
  <TimeSeries>
    <mRID>1</mRID><auction.type>A01</auction.type><businessType>A62</businessType>
    <in_Domain.mRID codingScheme="A01">10Y1001A1001A82H</in_Domain.mRID>
    <currency_Unit.name>{currency}</currency_Unit.name>
    <price_Measure_Unit.name>MWH</price_Measure_Unit.name>
    <curveType>A03</curveType>{position}
    <Period>
      <timeInterval><start>{start:%Y-%m-%dT%H:%MZ}</start><end>{end:%Y-%m-%dT%H:%MZ}</end></timeInterval>
      <resolution>{resolution}</resolution>{points}
    </Period>
  </TimeSeries>"""
_POSITION = "<classificationSequence_AttributeInstanceComponent.position>{}</classificationSequence_AttributeInstanceComponent.position>"  # noqa: E501


def entsoe_series(
    start: datetime,
    points: dict[int, float],
    *,
    count: int,
    resolution: str = "PT15M",
    currency: str = "EUR",
    auction: int | None = None,
) -> str:
    """One time series of a price document, with the points that are told."""
    length = QUARTER if resolution == "PT15M" else timedelta(hours=1)
    told = "".join(
        f"<Point><position>{position}</position><price.amount>{price}</price.amount></Point>"
        for position, price in points.items()
    )
    return _SERIES.format(
        currency=currency,
        position="" if auction is None else _POSITION.format(auction),
        start=start.astimezone(UTC),
        end=(start + count * length).astimezone(UTC),
        resolution=resolution,
        points=told,
    )


def entsoe(*series: str) -> bytes:
    """``/api?documentType=A44``."""
    return _ENTSOE.format(series="".join(series)).encode()


ENTSOE_NOTHING = b"""<?xml version="1.0" encoding="UTF-8"?>
<Acknowledgement_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-1:acknowledgementdocument:7:0">
  <mRID>2</mRID><Reason><code>999</code><text>No matching data found for Data item Day-ahead Prices</text></Reason>
</Acknowledgement_MarketDocument>"""


def charts_power(
    start: datetime, powers: Sequence[float | None], *, production_type: str = "load", step: timedelta = QUARTER
) -> bytes:
    """``/public_power_forecast?country=…``, one production type."""
    seconds = [int((start + number * step).timestamp()) for number in range(len(powers))]
    told = {"unix_seconds": seconds, "forecast_values": list(powers), "production_type": production_type}
    return json.dumps({**told, "forecast_type": "day-ahead", "deprecated": False}).encode()


_LOAD_DOCUMENT = """<?xml version="1.0" encoding="utf-8"?>
<GL_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-6:generationloaddocument:3:0">
  <mRID>1</mRID><type>A65</type><process.processType>A01</process.processType>{series}
</GL_MarketDocument>"""
_LOAD_SERIES = """
  <TimeSeries>
    <mRID>1</mRID><businessType>A04</businessType>
    <quantity_Measure_Unit.name>{unit}</quantity_Measure_Unit.name>
    <curveType>A03</curveType>{psr}
    <Period>
      <timeInterval><start>{start:%Y-%m-%dT%H:%MZ}</start><end>{end:%Y-%m-%dT%H:%MZ}</end></timeInterval>
      <resolution>PT15M</resolution>{points}
    </Period>
  </TimeSeries>"""


def entsoe_power(start: datetime, by_type: dict[str, dict[int, float]], *, count: int = 96, unit: str = "MAW") -> bytes:
    """``/api?documentType=A65`` (the type is empty) and ``A69`` (B16, B18, B19), each point told by its position."""
    series = "".join(
        _LOAD_SERIES.format(
            unit=unit,
            psr=f"<MktPSRType><psrType>{psr}</psrType></MktPSRType>" if psr else "",
            start=start.astimezone(UTC),
            end=(start + count * QUARTER).astimezone(UTC),
            points="".join(
                f"<Point><position>{position}</position><quantity>{power}</quantity></Point>"
                for position, power in points.items()
            ),
        )
        for psr, points in by_type.items()
    )
    return _LOAD_DOCUMENT.format(series=series).encode()
