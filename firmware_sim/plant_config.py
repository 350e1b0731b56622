"""The plant file: which sites hang on the feeder, what stands on each, and which devices answer for it.

The demo builds one of these and writes it with ``to_yaml``; a test writes its own. Unknown keys are refused.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.reasons import reason_of
from contracts.spelling import first_fault
from contracts.units import SiteId
from firmware_sim.errors import PlantError
from firmware_sim.fault_rules import FaultRule
from firmware_sim.series import Week, series_names

DeviceId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceKind(StrEnum):
    """What answers on the socket."""

    SUNSPEC_PV = "sunspec_pv"
    SUNSPEC_HYBRID = "sunspec_hybrid"
    SUNSPEC_METER = "sunspec_meter"
    SDM630 = "sdm630"
    RELAY = "relay"
    ALFEN_EVE = "alfen_eve"
    HEIDELBERG_EC = "heidelberg_ec"
    PHOENIX_EV_ETH = "phoenix_ev_eth"
    STIEBEL_ISG = "stiebel_isg"


# Devices that draw power themselves.
CONSUMERS = frozenset(
    {DeviceKind.ALFEN_EVE, DeviceKind.HEIDELBERG_EC, DeviceKind.PHOENIX_EV_ETH, DeviceKind.STIEBEL_ISG}
)


class Serves(StrEnum):
    """What of the site stands behind a device."""

    PV = "pv"
    BATTERY = "battery"
    HYBRID = "hybrid"
    METER = "meter"
    SWITCH = "switch"
    ITSELF = "itself"


class Shape(StrEnum):
    """How a hybrid lays out its models: as a Fronius GEN24 does, or in the order of their numbers."""

    GEN24 = "gen24"
    PLAIN = "plain"


class Uncommanded(StrEnum):
    """What a battery inverter does when nobody commands it."""

    SELF_CONSUMPTION = "self_consumption"
    HOLD = "hold"


_ALLOWED = {
    DeviceKind.SUNSPEC_PV: {Serves.PV},
    DeviceKind.SUNSPEC_HYBRID: {Serves.HYBRID, Serves.BATTERY},
    DeviceKind.SUNSPEC_METER: {Serves.METER},
    DeviceKind.SDM630: {Serves.METER},
    DeviceKind.RELAY: {Serves.SWITCH},
    **{kind: {Serves.ITSELF} for kind in CONSUMERS},
}


class DeviceConfig(_Settings):
    """One device on one unit id of one port.

    ``port`` 0 lets the machine choose; devices with the same port other than 0, or with ``shares_port_of`` another
    device of the same site, answer on one socket under their own unit ids. ``rated_w`` is the inverter's AC rating
    (default: what stands behind it). ``limit_latched`` is Fronius' way with WMaxLimPct: a new value is taken only when
    WMaxLim_Ena rises from 0 to 1 (default: hybrids of that shape do). ``control_allowed`` false refuses every write, as
    the vendor's page does by default. ``float_model`` carries model 113 instead of 103, and so moves what stands behind
    it. ``orders_ignored`` takes and echoes orders without acting on them, ``revert_ignored`` never lets a timer run
    out: devices of both kinds are sold. Of a charging point and a heat pump ``rated_w`` is what car or pump draw at
    most, ``safe_a`` the current that a charging point falls to by itself, ``is_plugged`` whether a car is there.
    ``faults`` spoil what its port answers, seeded by the plant's seed.
    """

    id: DeviceId
    kind: DeviceKind
    port: int = Field(default=0, ge=0, le=65535)
    unit: int = Field(default=1, ge=0, le=255)
    shares_port_of: DeviceId | None = None
    serves: Serves | None = None
    base: int = Field(default=40000, ge=0, le=65000)
    rated_w: float | None = Field(default=None, gt=0)
    uncommanded: Uncommanded | None = None
    grid_charge: bool = True
    limit_latched: bool | None = None
    control_allowed: bool = True
    model_802: bool = False
    shape: Shape = Shape.GEN24
    float_model: bool = False
    registers_per_read_max: int | None = Field(default=None, ge=1, le=125)
    orders_ignored: bool = False
    revert_ignored: bool = False
    safe_a: float = Field(default=6.0, ge=0, le=32)
    is_plugged: bool = True
    clients_max: int = Field(default=16, ge=1, le=1000)
    faults: tuple[FaultRule, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.faults and self.shares_port_of is not None:
            raise ValueError(
                f"device {self.id!r} names faults, but the port is that of {self.shares_port_of!r}; name them there"
            )
        if self.serves is not None and self.serves not in _ALLOWED[self.kind]:
            allowed = ", ".join(sorted(_ALLOWED[self.kind]))
            raise ValueError(f"device {self.id!r} of kind {self.kind} serves {self.serves}; it can serve {allowed}")
        return self


class LoadConfig(_Settings):
    """A load: a shipped series, times ``scale``, plus ``base_w``; ``variation_percent`` adds seeded fast variation."""

    series: str | None = None
    scale: float = Field(default=1.0, ge=0)
    base_w: float = Field(default=0.0, ge=0)
    variation_percent: float = Field(default=0.0, ge=0, le=50)

    @model_validator(mode="after")
    def _shipped(self) -> Self:
        _check_series(self.series)
        return self


class PvConfig(_Settings):
    """A PV plant: a shipped series stretched so that its best moment of all weeks is ``peak_w``, times ``scale``."""

    series: str = "pv_golden"
    peak_w: float | None = Field(default=None, gt=0)
    scale: float = Field(default=1.0, ge=0)
    variation_percent: float = Field(default=0.0, ge=0, le=50)

    @model_validator(mode="after")
    def _shipped(self) -> Self:
        _check_series(self.series)
        return self


class BatteryConfig(_Settings):
    """A battery, seen from its AC side. ``one_way_efficiency`` applies to charging and again to discharging.

    ``response_s`` is the time constant with which its power follows a setpoint.
    """

    capacity_wh: float = Field(gt=0)
    charge_w_max: float = Field(gt=0)
    discharge_w_max: float = Field(gt=0)
    soc_percent: float = Field(default=50.0, ge=0, le=100)
    soc_percent_min: float = Field(default=5.0, ge=0, le=100)
    soc_percent_max: float = Field(default=100.0, ge=0, le=100)
    one_way_efficiency: float = Field(default=0.96, gt=0, le=1)
    response_s: float = Field(default=1.0, ge=0, le=60)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.soc_percent_min <= self.soc_percent <= self.soc_percent_max:
            raise ValueError(
                f"battery starts at {self.soc_percent} %, outside its usable {self.soc_percent_min} to"
                f" {self.soc_percent_max} %"
            )
        return self


class LoadStep(_Settings):
    """A load that comes on ``at_s`` after the plant's start, for so long; ``ramp_s`` spreads both edges."""

    at_s: float = Field(ge=0)
    extra_load_w: float
    for_s: float = Field(gt=0)
    ramp_s: float = Field(default=0.0, ge=0)


