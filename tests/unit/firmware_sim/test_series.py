"""The sample weeks."""

from datetime import UTC, datetime, timedelta

import pytest

from firmware_sim.errors import PlantError
from firmware_sim.series import Week, power_w, series, series_names, week_seconds


def test_every_series_has_three_whole_weeks() -> None:
    """A plant may live through any week; a hole in one would only show on the day that a demo reaches it."""
    assert len(series_names()) == 2 + 2 * 12
    for name in series_names():
        for week in Week:
            one = series(name, week)
            assert one.step_s * len(one.values_w) == 7 * 86400
            assert min(one.values_w) >= 0


def test_weeks_are_what_they_are_called() -> None:
    """The demo's event is tuned to how much sun there is."""
    energy = {week: sum(series("pv_golden", week).values_w) for week in Week}
    assert energy[Week.SUNNY] > 1.5 * energy[Week.CHANGING] > 1.5 * energy[Week.DARK] / 1.5


def test_a_value_stands_in_the_middle_of_its_interval() -> None:
    """Quarter-hour means put at their start would shift the sun by seven minutes."""
    monday = datetime(2026, 3, 16, tzinfo=UTC)
    values = series("factory", Week.SUNNY).values_w
    assert power_w("factory", Week.SUNNY, monday + timedelta(minutes=7.5)) == values[0]
    assert power_w("factory", Week.SUNNY, monday + timedelta(minutes=15)) == pytest.approx((values[0] + values[1]) / 2)


def test_the_week_repeats() -> None:
    """A process may run longer than the sample."""
    one = series("home01", Week.DARK)
    for at_s in (0.0, 1.0, 86_400.0, 7 * 86_400 - 1.0):
        assert one.at(at_s) == pytest.approx(one.at(at_s + 7 * 86_400))
    assert week_seconds(datetime(2026, 3, 22, 23, 59, 59, tzinfo=UTC)) == 7 * 86_400 - 1


def test_an_unknown_series_is_refused_by_name() -> None:
    """A typing error in a plant file must not become a plant without load."""
    with pytest.raises(PlantError, match="home99"):
        series("home99", Week.SUNNY)
