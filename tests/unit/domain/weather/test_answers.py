"""Weather: what providers document is read, what they do not is refused."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.weather.answers import HOUR, WeatherFault, brightsky, open_meteo, weather_file
from tests.support.cloud import weather_answers as answers

START = datetime(2026, 6, 1, tzinfo=UTC)


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
        (b'{"hourly": {}, "hourly_units": {}}', "time in"),
        (b"[]", "no JSON object"),
    ],
)
def test_what_is_not_documented_is_refused(body: bytes, sentence: str) -> None:
    """A change of unit on some day must not become a forecast."""
    with pytest.raises(WeatherFault, match=sentence):
        open_meteo(body)


def test_brightsky_faults_are_refused() -> None:
    """The same for the other one."""
    with pytest.raises(WeatherFault, match="weather is missing"):
        brightsky(b'{"weather": [1]}')
    with pytest.raises(WeatherFault, match="solar"):
        brightsky(b'{"weather": [{"timestamp": "2026-06-01T00:00:00+00:00", "solar": "x", "temperature": 1}]}')
    assert timedelta(hours=1) == HOUR
