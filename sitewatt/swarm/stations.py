"""A charging station of one site of the run: what its gateway tells it, and whether that ends.

It draws nothing, so the plant's truth stands as it is: there is no car, or one that takes nothing and waits for a card,
which the gateway starts. It is a witness of leases, of orders and of starts: a limit that nobody renews must be gone
within its time, however the gateway died, one that the grid operator ordered stands until its end, and a car is started
once. What it is and can follows the seed.
"""

import importlib.util
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from contracts.clock import Clock
from contracts.units import epoch_ms
from firmware_sim.station import LEAST_A, ChargingStation, StationConfig
from firmware_sim.station_profiles import PHASE_V
from sitewatt.demo import files
from sitewatt.swarm.plan import Plan

NAME: Final = "CP1"
DEVICE: Final = "wallbox"
LEASE_LEVEL: Final = "level 1"
CARD: Final = "SWARM"
PHASES: Final = 3


@dataclass(frozen=True, kw_only=True)
class StationSaid:
    """What a station held at an instant.

    Args:
        told_s_ago: Since it was last given a limit that ends; ``None`` before the first.
        leased: Whether such a limit holds now.
        allowed_w: What a car may draw now, over the phases in use; zero where that is too little for it to charge.
        least_w: What a car draws at least: over one phase where the station can change, else over all.
        transaction: The charge that runs.
    """

    at_ms: int
    connected: bool
    leased: bool
    told_s_ago: float | None
    transaction: str | None = None
    allowed_w: float = 0.0
    least_w: float = 0.0


class Yard:
    """The station of a run."""

    def __init__(self, plan: Plan) -> None:
        self.said: list[StationSaid] = []
        self._site = plan.place.sites[0].id
        self._version = ("1.6", "2.0.1")[plan.seed % 2]
        self._has_car = plan.seed % 3 == 0
        self._switches_phases = plan.seed % 4 < 2
        self._port = files.free_port()
        self._password = secrets.token_hex(16)
        self._told_at_s: float | None = None
        self._leases = 0

    @staticmethod
    def possible() -> bool:
        """Say whether what stations need is installed here."""
        return all(importlib.util.find_spec(name) is not None for name in ("ocpp", "websockets"))

    def wire(self, folder: Path) -> None:
        """Make the station a device of its site, in the file that the gateway is started with."""
        secret = folder / "station.password"
        secret.write_text(self._password, encoding="utf-8")
        secret.chmod(0o600)
        path = files.gateway(folder, self._site)
        content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        content["ocpp"] = {"listen": f"127.0.0.1:{self._port}"}
        content["devices"].append(
            {
                "id": DEVICE,
                "role": "load",
                "load": {"rated_w": 11_000, "switches_phases": self._switches_phases},
                "ocpp": {"station": NAME, "password_file": str(secret)} | ({"start_as": CARD} if self._has_car else {}),
            }
        )
        path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")

    async def run(self, clock: Clock) -> None:
        """Call the gateway, whenever it is there, until cancelled."""
        config = StationConfig(
            url=f"ws://127.0.0.1:{self._port}",
            name=NAME,
            password=self._password,
            version=self._version,
            plugged=self._has_car,
            waits=self._has_car,
            car_a=0.0,
            switches_phases=self._switches_phases,
            phases=PHASES,
        )
        station = ChargingStation(config, clock, note=lambda state: self._note(clock, state))
        await station.run()

    def _note(self, clock: Clock, state: dict[str, Any]) -> None:
        now_s = clock.monotonic()
        if state["leases"] != self._leases:
            self._leases, self._told_at_s = state["leases"], now_s
        self.said.append(
            StationSaid(
                at_ms=epoch_ms(clock.now()),
                connected=bool(state["connected"]),
                leased=LEASE_LEVEL in str(state["limit_of"]),
                told_s_ago=None if self._told_at_s is None else now_s - self._told_at_s,
                transaction=state["transaction"],
                allowed_w=state["limit_a"] * state["phases"] * PHASE_V if state["limit_a"] >= LEAST_A else 0.0,
                least_w=LEAST_A * PHASE_V * (1 if self._switches_phases else PHASES),
            )
        )
