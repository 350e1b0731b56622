"""Forecasts: made from what the tables keep, told to the zone, kept for scoring."""

from datetime import timedelta
from pathlib import Path

import pytest

from cloud.errors import SetupError
from cloud.handlers import forecast_tick, telemetry
from cloud.shell.forecast.issuing import HORIZON_STEPS, OUTLOOK_STEPS
from cloud.shell.forecast.site_history import read_history, update_history
from cloud.stores import keys
from cloud.stores.tables import Table
from contracts.forecast import ForecastBroadcast, ForecastKind
from contracts.telemetry import MESSAGE_BYTES_MAX
from contracts.topics import Up
from tests.support.cloud.sites import START, ZONE, batch, context, house_in
from tests.support.cloud.sites import telemetry as message


def _tick(zone: str = ZONE) -> None:
    forecast_tick.handler({"time": START.isoformat(), "zone": zone}, context())


def test_a_zone_without_any_history_is_forecast_all_the_same(tmp_path: Path) -> None:
    """The first day of a market has no yesterday."""
    with house_in(tmp_path) as (services, publisher):
        _tick()
        (payload,) = publisher.on("/broadcast/forecast")
        told = ForecastBroadcast.decode(payload)
        assert {series.site for series in told.series} == {"farm", "factory", "home-1", "home-2"}
        assert all(len(series.p50) == 96 for series in told.series)
        farm = [one for one in told.series if one.site == "farm" and one.kind is ForecastKind.PV]
        assert min(farm[0].p50) < 0 <= max(farm[0].p90)
        assert all(outgoing.retain for outgoing in publisher.sent)
        kept = services.stores.tables.query(Table.FORECAST_DATA, "SITE#farm#pv", reverse=True, limit=1)
        assert kept[0].body["p50"] == list(farm[0].p50)


def test_load_is_what_is_left_of_the_connection_point(tmp_path: Path) -> None:
    """No meter measures the load; the sign law gives it."""
    with house_in(tmp_path) as (services, _):
        begin = START - timedelta(minutes=15)
        minutes = {
            "meter/active_power_w": [1_000.0] * 15,
            "inverter/pv_power_w": [-3_000.0] * 15,
            "inverter/battery_power_w": [500.0] * 15,
        }
        event = batch(Up.TELEMETRY, message("farm", 1, begin, minutes, step_s=60.0), at=START)
        telemetry.handler(event, context())
        farm = services.registry.site("farm")
        assert farm is not None
        update_history(services.stores.tables, farm, until=START)
        load, pv = read_history(services.stores.tables, farm, until=START)
        assert load is not None and pv is not None
        assert (load.values[-1], pv.values[-1]) == (3_500.0, -3_000.0)
        assert load.end == START
        assert keys.site_history("farm", START).sk == "20260317"


def test_a_value_that_did_not_change_is_not_a_gap(tmp_path: Path) -> None:
    """A gateway says nothing while a value stays within its dead band."""
    with house_in(tmp_path) as (services, _):
        begin = START - timedelta(minutes=15)
        event = batch(
            Up.TELEMETRY,
            message("home-1", 1, begin, {"meter/active_power_w": [100.0]}),
            message("home-1", 2, begin + timedelta(minutes=5), {"meter/active_power_w": [400.0]}),
            message("home-1", 3, begin + timedelta(minutes=10), {"meter/active_power_w": [410.0]}),
            at=START,
        )
        telemetry.handler(event, context())
        home = services.registry.site("home-1")
        assert home is not None
        update_history(services.stores.tables, home, until=START)
        load, _ = read_history(services.stores.tables, home, until=START)
        assert load is not None
        assert load.values[-1] == round((5 * 100 + 5 * 400 + 5 * 410) / 15, 1)


def test_a_quarter_that_is_mostly_unknown_has_no_value(tmp_path: Path) -> None:
    """A forecast from a few minutes of a quarter would be one from chance."""
    with house_in(tmp_path) as (services, _):
        begin = START - timedelta(minutes=15)
        told = message("home-1", 1, begin, {"meter/active_power_w": [100.0]})
        telemetry.handler(batch(Up.TELEMETRY, told, at=START), context())
        home = services.registry.site("home-1")
        assert home is not None
        update_history(services.stores.tables, home, until=START)
        assert read_history(services.stores.tables, home, until=START)[0] is None


def test_a_value_told_before_midnight_holds_in_the_first_quarter_of_the_day(tmp_path: Path) -> None:
    """The tables keep days and months apart; a load does not."""
    midnight = START.replace(month=4, day=1, hour=0)
    values = {
        "meter/active_power_w": [600.0, 0.0, 0.0, 0.0],
        "inverter/pv_power_w": [0.0, 0.0, 0.0, 0.0],
        "inverter/battery_power_w": [0.0, 0.0, 0.0, 0.0],
    }
    with house_in(tmp_path) as (services, _):
        told = message("farm", 1, midnight - timedelta(minutes=1), values, step_s=240.0)
        telemetry.handler(batch(Up.TELEMETRY, told, at=midnight + timedelta(minutes=12)), context())
        farm = services.registry.site("farm")
        assert farm is not None
        end = midnight + timedelta(minutes=15)
        update_history(services.stores.tables, farm, until=end)
        load, _ = read_history(services.stores.tables, farm, until=end)
        assert load is not None
        assert load.values[-1] == 3 * 600 / 15


def test_a_tick_for_an_unknown_zone_says_so(tmp_path: Path) -> None:
    """A schedule that outlives its zone is a mistake that someone must see."""
    with house_in(tmp_path), pytest.raises(SetupError, match="zone-9"):
        _tick("zone-9")


def test_a_site_is_told_its_own_forecast_and_nobody_elses(tmp_path: Path) -> None:
    """Every site pays for what it receives, by started 5 KB: a zone's forecasts are a hundred times that."""
    with house_in(tmp_path) as (services, publisher):
        _tick()
        (payload,) = publisher.on("farm/outlook")
        told = ForecastBroadcast.decode(payload)
        assert {series.site for series in told.series} <= {"farm", None}
        assert any(series.kind is ForecastKind.PV for series in told.series)
        assert all(len(series.p50) == OUTLOOK_STEPS for series in told.series)
        assert len(payload) < MESSAGE_BYTES_MAX
        kept = services.stores.tables.query(Table.FORECAST_DATA, "SITE#farm#pv", reverse=True, limit=1)
        assert len(kept[0].body["p50"]) == HORIZON_STEPS
