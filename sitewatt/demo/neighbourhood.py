"""The sites of the demonstration: what stands on them, and when the story starts.

The day is a weekday of the chosen sample week. A steel works starts its machines after the lunch break, while a solar
farm and the homes feed in; what the transformer then carries passes its limit without anybody arranging it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum

from firmware_sim.plant_config import (
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    FeederConfig,
    LoadConfig,
    PlantConfig,
    PlantSite,
    PvConfig,
    Serves,
    Uncommanded,
)
from firmware_sim.series import Week

SITES_MIN = 2
SITES_MAX = 20
ZONE = "zone-1"
FEEDER = "feeder-1"
UTC_OFFSET_H = 1  # Of the sample weeks, in March before the clocks change.
TIMEZONE = "Europe/Berlin"
GATE_CLOSURE_S = 300

_HOMES_MEASURED = 12
# Local clock time at which each week's story starts, shortly before the works' shift begins.
_START: dict[Week, str] = {
    Week.SUNNY: "2026-03-17T12:35:00",
    Week.CHANGING: "2026-03-17T12:35:00",
    Week.DARK: "2026-03-16T12:35:00",
}
# From the start until an interval is settled and the event is effective, with some to spare.
STORY_S = 2700.0
# What the transformer may carry. The works alone reach 450 to 610 kW; the farm feeds in up to 120 kW.
_LIMIT_W: dict[Week, int] = {Week.SUNNY: 230_000, Week.CHANGING: 300_000, Week.DARK: 520_000}


class Trade(StrEnum):
    """What a site's agent does."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    MONITOR = "monitor"


