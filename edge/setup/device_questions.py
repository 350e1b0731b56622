"""What set-up asks about one device: its role, its name, its ratings, and for a load how it is moved and rests."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Protocol

from edge.config import DeviceRole, Rest
from edge.control.model import LOAD_CAPABILITIES, Capability
from edge.devices.phases import PHASE_V
from edge.devices.points import Evidence, Kind
from edge.devices.profile import Profile
from edge.devices.recipes import Lever
from edge.loop.load_state import SG_STATE
from edge.setup.amounts import amount, complaint
from edge.setup.console import Console
from edge.setup.planes import planes
from edge.setup.proposal import free_name, likely_role

# The device's own words for what it can do at most, the best first.
RATED_POWER = ("rated_power_w", "power_max_w", "power_max_setting_w")
CHARGE_POWER = ("max_charge_power_w",)
DISCHARGE_POWER = ("max_discharge_power_w",)
CAPACITY = ("usable_capacity_wh", "capacity_wh")
RATED_CURRENT = ("ev_hw_max_current_a", "ev_max_current_a")
RATINGS = (*RATED_POWER, *CHARGE_POWER, *DISCHARGE_POWER, *CAPACITY, *RATED_CURRENT)
TRUST = "one-source"
_PHASES = {"1": (1,), "2": (1, 2), "3": (1, 2, 3)}


class RatingsOf(Protocol):
    """Reads what a device says of itself."""

    def __call__(self) -> Mapping[str, float]:
        """Return its ratings by canonical name; empty where it tells none."""


def describe(
    console: Console,
    *,
    url: str,
    profile: Profile,
    taken: Collection[str],
    name_complaint: Callable[[str], str | None],
    ratings_of: RatingsOf,
) -> dict[str, Any]:
    """Return the section of a device, as the installer and the device itself describe it."""
    roles = [role.value for role in DeviceRole]
    role = DeviceRole(console.choose("What it is to the site", roles, default=likely_role(profile.kinds).value))
    default = free_name(role, taken, kinds=profile.kinds)
    name = console.ask("Its name", default=default, check=name_complaint)
    device: dict[str, Any] = {"id": name, "profile": profile.id, "url": url, "role": role.value}
    if role in (DeviceRole.METER, DeviceRole.RELAY):
        return device
    if profile.status is Evidence.ONE_SOURCE and profile.capabilities and _may_be_written(console, profile):
        device["trust"] = TRUST
    ratings = ratings_of()
    rated = _told(ratings, RATED_POWER)
    if role in (DeviceRole.PV, DeviceRole.HYBRID):
        device["pv_peak_w"] = ask_amount(console, "Rated generation in W", low=0, default=rated)
        if device["pv_peak_w"] and (looks := _ask_planes(console, device["pv_peak_w"])):
            device["pv_planes"] = looks
    if role in (DeviceRole.HYBRID, DeviceRole.BATTERY):
        capacity = _told(ratings, CAPACITY)
        capacity_wh = ask_amount(console, "Usable capacity of the battery in Wh", unit="Wh", low=1, default=capacity)
        charge = _told(ratings, CHARGE_POWER) or rated
        charge_w = ask_amount(console, "Greatest charging power in W", low=1, default=charge)
        discharge = _told(ratings, DISCHARGE_POWER) or str(charge_w)
        discharge_w = ask_amount(console, "Greatest discharging power in W", low=1, default=discharge)
        device["battery"] = {
            "capacity_wh": capacity_wh,
            "charge_limit_w": charge_w,
            "discharge_limit_w": discharge_w,
        }
    if role is not DeviceRole.LOAD:
        device |= _wired_to(_ask_phases(console))
    else:
        device |= _load(console, profile, ratings)
    return device


def _may_be_written(console: Console, profile: Profile) -> bool:
    console.say(f"{profile.id} rests on one public source: a register may be another one on this device.")
    return console.confirm("May it be written all the same", default=False)


def ask_amount(console: Console, question: str, *, low: int, unit: str = "W", default: str = "") -> int:
    """Return a power or an energy; ``10 kW`` is as good as 10000."""
    answer = console.ask(question, default=default, check=partial(complaint, unit=unit, low=low))
    value = amount(answer, unit=unit)
    assert value is not None, "checked with the answer"
    return value


def _load(console: Console, profile: Profile, ratings: Mapping[str, float]) -> dict[str, Any]:
    """Return the keys of a load: its phases, and the section about it."""
    ways = [one for one in LOAD_CAPABILITIES if Lever(one.value) in profile.capabilities]
    moved_by = ways[0] if ways else Capability.SWITCH
    load: dict[str, Any] = {}
    if len(ways) > 1:
        options = [way.value for way in ways]
        moved_by = Capability(console.choose("How it is moved", options, default=options[0]))
        load["by"] = moved_by.value
    keys: dict[str, Any] = {}
    phases = 3
    if Kind.CHARGER in profile.kinds:
        phases = _ask_phases(console)
        keys = _wired_to(phases)
    load["rated_w"] = ask_amount(console, "Its rated power in W", low=1, default=_load_rated(ratings, phases))
    if state := state_point(profile, moved_by):
        load["state"] = state
    rests = [rest.value for rest in Rest]
    load["rest"] = console.choose("What it does while nobody asks", rests, default=Rest.ON.value)
    return {**keys, "load": load}


def _ask_phases(console: Console) -> int:
    return int(console.choose("How many phases it is wired to", list(_PHASES), default="3"))


def _wired_to(phases: int) -> dict[str, Any]:
    """Return the key of a device that is not on all three phases: on the first, until the file says which."""
    return {} if phases == len(_PHASES) else {"phases": list(_PHASES[str(phases)])}


def _ask_planes(console: Console, peak_w: int) -> list[dict[str, Any]] | None:
    def check(text: str) -> str | None:
        fits = not text or planes(text, peak_w=peak_w) is not None
        return None if fits else f"as 30 S, or several of {peak_w} W together: 6 kW 30 SE; 4 kW 15 W"

    text = console.ask("How its panels look, tilt and direction as 30 S (empty: not told)", check=check)
    return planes(text, peak_w=peak_w) if text else None


def state_point(profile: Profile, moved_by: Capability) -> str | None:
    """Return the point that says whether a load is on: the one that its switch writes, or its SG Ready state."""
    readable = {spec.canonical for spec in profile.points.values() if spec.access != "w"}
    if moved_by is Capability.SG_READY:
        return SG_STATE if SG_STATE in readable else None
    if moved_by is not Capability.SWITCH:
        return None
    for recipe in profile.capabilities.get(Lever.SWITCH, ()):
        for name in recipe.points():
            if (canonical := profile.points[name].canonical) in readable:
                return canonical
    return None


def _load_rated(ratings: Mapping[str, float], phases: int) -> str:
    if told := _told(ratings, RATED_POWER):
        return told
    current = _told(ratings, RATED_CURRENT)
    return str(round(float(current) * PHASE_V * phases)) if current else ""


def _told(ratings: Mapping[str, float], names: Collection[str]) -> str:
    """Return the first rating that a device tells, as the default of a question; empty where it tells none."""
    return next((str(round(ratings[name])) for name in names if ratings.get(name, 0) > 0), "")
