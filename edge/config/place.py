"""Who the site is, where it is, and where it meets the grid."""

from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, field_validator, model_validator

from contracts.market import SiteAgent
from contracts.units import SiteId, ZoneId
from domain.calendar.holidays import Holidays, split
from edge.config.section import Section
from edge.config.weather import WeatherSection


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("must be a time zone as Europe/Berlin") from error
    return name


class SiteSection(Section):
    """Who the site is, and where: the gateway's own forecast of its generation follows the sun there.

    ``time_zone`` (``Europe/Berlin``) is the wall clock of targets and goals where no tariff tells one.
    ``holidays`` names the calendar by which its people and works rest, as ``DE`` or ``DE-BY``; that of the tariff
    counts where it is not told. ``weather`` says who forecasts the weather there, where the gateway asks by itself.
    """

    id: SiteId
    zone: ZoneId
    agent: SiteAgent
    latitude_deg: float | None = Field(default=None, ge=-90, le=90)
    longitude_deg: float | None = Field(default=None, ge=-180, le=180)
    time_zone: Annotated[str, AfterValidator(_known_zone)] | None = None
    holidays: str | None = None
    weather: WeatherSection | None = None

    @model_validator(mode="after")
    def _weather_has_a_place(self) -> Self:
        if self.weather is not None and (self.latitude_deg is None or self.longitude_deg is None):
            raise ValueError("weather is that of a place: tell latitude_deg and longitude_deg beside it")
        return self

    @field_validator("holidays")
    @classmethod
    def _holidays_are_listed(cls, code: str | None) -> str | None:
        if code is not None:
            country, subdivision = split(code)
            Holidays(country=country, subdivision=subdivision)
        return code


class ConnectionSection(Section):
    """Where the site meets the grid. All limits are zero or greater.

    ``phase_limit_w`` is the fuse of each phase; batteries and loads that take a limit are then held so that no phase
    passes it. While the meter does not tell the phases, batteries rest and such loads take no more than they have.
    """

    meter: str
    import_limit_w: int = Field(gt=0)
    export_limit_w: int = Field(ge=0)
    phase_limit_w: int | None = Field(default=None, gt=0)