@dataclass(frozen=True, kw_only=True)
class Battery:
    """A battery; powers are magnitudes."""

    capacity_wh: int
    power_w: int
    soc_percent: float


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A device that the plan moves, and what it needs: energy by a clock time (UTC), or within a band over the day."""

    device: str
    kind: DeviceKind
    rated_w: int
    energy_wh: int
    by: str | None = None
    comfort_wh: int | None = None


@dataclass(frozen=True, kw_only=True)
class Site:
    """One site of the neighbourhood, as the plant, the gateway and the market each need it."""

    id: str
    agent: Trade
    import_limit_w: int
    export_limit_w: int
    meter: DeviceKind
    load: LoadConfig | None = None
    pv_peak_w: int = 0
    pv_series: str = "pv_golden"
    battery: Battery | None = None
    self_consumption: bool = True
    follows_schedule: bool = True
    goal: Goal | None = None

    @property
    def flexible(self) -> bool:
        """Return whether the grid agent can ask anything of the site."""
        return self.battery is not None or self.pv_peak_w > 0


@dataclass(frozen=True, kw_only=True)
class Feeder:
    """The transformer that all sites share."""

    id: str = FEEDER
    limit_w: int


@dataclass(frozen=True, kw_only=True)
class Neighbourhood:
    """Everything that a demonstration starts."""

    week: Week
    started_at: datetime
    feeder: Feeder
    sites: tuple[Site, ...]

    @property
    def timezone(self) -> timezone:
        """Return the local time that the sample week is read in."""
        return timezone(timedelta(hours=UTC_OFFSET_H))

    def plant(self) -> PlantConfig:
        """Return the plant file of the simulator; every device chooses its port."""
        return PlantConfig(
            week=self.week,
            utc_offset_h=UTC_OFFSET_H,
            started_at=self.started_at,
            seed=1,
            feeder=FeederConfig(
                id=self.feeder.id,
                limit_w=self.feeder.limit_w,
                device=DeviceConfig(id="meter", kind=DeviceKind.SDM630),
            ),
            sites=tuple(_plant_site(site) for site in self.sites),
        )


def neighbourhood(*, sites: int, week: Week) -> Neighbourhood:
    """Return a solar farm, a factory and homes on one feeder.

    The second home has a heat pump, the third a charging point with a car. Every third home has no battery. From the
    thirteenth home on the measured homes are used again, a little larger.

    Raises:
        ValueError: ``sites`` is outside 2 to 20.
    """
    if not SITES_MIN <= sites <= SITES_MAX:
        raise ValueError(f"--sites is {sites}, must be {SITES_MIN} to {SITES_MAX}")
    homes = tuple(_home(number) for number in range(1, sites - 1))
    local = datetime.fromisoformat(_START[week]).replace(tzinfo=timezone(timedelta(hours=UTC_OFFSET_H)))
    return Neighbourhood(
        week=week,
        started_at=local,
        feeder=Feeder(limit_w=_LIMIT_W[week]),
        sites=(_farm(), _factory(), *homes),
    )


def _farm() -> Site:
    return Site(
        id="solar-farm",
        agent=Trade.PRODUCER,
        import_limit_w=60_000,
        export_limit_w=180_000,
        meter=DeviceKind.SUNSPEC_METER,
        pv_peak_w=130_000,
        battery=Battery(capacity_wh=120_000, power_w=50_000, soc_percent=60),
        self_consumption=False,
    )


def _factory() -> Site:
    return Site(
        id="factory",
        agent=Trade.CONSUMER,
        import_limit_w=700_000,
        export_limit_w=100_000,
        meter=DeviceKind.SUNSPEC_METER,
        load=LoadConfig(series="factory"),
        battery=Battery(capacity_wh=200_000, power_w=100_000, soc_percent=70),
        self_consumption=False,
        follows_schedule=False,
    )


def _home(number: int) -> Site:
    measured = (number - 1) % _HOMES_MEASURED + 1
    again = (number - 1) // _HOMES_MEASURED
    series = f"home{measured:02d}"
    return Site(
        id=f"home-{number}",
        agent=Trade.CONSUMER,
        import_limit_w=17_000,
        export_limit_w=10_000,
        meter=DeviceKind.SDM630,
        load=LoadConfig(series=series, scale=1.0 + 0.2 * again, base_w=100.0, variation_percent=3.0),
        pv_peak_w=5_000,
        pv_series=f"{series}_pv",
        battery=None if number % 3 == 0 else Battery(capacity_wh=10_000, power_w=4_000, soc_percent=50),
        goal={2: _PUMP, 3: _CAR}.get(number),
    )


def _plant_site(site: Site) -> PlantSite:
    inverter = DeviceConfig(
        id="inverter",
        kind=DeviceKind.SUNSPEC_HYBRID if site.battery else DeviceKind.SUNSPEC_PV,
        serves=_serves(site),
        uncommanded=(Uncommanded.SELF_CONSUMPTION if site.self_consumption else Uncommanded.HOLD)
        if site.battery
        else None,
    )
    return PlantSite(
        id=site.id,
        load=site.load,
        pv=PvConfig(series=site.pv_series, peak_w=float(site.pv_peak_w)) if site.pv_peak_w else None,
        battery=_plant_battery(site.battery) if site.battery else None,
        devices=(DeviceConfig(id="meter", kind=site.meter), inverter, *_moved(site.goal)),
    )


# 1 kW all day, which the house bears half a kWh earlier or later; 2 kWh for an errand at a quarter past one.
_PUMP = Goal(device="heat-pump", kind=DeviceKind.STIEBEL_ISG, rated_w=3_000, energy_wh=24_000, comfort_wh=500)
_CAR = Goal(device="charger", kind=DeviceKind.HEIDELBERG_EC, rated_w=11_000, energy_wh=2_000, by="12:15")


def _serves(site: Site) -> Serves:
    if site.battery is None:
        return Serves.PV
    return Serves.HYBRID if site.pv_peak_w else Serves.BATTERY


def _moved(goal: Goal | None) -> tuple[DeviceConfig, ...]:
    """Return the device of a goal; a charging point without its gateway lets the car wait."""
    if goal is None:
        return ()
    return (DeviceConfig(id=goal.device, kind=goal.kind, rated_w=float(goal.rated_w), safe_a=0.0),)


def _plant_battery(battery: Battery) -> BatteryConfig:
    return BatteryConfig(
        capacity_wh=battery.capacity_wh,
        charge_w_max=battery.power_w,
        discharge_w_max=battery.power_w,
        soc_percent=battery.soc_percent,
    )
