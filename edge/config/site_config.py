"""The configuration of one site, read once, checked once; unknown keys are refused.

A complaint is one sentence that names the file, the key, the value and the bound.
"""

import re
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

import tariffs
from contracts.market import SiteAgent
from contracts.reasons import reason_of
from contracts.units import SiteId, ZoneId
from domain.calendar.holidays import Holidays, split
from domain.tariff.days import holidays_of
from domain.tariff.model import Tariff, clock_time
from domain.tariff.read import read_tariff, tariff_of
from edge.control.keys import Role
from edge.control.limits import FAILSAFE_S_MIN, HEARTBEAT_S, RELEASE_WINDOW_S
from edge.control.model import LOAD_CAPABILITIES, Capability
from edge.control.statutory import LARGE_LOAD_W
from edge.errors import ConfigError
from edge.fleet.settings import FleetSettings, with_fleet_paths
from edge.links.settings import LinkSettings
from edge.ocpp.settings import OcppSettings, StationSettings
from edge.plain.settings import HomeAssistantSettings, PlainSettings
from edge.public_key import PublicKey

OCPP = "ocpp"  # Stands for the profile of a device that needs none.
FAULTS_SAID = 6  # Of one file: an installer mends several at once, and reads no more.


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DeviceRole(StrEnum):
    """What a device is to the site."""

    METER = "meter"
    PV = "pv"
    HYBRID = "hybrid"
    BATTERY = "battery"
    LOAD = "load"
    RELAY = "relay"


class ForeignWrites(StrEnum):
    """What is done when another master changes what we had set: take it back, leave it for a while, leave it.

    The grid operator's limit, the fuse and device protection are always taken back.
    """

    REASSERT = "reassert"
    YIELD = "yield"
    ALARM = "alarm"


class RelayKind(StrEnum):
    """What a wired input means."""

    STEERABLE_LOADS = "14a"
    RIPPLE = "ripple"
    LOCK = "lock"


class RelayBounds(StrEnum):
    """What a contact of section 14a bounds."""

    CONNECTION = "connection"
    LOADS = "loads"


class Rest(StrEnum):
    """What a load does while nobody asks anything of it: run, rest, or take what the site would feed in."""

    ON = "on"
    OFF = "off"
    SURPLUS = "surplus"


class Idle(StrEnum):
    """What a battery does while nobody asks anything of it."""

    SELF_CONSUMPTION = "self_consumption"
    HOLD = "hold"


ISSUER_KEYS_MAX = 4  # One in use, one that follows, and room for a mistake; each costs a check of every order.


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("must be a time zone as Europe/Berlin") from error
    return name


class SiteSection(_Section):
    """Who the site is, and where: the gateway's own forecast of its generation follows the sun there.

    ``time_zone`` (``Europe/Berlin``) is the wall clock of targets and goals where no tariff tells one.
    ``holidays`` names the calendar by which its people and works rest, as ``DE`` or ``DE-BY``; that of the tariff
    counts where it is not told.
    """

    id: SiteId
    zone: ZoneId
    agent: SiteAgent
    latitude_deg: float | None = Field(default=None, ge=-90, le=90)
    longitude_deg: float | None = Field(default=None, ge=-180, le=180)
    time_zone: Annotated[str, AfterValidator(_known_zone)] | None = None
    holidays: str | None = None

    @field_validator("holidays")
    @classmethod
    def _holidays_are_listed(cls, code: str | None) -> str | None:
        if code is not None:
            country, subdivision = split(code)
            Holidays(country=country, subdivision=subdivision)
        return code


class ConnectionSection(_Section):
    """Where the site meets the grid. All limits are zero or greater.

    ``phase_limit_w`` is the fuse of each phase; batteries are then held so that no phase passes it, and rest while the
    meter does not tell the phases.
    """

    meter: str
    import_limit_w: int = Field(gt=0)
    export_limit_w: int = Field(ge=0)
    phase_limit_w: int | None = Field(default=None, gt=0)


class TargetSection(_Section):
    """A state of charge that a battery is planned to have each day at a time of the tariff's wall clock (else UTC)."""

    soc_percent: float = Field(gt=0, le=100)
    by: Annotated[time, BeforeValidator(clock_time)]


