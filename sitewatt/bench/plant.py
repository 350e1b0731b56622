"""What stands behind a device of a profile: a home with PV, and what its kinds need."""

from dataclasses import dataclass

from contracts.clock import Clock
from edge.devices.points import Kind
from edge.devices.profile import Profile
from firmware_sim.consumers import Charger, HeatPump
from firmware_sim.driver import Driver
from firmware_sim.plant import Plant
from firmware_sim.plant_config import (
    CONSUMERS,
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    LoadConfig,
    PlantConfig,
    PlantSite,
    PvConfig,
    SwitchedLoad,
    Uncommanded,
)
from firmware_sim.plant_parts import Inverter, Site
from firmware_sim.series import Week

SITE = "bench"
DEVICE = "device"
PEAK_W = 8_000.0
BATTERY_W = 5_000.0
CAPACITY_WH = 10_000.0
SWITCHED_W = 2_000.0


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A plant with one device in it."""

    driver: Driver
    site: Site
    inverter: Inverter | None
    charger: Charger | None
    heat_pump: HeatPump | None

    @property
    def plant(self) -> Plant:
        """Return the plant."""
        return self.driver.plant


def open_bench(profile: Profile, clock: Clock, *, seed: int, week: Week = Week.SUNNY) -> Bench:
    """Return a home whose parts are those that a profile's kinds speak of, at its start: noon, so that there is sun."""
    kind = _stands_in(set(profile.kinds))
    has_battery = kind is DeviceKind.SUNSPEC_HYBRID
    device = DeviceConfig(
        id=DEVICE,
        kind=kind,
        rated_w=PEAK_W if kind in (DeviceKind.SUNSPEC_PV, DeviceKind.SUNSPEC_HYBRID) else None,
        uncommanded=Uncommanded.SELF_CONSUMPTION if has_battery else None,
    )
    home = PlantSite(
        id=SITE,
        load=LoadConfig(series="home01", base_w=100, variation_percent=3),
        pv=None if kind in CONSUMERS else PvConfig(series="pv_golden", peak_w=PEAK_W),
        battery=_battery() if has_battery else None,
        switched=(SwitchedLoad(coil=0, power_w=SWITCHED_W),) if kind is DeviceKind.RELAY else (),
        devices=(device,),
    )
    config = PlantConfig(week=week, seed=seed, sites=(home,))
    noon_at = clock.now().replace(hour=12, minute=0, second=0, microsecond=0)
    driver = Driver(Plant(config, started_at=noon_at, now_s=clock.monotonic()), clock)
    site = driver.plant.sites[SITE]
    consumer = site.consumers.get(DEVICE)
    return Bench(
        driver=driver,
        site=site,
        inverter=site.inverters[0] if site.inverters else None,
        charger=consumer if isinstance(consumer, Charger) else None,
        heat_pump=consumer if isinstance(consumer, HeatPump) else None,
    )


def _battery() -> BatteryConfig:
    return BatteryConfig(capacity_wh=CAPACITY_WH, charge_w_max=BATTERY_W, discharge_w_max=BATTERY_W)


def _stands_in(kinds: set[Kind]) -> DeviceKind:
    """Return the simulated device whose place in the plant is that of a device of these kinds."""
    if Kind.BATTERY in kinds:
        return DeviceKind.SUNSPEC_HYBRID
    if Kind.INVERTER in kinds:
        return DeviceKind.SUNSPEC_PV
    if Kind.CHARGER in kinds:
        return DeviceKind.PHOENIX_EV_ETH
    if Kind.HEAT_PUMP in kinds:
        return DeviceKind.STIEBEL_ISG
    return DeviceKind.RELAY if Kind.RELAY in kinds else DeviceKind.SUNSPEC_METER
