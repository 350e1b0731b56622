"""Where a zone's published load, wind and sun come from, as the registry says it."""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator


class PublishedProvider(StrEnum):
    """Who publishes; with ``none`` a price is forecast from past prices alone."""

    NONE = "none"
    ENERGY_CHARTS = "energy-charts"
    ENTSOE = "entsoe"
    FILE = "file"


URLS: Final = {
    PublishedProvider.ENERGY_CHARTS: "https://api.energy-charts.info",
    PublishedProvider.ENTSOE: "https://web-api.tp.entsoe.eu",
}
_NEEDS: Final = {
    PublishedProvider.NONE: (),
    PublishedProvider.ENERGY_CHARTS: ("area",),
    PublishedProvider.ENTSOE: ("area", "token_env"),
    PublishedProvider.FILE: ("file",),
}


class PublishedSource(BaseModel):
    """A provider and what it must be told.

    ``area`` is a country (Energy-Charts: ``de``) or an EIC code (ENTSO-E); ``token_env`` names the environment variable
    that holds the token; ``url`` replaces the provider's address; ``file`` is read where the provider is a file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: PublishedProvider = PublishedProvider.NONE
    area: str = Field(default="", max_length=80)
    token_env: str = Field(default="", max_length=80)
    file: str = Field(default="", max_length=400)
    url: str = Field(default="", max_length=400, pattern=r"^(https?://\S+)?$")

    @model_validator(mode="after")
    def _complete(self) -> "PublishedSource":
        for name in _NEEDS[self.provider]:
            if not getattr(self, name):
                raise ValueError(f"provider {self.provider} needs {name}")
        return self

    @property
    def base_url(self) -> str:
        """Return the address that is asked, without a slash at its end."""
        return (self.url or URLS.get(self.provider, "")).rstrip("/")
