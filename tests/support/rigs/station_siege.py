"""A gateway under siege whose loads are two charging stations, one of each version, each with a car."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.control import Command, LimitLoad
from firmware_sim.station import ChargingStation, StationConfig
from sitewatt.demo import files
from tests.support.rigs.fault_rig import AGGREGATOR, Siege, load_site, siege
from tests.support.rigs.gateway import until_status
from tests.support.rigs.stations import PASSWORD, password_file, until

SITE = "home"
VERSIONS = {"old": "1.6", "new": "2.0.1"}
MOST_A, FALLBACK_A, LIMIT_A, LIMIT_W = 16.0, 6.0, 10.0, 6_900
SPEED = 10.0
_TOLERANCE_A = 0.2


@dataclass(kw_only=True)
class Cars:
    """Two stations, and what each said of itself each second, by its instant."""

    place: Siege
    stations: dict[str, ChargingStation] = field(default_factory=dict)
    story: list[tuple[datetime, float]] = field(default_factory=list)

    def draw(self, current_a: float) -> bool:
        """Say whether both charge with a current now."""
        return all(abs(station.current_a - current_a) < _TOLERANCE_A for station in self.stations.values())

    def always(self, current_a: float, *, from_at: datetime, to_at: datetime) -> bool:
        """Say whether both charged with a current at every second of a span."""
        drawn = [found for at, found in self.story if from_at <= at <= to_at]
        return bool(drawn) and all(abs(found - current_a) < _TOLERANCE_A for found in drawn)

    def leases_end_at(self) -> datetime:
        """Return when the last lease that a station holds ends."""
        return max(
            one.starts_at + timedelta(seconds=one.duration_s)
            for station in self.stations.values()
            for one in station.profiles.kept
            if one.starts_at is not None and one.duration_s is not None
        )

    async def order(self, *, for_s: float) -> list[Command]:
        """Limit both cars, and wait until they are and the gateway has proven it."""
        orders = [
            await self.place.order(SITE, LimitLoad(device=name, max_w=LIMIT_W), issuer=AGGREGATOR, for_s=for_s)
            for name in VERSIONS
        ]
        await until(lambda: self.draw(LIMIT_A), "both are limited")
        await until_status(self.place, SITE, proven, "both limits are proven")
        return orders


@contextlib.asynccontextmanager
async def charging_cars(folder: Path, patch: pytest.MonkeyPatch) -> AsyncIterator[Cars]:
    """Run a gateway and two stations at which cars charge with all that they may, for the block."""
    port, secret = files.free_port(), str(password_file(folder))
    ocpp = {SITE: {"ocpp": {"listen": f"127.0.0.1:{port}", "meter_interval_s": 2}}}
    sections = [
        {
            "id": name,
            "role": "load",
            "load": {"rated_w": 11_000},
            "ocpp": {"station": f"CP-{name}", "password_file": secret, "version": version},
        }
        for name, version in VERSIONS.items()
    ]
    async with siege(folder, patch, [load_site(SITE)], speed=SPEED, sections=ocpp, devices={SITE: sections}) as place:
        cars = Cars(place=place)

        def note(state: dict[str, Any]) -> None:
            cars.story.append((datetime.fromisoformat(state["at"]), state["current_a"]))

        cars.stations = {
            name: ChargingStation(
                StationConfig(url=f"ws://127.0.0.1:{port}", name=f"CP-{name}", password=PASSWORD, version=version),
                place.clock,
                note=note,
            )
            for name, version in VERSIONS.items()
        }
        tasks = [asyncio.create_task(station.run(), name=name) for name, station in cars.stations.items()]
        try:
            await until(lambda: cars.draw(MOST_A), "both charge with all that they may")
            await until_status(place, SITE, lambda said: online(said) == set(VERSIONS), "both are seen")
            yield cars
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def online(said: dict[str, Any]) -> set[str]:
    """Return the stations that a status says are there, as devices that speak OCPP."""
    return {one["id"] for one in said["devices"] if one["online"] and one["profile"] == "ocpp"}


def proven(said: dict[str, Any]) -> bool:
    """Say whether a status says that both limits are proven."""
    told = said["cycle"]["setpoints"] if said["cycle"] else []
    return {one["device"] for one in told if one["proven"] and one["value_w"] == LIMIT_W} >= set(VERSIONS)
