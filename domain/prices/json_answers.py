"""Answers in JSON: Energy-Charts, aWATTar, Tibber and Octopus.

Each decoder takes the body as it came and returns its steps, or raises ``PriceFault`` and nothing is used. A price
that a provider leaves empty is not known yet and is left out.

Source: api.energy-charts.info (OpenAPI, ``/price``); awattar.de/services/api; developer.tibber.com (``priceInfo``);
docs.octopus.energy (standard unit rates).
"""

import json
from datetime import datetime
from typing import Any, Final

from domain.prices.steps import PriceFault, PriceStep, ends_of, from_per_mwh, instant_of, instant_s


def energy_charts(body: bytes, *, currency: str) -> list[PriceStep]:
    """Decode ``/price``: two lists of one length, seconds and prices per MWh."""
    answer = answer_object(body, where="energy-charts")
    _unit(answer.get("unit"), f"{currency}/MWh", where="energy-charts")
    seconds, prices = answer.get("unix_seconds"), answer.get("price")
    if not isinstance(seconds, list) or not isinstance(prices, list) or len(seconds) != len(prices):
        raise PriceFault("energy-charts: unix_seconds and price are not two lists of one length")
    starts = [instant_s(value, where="energy-charts") for value in seconds]
    return [
        PriceStep(start=start, end=end, price_mct_per_kwh=from_per_mwh(price, where="energy-charts"))
        for start, end, price in zip(starts, ends_of(starts), prices, strict=True)
        if price is not None
    ]


def awattar(body: bytes, *, currency: str) -> list[PriceStep]:
    """Decode ``/v1/marketdata``: a list of prices per MWh with both ends in epoch milliseconds."""
    rows = _rows(answer_object(body, where="awattar").get("data"), where="awattar")
    steps = []
    for row in rows:
        _unit(row.get("unit"), f"{currency}/MWh", where="awattar")
        start, end = (_instant_ms(row.get(name), name) for name in ("start_timestamp", "end_timestamp"))
        price = from_per_mwh(row.get("marketprice"), where="awattar")
        steps.append(PriceStep(start=start, end=end, price_mct_per_kwh=price))
    return steps


TIBBER_QUERY: Final = (
    "{ viewer { homes { currentSubscription { priceInfo(resolution: QUARTER_HOURLY) {"
    " today { energy startsAt currency } tomorrow { energy startsAt currency } } } } } }"
)


def tibber(body: bytes, *, currency: str) -> list[PriceStep]:
    """Decode the answer to ``TIBBER_QUERY``: the energy's part of the price per kWh, by quarter or hour.

    The first home that has a subscription counts.
    """
    answer = answer_object(body, where="tibber")
    if answer.get("errors"):
        first = _rows(answer["errors"], where="tibber")[0]
        raise PriceFault(f"tibber refuses: {str(first.get('message'))[:120]}")
    homes = _rows(_deep(answer, "data", "viewer", "homes"), where="tibber")
    infos = [info for home in homes if isinstance(info := _deep(home, "currentSubscription", "priceInfo"), dict)]
    if not infos:
        raise PriceFault("tibber: no home has a subscription; the answer is not used")
    rows = [row for day in ("today", "tomorrow") for row in _rows(infos[0].get(day) or [], where="tibber")]
    for row in rows:
        _unit(row.get("currency"), currency, where="tibber")
    starts = [instant_of(row.get("startsAt"), where="tibber") for row in rows]
    return [
        PriceStep(start=start, end=end, price_mct_per_kwh=_from_per_kwh(row.get("energy"), where="tibber"))
        for start, end, row in zip(starts, ends_of(starts), rows, strict=True)
    ]


def octopus(body: bytes, *, currency: str) -> list[PriceStep]:
    """Decode standard unit rates without tax: pence per kWh over half hours, the newest first."""
    if currency != "GBP":
        raise PriceFault(f"octopus tells GBP, the zone's currency is {currency}; the answer is not used")
    steps = []
    for row in _rows(answer_object(body, where="octopus").get("results"), where="octopus"):
        start = instant_of(row.get("valid_from"), where="octopus")
        # A rate without an end is a tariff of one price; nothing that a day-ahead plan could follow.
        end = instant_of(row.get("valid_to"), where="octopus")
        pence = row.get("value_exc_vat")
        price = _from_per_kwh(pence / 100 if isinstance(pence, int | float) else pence, where="octopus")
        steps.append(PriceStep(start=start, end=end, price_mct_per_kwh=price))
    return sorted(steps, key=lambda step: step.start)


def answer_object(body: bytes, *, where: str) -> dict[str, Any]:
    """Return an answer that is one JSON object.

    Raises:
        PriceFault: It is none, or cut short.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PriceFault(f"{where}: the answer of {len(body)} bytes is no JSON, perhaps cut short; not used") from error
    if not isinstance(answer, dict):
        raise PriceFault(f"{where}: the answer is no JSON object; not used")
    return answer


def _rows(value: Any, *, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise PriceFault(f"{where}: a list of objects is missing; the answer is not used")
    return value


def _deep(value: Any, *path: str) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _unit(told: Any, wanted: str, *, where: str) -> None:
    if str(told).replace(" ", "").lower() != wanted.lower():
        raise PriceFault(f"{where}: prices in {str(told)[:40]!r}, expected {wanted}; the answer is not used")


def _from_per_kwh(price: Any, *, where: str) -> int:
    number = price * 1000 if isinstance(price, int | float) and not isinstance(price, bool) else price
    return from_per_mwh(number, where=where)


def _instant_ms(value: Any, name: str) -> datetime:
    seconds = value / 1000 if isinstance(value, int) and not isinstance(value, bool) else value
    return instant_s(seconds, where=f"awattar {name}")
