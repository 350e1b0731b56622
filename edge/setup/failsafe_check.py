"""Devices that go wrong when the gateway dies: named at the start and in the status, refused where that is not safe.

Most have a timer that we arm with each command. Some keep what they were last told, for ever; some lift a limit by a
timer of their own that nobody can set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.config import DeviceSection, RelayKind, SiteConfig
from edge.control.model import Capability, load_capability
from edge.devices.catalogue import load_profile
from edge.devices.options import options_of
from edge.devices.pace import slow_values
from edge.devices.profile import Profile
from edge.devices.recipes import Direction, Fallback, Lever
from edge.devices.site_device import SiteDevice
from edge.errors import ConfigError
from edge.loop.snapshot import KIND

_CAPABILITY = {Lever(capability.value): capability for capability in Capability}


@dataclass(frozen=True, kw_only=True)
class FailsafeFinding:
    """What a site must know of a device: a lever that outlives the gateway, or that cannot be kept; None is control."""

    asset: str
    capability: Capability | None
    consequence: str


def failsafe_findings(config: SiteConfig) -> tuple[FailsafeFinding, ...]:
    """Return every lever of a site whose device falls otherwise than we say, in any way that its profile knows.

    Raises:
        ConfigError: A profile cannot be used.
    """
    found = []
    for section in config.on_modbus:
        if section.role not in KIND:
            continue
        profile = load_profile(section.profile, config.profile_dir)
        for capability in used_by(section, profile):
            recipes = profile.capabilities.get(Lever(capability.value), ())
            does = _does(capability, [recipe.fallback for recipe in recipes])
            if does is not None:
                consequence = f"{section.id} {does}"
                if capability is Capability.LIMIT_GENERATION and export_limited(config):
                    consequence = f"{consequence}; an export-limited site may use it only beside a wired relay"
                found.append(FailsafeFinding(asset=section.id, capability=capability, consequence=consequence))
    return tuple(found)


def used_by(section: DeviceSection, profile: Profile) -> tuple[Capability, ...]:
    """Return what a site moves of a device by its configuration, where the profile has it; a load is moved one way."""
    load = section.load
    ways = {one for one in Capability if Lever(one.value) in profile.capabilities}
    moved_by = None if load is None else load.by or load_capability(ways)
    wanted = {
        Capability.LIMIT_GENERATION: section.pv_peak_w > 0,
        Capability.EXPORT_LIMIT: section.pv_peak_w > 0 and Capability.LIMIT_GENERATION not in ways,
        Capability.BATTERY_POWER: section.battery is not None,
        Capability.GRID_SETPOINT: section.battery is not None and Capability.BATTERY_POWER not in ways,
    }
    return tuple(one for one in Capability if wanted.get(one, one is moved_by) and one in ways)


def slow_levers(config: SiteConfig) -> tuple[FailsafeFinding, ...]:
    """Return every lever that a site uses and whose values its device tells too seldom to keep it.

    Raises:
        ConfigError: A profile cannot be used.
    """
    found = []
    for section in config.on_modbus:
        profile = load_profile(section.profile, config.profile_dir)
        is_meter = section.id == config.connection.meter
        for slow in slow_values(profile, options_of(section, profile=profile), is_connection_meter=is_meter):
            capability = None if slow.lever is None else _CAPABILITY.get(slow.lever)
            found.append(
                FailsafeFinding(asset=section.id, capability=capability, consequence=slow.consequence(section.id))
            )
    return tuple(found)


def left_behind(devices: Mapping[str, SiteDevice]) -> tuple[FailsafeFinding, ...]:
    """Return what earlier control left in the devices of a monitor, which gives nothing back."""
    return tuple(
        FailsafeFinding(
            asset=name,
            capability=None,
            consequence=f"{name} may still hold our {lever.value}; a monitor writes nothing, so it stays",
        )
        for name, device in devices.items()
        for lever in sorted(device.left_behind)
    )


def _does(capability: Capability, ways: Sequence[Fallback]) -> str | None:
    """Say what a device does when the gateway dies, ``None`` where it is what it was told."""
    if not ways or any(one.armed_by is not None for one in ways):
        return None
    if capability is Capability.EXPORT_LIMIT and all(one.direction is Direction.KEEPS for one in ways):
        return None  # It goes on to keep the last limit by its own meter, and needs nobody for it.
    if not any(one.has_timer for one in ways):
        return f"keeps its last {capability.value} when the gateway dies"
    if capability is Capability.LIMIT_GENERATION and all(one.direction is Direction.RELEASED for one in ways):
        after_s = min(one.after_s for one in ways if one.after_s is not None)
        return f"lifts its limit {after_s:.0f} s after the gateway died, whatever was ordered"
    if capability is Capability.LIMIT_CONSUMPTION and any(one.direction is Direction.FAILSAFE_VALUE for one in ways):
        after_s = max(one.after_s for one in ways if one.after_s is not None)
        return f"goes on at its own safe current {after_s:.0f} s after the gateway died, whatever was ordered"
    return None


def export_limited(config: SiteConfig) -> bool:
    """Say whether the site may export less than it can generate."""
    return config.connection.export_limit_w < sum(section.pv_peak_w for section in config.devices)


def refuse_unsafe(config: SiteConfig) -> tuple[FailsafeFinding, ...]:
    """Return the findings of a site that may run with them.

    Raises:
        ConfigError: A generator with a finding stands on an export-limited site, and no ripple-control relay beside it
            could hold the feed-in when the gateway is dead.
    """
    found = failsafe_findings(config)
    if not export_limited(config) or any(relay.kind is RelayKind.RIPPLE for relay in config.relays):
        return found
    for finding in found:
        if finding.capability is Capability.LIMIT_GENERATION:
            does = finding.consequence.partition(";")[0]
            raise ConfigError(
                f"device {does}, and the site may export {config.connection.export_limit_w} W, less than it can "
                "generate; it needs a wired ripple relay beside it (relays); the gateway does not start"
            )
    return found
