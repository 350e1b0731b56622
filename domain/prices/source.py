"""Where a zone's price comes from, as the registry and a gateway's configuration say it."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from domain.provider import ProviderSource


class Provider(StrEnum):
    """Who publishes the price; ``market`` is the zone's own clearing price."""

    MARKET = "market"
    ENERGY_CHARTS = "energy-charts"
    ENTSOE = "entsoe"
    AWATTAR = "awattar"
    TIBBER = "tibber"
    OCTOPUS = "octopus"
    FILE = "file"


URLS: Final[Mapping[str, str]] = {
    Provider.ENERGY_CHARTS: "https://api.energy-charts.info",
    Provider.ENTSOE: "https://web-api.tp.entsoe.eu",
    Provider.AWATTAR: "https://api.awattar.de",
    Provider.TIBBER: "https://api.tibber.com",
    Provider.OCTOPUS: "https://api.octopus.energy",
}
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    Provider.ENERGY_CHARTS: ("area",),
    Provider.ENTSOE: ("area", "token_env"),
    Provider.AWATTAR: (),
    Provider.TIBBER: ("token_env",),
    Provider.OCTOPUS: ("product", "area"),
    Provider.FILE: ("file",),
    Provider.MARKET: (),
}
# What a file may leave open, by the names of the reader's options.
LEFT_OPEN: Final = ("column", "time_column", "unit", "timezone", "decimal", "dates")


def left_open(told: object) -> dict[str, str]:
    """Return what is said of a file that leaves it open, by the reader's names, from a source or a section."""
    return {name: getattr(told, name) for name in LEFT_OPEN}


def check_of_file(provider: Provider, said: Mapping[str, str]) -> None:
    """Check that what a file leaves open is said of a file.

    Raises:
        ValueError: It is said of another provider; the sentence names the first key.
    """
    first = next((name for name, value in said.items() if value), None)
    if first is not None and provider is not Provider.FILE:
        raise ValueError(f"{first} is of provider file, not of {provider}")


class PriceSource(ProviderSource):
    """A provider and what it must be told.

    ``area`` is a bidding zone (Energy-Charts: ``DE-LU``), an EIC code (ENTSO-E) or a tariff code (Octopus);
    ``product`` an Octopus product; ``token_env`` names the environment variable that holds the token; ``url`` replaces
    the provider's address (aWATTar in Austria: ``https://api.awattar.at``). ``publishes_at_hour_utc`` is when the
    prices of the next day may be expected. Of a file ``column``, ``time_column``, ``unit``, ``timezone``, ``decimal``
    (``comma`` or ``point``) and ``dates`` (``day-first`` or ``month-first``) say what it leaves open.
    """

    URLS = URLS
    NEEDS = _NEEDS

    provider: Provider = Provider.MARKET
    product: str = Field(default="", max_length=80)
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    publishes_at_hour_utc: int = Field(default=12, ge=0, le=23)
    column: str = Field(default="", max_length=120)
    time_column: str = Field(default="", max_length=120)
    unit: str = Field(default="", max_length=20)
    timezone: str = Field(default="", max_length=60)
    decimal: Literal["", "comma", "point"] = ""
    dates: Literal["", "day-first", "month-first"] = ""

    @model_validator(mode="after")
    def _of_a_file(self) -> Self:
        check_of_file(self.provider, left_open(self))
        return self
