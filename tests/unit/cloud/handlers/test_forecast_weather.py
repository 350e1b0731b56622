"""Forecast weather: asked for once a cell by the forecast tick, used for PV, worn down in steps that are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud import outbound
from cloud.errors import SetupError
from cloud.handlers import forecast_tick
from cloud.shell import services
from cloud.stores.features import Features
from cloud.stores.registry import read_registry
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from tests.support.cloud import weather_answers as answers
from tests.support.cloud.providers import Answer, provider
from tests.support.cloud.sites import START, ZONE, Recorder, context, house_in, registry_data

FIRST = START.replace(hour=0) - timedelta(days=3)


def _bright(at: datetime) -> tuple[float | None, float | None]:
    return (600.0 if 8 <= at.hour < 16 else 0.0), 12.0


def _dull(at: datetime) -> tuple[float | None, float | None]:
    return (40.0 if 8 <= at.hour < 16 else 0.0), 12.0


@contextmanager
def _zone(folder: Path, url: str, *, homes_with_pv: int = 0, **more: Any) -> Iterator[Recorder]:
    data = registry_data(homes=max(2, homes_with_pv))
    data["zones"][0]["weather"] = {"provider": "open-meteo", "url": url, **more}
    for home in data["sites"][2 : 2 + homes_with_pv]:
        home["pv_peak_w"] = 5_000
    with house_in(folder) as (house, publisher):
        services.install(replace(house, registry=read_registry(data, where="test")))
        yield publisher


def _tick(publisher: Recorder, at: datetime = START) -> ForecastSeries:
    publisher.sent.clear()
    forecast_tick.handler({"time": at.isoformat(), "zone": ZONE}, context())
    (payload,) = publisher.on("farm/outlook")
    return next(one for one in ForecastBroadcast.decode(payload).series if one.kind is ForecastKind.PV)


def test_a_new_plant_is_forecast_by_the_weather_from_its_first_day(tmp_path: Path) -> None:
    """Before there is a record, the sky that comes is all that is known."""
    told = {}
    for name, sky in (("bright", _bright), ("dull", _dull)):
        answer = Answer(body=answers.open_meteo(FIRST, 24 * 6, sky))
        with provider([answer]) as server, _zone(tmp_path / name, server.url) as publisher:
            told[name] = _tick(publisher)
            assert server.asked[0].startswith("/v1/forecast?latitude=50.00&longitude=10.00")
    assert told["bright"].method == "weather's sky; weather of open-meteo"
    assert -sum(told["bright"].p50) > 5 * -sum(told["dull"].p50) > 0


def test_one_cell_is_asked_once_for_all_its_sites_and_again_after_hours(tmp_path: Path) -> None:
    """Ten thousand sites cost few requests."""
    answer = Answer(body=answers.open_meteo(FIRST, 24 * 6, _bright))
    with provider([answer]) as server, _zone(tmp_path, server.url, homes_with_pv=8) as publisher:
        _tick(publisher)
        _tick(publisher, START + timedelta(minutes=15))
        assert len(server.asked) == 1
        assert "past_days=92" in server.asked[0]
        _tick(publisher, START + timedelta(hours=3))
        assert len(server.asked) == 2
        assert "past_days=2" in server.asked[1]


def test_a_provider_that_fails_is_worn_down_in_steps_that_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fresh, kept, none: who plans by a forecast is told which."""
    monkeypatch.setattr(outbound, "BACKOFF_S", 0.0)
    answer = Answer(body=answers.open_meteo(FIRST, 24 * 7, _bright))
    with provider([answer, Answer(status=500)]) as server, _zone(tmp_path, server.url) as publisher:
        assert _tick(publisher).method.endswith("; weather of open-meteo")
        assert _tick(publisher, START + timedelta(hours=6)).method.endswith("; weather of open-meteo, 6 h old")
        asked = len(server.asked)
        _tick(publisher, START + timedelta(hours=6, minutes=5))
        assert len(server.asked) == asked, "a pause was due"
        late = _tick(publisher, START + timedelta(hours=25))
        assert late.method == "share of clear sky; no weather: open-meteo told none for a day"


def test_weather_that_ends_too_soon_is_not_used(tmp_path: Path) -> None:
    """What is missing of the horizon is not night."""
    answer = Answer(body=answers.open_meteo(FIRST, 24 * 3 + 20, _bright))
    with provider([answer]) as server, _zone(tmp_path, server.url) as publisher:
        assert _tick(publisher).method == "share of clear sky; no weather: that of open-meteo ends 2026-03-17T19:00Z"


def test_a_file_of_the_operator_and_none_at_all(tmp_path: Path) -> None:
    """A site without the internet can have weather, and needs none."""
    lines = [f"{(FIRST + timedelta(hours=number)).isoformat()},300,12" for number in range(24 * 7)]
    path = tmp_path / "weather.csv"
    path.write_text("\n".join(["start,ghi_w_m2,air_temperature_c", *lines]))
    with _zone(tmp_path / "file", "", provider="file", file=str(path)) as publisher:
        assert _tick(publisher).method == "weather's sky; weather of file"
    with _zone(tmp_path / "none", "", provider="none") as publisher:
        assert _tick(publisher).method == "share of clear sky; no weather"


def test_planes_are_told_one_by_one_and_must_sum_up() -> None:
    """A roof to the east and one to the west have no noon."""
    data = registry_data()
    data["sites"][0]["pv_planes"] = [{"tilt_deg": 30, "azimuth_deg": 90, "peak_w": 1_000}]
    with pytest.raises(SetupError, match="planes of 1000 W together, pv_peak_w is 130000"):
        read_registry(data, where="test")


def test_weather_that_is_switched_off_is_neither_asked_for_nor_used(tmp_path: Path) -> None:
    """A provider that tells nonsense is left out within a minute; switched on again, it is used as before."""
    told = Answer(body=answers.open_meteo(FIRST, 24 * 6, _bright))
    with provider([told]) as server, _zone(tmp_path, server.url) as publisher:
        house = services.current()
        services.install(replace(house, features=lambda: Features(weather=False)))
        assert "no weather: switched off" in _tick(publisher).method
        assert server.asked == []
        services.install(house)
        assert _tick(publisher).method == "weather's sky; weather of open-meteo"
