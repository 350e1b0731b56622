"""Weather: what providers document is read, what they do not is refused."""

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from domain.series.columns import Options
from domain.weather.answers import HOUR, WeatherFault, WeatherHour, answered_weather, filed_weather
from domain.weather.source import WeatherProvider
from tests.support.cloud import weather_answers as answers

START = datetime(2026, 6, 1, tzinfo=UTC)

open_meteo = partial(answered_weather, provider=WeatherProvider.OPEN_METEO)
brightsky = partial(answered_weather, provider=WeatherProvider.BRIGHTSKY)


def weather_file(text: str, timezone: str = "") -> list[WeatherHour]:
    """Return the hours of a file."""
    return filed_weather(text.encode(), Options(timezone=timezone))


def _sky(at: datetime) -> tuple[float | None, float | None]:
    return 50.0 * at.hour, 10.0 + at.hour / 10


def test_irradiance_is_that_of_the_hour_before_its_time() -> None:
    """An hour's shift of the sun is worth a tenth of a forecast."""
    for hours in (
        open_meteo(answers.open_meteo(START, 24, _sky)),
        brightsky(answers.brightsky(START, 24, _sky))[1:],
    ):
        assert hours[0].start == START
        assert all(hour.ghi_w_m2 == pytest.approx(50.0 * hour.start.hour) for hour in hours)
        assert len(hours) == 23


def test_what_is_not_known_is_left_out() -> None:
    """An empty hour is not a dark one."""

    def patchy(at: datetime) -> tuple[float | None, float | None]:
        return (None if at.hour == 5 else 100.0), 10.0

    starts = {hour.start.hour for hour in open_meteo(answers.open_meteo(START, 24, patchy))}
    assert starts == set(range(23)) - {5}


def test_a_file_names_its_columns_and_lines() -> None:
    """A person can mend what is named."""
    text = "start,ghi_w_m2,air_temperature_c\n2026-06-01T10:00Z,500,20\n2026-06-01T11:00Z,,20\n"
    assert [hour.start for hour in weather_file(text)] == [START + 10 * HOUR]
    with pytest.raises(WeatherFault, match="no column ghi_w_m2"):
        weather_file("start,air_temperature_c\n")
    with pytest.raises(WeatherFault, match="line 2"):
        weather_file("start,ghi_w_m2,air_temperature_c\n2026-06-01T10:00Z,bright,20\n")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (answers.open_meteo(START, 24, _sky)[:200], "cut short"),
        (answers.open_meteo(START, 24, _sky, unit="MJ/m²"), "expected W/m²"),
        (answers.open_meteo(START, 24, lambda _: (5000.0, 10.0)), "outside"),
        (answers.open_meteo(START, 24, lambda _: (100.0, 300.0)), "outside"),
        (b'{"hourly": {}, "hourly_units": {}}', "one length"),
        (b"[]", "no list of records"),
    ],
)
def test_what_is_not_documented_is_refused(body: bytes, sentence: str) -> None:
    """A change of unit on some day must not become a forecast."""
    with pytest.raises(WeatherFault, match=sentence):
        open_meteo(body)


def test_brightsky_faults_are_refused() -> None:
    """The same for the other one."""
    with pytest.raises(WeatherFault, match="no list of records"):
        brightsky(b'{"weather": [1]}')
    with pytest.raises(WeatherFault, match="solar"):
        brightsky(b'{"weather": [{"timestamp": "2026-06-01T00:00:00+00:00", "solar": "x", "temperature": 1}]}')
    assert timedelta(hours=1) == HOUR


@pytest.mark.parametrize("answer", [answers.open_meteo(START, 24, _sky), answers.brightsky(START, 24, _sky)])
def test_a_saved_answer_is_the_answer(answer: bytes) -> None:
    """What a person saves of a provider is decoded by the same code as what the provider sends."""
    provider = WeatherProvider.BRIGHTSKY if b"solar" in answer else WeatherProvider.OPEN_METEO
    assert filed_weather(answer, Options()) == answered_weather(answer, provider)
    assert len(filed_weather(answer, Options())) >= 23


def test_a_file_in_another_dialect_holds_the_same_hours() -> None:
    """A spreadsheet saves semicolons, decimal commas and the clock on the wall."""
    plain = "start,ghi_w_m2,air_temperature_c\n2026-06-01T10:00Z,500.5,20.5\n2026-06-01T11:00Z,510,21\n"
    saved = "air_temperature_c;start;ghi_w_m2\n21;01.06.2026 13:00;510\n20,5;01.06.2026 12:00;500,5\n"
    assert weather_file(saved, "Europe/Berlin") == weather_file(plain)
    with pytest.raises(WeatherFault, match="names no time zone"):
        weather_file(saved)


def test_the_table_that_open_meteo_saves_is_read_by_its_clock() -> None:
    """Its block of facts names the time zone; the irradiance is that of the hour before."""
    text = (
        "latitude,longitude,elevation,utc_offset_seconds,timezone,timezone_abbreviation\n"
        "52.52,13.419998,38.0,7200,Europe/Berlin,GMT+2\n\n"
        "time,temperature_2m (°C),shortwave_radiation (W/m²)\n"
        "2026-06-01T12:00,20.5,400\n2026-06-01T13:00,21,450\n2026-06-01T14:00,22,460\n"
    )
    assert weather_file(text) == [
        WeatherHour(start=START + 10 * HOUR, ghi_w_m2=450.0, air_temperature_c=20.5),
        WeatherHour(start=START + 11 * HOUR, ghi_w_m2=460.0, air_temperature_c=21.0),
    ]
    with pytest.raises(WeatherFault, match=r"shortwave_radiation in 'kW/m²', expected W/m²"):
        weather_file(text.replace("(W/m²)", "(kW/m²)"))
