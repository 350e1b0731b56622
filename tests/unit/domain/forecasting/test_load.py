"""Load forecasts: from nothing, from minutes, from weeks, through gaps; and their laws."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.forecasting import scores
from domain.forecasting.backtest import backtest
from domain.forecasting.load import forecast_load
from domain.forecasting.profiles import LoadClass
from domain.forecasting.quantiles import Quantiles
from domain.forecasting.series import Floats, Series, regular

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
STEP_S = 3600


def factory_load(days: int, *, seed: int = 1, noise: float = 5.0) -> Floats:
    """Return a load that works on working days from 6 to 18, with noise; hourly from a Monday on."""
    hours = np.arange(24 * days)
    working = (hours // 24 % 7 < 5) & (hours % 24 >= 6) & (hours % 24 < 18)
    return np.where(working, 100.0, 20.0) + np.random.default_rng(seed).normal(0, noise, len(hours))


def series(values: Floats, *, start: datetime = MONDAY) -> Series:
    """Return hourly values as a series."""
    return Series(start=start, step_s=STEP_S, values=values)


def told(values: Floats, *, hours: int = 48) -> Quantiles:
    """Return the forecast that follows the values."""
    history = series(values)
    return forecast_load(history, issued_at=history.end, horizon_steps=hours)


def test_a_site_without_a_history_gets_its_class_at_its_typical_load() -> None:
    """A market cannot wait a week for a new site."""
    found = forecast_load(None, issued_at=MONDAY, horizon_steps=96, load_class=LoadClass.HOUSEHOLD, typical_w=500.0)
    assert found.p50.mean() == pytest.approx(500, rel=0.02)
    assert found.p50.max() > 1.3 * found.p50.min()
    assert (found.p10 < found.p50).all() and (found.p50 < found.p90).all()


def test_the_first_minutes_persist_and_fade_into_the_profile() -> None:
    """The present says more about the next hour than any profile does."""
    history = regular([(MONDAY + timedelta(minutes=minute), 900.0) for minute in range(40)], step_s=900)
    found = forecast_load(history, issued_at=history.end, horizon_steps=96, load_class=LoadClass.HOUSEHOLD)
    assert found.start == MONDAY + timedelta(minutes=45)
    assert found.p50[0] == pytest.approx(900, rel=0.1)
    assert found.method == "persistence into profile"
    narrow, wide = (found.p90 - found.p10)[0], (found.p90 - found.p10)[-1]
    assert narrow < wide


def test_a_forecast_begins_with_the_first_whole_step() -> None:
    """A step that has begun is no forecast."""
    found = forecast_load(None, issued_at=MONDAY + timedelta(seconds=1), horizon_steps=4)
    assert found.start == MONDAY + timedelta(minutes=15)
    assert forecast_load(None, issued_at=MONDAY, horizon_steps=4).start == MONDAY


def test_working_days_and_weekends_are_told_apart() -> None:
    """Saturday is not Friday."""
    found = told(factory_load(7 * 8 + 5))  # The next day is a Saturday.
    assert found.p50[:48].max() < 40
    found = told(factory_load(7 * 8))  # The next day is a Monday.
    assert found.p50[8:17].min() > 80
    assert found.method == "mix of ridge and seasonal"


def test_a_works_first_week_is_told_by_its_working_days() -> None:
    """A weekend says nothing of a Monday's work: not until a mix has a record, but from the second working day on."""
    saturday = MONDAY + timedelta(days=5)
    values = factory_load(14)[5 * 24 : 9 * 24]  # Saturday, Sunday, Monday, Tuesday.
    history = series(values, start=saturday)
    found = forecast_load(history, issued_at=history.end, horizon_steps=24)
    assert found.method == "mean of days"
    assert found.p50[8:17].min() > 80


def test_one_known_day_is_no_certainty() -> None:
    """A day differs from itself by nothing, and the next from it by much."""
    found = told(factory_load(1))
    assert (found.p90[8:17] - found.p10[8:17]).min() > 0.5 * found.p50[8:17].min()
    week = told(factory_load(5))
    assert (week.p90 - week.p10)[8:17].mean() < (found.p90 - found.p10)[8:17].mean()


def test_nothing_after_the_origin_is_looked_at() -> None:
    """A backtest that sees the future proves nothing."""
    values = factory_load(70)
    spoiled = values.copy()
    spoiled[60 * 24 :] = 1e6
    origin = MONDAY + timedelta(days=60)
    clean = forecast_load(series(values), issued_at=origin, horizon_steps=48)
    dirty = forecast_load(series(spoiled), issued_at=origin, horizon_steps=48)
    assert (clean.p50 == dirty.p50).all() and (clean.p90 == dirty.p90).all()


