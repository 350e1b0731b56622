"""Published load, wind and sun, decoded as their providers document them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from domain.published.answers import energy_charts_power, power_file
from domain.published.entsoe import entsoe_load, entsoe_wind_and_sun
from domain.published.power import PowerStep, PublishedFault, Quantity, by_interval, summed
from tests.support.cloud import price_answers as answers

START = datetime(2026, 3, 18, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def test_each_provider_tells_a_day_of_quarters() -> None:
    """One grid for all, whatever the provider's own."""
    expected = {START + number * QUARTER: 50_000.0 for number in range(96)}
    charts = answers.charts_power(START, [50_000.0] * 96)
    assert by_interval(energy_charts_power(charts, production_type="load")) == expected
    hourly = answers.charts_power(START, [50_000.0] * 24, step=timedelta(hours=1))
    assert by_interval(energy_charts_power(hourly, production_type="load")) == expected
    assert by_interval(entsoe_load(answers.entsoe_power(START, {"": {1: 50_000.0}}))) == expected


def test_wind_and_sun_are_the_sum_of_their_types() -> None:
    """The price follows what is left of the load when all of it is taken off."""
    body = answers.entsoe_power(START, {"B16": {1: 0.0, 49: 20_000.0}, "B18": {1: 3_000.0}, "B19": {1: 9_000.0}})
    told = by_interval(entsoe_wind_and_sun(body))
    assert told[START] == 12_000.0
    assert told[START + 48 * QUARTER] == 32_000.0
    with pytest.raises(PublishedFault, match="B14"):
        entsoe_wind_and_sun(answers.entsoe_power(START, {"B14": {1: 8_000.0}}))


def test_a_sum_is_known_where_each_part_is() -> None:
    """Wind without its sun is no small wind and sun."""
    later = START + QUARTER
    assert summed([{START: 1.0, later: 2.0}, {later: 3.0}, {}]) == {later: 5.0}
    assert summed([{}, {}]) == {}


def test_a_file_may_tell_either_column() -> None:
    """A file of loads alone is better than nothing; an empty cell is not known."""
    text = "start,load_mw,wind_and_sun_mw\n2026-03-18T00:00Z,50000,12000\n2026-03-18T00:15Z,50100,\n"
    told = power_file(text.encode())
    assert [step.power_mw for step in told[Quantity.LOAD]] == [50_000.0, 50_100.0]
    assert len(told[Quantity.WIND_AND_SUN]) == 1
    assert set(power_file(b"start,load_mw\n2026-03-18T00:00Z,1\n2026-03-18T01:00Z,2\n")) == {Quantity.LOAD}


CHARTS: Callable[[bytes], object] = lambda body: energy_charts_power(body, production_type="load")  # noqa: E731
FAULTS: list[tuple[Callable[[bytes], object], bytes, str]] = [
    (CHARTS, b'{"unix_seconds": [1', "cut short"),
    (CHARTS, answers.charts_power(START, [1.0], production_type="solar"), "is of solar"),
    (CHARTS, answers.charts_power(START, [2e9]), "beyond"),
    (CHARTS, answers.charts_power(START, [-80_000.0]), "beyond"),
    (CHARTS, b'{"unix_seconds": [1, 2], "forecast_values": [1]}', "one length"),
    (entsoe_load, answers.entsoe_power(START, {"": {1: 1.0}}, unit="KWT"), "expected MAW"),
    (entsoe_load, answers.entsoe(answers.entsoe_series(START, {1: 50.0}, count=96)), "no GL_MarketDocument"),
    (entsoe_wind_and_sun, answers.ENTSOE_NOTHING, "refuses: No matching data"),
    (power_file, b"start,price\n", "its columns are not start,load_mw"),
    (power_file, b"start,load_mw\n2026-03-18T00:00Z,x\n", "no number"),
    (power_file, b"start,load_mw\n2026-03-18 00:00,1\n", "no time zone"),
]


@pytest.mark.parametrize(("decode", "body", "sentence"), FAULTS)
def test_what_is_not_documented_is_refused_with_a_sentence(
    decode: Callable[[bytes], object], body: bytes, sentence: str
) -> None:
    """A price forecast from another quantity would be worse than one from none."""
    with pytest.raises(PublishedFault, match=sentence):
        decode(body)


def test_a_step_that_is_not_of_quarters_is_refused() -> None:
    """Five-minute values would fill a quarter with its last third."""
    step = PowerStep(start=START + timedelta(minutes=5), end=START + QUARTER, power_mw=1.0)
    with pytest.raises(PublishedFault, match="whole quarters"):
        by_interval([step])
