"""How each provider of weather is asked, and which decoder reads its answer: the same at the cloud and at a gateway."""

from datetime import datetime, timedelta
from typing import Final

from domain.question import Question
from domain.weather.answers import WeatherHour, answered_weather
from domain.weather.source import WeatherProvider, WeatherSource

AHEAD: Final = timedelta(days=3)
OPEN_METEO_PAST_DAYS_MAX: Final = 92


def weather_question(
    source: WeatherSource, *, latitude_deg: float, longitude_deg: float, at: datetime, past_days: int
) -> Question:
    """Return the request for the hours of a place: as last analysed behind an instant, as forecast ahead of it."""
    place = f"{latitude_deg:.2f}", f"{longitude_deg:.2f}"
    if source.provider is WeatherProvider.OPEN_METEO:
        params = {
            "latitude": place[0],
            "longitude": place[1],
            "hourly": "shortwave_radiation,temperature_2m",
            "past_days": str(min(past_days, OPEN_METEO_PAST_DAYS_MAX)),
            "forecast_days": str(AHEAD.days),
            "timeformat": "unixtime",
            "timezone": "GMT",
        }
        return Question(url=f"{source.base_url}/v1/forecast", params=params)
    assert source.provider is WeatherProvider.BRIGHTSKY, "a file is asked of nobody"
    params = {
        "lat": place[0],
        "lon": place[1],
        "date": f"{at - timedelta(days=past_days):%Y-%m-%d}",
        "last_date": f"{at + AHEAD:%Y-%m-%d}",
        "tz": "UTC",
    }
    return Question(url=f"{source.base_url}/weather", params=params)


def weather_answered(source: WeatherSource, body: bytes) -> list[WeatherHour]:
    """Return the hours that an answer tells.

    Raises:
        WeatherFault: The answer does not hold what its provider documents; nothing of it is used.
    """
    return answered_weather(body, source.provider)
