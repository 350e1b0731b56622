"""The providers of day-ahead prices behind one protocol: asked by HTTP, or read from a file."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from cloud.errors import ProviderError, SetupError
from cloud.outbound import Question, ask
from contracts.reasons import reason_of
from domain.prices.entsoe import entsoe
from domain.prices.json_answers import TIBBER_QUERY, awattar, energy_charts, octopus, tibber
from domain.prices.price_file import price_file
from domain.prices.source import PriceSource, Provider
from domain.prices.steps import PriceFault, Prices, PriceStep, by_interval

FILE_BYTES_MAX: Final = 8_000_000


class PriceProvider(Protocol):
    """Tells published prices."""

    def prices(self, *, first: datetime, last: datetime) -> Prices:
        """Return the price of each delivery interval that is published between two instants.

        Raises:
            ProviderError: There is no usable answer.
        """


@dataclass(frozen=True, kw_only=True)
class HttpPrices:
    """A provider that is asked by HTTP."""

    source: PriceSource
    token: str = ""
    asking: Callable[[Question], bytes] = ask

    def prices(self, *, first: datetime, last: datetime) -> Prices:
        """Ask for the prices of a span."""
        body = self.asking(_question(self.source, self.token, first=first, last=last))
        return _decoded(lambda: _DECODERS[self.source.provider](body, currency=self.source.currency), first, last)


@dataclass(frozen=True, kw_only=True)
class FilePrices:
    """Prices from a file of the operator, read anew each time."""

    path: Path

    def prices(self, *, first: datetime, last: datetime) -> Prices:
        """Read the prices of a span."""
        try:
            if self.path.stat().st_size > FILE_BYTES_MAX:
                raise ProviderError(f"price file {self.path} is larger than {FILE_BYTES_MAX} bytes; not read")
            text = self.path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ProviderError(f"price file {self.path} cannot be read: {reason_of(error)}") from error
        return _decoded(lambda: price_file(text), first, last)


def provider_of(source: PriceSource, *, environ: Callable[[str], str | None]) -> PriceProvider:
    """Return the provider that a zone names; the market's own price is asked of nobody.

    Raises:
        SetupError: Its token is not in the environment.
    """
    if source.provider is Provider.FILE:
        return FilePrices(path=Path(source.file))
    token = environ(source.token_env) if source.token_env else ""
    if token is None:
        raise SetupError(f"{source.token_env} is not set; {source.provider} cannot be asked for prices")
    return HttpPrices(source=source, token=token)


_DECODERS: Final = {
    Provider.ENERGY_CHARTS: energy_charts,
    Provider.ENTSOE: entsoe,
    Provider.AWATTAR: awattar,
    Provider.TIBBER: tibber,
    Provider.OCTOPUS: octopus,
}


def _decoded(decode: Callable[[], list[PriceStep]], first: datetime, last: datetime) -> Prices:
    try:
        prices = by_interval(decode())
    except PriceFault as error:
        raise ProviderError(str(error)) from error
    return {start: price for start, price in prices.items() if first <= start < last}


def _question(source: PriceSource, token: str, *, first: datetime, last: datetime) -> Question:
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
    raise ProviderError(f"{source.provider} is not asked by HTTP")
