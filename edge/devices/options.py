"""What a device is to its site: from the configuration's words to what is read, believed and asked of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from edge.control.model import LOAD_CAPABILITIES, Capability
from edge.devices.points import DerivedSpec, Evidence, Kind, PointSpec
from edge.devices.profile import Profile
from edge.devices.quality import power_w_max
from edge.devices.recipes import Lever
from edge.devices.resolve import CONTROL_VALUES
from edge.errors import ConfigError
from edge.modbus.point import LinkLimits
from edge.modbus.url import Endpoint

RATED_W_DEFAULT = 1_000_000.0  # Where nobody says what a counter can count: larger than any site of ours.

_KINDS: Mapping[str, frozenset[Kind]] = {
    "meter": frozenset({Kind.METER}),
    "pv": frozenset({Kind.INVERTER}),
    "hybrid": frozenset({Kind.INVERTER, Kind.BATTERY}),
    "battery": frozenset({Kind.INVERTER, Kind.BATTERY}),
    "load": frozenset({Kind.RELAY, Kind.CHARGER, Kind.HEAT_PUMP}),
    "relay": frozenset({Kind.RELAY}),
}


class BatterySettings(Protocol):
    """What the installer said about a battery; magnitudes."""

    @property
    def charge_limit_w(self) -> int:
        """Return the greatest charging power."""

    @property
    def discharge_limit_w(self) -> int:
        """Return the greatest discharging power."""


class LoadSettings(Protocol):
    """What the installer said about a load."""

    @property
    def rated_w(self) -> int:
        """Return the most that it draws."""

    @property
    def by(self) -> Capability | None:
        """Return how its device is moved; None leaves that to the profile."""

    @property
    def switches_phases(self) -> bool:
        """Return whether it may be told to use one phase instead of all."""


class DeviceSettings(Protocol):
    """What the site's configuration says about a device."""

    @property
    def id(self) -> str:
        """Return its name within the site."""

    @property
    def profile(self) -> str:
        """Return the id of its profile."""

    @property
    def url(self) -> str:
        """Return where it answers."""

    @property
    def role(self) -> str:
        """Return what it is to the site: meter, pv, hybrid, battery, load or relay."""

    @property
    def pv_peak_w(self) -> int:
        """Return the rated generation behind it, 0 where there is none."""

    @property
    def battery(self) -> BatterySettings | None:
        """Return the battery behind it."""

    @property
    def load(self) -> LoadSettings | None:
        """Return the load behind it."""

    @property
    def phases(self) -> Collection[int]:
        """Return the phases that it is wired to."""

    @property
    def use(self) -> Mapping[str, str]:
        """Return which point stands for a quantity, by canonical name."""

    @property
    def turned(self) -> Collection[str]:
        """Return the canonical names that are counted the other way round."""

    @property
    def trust(self) -> str | None:
        """Return ``one-source`` where a map that a single source tells may be written by."""


@dataclass(frozen=True, kw_only=True)
class DeviceOptions:
    """What a device is to its site.

    Args:
        kinds: Which of the profile's kinds it stands for; None is all.
        levers: What may be asked of it; None is all that the profile knows.
        use: Canonical name to the point that shall stand for it, where a profile offers several.
        turned: Canonical names that this installation counts the other way round.
        points: Only these points are read; None is all.
        generation_w: Rated generation, magnitude; 0 where not given.
        battery_w: Rated power of the battery, magnitude; 0 where not given.
        load_w: Rated power of the load; 0 where not given.
        phases: Over how many phases its power spreads.
        switches_phases: Whether a charger may be told to use one phase instead of all.
        counted_w: Greatest power that its counters can count.
        power_w_max: By canonical name, the magnitude beyond which a power is no measurement.
        watched: Canonical names that are read with each control cycle, however slowly such points change elsewhere.
    """

    kinds: frozenset[Kind] | None = None
    levers: frozenset[Lever] | None = None
    use: Mapping[str, str] = field(default_factory=dict)
    turned: frozenset[str] = frozenset()
    points: frozenset[str] | None = None
    generation_w: float = 0.0
    battery_w: float = 0.0
    load_w: float = 0.0
    phases: int = 3
    switches_phases: bool = False
    counted_w: float = RATED_W_DEFAULT
    power_w_max: Mapping[str, float] = field(default_factory=dict)
    watched: frozenset[str] = frozenset()


def link_limits(profile: Profile, endpoint: Endpoint) -> LinkLimits:
    """Return what the engine must respect on this connection.

    The silences of a serial device hold where its line is ours, or declared behind a gateway (``line_baud``); a plain
    network connection learns what it needs.
    """
    limits = profile.link.limits()
    serial = profile.link.serial is not None and profile.link.framing in ("rtu", "ascii")
    if serial and endpoint.wire_baud is None:
        return replace(limits, min_gap_s=None, delay_on_unit_switch_s=None)
    return limits


