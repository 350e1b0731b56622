"""The providers of forecast weather behind one protocol: asked by HTTP, read from a file, or none."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from cloud.errors import ProviderError
from cloud.operator_files import operator_file
from cloud.outbound import ask
from domain.question import Question
from domain.series.columns import Options
from domain.weather.answers import WeatherFault, WeatherHour, filed_weather
from domain.weather.questions import AHEAD, weather_answered, weather_question
from domain.weather.source import WeatherProvider, WeatherSource


class Weather(Protocol):
    """Tells the weather of a place: as forecast ahead, as last analysed behind."""

    def hours(self, *, latitude_deg: float, longitude_deg: float, at: datetime, past_days: int) -> list[WeatherHour]:
        """Return the hours from some days before an instant to three days after it.

        Raises:
            ProviderError: There is no usable answer.
        """


@dataclass(frozen=True, kw_only=True)
class HttpWeather:
    """A provider that is asked by HTTP."""

    source: WeatherSource
    asking: Callable[[Question], bytes] = ask

    def hours(self, *, latitude_deg: float, longitude_deg: float, at: datetime, past_days: int) -> list[WeatherHour]:
        """Ask for the weather of one place."""
        asked = weather_question(
            self.source, latitude_deg=latitude_deg, longitude_deg=longitude_deg, at=at, past_days=past_days
        )
        body = self.asking(asked)
        return _decoded(lambda: weather_answered(self.source, body))


@dataclass(frozen=True, kw_only=True)
class FileWeather:
    """Weather from a file of the operator, the same for all places, read anew each time."""

    source: WeatherSource

    def hours(self, *, latitude_deg: float, longitude_deg: float, at: datetime, past_days: int) -> list[WeatherHour]:
        """Read the file."""
        data = operator_file(Path(self.source.file), "weather")
        options = Options(timezone=self.source.timezone)
        first = at - timedelta(days=past_days)
        return [hour for hour in _decoded(lambda: filed_weather(data, options)) if first <= hour.start <= at + AHEAD]


def weather_of(source: WeatherSource) -> Weather | None:
    """Return the provider that a zone names."""
    if source.provider is WeatherProvider.NONE:
        return None
    return FileWeather(source=source) if source.provider is WeatherProvider.FILE else HttpWeather(source=source)


def _decoded(decode: Callable[[], list[WeatherHour]]) -> list[WeatherHour]:
    try:
        return decode()
    except WeatherFault as error:
        raise ProviderError(str(error)) from error
