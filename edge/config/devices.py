"""Devices: what reads each, what it is to the site, and who may share its connection."""

from datetime import time
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from domain.tariff.model import clock_time
from edge.config.loads import LoadSection
from edge.config.section import Section
from edge.control.model import Capability
from edge.ocpp.settings import StationSettings

OCPP = "ocpp"  # Stands for the profile of a device that needs none.


class DeviceRole(StrEnum):
    """What a device is to the site."""

    METER = "meter"
    PV = "pv"
    HYBRID = "hybrid"
    BATTERY = "battery"
    LOAD = "load"
    RELAY = "relay"


class TargetSection(Section):
    """A state of charge that a battery is planned to have each day at a time of the tariff's wall clock (else UTC)."""

    soc_percent: float = Field(gt=0, le=100)
    by: Annotated[time, BeforeValidator(clock_time)]


class BatterySection(Section):
    """A battery behind a device; power limits are magnitudes.

    Of several batteries the more efficient one moves first. ``ramp_w_per_s`` is how fast it may be moved, where no
    bound asks for more. Below ``soc_min_percent`` nothing is taken out, whoever asks: what is kept for an outage.
    """

    capacity_wh: int = Field(gt=0)
    charge_limit_w: int = Field(gt=0)
    discharge_limit_w: int = Field(gt=0)
    soc_min_percent: float = Field(default=5, ge=0, lt=100)
    soc_max_percent: float = Field(default=100, gt=0, le=100)
    efficiency: float = Field(default=0.95, gt=0.5, le=1, description="one way")
    ramp_w_per_s: float | None = Field(default=None, gt=0)
    target: TargetSection | None = None

    @model_validator(mode="after")
    def _some_room(self) -> "BatterySection":
        if self.soc_min_percent >= self.soc_max_percent:
            raise ValueError(f"soc_min_percent {self.soc_min_percent} is not below soc_max_percent")
        return self


class PlaneSection(Section):
    """Panels that look one way: tilt from horizontal, azimuth clockwise from north (180 is south), rated power."""

    tilt_deg: float = Field(ge=0, le=90)
    azimuth_deg: float = Field(ge=0, lt=360)
    peak_w: int = Field(gt=0)


class DeviceSection(Section):
    """One device, what reads it and what it is to the site.

    ``use`` names the point that stands for a quantity where the profile offers several, ``turned`` the quantities that
    this installation counts the other way round. ``trust`` lets a device be written whose map a single source tells.
    ``pv_planes`` is how its panels look, all of ``pv_peak_w`` together; without them, to the south.
    A charging station that speaks OCPP has ``ocpp`` instead of ``profile`` and ``url``: it calls us.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    profile: str
    url: str
    role: DeviceRole
    pv_peak_w: int = Field(default=0, ge=0)
    pv_planes: tuple[PlaneSection, ...] = Field(default=(), max_length=8)
    battery: BatterySection | None = None
    load: LoadSection | None = None
    phases: tuple[Annotated[int, Field(ge=1, le=3)], ...] = Field(default=(1, 2, 3), min_length=1, max_length=3)
    use: dict[str, str] = Field(default_factory=dict)
    turned: tuple[str, ...] = ()
    trust: Literal["one-source"] | None = None
    ocpp: StationSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _station_has_no_url(cls, raw: Any) -> Any:
        """Give a station, which calls us, the names by which a status shows what has a profile and an address."""
        if not isinstance(raw, dict) or not isinstance(raw.get("ocpp"), dict | StationSettings):
            return raw
        told = raw["ocpp"] if isinstance(raw["ocpp"], dict) else raw["ocpp"].model_dump()
        stands = {"profile": OCPP, "url": f"{OCPP}:{told.get('station', '')}#{told.get('connector', 1)}"}
        for key, value in stands.items():
            if raw.get(key, value) != value:
                raise ValueError(f"{raw.get('id')}: {key} is {raw[key]!r}, and a station with ocpp has none")
        return {**raw, **stands}

    @model_validator(mode="after")
    def _load_fits(self) -> "DeviceSection":
        if (self.role is DeviceRole.LOAD) != (self.load is not None):
            raise ValueError(f"{self.id}: a section load belongs to the role load, and to no other")
        if self.profile == OCPP and self.ocpp is None:
            raise ValueError(f"{self.id}: profile is {OCPP!r}; a station is told by a section ocpp instead")
        if self.ocpp is not None and self.load is None:
            raise ValueError(f"{self.id}: a station with ocpp is a load, role is {self.role.value}")
        if self.ocpp is not None and self.load is not None:
            by = self.load.by
            if by not in (None, Capability.LIMIT_CONSUMPTION) or self.load.state:
                raise ValueError(f"{self.id}: a station with ocpp takes limits; load.by and state are not its")
        if len(set(self.phases)) != len(self.phases):
            raise ValueError(f"{self.id}: phases {list(self.phases)} name one twice")
        planes_w = sum(plane.peak_w for plane in self.pv_planes)
        if self.pv_planes and planes_w != self.pv_peak_w:
            raise ValueError(f"{self.id}: pv_planes have {planes_w} W together, pv_peak_w is {self.pv_peak_w}")
        return self


class ProxySection(Section):
    """A device whose one connection other programs may share, on a port of ours; read-only unless told otherwise."""

    device: str
    listen: Annotated[str, Field(pattern=r"^[^\s:]+:[0-9]{1,5}$")]
    writable: bool = False

    @property
    def host(self) -> str:
        """Return the address to listen on."""
        return self.listen.rpartition(":")[0]

    @property
    def port(self) -> int:
        """Return the port to listen on."""
        return int(self.listen.rpartition(":")[2])
