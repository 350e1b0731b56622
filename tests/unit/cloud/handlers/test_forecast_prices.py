"""Published prices: fetched once for a zone by the forecast tick, kept, sent to its sites, replaced when missing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud import outbound
from cloud.handlers import forecast_tick
from cloud.shell import services
from cloud.shell.forecast.issuing import OUTLOOK_STEPS
from cloud.stores import keys
from cloud.stores.registry import read_registry
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.telemetry import MESSAGE_BYTES_MAX
from tests.support.cloud import price_answers as answers
from tests.support.cloud.providers import Answer, Provider, provider
from tests.support.cloud.sites import START, ZONE, Recorder, context, house_in, registry_data

MIDNIGHT = START.replace(hour=0)
TWO_DAYS = [40.0 + number % 96 for number in range(192)]


@contextmanager
def _house(folder: Path, url: str, **more: Any) -> Iterator[Recorder]:
    data = registry_data()
    data["zones"][0]["prices"] = {"provider": "energy-charts", "area": "DE-LU", "url": url, **more}
    with house_in(folder) as (house, publisher):
        services.install(replace(house, registry=read_registry(data, where="test")))
        yield publisher


def _tick(publisher: Recorder, at: datetime = START) -> ForecastSeries | None:
    """Tick and return what a site is told of the price."""
    publisher.sent.clear()
    forecast_tick.handler({"time": at.isoformat(), "zone": ZONE}, context())
    (payload,) = publisher.on("farm/outlook")
    assert len(payload) < MESSAGE_BYTES_MAX
    return next((one for one in ForecastBroadcast.decode(payload).series if one.kind is ForecastKind.PRICE), None)


def _of_the_present(server: Provider) -> list[str]:
    """Return the questions for today and later; those for the past come one a tick."""
    return [asked for asked in server.asked if f"start={START - timedelta(days=1):%Y-%m-%d}" in asked]


def test_sites_are_told_published_prices_to_their_end_and_by_whom(tmp_path: Path) -> None:
    """A plan over tomorrow needs tomorrow's prices, and its owner to know that they are no guess."""
    with provider([Answer(body=answers.energy_charts(MIDNIGHT, TWO_DAYS))]) as server:
        with _house(tmp_path, server.url) as publisher:
            told = _tick(publisher)
            assert told is not None
            assert told.published_until == MIDNIGHT + timedelta(days=2)
            assert told.p10 == told.p50 == told.p90 == tuple(round(price * 100) for price in TWO_DAYS[48:])
            assert told.method.startswith("energy-charts, then ")
            _tick(publisher, START + timedelta(minutes=15))
            _tick(publisher, START + timedelta(minutes=30))
        assert len(_of_the_present(server)) == 1


def test_prices_of_tomorrow_are_asked_for_until_they_are_there(tmp_path: Path) -> None:
    """An auction may come late; its prices are wanted soon after."""
    today, both = (answers.energy_charts(MIDNIGHT, TWO_DAYS[:count]) for count in (96, 192))
    with provider([Answer(body=today), Answer(body=both)]) as server, _house(tmp_path, server.url) as publisher:
        told = _tick(publisher, START - timedelta(hours=2))
        assert told is not None and told.published_until == MIDNIGHT + timedelta(days=1)
        assert len(told.p50) == max(OUTLOOK_STEPS, 56)
        _tick(publisher, START - timedelta(hours=1))
        assert len(_of_the_present(server)) == 1
        told = _tick(publisher)
        assert told is not None and told.published_until == MIDNIGHT + timedelta(days=2)


def test_a_provider_that_fails_leaves_kept_prices_and_a_forecast(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick goes on; who is told a forecast is told that it is one; pauses grow."""
    monkeypatch.setattr(outbound, "BACKOFF_S", 0.0)
    week = answers.energy_charts(MIDNIGHT - timedelta(days=1), TWO_DAYS)
    with (
        provider([Answer(body=week), Answer(body=week), Answer(status=500)]) as server,
        _house(tmp_path, server.url) as publisher,
    ):
        _tick(publisher, MIDNIGHT)
        told = _tick(publisher, MIDNIGHT + timedelta(hours=36))
        assert told is not None and told.published_until is None
        assert "nothing published by energy-charts" in told.method
        asked = len(server.asked)
        _tick(publisher, MIDNIGHT + timedelta(hours=36, minutes=2))
        assert len(server.asked) == asked
        state = services.current().stores.tables.get(keys.day_ahead_state(ZONE))
        assert state is not None
        assert state.body["failures"] == 1
        assert "500" in state.body["fault"]


def test_a_token_that_is_missing_stops_no_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads and PV are forecast all the same."""
    monkeypatch.delenv("PRICE_TOKEN", raising=False)
    more = {"provider": "entsoe", "token_env": "PRICE_TOKEN"}
    with _house(tmp_path, "http://127.0.0.1:9", **more) as publisher:
        assert _tick(publisher) is None
        assert publisher.on("/broadcast/forecast")


def test_a_zone_may_name_a_file_as_a_spreadsheet_saves_it(tmp_path: Path) -> None:
    """An operator without a provider exports a table; its clock, its column and its commas are those of the office."""
    prices = tmp_path / "prices.csv"
    berlin = [MIDNIGHT + number * timedelta(minutes=15) for number in range(192)]
    rows = [
        f"{at + timedelta(hours=1):%d.%m.%Y %H:%M};{price:.0f},50;{price:.0f},75"
        for at, price in zip(berlin, TWO_DAYS, strict=True)
    ]
    prices.write_text("\n".join(["Zeit;SE3 (EUR/MWh);SE4 (EUR/MWh)", *rows]), encoding="cp1252")
    said = {"area": "", "provider": "file", "file": str(prices), "timezone": "Europe/Berlin"}
    with _house(tmp_path, "", **said, column="SE3 (EUR/MWh)") as publisher:
        told = _tick(publisher)
        assert told is not None and told.published_until == MIDNIGHT + timedelta(days=2)
        assert told.p50 == tuple(round(price * 100 + 50) for price in TWO_DAYS[48:])
    (tmp_path / "again").mkdir()
    with _house(tmp_path / "again", "", **said) as publisher:
        assert _tick(publisher) is None
        state = services.current().stores.tables.get(keys.day_ahead_state(ZONE))
        assert state is not None and "say which column" in state.body["fault"]
