"""The providers of day-ahead prices behind one protocol: asked by HTTP, or read from a file."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from cloud.errors import ProviderError, SetupError
from cloud.operator_files import operator_file
from cloud.outbound import ask
from domain.prices.questions import answered, filed, question
from domain.prices.source import PriceSource, Provider
from domain.prices.steps import PriceFault, Prices
from domain.question import Question


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
        body = self.asking(question(self.source, self.token, first=first, last=last))
        try:
            return answered(self.source, body, first=first, last=last)
        except PriceFault as error:
            raise ProviderError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class FilePrices:
    """Prices from a file of the operator, read anew each time."""

    source: PriceSource

    def prices(self, *, first: datetime, last: datetime) -> Prices:
        """Read the prices of a span."""
        data = operator_file(Path(self.source.file), "price")
        try:
            return filed(self.source, data, first=first, last=last)
        except PriceFault as error:
            raise ProviderError(str(error)) from error


def provider_of(source: PriceSource, *, environ: Callable[[str], str | None]) -> PriceProvider:
    """Return the provider that a zone names; the market's own price is asked of nobody.

    Raises:
        SetupError: Its token is not in the environment.
    """
    if source.provider is Provider.FILE:
        return FilePrices(source=source)
    token = environ(source.token_env) if source.token_env else ""
    if token is None:
        raise SetupError(f"{source.token_env} is not set; {source.provider} cannot be asked for prices")
    return HttpPrices(source=source, token=token)
