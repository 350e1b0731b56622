"""Charging stations of both versions under a real gateway: alive, killed, and back."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.control import LimitLoad
from edge.control.lease import REVERT_S
from firmware_sim.station import ChargingStation, StationConfig
from sitewatt.demo import files
from tests.support.rigs.fault_rig import AGGREGATOR, Siege, load_site, siege
from tests.support.rigs.gateway import until_status
from tests.support.rigs.stations import PASSWORD, password_file, until

SITE = "home"
VERSIONS = {"old": "1.6", "new": "2.0.1"}
FALLBACK_A, LIMIT_A, LIMIT_W = 6.0, 10.0, 6_900
SPEED = 10.0


def _devices(folder: Path) -> list[dict[str, Any]]:
    secret = str(password_file(folder))
    return [
        {
            "id": name,
            "role": "load",
            "load": {"rated_w": 11_000},
            "ocpp": {"station": f"CP-{name}", "password_file": secret, "version": version},
        }
        for name, version in VERSIONS.items()
    ]


@contextlib.asynccontextmanager
async def _charging(place: Siege, port: int) -> AsyncIterator[dict[str, ChargingStation]]:
    """Let a car charge at a station of each version for the block."""
    stations = {
        name: ChargingStation(
            StationConfig(url=f"ws://127.0.0.1:{port}", name=f"CP-{name}", password=PASSWORD, version=version),
            place.clock,
        )
        for name, version in VERSIONS.items()
    }
    tasks = [asyncio.create_task(station.run(), name=name) for name, station in stations.items()]
    try:
        yield stations
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _draw(stations: dict[str, ChargingStation], current_a: float) -> bool:
    return all(abs(station.current_a - current_a) < 0.2 for station in stations.values())


@contextlib.asynccontextmanager
async def _limited(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Siege, dict[str, ChargingStation]]]:
    """Run a gateway whose two stations are limited by order, for the block."""
    port = files.free_port()
    ocpp = {SITE: {"ocpp": {"listen": f"127.0.0.1:{port}", "meter_interval_s": 2}}}
    cars = {SITE: _devices(folder)}
    async with (
        siege(folder, patch, [load_site(SITE)], speed=SPEED, sections=ocpp, devices=cars) as place,
        _charging(place, port) as stations,
    ):
        await until(lambda: _draw(stations, 16.0), "both charge with all that they may")
        said = await until_status(place, SITE, lambda said: _online(said) == set(VERSIONS), "both are seen")
        told = {device["id"]: device["profile"] for device in said["devices"]}
        assert told["old"] == told["new"] == "ocpp"
        await _order(place, stations)
        yield place, stations


async def _order(place: Siege, stations: dict[str, ChargingStation]) -> None:
    """Limit both cars, and wait until they are and the gateway has proven it."""
    for name in VERSIONS:
        await place.order(SITE, LimitLoad(device=name, max_w=LIMIT_W), issuer=AGGREGATOR, for_s=7_200)
    await until(lambda: _draw(stations, LIMIT_A), "both are limited")
    await until_status(place, SITE, _proven, "both limits are proven")


async def _killed(place: Siege, stations: dict[str, ChargingStation]) -> None:
    """Kill the gateway, and wait until both cars are at their fallback, charging on."""
    place.signal(signal.SIGKILL)
    killed_at = place.clock.now()
    assert all(_ends_at(station) <= killed_at + timedelta(seconds=REVERT_S) for station in stations.values())
    await until(lambda: _draw(stations, FALLBACK_A), "both are at their fallback")
    assert all(station.transaction is not None for station in stations.values()), "the cars charge on"


@pytest.mark.slow
async def test_a_killed_gateway_leaves_stations_at_their_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cars of two versions: limited by order, and alone after kill -9 no longer than a lease."""
    async with _limited(tmp_path, monkeypatch) as (place, stations):
        await _killed(place, stations)


@pytest.mark.nightly
async def test_the_gateway_that_comes_after_a_kill_takes_stations_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transactions of before are known to it, so it can limit the cars that charge."""
    async with _limited(tmp_path, monkeypatch) as (place, stations):
        await _killed(place, stations)
        await place.start(SITE)
        await until_status(place, SITE, lambda said: _online(said) == set(VERSIONS), "both have called again")
        await until(lambda: _draw(stations, 16.0), "nobody limits them: a restart takes no market order up")
        await _order(place, stations)


def _ends_at(station: ChargingStation) -> datetime:
    """Return when the last lease that a station holds ends."""
    return max(
        one.starts_at + timedelta(seconds=one.duration_s)
        for one in station.profiles.kept
        if one.starts_at is not None and one.duration_s is not None
    )


def _online(said: dict[str, Any]) -> set[str]:
    return {device["id"] for device in said["devices"] if device["online"]} & set(VERSIONS)


def _proven(said: dict[str, Any]) -> bool:
    told = said["cycle"]["setpoints"] if said["cycle"] else []
    return {one["device"] for one in told if one["proven"] and one["value_w"] == LIMIT_W} >= set(VERSIONS)
