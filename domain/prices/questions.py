"""How each provider of prices is asked, and which decoder reads its answer: the same at the cloud and at a gateway."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from domain.prices.decode import TIBBER_QUERY, answered_prices, filed_prices
from domain.prices.source import PriceSource, Provider, left_open
from domain.prices.steps import Prices, PriceStep, by_interval
from domain.question import Question
from domain.series.columns import Options

# Of any span; Tibber tells today and tomorrow, Octopus a month.
TELL_THE_PAST: Final = frozenset({Provider.ENERGY_CHARTS, Provider.ENTSOE, Provider.AWATTAR, Provider.FILE})


def answered(source: PriceSource, body: bytes, *, first: datetime, last: datetime) -> Prices:
    """Return the price of each delivery interval of a span that an answer by HTTP tells.

    Raises:
        PriceFault: The answer does not hold what its provider documents; nothing of it is used.
    """
    return within(answered_prices(body, source.provider, currency=source.currency), first=first, last=last)


def filed(source: PriceSource, data: bytes, *, first: datetime, last: datetime) -> Prices:
    """Return the price of each delivery interval of a span that a file holds, read as its source says.

    Raises:
        PriceFault: It cannot be read so; the sentence names line or column, and nothing of it is used.
    """
    options = Options(wanted="price", **left_open(source))
    return within(filed_prices(data, options, currency=source.currency), first=first, last=last)


def within(steps: Iterable[PriceStep], *, first: datetime, last: datetime) -> Prices:
    """Return the price of each delivery interval of a span.

    Raises:
        PriceFault: A step is not made of whole delivery intervals, or overlaps one of another price.
    """
    return {start: price for start, price in by_interval(steps).items() if first <= start < last}


def question(source: PriceSource, token: str, *, first: datetime, last: datetime) -> Question:
    """Return the request for the prices of a span; a file and the market's own price are asked of nobody."""
    base = source.base_url
    match source.provider:
        case Provider.ENERGY_CHARTS:
            span = {"start": f"{first:%Y-%m-%dT%H:%MZ}", "end": f"{last:%Y-%m-%dT%H:%MZ}"}
            return Question(url=f"{base}/price", params={"bzn": source.area, **span})
        case Provider.ENTSOE:
            params = {
                "securityToken": token,
                "documentType": "A44",
                "in_Domain": source.area,
                "out_Domain": source.area,
                "periodStart": f"{first:%Y%m%d%H%M}",
                "periodEnd": f"{last:%Y%m%d%H%M}",
            }
            return Question(url=f"{base}/api", params=params, secret=token)
        case Provider.AWATTAR:
            span = {"start": f"{first.timestamp() * 1000:.0f}", "end": f"{last.timestamp() * 1000:.0f}"}
            return Question(url=f"{base}/v1/marketdata", params=span)
        case Provider.TIBBER:
            headers = {"Authorization": f"Bearer {token}"}
            return Question(url=f"{base}/v1-beta/gql", headers=headers, json={"query": TIBBER_QUERY}, secret=token)
        case Provider.OCTOPUS:
            path = f"/v1/products/{source.product}/electricity-tariffs/{source.area}/standard-unit-rates/"
            span = {"period_from": f"{first:%Y-%m-%dT%H:%MZ}", "period_to": f"{last:%Y-%m-%dT%H:%MZ}"}
            return Question(url=base + path, params={**span, "page_size": "1500"})
    raise AssertionError(f"{source.provider} is not asked by HTTP")
