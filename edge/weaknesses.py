"""Devices that keep what they were last told when the gateway dies: named at start, refused where that is not safe."""

from collections.abc import Mapping

from edge.config import RelayKind, SiteConfig
from edge.control.fallback import Weakness, without_revert_timer
from edge.control.model import AssetState, Capability
from edge.devices.catalogue import load_profile
from edge.devices.recipes import Lever
from edge.errors import ConfigError
from edge.snapshot import KIND

_LEVER = {
    Capability.LIMIT_GENERATION: Lever.LIMIT_GENERATION,
    Capability.BATTERY_POWER: Lever.BATTERY_POWER,
    Capability.SWITCH: Lever.SWITCH,
}


def weaknesses(config: SiteConfig) -> tuple[Weakness, ...]:
    """Return every lever whose device has no timer of its own in any way that its profile knows.

    Raises:
        ConfigError: A profile cannot be used.
    """
    assets = []
    for section in config.devices:
        if section.role not in KIND:
            continue
        profile = load_profile(section.profile, config.profile_dir)
        wanted: Mapping[Capability, bool] = {
            Capability.LIMIT_GENERATION: section.pv_peak_w > 0,
            Capability.BATTERY_POWER: section.battery is not None,
            Capability.SWITCH: section.load is not None,
        }
        for capability, is_used in wanted.items():
            recipes = profile.capabilities.get(_LEVER[capability], ())
            if not is_used or not recipes:
                continue
            assets.append(
                AssetState(
                    id=section.id,
                    kind=KIND[section.role],
                    capabilities=frozenset({capability}),
                    has_revert_timer=any(recipe.fallback.has_timer for recipe in recipes),
                )
            )
    return without_revert_timer(tuple(assets), export_limited=export_limited(config))


def export_limited(config: SiteConfig) -> bool:
    """Say whether the site may export less than it can generate."""
    return config.connection.export_limit_w < sum(section.pv_peak_w for section in config.devices)


def refuse_unsafe(config: SiteConfig) -> tuple[Weakness, ...]:
    """Return the weaknesses of a site that may run with them.

    Raises:
        ConfigError: A generator without a timer stands on an export-limited site, and no ripple-control relay beside
            it could hold the feed-in when the gateway is dead.
    """
    found = weaknesses(config)
    if not export_limited(config) or any(relay.kind is RelayKind.RIPPLE for relay in config.relays):
        return found
    for weakness in found:
        if weakness.capability is Capability.LIMIT_GENERATION:
            raise ConfigError(
                f"device {weakness.asset}: its profile has no timer that ends a limit when the gateway dies, and the "
                f"site may export {config.connection.export_limit_w} W, less than it can generate; it needs a wired "
                "ripple relay beside it (relays); the gateway does not start"
            )
    return found
