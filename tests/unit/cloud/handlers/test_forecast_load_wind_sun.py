"""Published load, wind and sun: fetched by the forecast tick, kept, and in the price that sites hear."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cloud import outbound
from cloud.handlers import forecast_tick
from cloud.shell import services
from cloud.stores import keys
from cloud.stores.registry import read_registry
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from tests.support.cloud.providers import Answer, Provider, provider
from tests.support.cloud.sites import START, ZONE, Recorder, context, house_in, registry_data

MIDNIGHT = START.replace(hour=0)
QUARTER = timedelta(minutes=15)
DAYS = 50  # Of past prices and of what was published.
WIND_MW = np.random.default_rng(7).uniform(0, 40_000, DAYS + 2).round()


def _price_of(day: int) -> float:
    """Return a day's price in EUR/MWh: what wind leaves over."""
    return float(120 - WIND_MW[day] / 400)


@contextmanager
def _house(folder: Path, *, load_wind_sun: dict[str, Any] | None) -> Iterator[Recorder]:
    """Yield a zone whose prices are a file of the past and, until the day after tomorrow, not of the future."""
    prices = folder / "prices.csv"
    first = MIDNIGHT - timedelta(days=DAYS)
    rows = [
        f"{(first + number * timedelta(hours=1)).isoformat()},{_price_of(number // 24)}" for number in range(DAYS * 24)
    ]
    prices.write_text("start,price_eur_per_mwh\n" + "\n".join(rows) + "\n", encoding="utf-8")
    data = registry_data()
    data["zones"][0]["prices"] = {"provider": "file", "file": str(prices)}
    if load_wind_sun is not None:
        data["zones"][0]["load_wind_sun"] = load_wind_sun
    with house_in(folder) as (house, publisher):
        services.install(replace(house, registry=read_registry(data, where="test")))
        yield publisher


def _tick(publisher: Recorder, at: datetime) -> ForecastSeries:
    publisher.sent.clear()
    forecast_tick.handler({"time": at.isoformat(), "zone": ZONE}, context())
    (payload,) = publisher.on("farm/outlook")
    return next(one for one in ForecastBroadcast.decode(payload).series if one.kind is ForecastKind.PRICE)


def _file(folder: Path) -> dict[str, Any]:
    path = folder / "published.csv"
    first = MIDNIGHT - timedelta(days=DAYS)
    rows = [
        f"{(first + number * timedelta(hours=1)).isoformat()},50000,{WIND_MW[number // 24]}"
        for number in range((DAYS + 2) * 24)
    ]
    path.write_text("start,load_mw,wind_and_sun_mw\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return {"provider": "file", "file": str(path)}


def _error(told: ForecastSeries) -> float:
    """Return the mean error of the first day in EUR/MWh."""
    return float(np.abs(np.array(told.p50[:96]) / 100 - _price_of(DAYS)).mean())


def test_wind_that_is_published_is_in_the_price_that_a_site_hears(tmp_path: Path) -> None:
    """The tick asks, keeps and forecasts; nobody has to hand it anything."""
    errors = {}
    for name in ("blind", "published"):
        folder = tmp_path / name
        folder.mkdir()
        with _house(folder, load_wind_sun=_file(folder) if name == "published" else None) as publisher:
            # The past is asked for in the second tick.
            _tick(publisher, MIDNIGHT - timedelta(hours=1))
            told = _tick(publisher, MIDNIGHT)
            errors[name] = _error(told)
            if name == "published":
                assert "; load, wind and sun of file to 03-19T00:00Z" in told.method
    assert errors["published"] < 0.5 * errors["blind"], errors


def _served(server: Provider, quantity: str) -> list[str]:
    return [path for path in server.asked if f"production_type={quantity}" in path]


def test_a_provider_is_asked_once_an_hour_until_tomorrow_is_there(tmp_path: Path) -> None:
    """One zone costs few questions, and each type of production is one."""
    today = Answer(body=json.dumps({"unix_seconds": [], "forecast_values": []}).encode())
    with provider([today]) as server:
        source = {"provider": "energy-charts", "area": "de", "url": server.url}
        with _house(tmp_path, load_wind_sun=source) as publisher:
            told = _tick(publisher, START)
            assert "no load, wind and sun of energy-charts: nothing published yet" in told.method
            asked = len(_served(server, "load"))
            _tick(publisher, START + QUARTER)
            present = [path for path in _served(server, "load") if "end=2026-03-20" in path]
            assert asked == len(present) == 1
            _tick(publisher, START + timedelta(hours=1))
            assert len([path for path in _served(server, "load") if "end=2026-03-20" in path]) == 2


def test_a_provider_that_fails_stops_no_tick_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices are forecast from past prices then, and who plans by them is told so."""
    monkeypatch.setattr(outbound, "BACKOFF_S", 0.0)
    with provider([Answer(status=500)]) as server:
        source = {"provider": "energy-charts", "area": "de", "url": server.url}
        with _house(tmp_path, load_wind_sun=source) as publisher:
            told = _tick(publisher, START)
            assert "no load, wind and sun of energy-charts: 127.0.0.1 answers 500" in told.method
            asked = len(server.asked)
            _tick(publisher, START + timedelta(minutes=2))
            assert len(server.asked) == asked, "a pause was due"
            state = services.current().stores.tables.get(keys.load_wind_sun_state(ZONE))
        assert state is not None and state.body["failures"] == 1
