"""What a control cycle sees, what is asked of it, and what it decides.

Power is in W, positive into the asset; durations and ``_s`` instants are seconds of the site's monotonic clock. All
values here are frozen: a cycle works on one snapshot and returns new values.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import NamedTuple, NewType

from contracts.units import Quality

Resource = NewType("Resource", str)
"""What a request bounds: the connection point, all batteries or all loads together, one load ``<asset>/load``, or
another lever ``<asset>/<capability>``."""

CONNECTION = Resource("connection")
BATTERIES = Resource("batteries")
# All loads that can be moved, together: what they draw beyond what the site feeds in without them.
LOADS = Resource("loads")

# A value older than this never drives a decision. Source: field practice (Frequenz SDK hard block), 10 s.
FRESH_S = 10.0
# State of charge moves slowly: a reading counts this long.
SOC_FRESH_S = 60.0


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed range of power in W; ``min_w <= max_w``, infinite ends mean no bound."""

    min_w: float = float("-inf")
    max_w: float = float("inf")

    def __post_init__(self) -> None:
        if not self.min_w <= self.max_w:
            raise ValueError(f"interval from {self.min_w} W to {self.max_w} W is empty")

    def clamp(self, power_w: float) -> float:
        """Return the nearest power inside."""
        return min(max(power_w, self.min_w), self.max_w)

    def contains(self, power_w: float) -> bool:
        """Say whether a power lies inside, ends included."""
        return self.min_w <= power_w <= self.max_w

    def narrowed(self, other: "Interval") -> "Interval":
        """Return the part shared with ``other``, or the point of this interval nearest to it: never wider than this."""
        return Interval(self.clamp(other.min_w), self.clamp(other.max_w))

    def overlaps(self, other: "Interval") -> bool:
        """Say whether any power lies in both."""
        return self.min_w <= other.max_w and other.min_w <= self.max_w


@dataclass(frozen=True, slots=True)
class Measured:
    """A reading with its quality and its age in seconds; ``value`` is ``None`` where there is no number."""

    value: float | None = None
    quality: Quality = Quality.INVALID
    age_s: float = float("inf")

    def usable(self, *, within_s: float = FRESH_S) -> float | None:
        """Return the number where it may drive a decision: good or substituted, and not too old."""
        if self.quality in (Quality.GOOD, Quality.SUBSTITUTED) and self.age_s <= within_s:
            return self.value
        return None


class AssetKind(StrEnum):
    """What stands behind a device."""

    PV = "pv"
    BATTERY = "battery"
    HYBRID = "hybrid"
    LOAD = "load"
    METER = "meter"


class Capability(StrEnum):
    """What a device can be told.

    ``LIMIT_GENERATION``: the greatest power that the device may feed out, zero or greater (a magnitude, as devices have
    it). ``BATTERY_POWER``: power into the battery, charging positive. ``GRID_SETPOINT``: power at the connection point,
    import positive, which the device reaches with its battery by its own meter. ``EXPORT_LIMIT``: the greatest power
    that the site may feed in, a magnitude, which the device keeps by its own meter (``export_limits.py``).
    ``LIMIT_CONSUMPTION``: the greatest power that a load may draw, zero or greater. ``SWITCH``: above zero is on, zero
    is off. ``SG_READY``: a state from 1 to 4 (``sg_ready.py``).
    """

    LIMIT_GENERATION = "limit_generation"
    BATTERY_POWER = "battery_power"
    GRID_SETPOINT = "grid_setpoint"
    EXPORT_LIMIT = "export_limit"
    LIMIT_CONSUMPTION = "limit_consumption"
    SWITCH = "switch"
    SG_READY = "sg_ready"


# How a battery can be moved, the more direct first: one that has both is moved by the first.
BATTERY_CAPABILITIES = (Capability.BATTERY_POWER, Capability.GRID_SETPOINT)
# How a load can be moved, the finest first: a load that has several is moved by the first.
LOAD_CAPABILITIES = (Capability.LIMIT_CONSUMPTION, Capability.SWITCH, Capability.SG_READY)


