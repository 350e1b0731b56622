"""Price forecasts: negative prices, spikes, published covariates, and what is said before anything is known."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from contracts.forecast import ForecastKind
from domain.forecasting.blend import Covariates
from domain.forecasting.issue import SiteHistory, issue_forecasts
from domain.forecasting.price import forecast_price
from domain.forecasting.pv import PvPlant
from domain.forecasting.series import Floats, Series

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def prices(days: int, *, residual: Floats | None = None) -> Series:
    """Return hourly prices with an evening peak, and what residual load adds to them."""
    hours = np.arange(24 * days)
    shape = 5_000 + 3_000 * np.sin((hours % 24 - 12) / 24 * 2 * np.pi)
    noise = np.random.default_rng(1).normal(0, 300, len(hours))
    return Series(start=MONDAY, step_s=3600, values=shape + noise + (0 if residual is None else residual[: len(hours)]))


def test_nothing_known_is_said_as_nothing() -> None:
    """A price that was never seen is not invented."""
    empty = Series(start=MONDAY, step_s=3600, values=np.full(5, np.nan))
    found = forecast_price(empty, issued_at=empty.end, horizon_steps=4)
    assert found.method == "no price known" and (found.p50 == 0).all()


def test_the_daily_shape_is_told_after_two_weeks() -> None:
    """The evening is dear, the morning cheap."""
    history = prices(16)
    found = forecast_price(history, issued_at=history.end, horizon_steps=24)
    assert abs(found.p50 - (5_000 + 3_000 * np.sin((np.arange(24) - 12) / 24 * 2 * np.pi))).mean() < 300
    assert (found.p10 <= found.p50).all() and (found.p50 <= found.p90).all()


def test_published_residual_load_is_used() -> None:
    """Tomorrow's wind is in tomorrow's price; prices may be negative."""
    random = np.random.default_rng(3)
    wind = np.repeat(random.uniform(-9_000, 3_000, 131), 24)
    history = prices(130, residual=wind)
    known = Covariates(start=MONDAY, values=wind[:, None])
    found = forecast_price(history, issued_at=history.end, horizon_steps=24, covariates=known)
    blind = forecast_price(history, issued_at=history.end, horizon_steps=24)
    actual = prices(131, residual=wind).values[-24:]
    assert np.abs(found.p50 - actual).mean() < 0.4 * np.abs(blind.p50 - actual).mean()
    assert history.values.min() < 0


def test_what_is_published_for_half_a_day_tells_that_half_and_leaves_the_other() -> None:
    """Wind of tomorrow's afternoon may not be known yet: zero is no guess of it."""
    random = np.random.default_rng(3)
    wind = np.repeat(random.uniform(-9_000, 3_000, 131), 24)
    history = prices(130, residual=wind)
    reaching = np.where(np.arange(131 * 24) < 130 * 24 + 12, wind, np.nan)
    half, all_of_it, blind = (
        forecast_price(history, issued_at=history.end, horizon_steps=24, covariates=known)
        for known in (
            Covariates(start=MONDAY, values=reaching[:, None]),
            Covariates(start=MONDAY, values=wind[:, None]),
            None,
        )
    )
    actual = prices(131, residual=wind).values[-24:]
    errors = [np.abs(told.p50 - actual)[:12].mean() for told in (half, all_of_it, blind)]
    assert errors[1] < errors[0] < 0.5 * errors[2]
    assert (half.p50[12:] == blind.p50[12:]).all()


def test_a_record_of_a_week_is_not_believed() -> None:
    """What was asked for the first time yesterday has no weight yet."""
    history = prices(60)
    told = np.full((61 * 24, 1), np.nan)
    told[-8 * 24 :, 0] = 50_000.0
    known = Covariates(start=MONDAY, values=told)
    found = forecast_price(history, issued_at=history.end, horizon_steps=24, covariates=known)
    blind = forecast_price(history, issued_at=history.end, horizon_steps=24)
    assert (found.p50 == blind.p50).all()


def test_quarters_follow_their_hours_and_keep_their_course() -> None:
    """Auctions of quarters have a sawtooth within the hour; where there is none, quarters are their hours."""
    hourly = prices(40)
    tooth = np.tile([600.0, 200.0, -200.0, -600.0], len(hourly.values))
    flat = Series(start=MONDAY, step_s=900, values=np.repeat(hourly.values, 4))
    toothed = Series(start=MONDAY, step_s=900, values=flat.values + tooth)
    by_hour = forecast_price(hourly, issued_at=hourly.end, horizon_steps=24)
    for issued_at, gone in ((hourly.end, 0), (hourly.end - timedelta(minutes=30), 2)):
        quarters = forecast_price(toothed, issued_at=issued_at, horizon_steps=92)
        plain = forecast_price(flat, issued_at=issued_at, horizon_steps=92)
        assert np.allclose(quarters.p50 - plain.p50, tooth[gone : gone + 92])
        assert len(quarters.p50) == len(quarters.p10) == 92
        assert (quarters.p10 <= quarters.p50).all() and (quarters.p50 <= quarters.p90).all()
        if not gone:
            assert np.allclose(plain.p50, np.repeat(by_hour.p50, 4)[:92])


def test_a_spike_does_not_carry_into_the_forecast() -> None:
    """One hour at a hundred times the price says little about tomorrow."""
    history = prices(40)
    calm = forecast_price(history, issued_at=history.end, horizon_steps=24)
    history.values[-30] = 1_000_000
    spiked = forecast_price(history, issued_at=history.end, horizon_steps=24)
    assert np.abs(spiked.p50 - calm.p50).max() < 5_000


def test_an_issue_holds_every_asset_in_the_signs_of_the_wire() -> None:
    """PV is zero or negative, load is not, and all series cover the same steps."""
    plant = PvPlant(latitude_deg=50, longitude_deg=8, peak_w=5_000)
    issued = issue_forecasts(
        [
            SiteHistory(site="home-1", plant=plant, typical_load_w=400.0),
            SiteHistory(site="farm", plant=plant, has_load=False),
        ],
        issued_at=MONDAY,
        horizon_steps=96,
        step_s=3600,
        price=prices(3),
    )
    assert [(each.kind, each.site) for each in issued] == [
        (ForecastKind.LOAD, "home-1"),
        (ForecastKind.PV, "home-1"),
        (ForecastKind.PV, "farm"),
        (ForecastKind.PRICE, None),
    ]
    assert len({(each.start, each.step_s, len(each.p50)) for each in issued[:3]}) == 1
    assert max(issued[1].p90) <= 0 <= min(issued[0].p10)


def test_a_history_in_other_steps_is_refused_by_name() -> None:
    """A silent mix of steps would shift every forecast."""
    load = Series(start=MONDAY, step_s=3600, values=np.ones(3))
    with pytest.raises(ValueError, match="home-1 has a history in steps of 3600 s, the issue is in 900 s"):
        issue_forecasts([SiteHistory(site="home-1", load=load)], issued_at=MONDAY)