class BatterySection(_Section):
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


class GoalSection(_Section):
    """What a load needs, so that the plan may choose when: energy each day by a time, or within a band of comfort.

    Times are of the tariff's wall clock (else UTC). ``from`` says from when on it may run, by default from the last
    ``by`` on; ``in_one_go`` that it runs through at full power once begun, as an appliance does. A charger that tells
    whether a car is there needs the energy anew with each car. With ``comfort_kwh`` instead of ``by``, ``energy_kwh``
    is needed evenly over the day, and the load may be ahead or behind by that much, as a heated house is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    energy_kwh: float = Field(gt=0, le=10_000)
    by: Annotated[time, BeforeValidator(clock_time)] | None = None
    from_: Annotated[time, BeforeValidator(clock_time)] | None = Field(default=None, alias="from")
    in_one_go: bool = False
    comfort_kwh: float | None = Field(default=None, gt=0, le=1_000)

    @model_validator(mode="after")
    def _one_way(self) -> "GoalSection":
        if (self.by is None) == (self.comfort_kwh is None):
            raise ValueError("goal needs either by, a time, or comfort_kwh, how far the load may be ahead or behind")
        if self.by is None and (self.from_ is not None or self.in_one_go):
            raise ValueError("goal.from and goal.in_one_go belong to a goal with by, a time")
        return self


class LoadSection(_Section):
    """A load that can be limited or turned off, and is held back where an import limit cannot be kept otherwise.

    ``by`` says how its device is moved, where its profile knows several ways. ``min_w`` is the least that it draws
    while it runs (by default what 6 A are on its phases, where it takes a limit). ``state`` is the point that says
    whether it is on; without one it counts as what it was last told. Where its device measures no power it counts with
    ``rated_w`` while on. No load is turned before ``on_s_min`` or ``off_s_min`` has passed, whoever asks; one that
    takes a limit is held back at once all the same. ``switches_phases`` lets a charger be told to use one phase where
    too little is left for all. ``goal`` is what it needs, where the plan may choose when.
    """

    rated_w: int = Field(gt=0)
    min_w: int | None = Field(default=None, ge=0)
    by: Capability | None = None
    state: str | None = None
    rest: Rest = Rest.ON
    on_s_min: float = Field(default=60, ge=0, le=86_400)
    off_s_min: float = Field(default=60, ge=0, le=86_400)
    switches_phases: bool = False
    goal: GoalSection | None = None

    @model_validator(mode="after")
    def _moves(self) -> "LoadSection":
        if self.by is not None and self.by not in LOAD_CAPABILITIES:
            raise ValueError(f"load.by is {self.by.value}, no way to move a load: {', '.join(LOAD_CAPABILITIES)}")
        if self.min_w is not None and self.min_w > self.rated_w:
            raise ValueError(f"load.min_w {self.min_w} is above rated_w {self.rated_w}: it could never run")
        return self


class PlaneSection(_Section):
    """Panels that look one way: tilt from horizontal, azimuth clockwise from north (180 is south), rated power."""

    tilt_deg: float = Field(ge=0, le=90)
    azimuth_deg: float = Field(ge=0, lt=360)
    peak_w: int = Field(gt=0)


class DeviceSection(_Section):
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
            if by not in (None, Capability.LIMIT_CONSUMPTION) or self.load.state or self.load.switches_phases:
                raise ValueError(
                    f"{self.id}: a station with ocpp takes limits; load.by, state, switches_phases are not its"
                )
        if len(set(self.phases)) != len(self.phases):
            raise ValueError(f"{self.id}: phases {list(self.phases)} name one twice")
        planes_w = sum(plane.peak_w for plane in self.pv_planes)
        if self.pv_planes and planes_w != self.pv_peak_w:
            raise ValueError(f"{self.id}: pv_planes have {planes_w} W together, pv_peak_w is {self.pv_peak_w}")
        return self


class ProxySection(_Section):
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


class ControlSection(_Section):
    """How the site is controlled.

    A setpoint moves from ``dead_band_w`` on (and from half a percent of its rating on). A battery that was turned about
    more often than ``reversals_per_min_max`` within a minute is damped.
    """

    period_s: float = Field(default=1.0, ge=0.2, le=10)
    idle: Idle = Idle.SELF_CONSUMPTION
    foreign_writes: ForeignWrites = ForeignWrites.REASSERT
    dead_band_w: float = Field(default=20, ge=0, le=1000)
    reversals_per_min_max: int = Field(default=6, ge=1, le=60)


class GridLimitsSection(_Section):
    """What the site holds while its grid operator is not heard, as magnitudes; absent, orders just run to their end.

    The grid operator counts as heard with every genuine message of one of its issuers. Silent for ``heartbeat_s`` the
    site falls to the failsafe limit, for at least ``failsafe_s_min``, and until it is heard again.
    """

    failsafe_import_w: int | None = Field(default=None, ge=0)
    failsafe_export_w: int | None = Field(default=None, ge=0)
    heartbeat_s: float = Field(default=HEARTBEAT_S, ge=10, le=3600)
    failsafe_s_min: float = Field(default=FAILSAFE_S_MIN, ge=0, le=86_400)
    window_s: float = Field(default=RELEASE_WINDOW_S, ge=0, le=3600)

    @model_validator(mode="after")
    def _some_limit(self) -> "GridLimitsSection":
        if self.failsafe_import_w is None and self.failsafe_export_w is None:
            raise ValueError("needs failsafe_import_w or failsafe_export_w")
        return self


class Pull(StrEnum):
    """What holds a line of the board while its contact is open."""

    UP = "up"
    DOWN = "down"
    NONE = "none"


class RelaySection(_Section):
    """A wired input: contacts of a receiver or a switch, read as points of a device, or as lines of the board.

    ``14a`` reads ``point``: while closed, the site draws at most what section 14a EnWG leaves its ``steerable_loads``.
    ``bounds: loads`` holds that for the site's loads together instead of its whole connection: what the house draws
    does not count, and what it feeds in may be drawn on top.
    ``ripple`` reads ``k60``, ``k30``, ``k0`` (any may be absent): it feeds in at most that share of ``installed_w``.
    ``lock`` reads ``point``: while closed, the site is locked for maintenance. ``closed`` is what a closed contact
    reads, 0 where the wiring is such that current means normal.

    ``device`` is one of the site's, or a GPIO chip (``/dev/gpiochip0``) whose lines are named by their numbers;
    ``pull`` is for those.
    """

    device: str
    kind: RelayKind
    pull: Pull = Pull.NONE
    point: str | None = None
    k60: str | None = None
    k30: str | None = None
    k0: str | None = None
    closed: int = Field(default=1, ge=0, le=1)
    steerable_loads: int = Field(default=1, ge=1)
    bounds: RelayBounds = RelayBounds.CONNECTION
    large_heat_pumps_w: int = Field(default=0, ge=0)
    large_cooling_w: int = Field(default=0, ge=0)
    installed_w: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _contacts_fit(self) -> "RelaySection":
        steps = [self.k60, self.k30, self.k0]
        if self.kind is RelayKind.RIPPLE:
            if self.point is not None or not any(steps):
                raise ValueError("a ripple input names its contacts as k60, k30 and k0, not as point")
            if self.installed_w is None:
                raise ValueError("a ripple input needs installed_w, of which the steps are shares")
        elif self.point is None or any(steps):
            raise ValueError(f"a {self.kind} input names its contact as point")
        if self.bounds is not RelayBounds.CONNECTION and self.kind is not RelayKind.STEERABLE_LOADS:
            raise ValueError(f"bounds is {self.bounds.value}, which is for 14a; a {self.kind} input has none")
        for name, power_w in (("heat_pumps", self.large_heat_pumps_w), ("cooling", self.large_cooling_w)):
            if 0 < power_w <= LARGE_LOAD_W:
                raise ValueError(f"large_{name}_w {power_w} is not above {LARGE_LOAD_W:.0f}, where a load is large")
        return self

    @model_validator(mode="after")
    def _board_fits(self) -> "RelaySection":
        wrong = [name for name in self.contacts if not re.fullmatch("0|[1-9][0-9]{0,3}", name)]
        if self.on_board and wrong:
            raise ValueError(f"{wrong[0]!r} is no line of {self.device}; lines are named by number, such as '17'")
        if self.pull is not Pull.NONE and not self.on_board:
            raise ValueError(f"pull is for lines of the board (/dev/gpiochip0), not for the points of {self.device}")
        return self

    @property
    def on_board(self) -> bool:
        """Say whether the contacts are lines of the board itself."""
        return self.device.startswith("/")

    @property
    def contacts(self) -> tuple[str, ...]:
        """Return the points that are read."""
        return tuple(name for name in (self.point, self.k60, self.k30, self.k0) if name is not None)


class TrustedIssuer(_Section):
    """Whose commands the site obeys; ``battery_power_w_max`` is the greatest battery power that it may order.

    The key is taken from ``valid_from`` until ``valid_until``, each with its offset from UTC; always without them.
    """

    issuer: str
    role: Role
    public_key: PublicKey
    valid_from: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    battery_power_w_max: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _lives(self) -> Self:
        if self.valid_from is not None and self.valid_until is not None and self.valid_from >= self.valid_until:
            raise ValueError(f"valid_until {self.valid_until} is not after valid_from {self.valid_from}")
        return self


class CommandsSection(_Section):
    """Whose commands the site obeys; nobody's by default. An issuer with two entries has two keys, at most four."""

    trusted: tuple[TrustedIssuer, ...] = ()

    @model_validator(mode="after")
    def _one_issuer_is_one(self) -> Self:
        for issuer in {one.issuer for one in self.trusted}:
            entries = [one for one in self.trusted if one.issuer == issuer]
            if len({(one.role, one.battery_power_w_max) for one in entries}) > 1:
                raise ValueError(f"the keys of {issuer} differ in role or battery_power_w_max; it has one of each")
            if len({one.public_key for one in entries}) < len(entries):
                raise ValueError(f"a key of {issuer} stands twice; take one entry out")
            if len(entries) > ISSUER_KEYS_MAX:
                raise ValueError(f"{issuer} has {len(entries)} keys, above {ISSUER_KEYS_MAX}; take the oldest out")
        return self


