"""The charging stations of a site, open: one port for all, a device for each connector that the site's file names.

What it is made of is loaded here and only for a site that has a station: a gateway without one carries none of it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from contracts.clock import Clock
from edge.devices.charging_station import ChargingStation
from edge.ocpp.server import CentralSystem
from edge.ocpp.settings import OcppSettings, StationSettings
from edge.ocpp.station import Station
from edge.state_store import StateStore


class LoadRating(Protocol):
    """What the installer said about a load."""

    @property
    def rated_w(self) -> int:
        """Return the most that it draws."""

    @property
    def switches_phases(self) -> bool:
        """Return whether it may be told to use one phase where too little is left for all."""


class StationSection(Protocol):
    """What the site's configuration says about a connector of a station."""

    @property
    def id(self) -> str:
        """Return its name within the site."""

    @property
    def ocpp(self) -> StationSettings | None:
        """Return which station it is."""

    @property
    def load(self) -> LoadRating | None:
        """Return the load behind it."""

    @property
    def phases(self) -> Collection[int]:
        """Return the phases that it is wired to."""


def open_stations(
    sections: Sequence[StationSection], settings: OcppSettings, *, clock: Clock, memory: StateStore
) -> tuple[CentralSystem, Mapping[str, ChargingStation]]:
    """Return where stations call, which its ``run`` opens, and the devices that they are.

    Args:
        sections: Those with a station.
        memory: Where transactions outlive the process.
    """
    told: dict[str, dict[int, StationSettings]] = {}
    phases: dict[str, dict[int, int]] = {}
    for section in sections:
        assert section.ocpp is not None
        told.setdefault(section.ocpp.station, {})[section.ocpp.connector] = section.ocpp
        phases.setdefault(section.ocpp.station, {})[section.ocpp.connector] = len(section.phases)
    stations = {
        name: Station(sections=connectors, phases=phases[name], settings=settings, clock=clock, memory=memory)
        for name, connectors in told.items()
    }
    devices: dict[str, ChargingStation] = {}
    for section in sections:
        assert section.ocpp is not None and section.load is not None
        devices[section.id] = ChargingStation(
            id=section.id,
            station=stations[section.ocpp.station],
            settings=section.ocpp,
            phases=len(section.phases),
            rated_w=float(section.load.rated_w),
            switches_phases=section.load.switches_phases,
            clock=clock,
        )
    return CentralSystem(settings, stations), devices