def check_names(profile: Profile, settings: DeviceSettings) -> None:
    """Check that what stands for what, and what is turned, is in the profile.

    Raises:
        ConfigError: A name is not; the sentence lists those that are.
    """
    offered: dict[str, list[str]] = {}
    named: list[tuple[str, PointSpec | DerivedSpec]] = [*profile.points.items(), *profile.derived.items()]
    for name, spec in named:
        offered.setdefault(spec.canonical, []).append(name)
    for canonical in (*settings.use, *settings.turned):
        if canonical not in offered:
            known = ", ".join(sorted(offered))
            raise ConfigError(f"{canonical} is no quantity of profile {profile.id}; it has {known}")
    for canonical, name in settings.use.items():
        if name not in offered[canonical]:
            points = ", ".join(offered[canonical])
            raise ConfigError(f"use.{canonical} is {name!r}; in profile {profile.id} it can be {points}")


def why_not_written(profile: Profile, settings: DeviceSettings) -> str | None:
    """Return why nothing is written to a device; None where it may be.

    A register that one project names, and nobody else, may be another one on the next firmware.
    """
    if profile.status is not Evidence.ONE_SOURCE or not profile.capabilities or settings.trust is not None:
        return None
    return f"profile {profile.id} rests on one source, so it is read and not written; `trust: one-source` lets it be"


def rated_power_w(settings: DeviceSettings) -> float:
    """Return what the generator and the battery of a device can do together, as a magnitude."""
    battery = settings.battery
    battery_w = max(battery.charge_limit_w, battery.discharge_limit_w) if battery is not None else 0
    return float(settings.pv_peak_w + battery_w)


def options_of(
    settings: DeviceSettings,
    *,
    profile: Profile,
    connection_w: float = RATED_W_DEFAULT,
    site_w: float = 0.0,
    watched: frozenset[str] = frozenset(),
) -> DeviceOptions:
    """Return what a device of the configuration is to its site.

    Args:
        profile: Its register map; one that rests on a single source is not written by, unless it is trusted.
        connection_w: The fuse or contract of the site.
        site_w: What its generators and batteries can do together.
        watched: Canonical names that are read with each control cycle.
    """
    role = str(settings.role)
    battery, load = settings.battery, settings.load
    battery_w = float(max(battery.charge_limit_w, battery.discharge_limit_w)) if battery is not None else 0.0
    levers: set[Lever] = set()
    if role != "meter" and why_not_written(profile, settings) is None:
        if settings.pv_peak_w > 0:
            levers.add(_first(profile, Lever.LIMIT_GENERATION, Lever.EXPORT_LIMIT))
        if battery is not None:
            levers.add(_first(profile, Lever.BATTERY_POWER, Lever.GRID_SETPOINT))
        if role == "load":
            ways = LOAD_CAPABILITIES if load is None or load.by is None else (load.by,)
            levers |= {Lever(way.value) for way in ways}
    return DeviceOptions(
        kinds=_KINDS.get(role),
        levers=frozenset(levers),
        generation_w=float(settings.pv_peak_w),
        battery_w=battery_w,
        load_w=0.0 if load is None else float(load.rated_w),
        phases=len(settings.phases),
        switches_phases=load is not None and load.switches_phases,
        use=dict(settings.use),
        turned=frozenset(settings.turned),
        counted_w=connection_w if role == "meter" else (settings.pv_peak_w + battery_w or RATED_W_DEFAULT),
        power_w_max=_power_bounds(settings, battery_w=battery_w, connection_w=max(connection_w, site_w)),
        watched=watched,
    )


def _first(profile: Profile, lever: Lever, otherwise: Lever) -> Lever:
    """Return the lever that a profile has of two that serve one end; the first where it has neither."""
    return otherwise if otherwise in profile.capabilities and lever not in profile.capabilities else lever


def _power_bounds(settings: DeviceSettings, *, battery_w: float, connection_w: float) -> dict[str, float]:
    """Return the greatest believable power of each quantity, from the device's ratings and the site's connection."""
    if connection_w >= RATED_W_DEFAULT:
        return {}  # A tool that knows of no site.
    anything_w = power_w_max(rated_w=0.0, connection_w=connection_w)
    pv_w = float(settings.pv_peak_w)
    # The power of a device passes its own ratings where something else runs through it; never the site's fuse twice.
    bounds = {name: anything_w for name in CONTROL_VALUES if name.endswith("_w")}
    if battery_w:
        bounds["battery_power_w"] = power_w_max(rated_w=battery_w, connection_w=connection_w)
    if pv_w:
        bounds["pv_power_w"] = power_w_max(rated_w=pv_w, connection_w=connection_w)
    return bounds
