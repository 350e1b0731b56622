"""What is published of prices and weather, asked for or read from a file, and decoded. It blocks a thread."""

from datetime import datetime, timedelta

from domain.prices.questions import answered, filed, question
from domain.prices.source import Provider
from domain.prices.steps import PriceFault, Prices
from domain.series.columns import Options
from domain.weather.answers import WeatherFault, WeatherHour, filed_weather
from domain.weather.questions import AHEAD, weather_answered, weather_question
from domain.weather.source import WeatherProvider
from edge.agent.asking import ask, bytes_of, text_of
from edge.config import PricesSection, WeatherSection
from edge.errors import ProviderUnavailable


def fetch_prices(section: PricesSection, *, first: datetime, last: datetime) -> Prices:
    """Return the price of each delivery interval that is published between two instants.

    Raises:
        ProviderUnavailable: There is no usable answer; the sentence says why and holds no token.
    """
    try:
        if section.provider is Provider.FILE:
            assert section.file is not None, "checked with the configuration"
            return filed(section.source, bytes_of(section.file), first=first, last=last)
        token = "" if section.token_file is None else text_of(section.token_file).strip()
        body = ask(question(section.source, token, first=first, last=last))
        return answered(section.source, body, first=first, last=last)
    except PriceFault as error:
        raise ProviderUnavailable(str(error)) from error


def fetch_weather(
    section: WeatherSection, *, latitude_deg: float, longitude_deg: float, at: datetime, past_days: int
) -> list[WeatherHour]:
    """Return the hours of a place from some days before an instant to three days after it.

    Raises:
        ProviderUnavailable: There is no usable answer; the sentence says why.
    """
    try:
        if section.provider is WeatherProvider.FILE:
            assert section.file is not None, "checked with the configuration"
            first = at - timedelta(days=past_days)
            hours = filed_weather(bytes_of(section.file), Options(timezone=section.timezone))
            return [hour for hour in hours if first <= hour.start <= at + AHEAD]
        asked = weather_question(
            section.source, latitude_deg=latitude_deg, longitude_deg=longitude_deg, at=at, past_days=past_days
        )
        return weather_answered(section.source, ask(asked))
    except WeatherFault as error:
        raise ProviderUnavailable(str(error)) from error