def battery_capability(capabilities: Collection[Capability]) -> Capability | None:
    """Return how a battery is moved; ``None`` where the asset has none that can be."""
    return next((one for one in BATTERY_CAPABILITIES if one in capabilities), None)


def load_capability(capabilities: Collection[Capability]) -> Capability | None:
    """Return how a load is moved; ``None`` where the asset is none that can be."""
    return next((one for one in LOAD_CAPABILITIES if one in capabilities), None)


def lever(asset: str, capability: Capability) -> Resource:
    """Return the resource that one capability of one asset is; a battery is one, however its device is moved."""
    if capability in LOAD_CAPABILITIES:
        return load(asset)
    moved = Capability.BATTERY_POWER if capability in BATTERY_CAPABILITIES else capability
    return Resource(f"{asset}/{moved.value}")


def load(asset: str) -> Resource:
    """Return the resource that a load is, in W that it draws, by whatever means its device is moved.

    Whoever asks says how much: ``max_w`` 0 turns it off, ``preferred_w`` is what it shall draw. A charger is limited to
    that (and pauses below its ``load_w_min``), a relay is on above zero, a heat pump is locked at zero, encouraged
    above it, and started from its rating on.
    """
    return Resource(f"{asset}/load")


class Confirmed(NamedTuple):
    """The last setpoint that a device was seen to hold: when it was decided, and when it was read back."""

    decided_s: float
    at_s: float


AT_ONCE = Confirmed(decided_s=float("inf"), at_s=float("-inf"))


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetState:
    """One asset as the snapshot found it.

    Args:
        power: At the asset's terminals (AC).
        battery_power: Of the battery in a hybrid; a plain battery may leave it out and is read at ``power``.
        pv_power: Of the generator in a hybrid; a plain PV inverter may leave it out.
        soc_percent: State of charge, 0 to 100.
        generation_rated_w: Rated generation, zero or greater.
        charge_w_max: Greatest charging power that the device allows now; ``None`` is unknown, so none.
        discharge_w_max: Greatest discharging power, a magnitude; ``None`` is unknown, so none.
        load_rated_w: Greatest consumption of a load.
        load_w_min: Least that a load draws while it runs: below it, it can only pause. Zero where it can draw anything.
        connected: Whether a charger has a car; ``None`` where nobody can tell.
        follows_surplus: Whether a load takes what the site would feed in while nobody asks anything of it.
        efficiency: One way, 0 to 1; orders batteries among each other.
        phases: The phases that the asset is wired to, of 1, 2, 3, in the order of its own.
        phase_power: What it draws on each of them, in that order; ``None`` where it does not tell.
        all_phases_from_w: From which limit on a charger uses all of them; what is less, it draws over its first alone.
        last_power_w: Last good reading of ``power``, kept while the asset cannot be reached.
        switched_on: State of a switchable load.
        rest_on: Its state while nobody asks; ``None`` leaves it to itself.
        wear_period_s: By capability, how far apart commands must lie on average for the device's memory; absent
            where it bears any number.
        limit_confirmed: Of the limit on its generation or consumption; what is not told counts as held at once.
    """

    id: str
    kind: AssetKind
    capabilities: frozenset[Capability] = frozenset()
    online: bool = True
    power: Measured = Measured()
    battery_power: Measured | None = None
    pv_power: Measured | None = None
    soc_percent: Measured | None = None
    generation_rated_w: float = 0.0
    charge_w_max: float | None = None
    discharge_w_max: float | None = None
    load_rated_w: float = 0.0
    load_w_min: float = 0.0
    connected: bool | None = None
    follows_surplus: bool = False
    soc_percent_min: float = 5.0
    soc_percent_max: float = 100.0
    efficiency: float = 0.95
    phases: tuple[int, ...] = (1, 2, 3)
    phase_power: tuple[Measured, ...] | None = None
    all_phases_from_w: float = 0.0
    ramp_w_per_s: float | None = None
    on_s_min: float = 60.0
    off_s_min: float = 60.0
    last_power_w: float | None = None
    switched_on: bool | None = None
    rest_on: bool | None = None
    wear_period_s: Mapping[Capability, float] = field(default_factory=dict)
    limit_confirmed: Confirmed = AT_ONCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The process image of one cycle, frozen at ``taken_s``; the connection point's meter is the site's truth."""

    taken_s: float
    connection_power: Measured
    phase_power: tuple[Measured, Measured, Measured] | None = None
    assets: tuple[AssetState, ...] = ()


class Priority(IntEnum):
    """Who stands above whom; a lower number stands higher."""

    DEVICE_PROTECTION = 0
    SITE_FUSE = 1
    GRID_OPERATOR = 2
    OPERATOR_OVERRIDE = 3
    MARKET_DR = 4
    OPTIMISER = 5
    SELF_CONSUMPTION = 6


class Reason(StrEnum):
    """Why a requester asks, and so which way its end falls."""

    DEVICE_LIMIT = "device_limit"
    SITE_LIMIT = "site_limit"
    GRID_LIMIT = "grid_limit"
    GRID_FAILSAFE = "grid_failsafe"
    OPERATOR = "operator"
    SCHEDULE = "schedule"
    PRICE = "price"
    SELF_CONSUMPTION = "self_consumption"
    IDLE = "idle"
    MAINTENANCE = "maintenance"
    BLIND_METER = "blind_meter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Bounds and a wish on one resource, by one requester, until ``expires_s``.

    A requester holds at most one request per resource. Bounds bind everyone below; ``preferred_w`` is followed inside
    what is left, the highest priority's first. A request without bounds and preference asks for nothing.

    ``bound_until_s`` says until when a device is to hold a bound of the grid operator alone, should this gateway die:
    to the request's own end where it is ``None``. A failsafe limit or a wired contact names no end, and whoever is dead
    cannot hear that it was lifted.
    """

    requester: str
    resource: Resource
    priority: Priority
    reason: Reason
    expires_s: float
    min_w: float = float("-inf")
    max_w: float = float("inf")
    preferred_w: float | None = None
    bound_until_s: float | None = None


