"""Where a zone's weather comes from, as the registry says it."""

from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, model_validator


class WeatherProvider(StrEnum):
    """Who forecasts the weather; with ``none`` PV is forecast from astronomy and its own past."""

    NONE = "none"
    OPEN_METEO = "open-meteo"
    BRIGHTSKY = "brightsky"
    FILE = "file"


URLS: Final = {
    WeatherProvider.OPEN_METEO: "https://api.open-meteo.com",
    WeatherProvider.BRIGHTSKY: "https://api.brightsky.dev",
}


class WeatherSource(BaseModel):
    """A provider; ``url`` replaces its address, ``file`` is read where the provider is a file.

    ``timezone`` is that of a file's times without an offset.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: WeatherProvider = WeatherProvider.NONE
    url: str = Field(default="", max_length=400, pattern=r"^(https?://\S+)?$")
    file: str = Field(default="", max_length=400)
    timezone: str = Field(default="", max_length=60)

    @model_validator(mode="after")
    def _complete(self) -> "WeatherSource":
        if self.provider is WeatherProvider.FILE and not self.file:
            raise ValueError("provider file needs file")
        if self.timezone and self.provider is not WeatherProvider.FILE:
            raise ValueError(f"timezone is of provider file, not of {self.provider}")
        return self

    @property
    def base_url(self) -> str:
        """Return the address that is asked, without a slash at its end."""
        return (self.url or URLS.get(self.provider, "")).rstrip("/")
