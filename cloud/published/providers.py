"""The providers of published load, wind and sun behind one protocol: asked by HTTP, or read from a file."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Protocol

from cloud.errors import ProviderError, SetupError
from cloud.operator_files import operator_file
from cloud.outbound import ask
from domain.published.answers import PRODUCTION_TYPES, energy_charts_power, power_file
from domain.published.entsoe import entsoe_load, entsoe_wind_and_sun
from domain.published.power import Powers, PowerStep, PublishedFault, Quantity, by_interval, summed
from domain.published.source import PublishedProvider, PublishedSource
from domain.question import Question

# ENTSO-E answers at most a year at once; half of that keeps an answer in quarters well below our bound of bytes.
SPAN_MAX: Final = timedelta(days=180)
_ENTSOE: Final = {
    Quantity.LOAD: {"documentType": "A65", "domain": "outBiddingZone_Domain"},
    Quantity.WIND_AND_SUN: {"documentType": "A69", "domain": "in_Domain"},
}


class Publisher(Protocol):
    """Tells what is published of a zone."""

    def powers(self, *, first: datetime, last: datetime) -> dict[Quantity, Powers]:
        """Return by delivery interval what is published between two instants; a quantity may be missing.

        Raises:
            ProviderError: There is no usable answer.
        """


@dataclass(frozen=True, kw_only=True)
class HttpPublisher:
    """A provider that is asked by HTTP, each quantity by itself; one that is not there leaves the others."""

    source: PublishedSource
    token: str = ""
    asking: Callable[[Question], bytes] = ask

    def powers(self, *, first: datetime, last: datetime) -> dict[Quantity, Powers]:
        """Ask for a span.

        Raises:
            ProviderError: No quantity could be had; the first one's reason.
        """
        told: dict[Quantity, Powers] = {}
        faults: list[ProviderError] = []
        for quantity in Quantity:
            try:
                powers = self._of(quantity, first=first, last=last)
            except ProviderError as error:
                faults.append(error)
            else:
                told[quantity] = powers
        if faults and not told:
            raise faults[0]
        return told

    def _of(self, quantity: Quantity, *, first: datetime, last: datetime) -> Powers:
        if self.source.provider is PublishedProvider.ENTSOE:
            body = self.asking(_entsoe_question(self.source, self.token, quantity, first=first, last=last))
            return _within(_decoded_entsoe(quantity, body), first, last)
        return summed(self._type(name, first=first, last=last) for name in PRODUCTION_TYPES[quantity])

    def _type(self, production_type: str, *, first: datetime, last: datetime) -> Powers:
        try:
            body = self.asking(_charts_question(self.source, production_type, first=first, last=last))
        except ProviderError as error:
            if error.absent:
                # A country without a coast has no wind offshore.
                return {}
            raise
        try:
            steps = energy_charts_power(body, production_type=production_type)
        except PublishedFault as error:
            raise ProviderError(str(error)) from error
        return _within(steps, first, last)


@dataclass(frozen=True, kw_only=True)
class FilePublisher:
    """A file of the operator, read anew each time."""

    path: Path

    def powers(self, *, first: datetime, last: datetime) -> dict[Quantity, Powers]:
        """Read a span.

        Raises:
            ProviderError: The file cannot be read; the sentence names it.
        """
        data = operator_file(self.path, "published")
        try:
            told = power_file(data)
        except PublishedFault as error:
            raise ProviderError(str(error)) from error
        return {quantity: _within(steps, first, last) for quantity, steps in told.items()}


def publisher_of(source: PublishedSource, *, environ: Callable[[str], str | None]) -> Publisher | None:
    """Return the provider that a zone names, ``None`` where it names none.

    Raises:
        SetupError: Its token is not in the environment.
    """
    match source.provider:
        case PublishedProvider.NONE:
            return None
        case PublishedProvider.FILE:
            return FilePublisher(path=Path(source.file))
    token = environ(source.token_env) if source.token_env else ""
    if token is None:
        raise SetupError(f"{source.token_env} is not set; {source.provider} cannot be asked for load, wind and sun")
    return HttpPublisher(source=source, token=token)


def _decoded_entsoe(quantity: Quantity, body: bytes) -> list[PowerStep]:
    decode = entsoe_load if quantity is Quantity.LOAD else entsoe_wind_and_sun
    try:
        return decode(body)
    except PublishedFault as error:
        raise ProviderError(str(error)) from error


def _within(steps: Iterable[PowerStep], first: datetime, last: datetime) -> Powers:
    try:
        powers = by_interval(steps)
    except PublishedFault as error:
        raise ProviderError(str(error)) from error
    return {start: power for start, power in powers.items() if first <= start < last}


def _charts_question(source: PublishedSource, production_type: str, *, first: datetime, last: datetime) -> Question:
    params = {
        "country": source.area,
        "production_type": production_type,
        "forecast_type": "day-ahead",
        "start": f"{first:%Y-%m-%dT%H:%MZ}",
        "end": f"{last:%Y-%m-%dT%H:%MZ}",
    }
    return Question(url=f"{source.base_url}/public_power_forecast", params=params)


def _entsoe_question(
    source: PublishedSource, token: str, quantity: Quantity, *, first: datetime, last: datetime
) -> Question:
    asked = _ENTSOE[quantity]
    params = {
        "securityToken": token,
        "documentType": asked["documentType"],
        "processType": "A01",
        asked["domain"]: source.area,
        "periodStart": f"{first:%Y%m%d%H%M}",
        "periodEnd": f"{last:%Y%m%d%H%M}",
    }
    return Question(url=f"{source.base_url}/api", params=params, secret=token)