class SwitchedLoad(_Settings):
    """A load behind a relay's contact: it draws ``power_w`` while the coil of that number is on."""

    coil: int = Field(ge=0, le=7)
    power_w: float = Field(ge=0)
    on: bool = False


class FrequencyStep(_Settings):
    """A change of the grid's frequency ``at_s`` after the plant's start, for so long."""

    at_s: float = Field(ge=0)
    change_hz: float = Field(ge=-5, le=5)
    for_s: float = Field(gt=0)


class PlantSite(_Settings):
    """One grid connection: load, PV and battery are each optional."""

    id: SiteId
    load: LoadConfig | None = None
    pv: PvConfig | None = None
    battery: BatteryConfig | None = None
    devices: tuple[DeviceConfig, ...] = ()
    steps: tuple[LoadStep, ...] = ()
    switched: tuple[SwitchedLoad, ...] = ()
    phases: int = Field(default=3, ge=1, le=3)
    energy_import_wh: float = Field(default=100_000.0, ge=0)
    energy_export_wh: float = Field(default=100_000.0, ge=0)

    @model_validator(mode="after")
    def _served(self) -> Self:
        """Refuse a device that serves nothing, or what another already serves."""
        pv_taken = battery_taken = False
        for device in self.devices:
            serves = serves_of(device, self)
            if serves in (Serves.PV, Serves.HYBRID) and self.pv is not None:
                if pv_taken:
                    raise ValueError(f"device {device.id!r} serves the PV of site {self.id!r}, which is already served")
                pv_taken = True
            if serves is Serves.PV and self.pv is None:
                raise ValueError(f"device {device.id!r} serves the PV of site {self.id!r}, which has none")
            if serves in (Serves.BATTERY, Serves.HYBRID):
                if self.battery is None or battery_taken:
                    state = "which has none" if self.battery is None else "which is already served"
                    raise ValueError(f"device {device.id!r} serves the battery of site {self.id!r}, {state}")
                battery_taken = True
        _check_devices(self.id, self.devices)
        coils = [one.coil for one in self.switched]
        if len(set(coils)) != len(coils):
            raise ValueError(f"site {self.id!r} has two loads behind one coil of {coils}")
        return self