class TelemetrySection(_Section):
    """What is reported, how often. ``period_s`` is the time between messages, the samples in them are each second's.

    The default is the cheapest that leaves forecasts and the grid agent what they need: who watches asks for more.
    """

    period_s: float = Field(default=300, ge=1, le=3600)


class SpotTariffSection(_Section):
    """A tariff that follows the zone's day-ahead price: (price + adder) x factor for energy taken.

    Energy given brings the price and ``export_adder_mct_per_kwh``, where that is told, else the fixed export tariff.
    Where a price is not known, the fixed tariffs of the section hold.
    """

    import_adder_mct_per_kwh: int = 0
    import_factor: float = Field(default=1.0, gt=0, le=2)
    export_adder_mct_per_kwh: int | None = None


class TradingSection(_Section):
    """What energy costs when it is not traded, in thousandths of a cent per kWh, and when orders are due.

    ``follow_schedule`` lets batteries make good what the site takes more or less than it traded; without it they are
    kept for other uses, and the difference is settled as imbalance. Where rules forbid it, ``charge_from_grid`` and
    ``discharge_to_grid`` keep the plan of the batteries to the site's own surplus and need. ``tariff`` is the name of a
    ready tariff, or one written out (``sitewatt tariff``); it takes the place of the two numbers, which hold where it
    needs a market price that is not known. Without ``enabled`` nothing is ordered; storage and generation are still
    planned against a ``tariff`` or ``spot``.
    """

    enabled: bool = True
    follow_schedule: bool = True
    import_tariff_mct_per_kwh: int = 30_000
    export_tariff_mct_per_kwh: int = 8_000
    tariff: str | dict[str, Any] | None = None
    spot: SpotTariffSection | None = None
    charge_from_grid: bool = True
    discharge_to_grid: bool = True
    gate_closure_s: int = Field(default=300, ge=0, le=86_400)

    @model_validator(mode="after")
    def _tariff_is_one(self) -> "TradingSection":
        if self.tariff is not None and self.spot is not None:
            raise ValueError("either tariff or spot says what energy costs, not both")
        tariff = self.priced_by
        if tariff is not None:
            holidays_of(tariff)
        return self

    @property
    def plans(self) -> bool:
        """Return whether there is anything to plan by: a market to trade in, or a tariff that was told."""
        return self.enabled or self.tariff is not None or self.spot is not None

    @property
    def priced_by(self) -> Tariff | None:
        """Return the tariff that the section names or writes out, ``None`` where its two numbers hold.

        Raises:
            ValueError: There is none of that name, or what is written is none.
        """
        if self.tariff is None:
            return None
        if isinstance(self.tariff, dict):
            return tariff_of(self.tariff, where="tariff")
        text = tariffs.text(self.tariff)
        if text is None:
            raise ValueError(f"tariff {self.tariff!r} is neither written out nor one of {', '.join(tariffs.names())}")
        return read_tariff(text, where=self.tariff)


