"""Sun, sky and PV: against published positions, by their symmetry, and by what a plant may say."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.forecasting.pv import (
    Plane,
    PvPlant,
    Weather,
    clear_power_w,
    forecast_pv,
    quarters_of_hours,
    weather_power_w,
)
from domain.forecasting.series import Floats, Series
from domain.forecasting.sun import clear_sky, on_plane, split_global, sun_position

PLANT = PvPlant(latitude_deg=50.0, longitude_deg=8.0, peak_w=10_000)
START = datetime(2026, 6, 1, tzinfo=UTC)


def middles(days: int, *, start: datetime = START) -> Floats:
    """Return the middles of quarters in epoch seconds."""
    steps: Floats = np.arange(96 * days, dtype=np.float64)
    return start.timestamp() + 450.0 + 900.0 * steps


def test_the_sun_stands_where_the_reference_says() -> None:
    """Golden, Colorado, 17 October 2003, 12:30:30 local: zenith 50.111, azimuth 194.340 degrees.

    Source: the worked example of the solar position algorithm, Reda and Andreas, NREL/TP-560-34302 (2004).
    """
    at = datetime(2003, 10, 17, 19, 30, 30, tzinfo=UTC).timestamp()
    sun = sun_position(np.array([at]), latitude_deg=39.742476, longitude_deg=-105.1786)
    assert np.degrees(np.arccos(sun.cos_zenith[0])) == pytest.approx(50.111, abs=0.05)
    assert np.degrees(sun.azimuth[0]) == pytest.approx(194.340, abs=0.05)


def test_a_clear_sky_is_dark_at_night_and_bright_at_noon() -> None:
    """A clear June noon at 50 degrees north has some 850 to 950 W per square metre."""
    sun = sun_position(middles(1), latitude_deg=50.0, longitude_deg=8.0)
    sky = clear_sky(sun)
    assert (sky.ghi_w_m2[sun.cos_zenith <= 0] == 0).all()
    assert 850 < sky.ghi_w_m2.max() < 950
    np.testing.assert_allclose(sky.dni_w_m2 * np.maximum(sun.cos_zenith, 0) + sky.dhi_w_m2, sky.ghi_w_m2, atol=1e-9)
    assert (sky.dhi_w_m2 >= 0).all()


def test_a_flat_plane_sees_the_whole_sky() -> None:
    """On the level, beam and diffuse add up to the global irradiance."""
    sun = sun_position(middles(1), latitude_deg=50.0, longitude_deg=8.0)
    sky = clear_sky(sun)
    high = sun.cos_zenith > 0.1
    np.testing.assert_allclose(on_plane(sky, sun, tilt_deg=0, azimuth_deg=180)[high], sky.ghi_w_m2[high], rtol=1e-6)


def test_an_overcast_sky_is_diffuse() -> None:
    """Below a fifth of the extraterrestrial irradiance hardly any beam is left."""
    sun = sun_position(middles(1), latitude_deg=50.0, longitude_deg=8.0)
    dull = split_global(np.full(96, 100.0), sun)
    noon = int(np.argmax(sun.cos_zenith))
    assert dull.dhi_w_m2[noon] > 95


def cloudy(days: int, *, seed: int = 1, share: float = 0.7) -> Series:
    """Return what the plant did under a sky that changes from day to day; negative, generation."""
    random = np.random.default_rng(seed)
    clear = clear_power_w(PLANT, middles(days))
    factor = np.repeat(np.clip(random.normal(share, 0.2, days), 0.05, 1.0), 96)
    return Series(start=START, step_s=900, values=-clear * factor)


def test_a_new_plant_is_told_by_astronomy() -> None:
    """Before its first reading a plant follows the sun of its place."""
    found = forecast_pv(None, plant=PLANT, issued_at=START, horizon_steps=96)
    assert (found.p50 <= 0).all() and found.p50[0] == 0
    assert found.p50.min() == found.p50[44:48].min()
    assert (found.p10 <= found.p50).all() and (found.p50 <= found.p90).all()


def test_the_band_of_a_dull_week_is_no_day_of_may() -> None:
    """A plan that keeps room for sun that has not come for days buys what it would not have to."""
    dull = cloudy(5, share=0.1)
    found = forecast_pv(dull, plant=PLANT, issued_at=dull.end, horizon_steps=96)
    clear = clear_power_w(PLANT, middles(1, start=dull.end)).sum()
    assert found.method == "share of clear sky"
    assert 0.15 < -found.p10.sum() / clear < 0.7
    new = forecast_pv(None, plant=PLANT, issued_at=dull.end, horizon_steps=96)
    assert -new.p10.sum() / clear > 0.9


def test_a_day_under_snow_does_not_rule_out_the_sun() -> None:
    """Any multiple of nothing is nothing."""
    snow = Series(start=START, step_s=900, values=np.zeros(96))
    found = forecast_pv(snow, plant=PLANT, issued_at=snow.end, horizon_steps=96)
    assert -found.p10.sum() > 0.2 * clear_power_w(PLANT, middles(1, start=snow.end)).sum()


def test_a_dull_morning_is_carried_into_the_next_hours() -> None:
    """The present share of the clear sky is the best guess for the next hour."""
    morning = START + timedelta(hours=9)
    values = -0.1 * clear_power_w(PLANT, middles(1))[:36]
    history = Series(start=START, step_s=900, values=values)
    dull = forecast_pv(history, plant=PLANT, issued_at=morning, horizon_steps=24)
    usual = forecast_pv(None, plant=PLANT, issued_at=morning, horizon_steps=24)
    assert -dull.p50[0] < 0.4 * -usual.p50[0]


def test_weeks_of_record_make_a_mix_that_is_dark_at_night() -> None:
    """Bands of a night are no bands."""
    history = cloudy(40)
    found = forecast_pv(history, plant=PLANT, issued_at=history.end, horizon_steps=192)
    night = clear_power_w(PLANT, middles(2, start=history.end)) == 0
    assert found.method == "mix under the clear sky"
    assert (found.p10[night] == 0).all() and (found.p90[night] == 0).all()
    total = -found.p50[:96].sum() / clear_power_w(PLANT, middles(1, start=history.end)).sum()
    assert total == pytest.approx(0.7, abs=0.15)


def test_weather_is_used_where_it_is_given() -> None:
    """A forecast of the sky is worth more than all persistence."""
    random = np.random.default_rng(7)
    when = middles(42)
    sun = sun_position(when, latitude_deg=50.0, longitude_deg=8.0)
    ghi = clear_sky(sun).ghi_w_m2 * np.repeat(random.uniform(0.1, 1.0, 42), 96)
    air = np.full(len(when), 15.0)
    power = 0.9 * weather_power_w(PLANT, when, ghi_w_m2=ghi, air_c=air)
    history = Series(start=START, step_s=900, values=-power[: 40 * 96])
    found = forecast_pv(
        history,
        plant=PLANT,
        issued_at=history.end,
        horizon_steps=96,
        weather=Weather(start=START, ghi_w_m2=ghi, air_temperature_c=air),
    )
    blind = forecast_pv(history, plant=PLANT, issued_at=history.end, horizon_steps=96)
    actual = -power[40 * 96 : 41 * 96]
    assert np.abs(found.p50 - actual).mean() < 0.5 * np.abs(blind.p50 - actual).mean()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 14), st.floats(0, 0.9))
def test_a_plant_never_consumes_and_never_exceeds_its_peak(seed: int, days: int, missing: float) -> None:
    """The sign law, and physics, hold through every gap."""
    history = cloudy(days, seed=seed) if days else None
    if history is not None:
        history.values[np.random.default_rng(seed).random(len(history.values)) < missing] = np.nan
    issued_at = history.end if history is not None else START
    found = forecast_pv(history, plant=PLANT, issued_at=issued_at, horizon_steps=96)
    # A plant that was seen above its stated peak has a higher one.
    peak_w = max(PLANT.peak_w, -np.nanmin(history.values, initial=0.0) if history is not None else 0.0)
    for band in (found.p10, found.p50, found.p90):
        assert np.isfinite(band).all() and (band <= 0).all() and (band >= -peak_w).all()
    assert (found.p10 <= found.p50).all() and (found.p50 <= found.p90).all()


def test_a_plant_off_the_globe_is_refused() -> None:
    """A swapped latitude and longitude must be seen at once."""
    with pytest.raises(ValueError, match="120"):
        PvPlant(latitude_deg=120, longitude_deg=8, peak_w=1)
    with pytest.raises(ValueError, match="peak of 0"):
        PvPlant(latitude_deg=50, longitude_deg=8, peak_w=0)


def test_a_plant_that_tells_no_azimuth_looks_at_the_equator() -> None:
    """South of it that is north: facing away from the sun, winter's share would be a third of what it is."""
    south = PvPlant(latitude_deg=-34.0, longitude_deg=151.0, peak_w=1_000)
    assert south.all_planes[0].azimuth_deg == 0.0 and PLANT.all_planes[0].azimuth_deg == 180.0
    turned = PvPlant(latitude_deg=-34.0, longitude_deg=151.0, peak_w=1_000, azimuth_deg=180.0)
    winter = middles(1, start=datetime(2026, 6, 21, tzinfo=UTC))
    assert clear_power_w(south, winter).sum() > 1.5 * clear_power_w(turned, winter).sum()


