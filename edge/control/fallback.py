"""What a lever does when nobody may command it, chosen by the reason that held it.

The direction of a fall is not the lever's alone: losing a price signal may hand a battery back to its own
self-consumption, losing a grid operator must not hand back the power that was limited.
"""

from dataclasses import dataclass
from enum import StrEnum

from edge.control.model import AssetState, Capability, Reason


class Fallback(StrEnum):
    """Where a lever goes."""

    FAILSAFE_LIMIT = "failsafe_limit"
    SELF_CONSUMPTION = "self_consumption"
    REST = "rest"
    KEEP = "keep"


# Source: evidence in field reports that one controller falls three ways on three models (Victron dbus-fronius), and
# that a limit released by a timer costs penalties (victronenergy/venus issue 1643).
_BY_REASON: dict[Reason, Fallback] = {
    Reason.DEVICE_LIMIT: Fallback.REST,
    Reason.SITE_LIMIT: Fallback.FAILSAFE_LIMIT,
    Reason.GRID_LIMIT: Fallback.FAILSAFE_LIMIT,
    Reason.GRID_FAILSAFE: Fallback.FAILSAFE_LIMIT,
    Reason.OPERATOR: Fallback.SELF_CONSUMPTION,
    Reason.SCHEDULE: Fallback.SELF_CONSUMPTION,
    Reason.PRICE: Fallback.SELF_CONSUMPTION,
    Reason.SELF_CONSUMPTION: Fallback.SELF_CONSUMPTION,
    Reason.IDLE: Fallback.REST,
    Reason.MAINTENANCE: Fallback.REST,
    Reason.BLIND_METER: Fallback.REST,
}


def fallback(capability: Capability, reason: Reason) -> Fallback:
    """Return where a lever goes once the reason that held it can no longer be served.

    A battery has no limit to fall to: under a grid limit it rests, which neither adds import nor export. A switched
    load keeps its state, because switching it back is itself an act that needs permission.
    """
    wanted = _BY_REASON[reason]
    if capability is Capability.SWITCH:
        return Fallback.KEEP
    if capability is Capability.BATTERY_POWER and wanted is Fallback.FAILSAFE_LIMIT:
        return Fallback.REST
    if capability is Capability.LIMIT_GENERATION and wanted is Fallback.REST:
        return Fallback.FAILSAFE_LIMIT
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Weakness:
    """A device that will not leave our setpoint by itself, and what that means for the site."""

    asset: str
    capability: Capability
    consequence: str


def without_revert_timer(assets: tuple[AssetState, ...], *, export_limited: bool) -> tuple[Weakness, ...]:
    """Name every lever whose device has no revert timer: show them at start and on the page.

    Args:
        assets: Of the site.
        export_limited: Whether the site may export less than it can generate; there a generator without a timer needs a
            wired relay beside it.
    """
    found = []
    for asset in assets:
        if asset.has_revert_timer:
            continue
        for capability in sorted(asset.capabilities):
            consequence = f"{asset.id} keeps its last {capability.value} when the gateway dies"
            if capability is Capability.LIMIT_GENERATION and export_limited:
                consequence = f"{consequence}; an export-limited site may use it only beside a wired relay"
            found.append(Weakness(asset=asset.id, capability=capability, consequence=consequence))
    return tuple(found)