def test_gaps_thin_the_record_and_do_not_break_it() -> None:
    """A week without a link is a week less, not the end."""
    values = factory_load(60)
    values[20 * 24 : 27 * 24] = np.nan
    values[-5:] = np.nan
    found = told(values)
    assert np.isfinite(found.p50).all()
    assert np.abs(found.p50[8:17] - 100).max() < 30


def test_a_long_outage_falls_back_to_the_mean_of_days() -> None:
    """Where nothing of the last week is known the mix has no footing."""
    values = np.concatenate([factory_load(30), np.full(24 * 20, np.nan)])
    found = told(values)
    assert np.isfinite(found.p50).all()
    assert found.method == "mean of days"


def test_the_mix_beats_last_week_on_a_noisy_load() -> None:
    """Otherwise the simplest forecast would do."""
    history = series(factory_load(90, noise=15.0))
    (score,) = backtest(
        history,
        lambda origin, steps: forecast_load(history.before(origin), issued_at=origin, horizon_steps=steps),
        horizon_steps=24,
        origins_max=20,
    )
    assert score.relative_mae < 0.85
    assert 0.7 <= score.coverage <= 0.9
    assert score.points == 480


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 24 * 40), st.floats(0, 1), st.sampled_from([0.0, 1.0, 1e6]), st.data())
def test_quantiles_are_ordered_finite_and_never_negative(
    seed: int, steps: int, missing: float, scale: float, data: st.DataObject
) -> None:
    """Whatever a meter did, the message that goes out is valid."""
    random = np.random.default_rng(seed)
    values = scale * random.gamma(0.5, 1.0, steps)
    values[random.random(steps) < missing] = np.nan
    horizon = data.draw(st.integers(1, 60))
    history = series(values) if steps else None
    issued_at = history.end if history is not None else MONDAY
    found = forecast_load(history, issued_at=issued_at, horizon_steps=horizon, step_s=STEP_S)
    assert len(found.p10) == len(found.p50) == len(found.p90) == horizon
    assert np.isfinite(found.p10).all() and np.isfinite(found.p90).all()
    assert (found.p10 <= found.p50).all() and (found.p50 <= found.p90).all() and (found.p10 >= 0).all()


def test_the_scores_know_simple_cases() -> None:
    """A tool that scores must itself be right."""
    actual = np.array([1.0, 2.0, np.nan, 4.0])
    assert scores.mae(actual, actual + 1) == 1
    assert scores.relative_mae(actual, actual + 1, actual + 2) == 0.5
    assert scores.pinball(actual, actual - 1, level=0.9) == pytest.approx(0.9)
    assert scores.coverage(actual, actual - 1, np.array([2.0, 1.0, 9.0, 4.0])) == pytest.approx(2 / 3)
    week = np.arange(24.0 * 14)
    naive = scores.weekly_naive(week, origin=24 * 8, horizon=24, steps_per_day=24)
    assert naive[0] == 24 * 1 and naive[-1] == 24 * 2 - 1


@pytest.mark.parametrize("count", [10, 40, 24 * 40])
def test_one_slip_at_the_end_does_not_set_the_level(count: int) -> None:
    """A meter that reads a megawatt once must not make a market of it."""
    values = factory_load(41)[:count]
    slip = values.copy()
    slip[-1] = 1e6
    honest, misled = (
        forecast_load(series(one), issued_at=MONDAY + timedelta(hours=count), horizon_steps=24, step_s=STEP_S)
        for one in (values, slip)
    )
    assert float(np.abs(misled.p50 - honest.p50).max()) < 300
    assert float(misled.p90.max()) < 1000


def test_a_holiday_is_forecast_from_sundays() -> None:
    """An office that is shut on Friday uses what it uses on a Sunday."""
    start = datetime(2025, 3, 3, tzinfo=UTC)
    values = np.array([10.0 if (hour // 24) % 7 >= 5 else 100.0 for hour in range(24 * 46)])
    history = Series(start=start, step_s=3600, values=values)
    told = forecast_load(history, issued_at=history.end, horizon_steps=24, holidays={date(2025, 4, 18)})
    assert history.end == datetime(2025, 4, 18, tzinfo=UTC)
    assert np.abs(told.p50 - 10).max() < 1


def test_a_holiday_in_a_hot_week_is_forecast_as_a_hot_sunday() -> None:
    """A region's load follows the weather of the day before on a holiday too, not the Sundays of the cool weeks."""
    start = datetime(2025, 3, 3, tzinfo=UTC)
    days = np.arange(46)
    level = np.where(days >= 42, 160.0, 100.0)
    values = np.repeat(level - np.where(days % 7 >= 5, 20.0, 0.0), 24)
    history = Series(start=start, step_s=3600, values=values)
    told = forecast_load(history, issued_at=history.end, horizon_steps=24, holidays={date(2025, 4, 18)})
    assert history.end == datetime(2025, 4, 18, tzinfo=UTC)
    assert float(told.p50.min()) > 105
    assert float(told.p50.max()) < 160