class Outcome(StrEnum):
    """What became of a request in a cycle."""

    HELD = "held"
    CLIPPED = "clipped"
    OUTRANKED = "outranked"
    DISPLACED = "displaced"
    UNKNOWN_RESOURCE = "unknown_resource"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One link of the reason chain: what a requester asked, what was left to it, and who had taken the rest.

    ``left`` is what it and everyone below may use. ``HELD``: bounds and wish stand; ``CLIPPED``: a bound or the wish
    was moved to the nearest end left; ``OUTRANKED``: a higher wish is followed; ``DISPLACED``: nothing of what it
    asked was left; ``UNKNOWN_RESOURCE``: the site has no such lever now.
    """

    requester: str
    priority: Priority
    resource: Resource
    reason: Reason
    asked: Interval
    preferred_w: float | None
    left: Interval
    outcome: Outcome
    clipped_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Setpoint:
    """What one capability of one asset shall do; it may not be held beyond ``expires_s``.

    ``value_w`` is in the terms of the capability; ``None`` takes every restriction of ours away. ``order_ends_s`` is
    when the first of the orders that shaped it ends: no device holds it beyond. ``expires_s`` is that or the edge
    lease, whichever comes first: not written any more from then on. ``bound_until_s`` is
    the end of the grid operator's order, or of the site's own limit, that needs a bound on this lever: a device that
    would otherwise lift the bound when we fall silent is to hold it until then.
    """

    asset: str
    capability: Capability
    value_w: float | None
    reason: Reason
    requester: str
    expires_s: float
    order_ends_s: float = float("inf")
    bound_until_s: float = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of one cycle, with its reasons.

    Args:
        setpoints: For every lever that can be reached, in a fixed order.
        chain: From the highest priority down; publish it to the requesters.
        connection: The bounds in force at the connection point.
        expected_w: Connection power once the setpoints act, for the likely load; ``None`` with a blind meter.
        import_excess_w: How far import may stay above its bound though every lever is used, zero or greater.
        export_excess_w: The same for export.
        fresh: Whether every input that counted was fresh; only then may device timers be refreshed.
        alarms: Fixed phrases that an operator should see.
    """

    taken_s: float
    setpoints: tuple[Setpoint, ...]
    chain: tuple[Link, ...]
    connection: Interval
    expected_w: float | None
    import_excess_w: float
    export_excess_w: float
    fresh: bool
    alarms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlSettings:
    """What the installer fixed about the site's control.

    Args:
        import_w_max: Fuse or contract at the connection point, zero or greater.
        export_w_max: Greatest export ever allowed, zero or greater.
        phase_w_max: Fuse per phase, zero or greater; ``None`` where phases are not metered.
        rest_w_min: Lowest plausible power of everything that we do not steer, used when the meter is blind.
        rest_w_max: Highest plausible power of the same; ``None`` stands for ``import_w_max``.
        dead_band_w: A change smaller than this and than ``dead_band_share`` of the rating is not written.
        reversals_per_min_max: More changes of direction than these are damped. Source: field practice, 6 a minute.
        reversal_share: A change of direction counts from this share of the rating on.
        damping: Share of a change that is still made while damped.
        self_consumption: What batteries do while nobody asks: bring the connection point to zero, or rest.
        maintenance_lock: Whether the local switch freezes the site at its safe state.
        pv_probe_share: How far a curtailed generator is assumed to exceed its output at most, as a share of its rating.
    """

    import_w_max: float
    export_w_max: float
    phase_w_max: float | None = None
    rest_w_min: float = 0.0
    rest_w_max: float | None = None
    dead_band_w: float = 20.0
    dead_band_share: float = 0.005
    reversals_per_min_max: int = 6
    reversal_share: float = 0.05
    damping: float = 0.25
    pv_probe_share: float = 0.1
    self_consumption: bool = True
    maintenance_lock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What is known of the sun behind a generator's cap.

    Args:
        measured_w: What it gave, a power into it, zero or less; ``None`` without a reading.
        potential_w: What it would likely feed in if nothing held it.
        step_w: How much more than its output is tried for, zero where nothing is.
        tried_from_w: What it gave when the step began.
        tried_since_s: When that was.
        clear_since_s: Since when it gives less than its cap would let it, infinite while it does not.
        free_w: What it gave when it was last clear of its cap for a while; ``None`` where it never was.
        free_at_s: When that was.
        rests: How often as long as the shortest rest nothing is tried after that.
    """

    measured_w: float | None
    potential_w: float
    step_w: float = 0.0
    tried_from_w: float = 0.0
    tried_since_s: float = float("inf")
    clear_since_s: float = float("inf")
    free_w: float | None = None
    free_at_s: float = float("-inf")
    rests: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverMemory:
    """What a lever was last told and when, and how often it was turned about within the last minute.

    ``value_w`` is power into the asset, also for generation, and the state of a heat pump; ``switched_s`` is when a
    load last changed its state;
    ``changed_s`` is when a generator's cap last changed, and ``followed_s`` when its device was first seen to hold the
    change; ``rising_since_s`` since when the cap was found too low, infinite while it is not, and ``rising_w`` the
    lowest that it was found to rise to since; ``falling_since_s`` since when a load was found to take more than the
    surplus, infinite while it was not; ``probe`` is what is known of the sun behind a generator's cap.
    """

    value_w: float | None = None
    at_s: float = 0.0
    direction: int = 0
    reversals_s: tuple[float, ...] = ()
    switched_s: float = float("-inf")
    changed_s: float = float("-inf")
    followed_s: float = float("-inf")
    rising_since_s: float = float("inf")
    rising_w: float | None = None
    falling_since_s: float = float("inf")
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What one cycle hands to the next.

    ``others_w`` is what batteries and loads that can be moved had together, ``None`` before the first cycle.
    """

    levers: dict[Resource, LeverMemory] = field(default_factory=dict)
    others_w: float | None = None
