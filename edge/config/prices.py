"""Where a gateway reads the market's price by itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from domain.prices.source import PriceSource, Provider, check_of_file, left_open
from edge.config.section import Section

_NEEDS: Final[Mapping[Provider, tuple[str, ...]]] = {
    Provider.ENERGY_CHARTS: ("area",),
    Provider.ENTSOE: ("area", "token_file"),
    Provider.AWATTAR: (),
    Provider.TIBBER: ("token_file",),
    Provider.OCTOPUS: ("product", "area"),
    Provider.FILE: ("file",),
}


class PricesSection(Section):
    """Who publishes the day-ahead price that the site's tariff follows; the gateway asks by itself, or reads a file.

    ``area`` is a bidding zone (Energy-Charts: ``DE-LU``), an EIC code (ENTSO-E) or a tariff code (Octopus);
    ``product`` an Octopus product; ``token_file`` holds the token; ``url`` replaces the provider's address.
    ``file`` is any table, export or saved answer that the reader of files knows, read again each five minutes; what it
    leaves open say ``column``, ``time_column``, ``unit``, ``timezone``, ``decimal`` and ``dates``.
    ``publishes_at_hour_utc`` is when the prices of the next day may be expected.
    """

    provider: Provider
    area: str = Field(default="", max_length=80)
    product: str = Field(default="", max_length=80)
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    token_file: Path | None = None
    file: Path | None = None
    url: str = Field(default="", max_length=400, pattern=r"^(https?://\S+)?$")
    publishes_at_hour_utc: int = Field(default=12, ge=0, le=23)
    column: str = Field(default="", max_length=120)
    time_column: str = Field(default="", max_length=120)
    unit: str = Field(default="", max_length=20)
    timezone: str = Field(default="", max_length=60)
    decimal: Literal["", "comma", "point"] = ""
    dates: Literal["", "day-first", "month-first"] = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needs = _NEEDS.get(self.provider)
        if needs is None:
            told = ", ".join(_NEEDS)
            raise ValueError(
                f"provider {self.provider} is the zone's own price, which a cloud tells; name one of {told}"
            )
        for name in needs:
            if not getattr(self, name):
                raise ValueError(f"provider {self.provider} needs {name}")
        check_of_file(self.provider, left_open(self))
        return self

    @property
    def source(self) -> PriceSource:
        """Return the same as the questions to providers and their decoders know it."""
        return PriceSource.model_construct(
            _fields_set=None,
            provider=self.provider,
            area=self.area,
            product=self.product,
            currency=self.currency,
            url=self.url,
            publishes_at_hour_utc=self.publishes_at_hour_utc,
            **left_open(self),
        )

    @property
    def name(self) -> str:
        """Return whose prices these are, in words."""
        told = self.file if self.provider is Provider.FILE else self.area
        return " ".join(str(part) for part in (self.provider, told, self.product) if part)

    @property
    def identity(self) -> str:
        """Return the same with the address: what was kept of another one tells nothing of this one."""
        return f"{self.name} {self.url}".strip()
