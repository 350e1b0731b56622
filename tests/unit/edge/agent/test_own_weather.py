"""The weather a gateway asks for by itself: from a real socket into its own forecast of the sun."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.forecast import ForecastKind
from contracts.units import ClockTrust, epoch_ms
from edge.agent.outlooks import Outlooks
from edge.agent.own_history import read_own
from edge.agent.own_weather import OwnWeather
from edge.agent.trader import Trader
from edge.config import SiteConfig
from edge.loop.readings import BATTERY_POWER, POWER, PV_POWER
from edge.outbox.outbox import Outbox
from edge.state_store import VolatileStateStore
from edge.telemetry.history_file import FILE, HistoryFile, Row
from tests.support.cloud import weather_answers as answers
from tests.support.cloud.providers import Answer, provider
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import SITE, config

NOON = datetime(2026, 6, 20, 12, 0, tzinfo=UTC)
CLEAR_W_M2, DULL_W_M2 = 800.0, 80.0


def _config(folder: Path, **weather: Any) -> SiteConfig:
    site = {"id": SITE, "zone": "zone-1", "agent": "consumer", "latitude_deg": 48.1, "longitude_deg": 11.6}
    return config(site={**site, "weather": weather}, trading={"enabled": True}, state_dir=str(folder))


def _sky(at: datetime) -> tuple[float, float]:
    """Return irradiance and temperature: two days of five are dull, as today's afternoon and tomorrow are."""
    hour = at.hour + at.minute / 60
    height = max(0.0, math.sin(math.pi * (hour - 4) / 15)) if 4 <= hour < 19 else 0.0
    dull = at >= NOON or at.toordinal() * 7919 % 5 < 2
    return (DULL_W_M2 if dull else CLEAR_W_M2) * height, 18.0


def _answer(*, days_back: int = 92, days_on: int = 3) -> Answer:
    first = NOON.replace(hour=0) - timedelta(days=days_back)
    return Answer(body=answers.open_meteo(first, 24 * (days_back + days_on), _sky))


