"""What set-up proposes for a device that was found: its profile, its role, its name. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edge.config import DeviceRole
from edge.devices.identify import Match
from edge.devices.points import Kind

# A match that leads the next one by this much needs no second look: one name that the device itself told.
LEAD_CLEAR = 3.0

_ROLES: dict[frozenset[Kind], DeviceRole] = {
    frozenset({Kind.METER}): DeviceRole.METER,
    frozenset({Kind.INVERTER}): DeviceRole.PV,
    frozenset({Kind.INVERTER, Kind.BATTERY}): DeviceRole.HYBRID,
    frozenset({Kind.BATTERY}): DeviceRole.BATTERY,
}


LOAD_KINDS = frozenset({Kind.CHARGER, Kind.HEAT_PUMP, Kind.RELAY})
_LOAD_NAMES = {Kind.CHARGER: "ev", Kind.HEAT_PUMP: "heatpump"}


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """What we think a found device is.

    Args:
        clear: Whether the best profile leads clearly; otherwise the installer should choose.
    """

    url: str
    profiles: tuple[str, ...]
    clear: bool


def propose(url: str, matches: Sequence[Match]) -> Proposal:
    """Return the profiles that fit, the best first, and whether the best leads clearly."""
    second = matches[1].score if len(matches) > 1 else 0.0
    clear = bool(matches) and matches[0].score - second >= LEAD_CLEAR
    return Proposal(url=url, profiles=tuple(match.profile for match in matches), clear=clear)


def likely_role(kinds: Collection[Kind]) -> DeviceRole:
    """Return what a device of these kinds most likely is to the site: the most that it can be."""
    known = frozenset(kinds) & {Kind.INVERTER, Kind.BATTERY, Kind.METER}
    if role := _ROLES.get(known):
        return role
    if Kind.BATTERY in known:
        return DeviceRole.HYBRID
    if not known and LOAD_KINDS & set(kinds):
        return DeviceRole.LOAD
    return DeviceRole.PV if Kind.INVERTER in known else DeviceRole.METER


def free_name(role: DeviceRole, taken: Collection[str], *, kinds: Collection[Kind] = ()) -> str:
    """Return a name that no device has yet: the role, or what the load is, numbered from the second on."""
    word = {DeviceRole.PV: "pv", DeviceRole.HYBRID: "inverter"}.get(role, role.value)
    if role is DeviceRole.LOAD:
        word = next((name for kind, name in _LOAD_NAMES.items() if kind in kinds), word)
    number = 1
    while (name := word if number == 1 else f"{word}-{number}") in taken:
        number += 1
    return name
