"""Sites on a table: simulated devices on real sockets, and the configuration of a gateway that reads them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from contracts.clock import Clock, scaled_clock
from edge.config import LoadSection
from firmware_sim.installation import Installation, open_installation
from firmware_sim.plant_config import (
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    LoadConfig,
    PlantConfig,
    PlantSite,
    PvConfig,
    Uncommanded,
)
from firmware_sim.series import Week

SPEED = 30.0
NOON = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Battery:
    """What a configuration says about a battery."""

    charge_limit_w: int = 4_000
    discharge_limit_w: int = 4_000


@dataclass(frozen=True, kw_only=True)
class Section:
    """What a configuration says about a device."""

    id: str
    profile: str
    url: str
    role: str
    pv_peak_w: int = 0
    battery: Battery | None = None
    load: LoadSection | None = None
    phases: tuple[int, ...] = (1, 2, 3)
    use: Mapping[str, str] = field(default_factory=dict)
    turned: tuple[str, ...] = ()
    trust: str | None = None


HOME = PlantSite(
    id="home",
    load=LoadConfig(base_w=1_000),
    pv=PvConfig(peak_w=6_000),
    battery=BatteryConfig(capacity_wh=10_000, charge_w_max=4_000, discharge_w_max=4_000, response_s=0),
    devices=(
        DeviceConfig(id="fronius", kind=DeviceKind.SUNSPEC_HYBRID, uncommanded=Uncommanded.HOLD),
        DeviceConfig(id="grid", kind=DeviceKind.SUNSPEC_METER, unit=200, shares_port_of="fronius"),
        DeviceConfig(id="meter", kind=DeviceKind.SDM630),
    ),
)


def fast_clock() -> Clock:
    """Return a clock that starts at a sunny noon and runs thirty times as fast."""
    return scaled_clock(started_at=NOON, speed=SPEED)


@asynccontextmanager
async def home(clock: Clock, *devices: DeviceConfig) -> AsyncIterator[tuple[Installation, dict[str, str]]]:
    """Serve the devices of a home; yield them and their urls."""
    site = HOME if not devices else HOME.model_copy(update={"devices": devices})
    async with open_installation(PlantConfig(week=Week.SUNNY, sites=(site,)), clock) as installation:
        units = {device.id: device.unit for device in site.devices}
        yield (
            installation,
            {
                name.partition("/")[2]: f"tcp://127.0.0.1:{port}?unit={units[name.partition('/')[2]]}"
                for name, port in installation.ports.items()
            },
        )


def hybrid(url: str, *, id: str = "inverter", profile: str = "fronius_gen24_int") -> Section:
    """Return the section of a hybrid with PV and battery."""
    return Section(id=id, profile=profile, url=url, role="hybrid", pv_peak_w=6_000, battery=Battery())
