"""Where a zone's price comes from, as the registry and a gateway's configuration say it."""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Provider(StrEnum):
    """Who publishes the price; ``market`` is the zone's own clearing price."""

    MARKET = "market"
    ENERGY_CHARTS = "energy-charts"
    ENTSOE = "entsoe"
    AWATTAR = "awattar"
    TIBBER = "tibber"
    OCTOPUS = "octopus"
    FILE = "file"


URLS: Final = {
    Provider.ENERGY_CHARTS: "https://api.energy-charts.info",
    Provider.ENTSOE: "https://web-api.tp.entsoe.eu",
    Provider.AWATTAR: "https://api.awattar.de",
    Provider.TIBBER: "https://api.tibber.com",
    Provider.OCTOPUS: "https://api.octopus.energy",
}
_NEEDS: Final = {
    Provider.ENERGY_CHARTS: ("area",),
    Provider.ENTSOE: ("area", "token_env"),
    Provider.AWATTAR: (),
    Provider.TIBBER: ("token_env",),
    Provider.OCTOPUS: ("product", "area"),
    Provider.FILE: ("file",),
    Provider.MARKET: (),
}


class PriceSource(BaseModel):
    """A provider and what it must be told.

    ``area`` is a bidding zone (Energy-Charts: ``DE-LU``), an EIC code (ENTSO-E) or a tariff code (Octopus);
    ``product`` an Octopus product; ``token_env`` names the environment variable that holds the token; ``url`` replaces
    the provider's address (aWATTar in Austria: ``https://api.awattar.at``). ``publishes_at_hour_utc`` is when the
    prices of the next day may be expected.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Provider = Provider.MARKET
    area: str = Field(default="", max_length=80)
    product: str = Field(default="", max_length=80)
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    token_env: str = Field(default="", max_length=80)
    file: str = Field(default="", max_length=400)
    url: str = Field(default="", max_length=400, pattern=r"^(https?://\S+)?$")
    publishes_at_hour_utc: int = Field(default=12, ge=0, le=23)

    @model_validator(mode="after")
    def _complete(self) -> "PriceSource":
        for name in _NEEDS[self.provider]:
            if not getattr(self, name):
                raise ValueError(f"provider {self.provider} needs {name}")
        return self

    @property
    def base_url(self) -> str:
        """Return the address that is asked, without a slash at its end."""
        return (self.url or URLS.get(self.provider, "")).rstrip("/")
