"""A gateway under faults whose loads are two charging stations, one of each version, each with a car."""

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
from tests.support.rigs.fault_rig import AGGREGATOR, FaultRig, fault_rig, load_site
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

    place: FaultRig
    stations: dict[str, ChargingStation] = field(default_factory=dict)
    story: list[tuple[datetime, float]] = field(default_factory=list)
    powers: list[tuple[datetime, float]] = field(default_factory=list)

    def draw(self, current_a: float) -> bool:
        """Say whether both charge with a current now."""
        return all(abs(station.current_a - current_a) < _TOLERANCE_A for station in self.stations.values())

    def use(self, phases: int, current_a: float) -> bool:
        """Say whether both charge over so many phases with a current now."""
        return self.draw(current_a) and all(station.phases == phases for station in self.stations.values())

    def most_w(self, *, from_at: datetime, to_at: datetime) -> float:
        """Return the greatest power that either drew in a span."""
        return max((power_w for at, power_w in self.powers if from_at <= at <= to_at), default=0.0)

    def always(self, current_a: float, *, from_at: datetime, to_at: datetime) -> bool:
        """Say whether both charged with a current at every second of a span."""
        drawn = [found for at, found in self.story if from_at <= at <= to_at]
        return bool(drawn) and all(abs(found - current_a) < _TOLERANCE_A for found in drawn)

    def leases_end_at(self) -> datetime:
        """Return when the last lease that a station holds ends."""
        return max(map(_lease_ends_at, self.stations.values()))

    def first_lease_ends_at(self) -> datetime:
        """Return when the first of the stations is alone."""
        return min(map(_lease_ends_at, self.stations.values()))

    async def tell(self, max_w: int, *, for_s: float) -> list[Command]:
        """Limit both cars to a power, and return the orders."""
        return [
            await self.place.order(SITE, LimitLoad(device=name, max_w=max_w), issuer=AGGREGATOR, for_s=for_s)
            for name in VERSIONS
        ]

    async def order(self, *, for_s: float) -> list[Command]:
        """Limit both cars, and wait until they are and the gateway has proven it."""
        orders = await self.tell(LIMIT_W, for_s=for_s)
        await until(lambda: self.draw(LIMIT_A), "both are limited")
        await until_status(self.place, SITE, proven, "both limits are proven")
        return orders


@contextlib.asynccontextmanager
async def charging_cars(
    folder: Path, patch: pytest.MonkeyPatch, *, switches_phases: bool = False, start_as: str | None = None
) -> AsyncIterator[Cars]:
    """Run a gateway and two stations at which cars charge with all that they may, for the block.

    Args:
        switches_phases: Both can use one phase of three.
        start_as: The name under which the gateway starts them; without one they start by themselves.
    """
    port, secret = files.free_port(), str(password_file(folder))
    ocpp = {SITE: {"ocpp": {"listen": f"127.0.0.1:{port}", "meter_interval_s": 2}}}
    sections = [
        {
            "id": name,
            "role": "load",
            "load": {"rated_w": 11_000, "switches_phases": switches_phases},
            "ocpp": {"station": f"CP-{name}", "password_file": secret, "version": version}
            | ({} if start_as is None else {"start_as": start_as}),
        }
        for name, version in VERSIONS.items()
    ]
    async with fault_rig(
        folder, patch, [load_site(SITE)], speed=SPEED, sections=ocpp, devices={SITE: sections}
    ) as place:
        cars = Cars(place=place)

        def note(state: dict[str, Any]) -> None:
            at = datetime.fromisoformat(state["at"])
            cars.story.append((at, state["current_a"]))
            cars.powers.append((at, state["power_w"]))

        cars.stations = {
            name: ChargingStation(
                StationConfig(
                    url=f"ws://127.0.0.1:{port}",
                    name=f"CP-{name}",
                    password=PASSWORD,
                    version=version,
                    switches_phases=switches_phases,
                    waits=start_as is not None,
                ),
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


def _lease_ends_at(station: ChargingStation) -> datetime:
    return max(
        one.starts_at + timedelta(seconds=one.duration_s)
        for one in station.profiles.kept
        if one.starts_at is not None and one.duration_s is not None
    )


def online(said: dict[str, Any]) -> set[str]:
    """Return the stations that a status says are there, as devices that speak OCPP."""
    return {one["id"] for one in said["devices"] if one["online"] and one["profile"] == "ocpp"}


def proven(said: dict[str, Any]) -> bool:
    """Say whether a status says that both limits are proven."""
    told = said["cycle"]["setpoints"] if said["cycle"] else []
    return {one["device"] for one in told if one["proven"] and one["value_w"] == LIMIT_W} >= set(VERSIONS)
