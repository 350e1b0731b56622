"""What the site expects."""

from datetime import datetime, timedelta

from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.units import DELIVERY_INTERVAL
from edge.trading.forecast import expected_prices, forecast_site
from edge.trading.model import ForecastSource, IntervalEnergy
from tests.support.rigs.trading import T0

STARTS = [T0 + index * DELIVERY_INTERVAL for index in range(1, 5)]


def series(kind: ForecastKind, *values: int, site: str | None = "home-1", step_s: int = 900) -> ForecastSeries:
    """Return a series from midnight whose three quantiles are one."""
    return ForecastSeries(kind=kind, site=site, start=T0, step_s=step_s, p10=values, p50=values, p90=values)


def broadcast(*own: ForecastSeries, age: timedelta = timedelta(0)) -> ForecastBroadcast:
    """Return a broadcast issued some time before midnight."""
    return ForecastBroadcast(zone="z", issued_at=T0 - age, series=own)


def past(hours: int, *, load_wh: float = 100, pv_wh: float = -40) -> dict[datetime, IntervalEnergy]:
    """Return so many hours of constant history before midnight."""
    energy = IntervalEnergy(load_wh=load_wh, pv_wh=pv_wh)
    return {T0 - index * DELIVERY_INTERVAL: energy for index in range(1, hours * 4 + 1)}


def test_a_fresh_broadcast_is_power_turned_into_energy() -> None:
    """Mean watts over a quarter of an hour, the site's own series only."""
    told = broadcast(
        series(ForecastKind.LOAD, 400, 800, 1_200, 1_600, 2_000),
        series(ForecastKind.PV, -40, -80, -120, -160, -200),
        series(ForecastKind.LOAD, 9, 9, 9, 9, 9, site="home-2"),
    )
    found = forecast_site(starts=STARTS, site="home-1", history={}, now=T0, broadcast=told)
    assert [(each.load_wh, each.pv_wh) for each in found] == [(200, -20), (300, -30), (400, -40), (500, -50)]
    assert {each.source for each in found} == {ForecastSource.BROADCAST}


def test_a_series_that_a_site_does_not_have_counts_as_none() -> None:
    """The factory has no sun, and must order its load on the first day."""
    told = broadcast(series(ForecastKind.LOAD, 400, 400, 400, 400, 400))
    found = forecast_site(starts=STARTS, site="home-1", history={}, now=T0, broadcast=told)
    assert {(each.load_wh, each.pv_wh) for each in found} == {(100, 0)}


def test_what_is_sure_of_the_sun_closes_in_as_delivery_nears() -> None:
    """A producer offers the band's two ends apart; what the last hour showed says much of the next minutes."""
    pv = ForecastSeries(
        kind=ForecastKind.PV, site="home-1", start=T0, step_s=900, p10=(-600,) * 5, p50=(-400,) * 5, p90=(-200,) * 5
    )
    told = broadcast(series(ForecastKind.LOAD, 0, 0, 0, 0, 0), pv)
    unheard = forecast_site(starts=STARTS, site="home-1", history={}, now=T0, broadcast=told)
    assert {(each.pv_wh, each.sure_pv_wh) for each in unheard} == {(-100, -50)}
    # The last hour was as told.
    before = ForecastSeries(
        kind=ForecastKind.PV,
        site="home-1",
        start=T0 - timedelta(hours=1),
        step_s=900,
        p10=(-600,) * 9,
        p50=(-400,) * 9,
        p90=(-200,) * 9,
    )
    told = broadcast(series(ForecastKind.LOAD, 0, 0, 0, 0, 0), before)
    heard = forecast_site(starts=STARTS, site="home-1", history=past(1, pv_wh=-100), now=T0, broadcast=told)
    sure = [each.sure_pv_wh for each in heard]
    assert all(each is not None for each in sure)
    assert sure == sorted(sure, key=lambda each: each or 0)
    assert -100 < (sure[0] or 0) < -75


def test_an_hourly_series_serves_its_four_quarters() -> None:
    """Steps of the cloud need not be those of the market."""
    told = broadcast(series(ForecastKind.LOAD, 400, 800, step_s=3_600), series(ForecastKind.PV, 0, 0, step_s=3_600))
    found = forecast_site(starts=STARTS, site="home-1", history={}, now=T0, broadcast=told)
    assert [each.load_wh for each in found] == [100, 100, 100, 200]


def test_an_old_broadcast_gives_way_to_the_sites_own_past() -> None:
    """The cloud may be gone for days; the site goes on."""
    told = broadcast(series(ForecastKind.LOAD, 1, 1, 1, 1, 1), age=timedelta(hours=3))
    found = forecast_site(starts=STARTS, site="home-1", history=past(1), now=T0, broadcast=told)
    assert {(each.load_wh, each.pv_wh, each.source) for each in found} == {(100, -40, ForecastSource.LEVEL)}


def test_a_broadcast_from_the_future_is_not_believed() -> None:
    """A clock that is wrong somewhere must not steer the market."""
    told = broadcast(series(ForecastKind.LOAD, 1, 1, 1, 1, 1), age=timedelta(hours=-1))
    assert forecast_site(starts=STARTS, site="home-1", history={}, now=T0, broadcast=told) == ()


def test_yesterday_is_corrected_by_the_last_hour_and_less_with_the_lead() -> None:
    """A household that is home today stays home for an hour, not for a day."""
    history = past(26, load_wh=100, pv_wh=0)
    history |= {T0 - index * DELIVERY_INTERVAL: IntervalEnergy(load_wh=300, pv_wh=0) for index in range(1, 5)}
    near = forecast_site(starts=[STARTS[0]], site="home-1", history=history, now=T0)[0]
    far = forecast_site(starts=[T0 + 40 * DELIVERY_INTERVAL], site="home-1", history=history, now=T0)[0]
    assert 250 < near.load_wh < 300
    assert near.source is ForecastSource.BLEND
    assert 100 <= far.load_wh < 105


def test_todays_sun_scales_yesterdays() -> None:
    """Cloud cover persists for an hour."""
    history = past(26, load_wh=0, pv_wh=-400)
    history |= {T0 - index * DELIVERY_INTERVAL: IntervalEnergy(load_wh=0, pv_wh=-200) for index in range(1, 5)}
    near = forecast_site(starts=[STARTS[0]], site="home-1", history=history, now=T0)[0]
    assert -260 < near.pv_wh < -200


def test_without_any_ground_there_is_no_forecast() -> None:
    """An agent that knows nothing orders nothing."""
    assert forecast_site(starts=STARTS, site="home-1", history={}, now=T0) == ()


def test_the_last_price_stands_in_for_a_price_forecast() -> None:
    """Before the first clearing nothing is expected at all."""
    assert expected_prices(None, starts=STARTS, last_price_mct_per_kwh=None) == {}
    assert set(expected_prices(None, starts=STARTS, last_price_mct_per_kwh=17_000).values()) == {17_000}
    told = broadcast(series(ForecastKind.PRICE, 1, 2, 3, site=None))
    found = expected_prices(told, starts=STARTS, last_price_mct_per_kwh=17_000)
    assert list(found.values()) == [2, 3, 17_000, 17_000]