class FeederConfig(_Settings):
    """The line that all sites share, and the transformer's meter. ``loss_percent`` of the flow is lost on the line."""

    id: SiteId = "feeder"
    limit_w: float | None = Field(default=None, gt=0)
    loss_percent: float = Field(default=0.0, ge=0, le=20)
    voltage_v: float = Field(default=230.0, gt=0)
    voltage_drop_percent: float = Field(default=2.0, ge=0, le=20)
    frequency_hz: float = Field(default=50.0, ge=45, le=65)
    frequency_steps: tuple[FrequencyStep, ...] = ()
    energy_import_wh: float = Field(default=1_000_000.0, ge=0)
    energy_export_wh: float = Field(default=1_000_000.0, ge=0)
    device: DeviceConfig | None = None

    @model_validator(mode="after")
    def _metered(self) -> Self:
        if self.device is not None and serves_of(self.device, None) is not Serves.METER:
            raise ValueError(f"device {self.device.id!r} of feeder {self.id!r} is no meter but {self.device.kind}")
        return self


class PlantConfig(_Settings):
    """A whole neighbourhood.

    ``started_at`` is the instant from which ``at_s`` counts (default: when the process starts); local time, and so the
    place in the sample week, is UTC plus ``utc_offset_h``.
    """

    week: Week = Week.SUNNY
    utc_offset_h: float = Field(default=0.0, ge=-14, le=14)
    started_at: AwareDatetime | None = None
    seed: int = 0
    host: str = "127.0.0.1"
    feeder: FeederConfig = FeederConfig()
    sites: tuple[PlantSite, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [site.id for site in self.sites] + [self.feeder.id]
        for name in ids:
            if ids.count(name) > 1:
                raise ValueError(f"{name!r} names two sites or a site and the feeder")
        return self

    def to_yaml(self) -> str:
        """Return the file's text; ``load_plant`` of it gives an equal plant."""
        return yaml.safe_dump(self.model_dump(mode="json", exclude_defaults=True), sort_keys=False)


def serves_of(device: DeviceConfig, site: PlantSite | None) -> Serves:
    """Return what a device serves, by its kind and by what the site has, where the file does not say."""
    if device.serves is not None:
        return device.serves
    match device.kind:
        case DeviceKind.SUNSPEC_PV:
            return Serves.PV
        case DeviceKind.SUNSPEC_HYBRID:
            return Serves.HYBRID if site is not None and site.pv is not None else Serves.BATTERY
        case DeviceKind.SUNSPEC_METER | DeviceKind.SDM630:
            return Serves.METER
        case DeviceKind.RELAY:
            return Serves.SWITCH
        case _:
            return Serves.ITSELF


def load_plant(path: Path) -> PlantConfig:
    """Read a plant file.

    Raises:
        PlantError: The file cannot be read, is not YAML, or breaks the format; the message names key, value and bound.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PlantError(f"plant file {path} cannot be read: {reason_of(error)}") from error
    try:
        return PlantConfig.model_validate(raw)
    except ValidationError as error:
        raise PlantError(f"plant file {path}: {first_fault(error, of=PlantConfig, whole='plant')}") from error


def _check_series(name: str | None) -> None:
    if name is not None and name not in series_names():
        raise ValueError(f"series {name!r} is not shipped; there are {', '.join(series_names())}")


def _check_devices(site: str, devices: tuple[DeviceConfig, ...]) -> None:
    """Refuse two devices of one id, a shared port that is not there, and two devices that answer as one unit."""
    by_id: dict[str, DeviceConfig] = {}
    units: set[tuple[str | int, int]] = set()
    for device in devices:
        if device.id in by_id:
            raise ValueError(f"site {site!r} has two devices {device.id!r}")
        if device.shares_port_of is not None and device.shares_port_of not in by_id:
            raise ValueError(
                f"device {device.id!r} of site {site!r} shares the port of {device.shares_port_of!r},"
                " which does not stand before it"
            )
        by_id[device.id] = device
        socket = device.shares_port_of or device.port or device.id
        if (socket, device.unit) in units:
            raise ValueError(f"site {site!r} has two devices on one port as unit {device.unit}")
        units.add((socket, device.unit))