def _keep_history(folder: Path, *, days: int = 40) -> None:
    """Write days of a generator that follows that sky, and a load of 500 W."""
    rows = []
    for step in range(days * 96):
        at = NOON - (step + 1) * timedelta(minutes=15)
        pv_w = -4.0 * _sky(at)[0]
        values = {f"meter/{POWER}": 500.0 + pv_w, f"inverter/{PV_POWER}": pv_w, f"inverter/{BATTERY_POWER}": 0.0}
        values[f"inverter/{POWER}"] = pv_w
        rows.append(Row(step_s=900, start_s=epoch_ms(at) // 1000, cycles=900, values=values))
    file = HistoryFile(folder / FILE, now_ms=epoch_ms(NOON))
    file.write(rows)
    file.close()


def _reader(site: SiteConfig, clock: ManualClock) -> OwnWeather:
    assert site.site.weather is not None
    return OwnWeather(site, site.site.weather, clock=clock, clock_trust=lambda: ClockTrust.SYNCED)


async def _sun_wh(site: SiteConfig, weather: OwnWeather | None, now: datetime) -> tuple[float, str]:
    """Return the generation that is forecast of the next six hours, and how."""
    outlooks = Outlooks(VolatileStateStore())
    outlooks.weather = weather
    await outlooks.refresh(site, now)
    assert outlooks.own is not None
    (pv,) = [series for series in outlooks.own.series if series.kind is ForecastKind.PV]
    return -sum(pv.p50[:24]) / 4, pv.method


async def test_clouds_that_are_forecast_are_in_the_gateways_own_outlook(tmp_path: Path) -> None:
    """After a bright morning a dull afternoon comes: without its weather it is told as bright as most days are."""
    _keep_history(tmp_path)
    with provider([_answer()]) as server:
        site, clock = _config(tmp_path, provider="open-meteo", url=server.url), ManualClock(NOON)
        weather = _reader(site, clock)
        bright_wh, method = await _sun_wh(site, weather, NOON)
        assert "no weather: open-meteo told none for a day" in method
        await weather.look()
        await weather.look()
        assert len(server.asked) == 1 and "past_days=92" in server.asked[0], "asked once in three hours"
        dull_wh, method = await _sun_wh(site, weather, NOON)
        assert "weather of open-meteo" in method
        assert dull_wh < 0.5 * bright_wh
        clock.advance(3 * 3600)
        await weather.look()
        assert "past_days=2" in server.asked[1], "the past is known"


async def test_clouds_count_as_much_where_the_history_is_longer_than_the_weather_is_known(tmp_path: Path) -> None:
    """A provider tells 92 days of the past: the days before were learned from as days of a sun without light."""
    _keep_history(tmp_path, days=112)
    with provider([_answer()]) as server:
        site, clock = _config(tmp_path, provider="open-meteo", url=server.url), ManualClock(NOON)
        weather = _reader(site, clock)
        bright_wh, _ = await _sun_wh(site, weather, NOON)
        await weather.look()
        dull_wh, method = await _sun_wh(site, weather, NOON)
        assert "weather of open-meteo" in method
        assert dull_wh < 0.6 * bright_wh


@pytest.mark.parametrize(("knows_weather", "days"), [(False, 365), (True, 112)])
async def test_a_year_is_read_where_no_weather_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knows_weather: bool, days: int
) -> None:
    """Weather tells a past of three months; without it a year of the site's own tells more."""
    _keep_history(tmp_path, days=1)
    read: list[datetime] = []

    def spied(config: SiteConfig, *, first: datetime, **more: Any) -> Any:
        read.append(first)
        return read_own(config, first=first, **more)

    monkeypatch.setattr("edge.agent.own_history.read_own", spied)
    site = _config(tmp_path, provider="open-meteo")
    await _sun_wh(site, _reader(site, ManualClock(NOON)) if knows_weather else None, NOON)
    assert read == [NOON - timedelta(days=days)]


async def test_weather_that_comes_after_the_first_outlook_is_in_the_next(tmp_path: Path) -> None:
    """A gateway starts with a plan before anybody has answered; its first hour need not go by a clear sky."""
    _keep_history(tmp_path)
    clock = ManualClock(NOON)
    with provider([_answer()]) as server:
        site = _config(tmp_path, provider="open-meteo", url=server.url)
        outlooks, weather = Outlooks(VolatileStateStore()), _reader(site, clock)
        outlooks.weather = weather
        await outlooks.refresh(site, clock.now())
        first = outlooks.own
        await weather.look()
        await outlooks.refresh(site, clock.now())
        assert outlooks.own is not first
        second = outlooks.own
        await outlooks.refresh(site, clock.now())
        assert outlooks.own is second, "once an hour is enough from then on"


async def test_a_provider_that_is_down_is_told_and_its_last_word_counts_for_a_day(tmp_path: Path) -> None:
    """An old forecast of clouds is better than none; one of yesterday is not."""
    _keep_history(tmp_path)
    with provider([_answer(), Answer(status=503)]) as server:
        site, clock = _config(tmp_path, provider="open-meteo", url=server.url), ManualClock(NOON)
        weather = _reader(site, clock)
        await weather.look()
        clock.advance(4 * 3600)
        await weather.look()
        told = weather.told()
        assert told["fault"] == "127.0.0.1 answers 503" and told["told_at"] == NOON.isoformat()
        assert "weather of open-meteo, 4 h old" in (await _sun_wh(site, weather, clock.now()))[1]
        clock.advance(60)
        await weather.look()
        assert len(server.asked) == 2, "not asked again at once"
        clock.advance(21 * 3600)
        assert "told none for a day" in (await _sun_wh(site, weather, clock.now()))[1]


async def test_weather_comes_from_a_file_too_and_none_is_asked_of_nobody(tmp_path: Path) -> None:
    """A house without the internet may be told its weather by a neighbour."""
    file = tmp_path / "weather.csv"
    rows = [f"{(NOON + timedelta(hours=hour)).isoformat()},100,20" for hour in range(-5, 60)]
    file.write_text("\n".join(["start,ghi_w_m2,air_temperature_c", *rows]))
    weather = _reader(_config(tmp_path, provider="file", file=str(file)), ManualClock(NOON))
    await weather.look()
    assert len(weather.hours) == 65 and weather.told()["fault"] == ""
    nobody = _reader(_config(tmp_path, provider="none"), ManualClock(NOON))
    await nobody.look()
    assert nobody.told() == {"source": "none", "told_at": None, "until": None, "fault": ""}


def test_weather_without_a_place_is_refused(tmp_path: Path) -> None:
    """It would be that of somewhere."""
    with pytest.raises(ValidationError, match="latitude_deg and longitude_deg"):
        config(site={"id": SITE, "zone": "zone-1", "agent": "consumer", "weather": {"provider": "open-meteo"}})
    with pytest.raises(ValidationError, match="needs file"):
        _config(tmp_path, provider="file")


def test_the_agent_has_the_reader_that_its_file_names(tmp_path: Path) -> None:
    """It runs as a part of its own, so that a slow provider holds up no plan."""
    clock = ManualClock(NOON)
    outbox = Outbox.open(tmp_path / "journal.db", site=SITE, clock=clock)
    try:
        for site, asks in ((_config(tmp_path, provider="open-meteo"), True), (config(), False)):
            trader = Trader(config=site, clock=clock, outbox=outbox, clock_trust=lambda: ClockTrust.SYNCED)
            assert (trader.own_weather is not None) is asks
    finally:
        outbox.close()