class PageSection(_Section):
    """Where browsers find the gateway's page: this machine alone, or with ``host: 0.0.0.0`` its whole network.

    On ``port`` it is read-only and asks for no password: whoever reaches the address sees the site. On ``tls_port`` it
    is the same over TLS, and whoever signs in may act. ``names`` are what browsers may call it by, beside addresses,
    ``localhost`` and the machine's own name.
    """

    host: str = Field(default="127.0.0.1", min_length=1, max_length=253)
    port: int = Field(default=8080, ge=0, le=65_535)
    tls_port: int | None = Field(default=None, ge=0, le=65_535)
    names: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")], ...] = Field(
        default=(), max_length=16
    )

    @model_validator(mode="after")
    def _two_ports(self) -> "PageSection":
        if self.tls_port is not None and self.tls_port == self.port != 0:
            raise ValueError(f"tls_port is {self.tls_port}, which is port; each needs its own")
        return self


class SiteConfig(_Section):
    """Everything that a gateway is told.

    Without ``link`` the site speaks to no broker: it is controlled, shown and planned as any other, and trades nowhere.
    """

    site: SiteSection
    connection: ConnectionSection
    devices: tuple[DeviceSection, ...] = Field(min_length=1)
    link: LinkSettings | None = None
    state_dir: Path
    profile_dir: Path | None = None
    control: ControlSection = ControlSection()
    commands: CommandsSection = CommandsSection()
    telemetry: TelemetrySection = TelemetrySection()
    trading: TradingSection = TradingSection()
    proxy: tuple[ProxySection, ...] = ()
    grid_limits: GridLimitsSection | None = None
    relays: tuple[RelaySection, ...] = Field(default=(), max_length=16)
    fleet: FleetSettings | None = None
    page: PageSection | None = None
    ocpp: OcppSettings | None = None
    plain_mqtt: PlainSettings | None = None
    home_assistant: HomeAssistantSettings | None = None

    @property
    def plans(self) -> bool:
        """Return whether there is anything to plan: by a market, by a tariff that was told, or loads with a goal."""
        return self.trading.plans or any(each.load is not None and each.load.goal is not None for each in self.devices)

    @property
    def on_modbus(self) -> tuple[DeviceSection, ...]:
        """Return the devices that have a register map and an address: all but charging stations that call us."""
        return tuple(device for device in self.devices if device.ocpp is None)

    @property
    def stations(self) -> tuple[DeviceSection, ...]:
        """Return the connectors of charging stations that speak OCPP."""
        return tuple(device for device in self.devices if device.ocpp is not None)

    @property
    def export_w_max(self) -> int:
        """Return the most that may be fed in: the connection's limit, or the cap that the tariff's contract sets."""
        tariff = self.trading.priced_by
        peak_w = sum(device.pv_peak_w for device in self.devices)
        cap = None if tariff is None else tariff.feed_in_cap
        cap_w = None if cap is None else cap.limit_w(peak_w)
        limit_w = self.connection.export_limit_w
        return limit_w if cap_w is None else min(limit_w, cap_w)

    @model_validator(mode="before")
    @classmethod
    def _fleet_gives_the_link_its_certificate(cls, raw: Any) -> Any:
        return with_fleet_paths(raw)

    @model_validator(mode="before")
    @classmethod
    def _trades_over_its_link(cls, raw: Any) -> Any:
        """Have a site without a broker trade nowhere, unless its file says that it trades: that is refused below."""
        if not isinstance(raw, dict) or raw.get("link") is not None:
            return raw
        trading = raw.get("trading") or {}
        return {**raw, "trading": {"enabled": False, **trading}} if isinstance(trading, dict) else raw

    @model_validator(mode="after")
    def _link_is_there(self) -> "SiteConfig":
        if self.link is None and self.trading.enabled:
            raise ValueError("trading.enabled is true, and there is no link: orders would reach no market")
        if self.link is None and self.fleet is not None:
            raise ValueError("there is a fleet and no link: name the fleet's broker under link")
        return self

    @model_validator(mode="after")
    def _devices_fit(self) -> "SiteConfig":
        ids = [device.id for device in self.devices]
        if len(ids) != len(set(ids)):
            raise ValueError(f"devices: two devices share an id among {', '.join(ids)}")
        roles = {device.id: device.role for device in self.devices}
        if roles.get(self.connection.meter) is not DeviceRole.METER:
            raise ValueError(f"connection.meter is {self.connection.meter!r}, which is no device with the role meter")
        for proxy in self.proxy:
            if proxy.device not in roles:
                raise ValueError(f"proxy.device is {proxy.device!r}, which is none of {', '.join(ids)}")
            if proxy.writable and self.site.agent is SiteAgent.MONITOR:
                raise ValueError(
                    f"proxy.writable of {proxy.device} is true, and the agent is monitor: it writes nothing"
                )
        for relay in self.relays:
            if relay.device not in roles and not relay.on_board:
                raise ValueError(f"relays: device {relay.device!r} is none of {', '.join(ids)}, nor a GPIO chip")
        return self

    @model_validator(mode="after")
    def _stations_fit(self) -> "SiteConfig":
        known = {device.id: device.ocpp for device in self.devices if device.ocpp is not None}
        if known and self.ocpp is None:
            raise ValueError(
                f"{next(iter(known))} has a section ocpp, and the site has none: it says where stations call"
            )
        if known and self.site.agent is SiteAgent.MONITOR:
            raise ValueError(f"{next(iter(known))} has a section ocpp, and the agent is monitor: it steers no station")
        for other in (*(proxy.device for proxy in self.proxy), *(relay.device for relay in self.relays)):
            if other in known:
                raise ValueError(
                    f"{other} speaks OCPP: it can neither be shared (proxy) nor be read as a contact (relays)"
                )
        seen: dict[str, StationSettings] = {}
        for name, station in known.items():
            first = seen.setdefault(station.station, station)
            if (first.password_file, first.version) != (station.password_file, station.version):
                raise ValueError(
                    f"{name}: station {station.station} has two password_files or versions; it has one of each"
                )
        if len({(one.station, one.connector) for one in known.values()}) < len(known):
            raise ValueError("two devices are the same connector of one station")
        return self