def test_two_planes_make_the_sum_of_two_plants() -> None:
    """East and west on one roof: broad mornings and evenings instead of a noon."""
    east, west = (Plane(tilt_deg=30, azimuth_deg=azimuth, peak_w=5_000) for azimuth in (90, 270))
    both = PvPlant(latitude_deg=50.0, longitude_deg=8.0, peak_w=10_000, planes=(east, west))
    parts = [
        clear_power_w(
            PvPlant(latitude_deg=50.0, longitude_deg=8.0, peak_w=5_000, azimuth_deg=plane.azimuth_deg), middles(1)
        )
        for plane in (east, west)
    ]
    np.testing.assert_allclose(clear_power_w(both, middles(1)), parts[0] + parts[1])


def test_hours_of_weather_follow_the_clear_sky_within_the_hour() -> None:
    """The mean of an hour is kept, its course is the sun's."""
    told = quarters_of_hours(
        START, np.full(24, 300.0), np.full(24, 20.0), latitude_deg=50.0, longitude_deg=8.0, step_s=900
    )
    hours = told.ghi_w_m2.reshape(24, 4)
    np.testing.assert_allclose(hours.mean(axis=1), 300.0)
    assert hours[6, 0] < hours[6, 3]


@pytest.mark.parametrize("days", [2, 20])
def test_a_slip_of_the_meter_is_no_sun_and_an_extended_plant_is(days: int) -> None:
    """Alone it is a slip, day after day it is a roof with more modules."""
    clear = clear_power_w(PLANT, middles(days))
    slip = clear.copy()
    slip[-30] = 1e6
    issued_at = START + timedelta(days=days)
    told = [
        forecast_pv(Series(start=START, step_s=900, values=-power), plant=PLANT, issued_at=issued_at, horizon_steps=96)
        for power in (clear, slip, 2 * clear)
    ]
    assert float(np.abs(told[1].p50 - told[0].p50).max()) < 0.1 * PLANT.peak_w
    assert -float(told[1].p10.min()) <= 1.5 * PLANT.peak_w
    assert float(told[2].p50.min()) < 1.5 * float(told[0].p50.min())
