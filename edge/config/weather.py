"""Who forecasts the weather at a site, where the gateway asks by itself."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from domain.weather.source import WeatherProvider, WeatherSource
from edge.config.section import Section


class WeatherSection(Section):
    """Who forecasts the weather; ``url`` replaces its address.

    ``file`` is a table of hours with the columns ``start``, ``ghi_w_m2`` and ``air_temperature_c``, or what was saved
    of a provider; ``timezone`` is that of its times without an offset.
    """

    provider: WeatherProvider
    url: str = Field(default="", max_length=400, pattern=r"^(https?://\S+)?$")
    file: Path | None = None
    timezone: str = Field(default="", max_length=60)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider is WeatherProvider.FILE and self.file is None:
            raise ValueError("provider file needs file")
        return self

    @property
    def source(self) -> WeatherSource:
        """Return the same as the questions to providers and their decoders know it."""
        return WeatherSource.model_construct(provider=self.provider, url=self.url)