def load_config(path: Path) -> SiteConfig:
    """Read and check a configuration file.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or breaks a rule; one sentence says which.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}; the gateway does not start") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds no keys, expected site, connection, devices, state_dir")
    try:
        return SiteConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {sentence(error)}; the gateway does not start") from error


def sentence(error: ValidationError) -> str:
    """Say what is wrong: key, value and bound of each fault; of many the first, and how many more there are."""
    faults = error.errors(include_url=False)
    said = [
        _said(".".join(str(part) for part in one["loc"]), one["type"], one["msg"], one.get("input"))
        for one in faults[:FAULTS_SAID]
    ]
    more = len(faults) - len(said)
    return "; ".join(said) + (f"; {more} more" if more else "")


# Where the library's own sentence names its types, in plain words.
_PLAIN_BOUND = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be a text",
    "dict_type": "must be a section of keys",
    "model_type": "must be a section of keys",
    "model_attributes_type": "must be a section of keys",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
}


def _said(key: str, kind: str, message: str, value: Any) -> str:
    bound = message.removeprefix("Value error, ").removeprefix("Input ").replace("should ", "must ")
    if kind == "extra_forbidden":
        return f"{key} is not a known key"
    if kind == "missing":
        return f"{key} is missing"
    if kind == "too_short" and not value:
        return f"{key} is empty, it must hold at least one"
    bound = _PLAIN_BOUND.get(kind, bound)
    if not key:
        return bound
    shown = "a section" if isinstance(value, dict | list) else repr(value)
    return f"{key} is {shown}, {bound}"
