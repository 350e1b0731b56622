"""One connector of a charging station that speaks OCPP, as a device of the site like any other.

Its limit is a lease: a charging profile that ends by itself, renewed at a third of its time and only while a control
cycle on fresh inputs stands behind it. A station that hears nothing more goes on at the current that it was left with.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from math import floor, inf

from contracts.clock import Clock
from contracts.units import Quality
from edge.control.lease import refresh_due
from edge.control.model import FRESH_S, Capability
from edge.devices.apply import TIMER_S, Applied
from edge.devices.health import Health
from edge.devices.phases import LEAST_A, PhaseStep, PhaseSwitch
from edge.devices.quality import BEYOND_FUSE, CounterGuard, Quarantine, plausible_range
from edge.devices.recipes import Direction, Fallback, Lever
from edge.devices.refusals import Refusals
from edge.errors import DeviceRefused, DeviceSilent, ValueRefused
from edge.modbus.point import Reading
from edge.ocpp.dialects import StationRefused, is_with_car
from edge.ocpp.limits import STEP_A, TOLERANCE_A, Limit, current_of, power_of
from edge.ocpp.settings import StationSettings
from edge.ocpp.station import Station, Value
from edge.ocpp.values import mean_voltage

log = logging.getLogger(__name__)

PROFILE = "ocpp"  # What stands where a Modbus device has its register map.
POWER, ENERGY, SESSION, STATE = "active_power_w", "energy_import_wh", "energy_session_wh", "ev_state"
_LEVER = Lever.LIMIT_CONSUMPTION
_REQUEST = "SetChargingProfile"
_FALLBACK = Fallback(direction=Direction.FAILSAFE_VALUE, armed_by="chargingSchedule.duration", proven=True)
_CURRENTS = ("current_l1_a", "current_l2_a", "current_l3_a")
_STALE_PERIODS = 3
# A station may keep each profile in flash. A limit rises no sooner than so long after the last profile, and one that
# falls sooner is told in whole amperes: a surplus that changes each second is at most one rise and a few falls.
CALM_S = 10.0
# A voltage that moves must not move the limit each second: what one power is in amperes may be so much beside it.
_SAME_SHARE = 0.02


@dataclass(kw_only=True)
class _Held:
    """The lease that the station holds: of which connection, car and current, and until when."""

    limit: Limit
    asked_w: float | None
    connection: int
    transaction: int | str | None
    armed_s: float
    armed_for_s: float
    proven: bool
    readback: dict[str, float | None] = field(default_factory=dict)
    detail: str = ""

    @property
    def until_s(self) -> float:
        """Return when it ends by itself."""
        return self.armed_s + self.armed_for_s


class ChargingStation:
    """A connector of a station.

    Args:
        id: Name within the site.
        station: What is known of the station.
        phases: Over how many phases the connector is wired.
        rated_w: The most that the load draws.
        switches_phases: Whether it may be told to use one phase where too little is left for all.
    """

    def __init__(
        self,
        *,
        id: str,
        station: Station,
        settings: StationSettings,
        phases: int,
        rated_w: float,
        clock: Clock,
        switches_phases: bool = False,
    ) -> None:
        self._id = id
        self.profile_id = PROFILE
        self._station = station
        self._settings = settings
        self._number = settings.connector
        self._phases = phases
        self._rated_w = rated_w
        self._clock = clock
        self._switch = PhaseSwitch(most=phases, clock=clock) if switches_phases and phases > 1 else None
        self._held: _Held | None = None
        self._sent: tuple[date, int] = (clock.now().date(), 0)
        self._refusals = Refusals(causes={})
        self._lock = asyncio.Lock()
        self._quarantine = Quarantine()
        self._counter = CounterGuard(rated_w=max(rated_w, power_of(settings.max_a, phases=phases)))
        self._counted: tuple[float, bool] = (-inf, False)

    @property
    def id(self) -> str:
        """Return its name within the site."""
        return self._id

    @property
    def levers(self) -> frozenset[Lever]:
        """Return what can be asked of it."""
        return frozenset({_LEVER})

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return what the control cycle can ask of it."""
        return frozenset({Capability.LIMIT_CONSUMPTION})

    @property
    def fallbacks(self) -> Mapping[Lever, Fallback]:
        """Return that it goes on at its own current once a lease has run out."""
        return {_LEVER: _FALLBACK}

    @property
    def leftovers(self) -> frozenset[Lever]:
        """Return nothing: a lease ends by itself."""
        return frozenset()

    @property
    def left_behind(self) -> frozenset[Lever]:
        """Return nothing: a lease ends by itself."""
        return frozenset()

    @property
    def write_budgets(self) -> Mapping[str, int | None]:
        """Return that nobody knows how many profiles a station bears; how many it was sent is counted."""
        return {_REQUEST: None} if self._sent_today else {}

    @property
    def health(self) -> Health:
        """Return how it does now."""
        station = self._station
        stage = "reading" if station.online else "waiting" if station.caller is None else "preparing"
        connector = station.connectors[self._number]
        fault = None if connector.error is None else f"it says {connector.error}"
        return Health(
            online=station.online,
            since_at=station.since_at,
            stage=stage,
            last_error=fault or station.last_error,
            requests=station.messages,
            quarantined=dict(self._quarantine.counts),
            implausible=dict(self._quarantine.said),
            writes_today={_REQUEST: self._sent_today} if self._sent_today else {},
        )

    @property
    def all_phases_from_w(self) -> float:
        """Return from which limit on it uses all its phases; what is less, it draws over its first alone."""
        cannot = self._switch is None or self._station.switches_phases is False
        return 0.0 if cannot or self._switch is None else self._switch.all_from_w

    def attend(self) -> None:
        """Take note of a control cycle: nothing follows, as a limit ends by its own duration, whoever talks to it."""

    def drifted(self, capability: Capability) -> bool:
        """Return that it has not: each renewal reads back what is in force."""
        return False

    def wear_period_s(self, capability: Capability) -> float:
        """Return that a lease may be renewed at any pace: how often its limit changes is bounded here."""
        return 0.0

    # What it measures.

    def snapshot(self) -> Mapping[str, Reading]:
        """Return the newest reading of every quantity by canonical name, in our sign, stale where it has aged.

        A power that nobody told lately is put in: nothing while the station says that no car charges, else what bounds
        it from above.
        """
        connector, now_s = self._station.connectors[self._number], self._clock.monotonic()
        stale_s = max(FRESH_S, _STALE_PERIODS * float(self._station.settings.meter_interval_s))
        readings = {
            name: Reading(
                value=value.value,
                quality=Quality.GOOD if now_s - value.at_s <= stale_s else Quality.STALE,
                source_at=value.at,
                monotonic_s=value.at_s,
            )
            for name, value in connector.values.items()
            if self._is_plausible(name, value)
        }
        power = connector.values.get(POWER)
        if self._station.online and (POWER not in readings or power is None or now_s - power.at_s > FRESH_S):
            readings[POWER] = self._put_in(0.0 if connector.charging is False else self._most_w(), now_s)
        letter = self._pilot()
        if letter is not None:
            quality = Quality.GOOD if self._station.online else Quality.STALE
            readings[STATE] = Reading(
                value=letter, quality=quality, source_at=self._station.since_at, monotonic_s=now_s
            )
        energy, running = readings.get(ENERGY), connector.transaction
        if energy is not None and running is not None and running.began_wh is not None:
            began_wh = running.began_wh
            if isinstance(energy.value, int | float) and energy.value >= began_wh:
                readings[SESSION] = Reading(
                    value=energy.value - began_wh,
                    quality=energy.quality,
                    source_at=energy.source_at,
                    monotonic_s=energy.monotonic_s,
                )
        return readings

    def _put_in(self, power_w: float, now_s: float) -> Reading:
        return Reading(value=power_w, quality=Quality.SUBSTITUTED, source_at=self._clock.now(), monotonic_s=now_s)

    def _most_w(self) -> float:
        """Return what the connector can draw at most now: its lease where it holds one, else its rating."""
        held = self._held
        if held is None or not held.proven or self._clock.monotonic() > held.until_s:
            return self._rated_w
        return min(self._rated_w, power_of(held.limit.current_a, phases=held.limit.phases))

    def _pilot(self) -> str | None:
        """Return the state as IEC 61851 names it: A no car, B connected, C charging, F a fault; None while unknown."""
        connector = self._station.connectors[self._number]
        if connector.status == "Faulted":
            return "F"
        with_car = is_with_car(connector.status)
        if with_car is None:
            return None
        return ("C" if connector.charging else "B") if with_car else "A"

    def _is_plausible(self, name: str, value: Value) -> bool:
        """Say whether a value can be; one that cannot is counted once."""
        if name == ENERGY:
            if self._counted[0] != value.at_s:
                good = self._counter.accepts(value.value, now_s=value.at_s)
                self._counted = (value.at_s, good)
                if not good:
                    self._quarantine.add(name, value.value, "which is no way from the reading before")
            return self._counted[1]
        bounds = plausible_range(name)
        if name.startswith("active_power"):
            bounds = (-BEYOND_FUSE * self._rated_w, BEYOND_FUSE * self._rated_w)
        return bounds is None or bounds[0] <= value.value <= bounds[1]

    # What it is told.

    async def apply(
        self,
        capability: Capability | Lever,
        value_w: float | None,
        *,
        revert_s: float,
        refresh: bool = True,
        urgent: bool = True,
    ) -> Applied:
        """Give the connector a limit that ends by itself, the most that it may have where the value is None.

        Args:
            value_w: What it may draw, zero or greater.
            revert_s: For how long the lease may run, seconds of the site's clock.
            refresh: Whether a completed control cycle on fresh inputs stands behind this; a lease that runs is not
                renewed without.
            urgent: Of no use here.

        Raises:
            ValueRefused: The lever or the value is none, or the station said no lately; nothing was sent.
            DeviceSilent: It is not connected, or did not answer.
            DeviceRefused: The station said no.
        """
        if Lever(capability.value) is not _LEVER:
            raise ValueRefused(f"{self.id} cannot be told {capability.value}; nothing was sent", code="no_such_lever")
        if value_w is not None and not 0.0 <= value_w < inf:
            raise ValueRefused(f"{self.id} cannot be limited to {value_w} W; nothing was sent", code="out_of_range")
        async with self._lock:
            caller = self._station.asked()
            if not self._station.ready:
                raise DeviceSilent(f"{self.id} does not know its fallback yet: {self._station.last_error or 'asked'}")
            step = self._step(value_w)
            limit = self._limit(value_w, step)
            limit = limit if value_w is None else self._calm(limit)
            kept = self._kept(limit, value_w, revert_s=revert_s, refresh=refresh)
            if kept is not None:
                self._hold(step)
                return kept
            now_s = self._clock.monotonic()
            if blocking := self._refusals.blocking([_REQUEST], now_s=now_s):
                raise ValueRefused(f"{self.id}: {blocking}; nothing was sent", code="refused")
            transaction = self._station.connectors[self._number].transaction
            running, connection = None if transaction is None else transaction.id, self._station.connections
            try:
                await caller.set_lease(self._number, limit, transaction=running, lease_s=max(1.0, revert_s))
            except StationRefused as refusal:
                if self._switch is not None and step is not None and value_w is not None:
                    self._switch.refused(step)
                said = self._refusals.said_no(_REQUEST, str(refusal), now_s=now_s)
                raise DeviceRefused(f"{self.id}: {said}", exception_code=0) from refusal
            self._refusals.taken([_REQUEST])
            self._sent = (self._clock.now().date(), self._sent_today + 1)
            found_a = await caller.composite_a(self._number, phases=limit.phases)
            proven = found_a is None or found_a <= limit.current_a + TOLERANCE_A
            detail = "" if proven else f"{found_a:g} A are in force, told {limit.current_a:g} A"
            self._held = _Held(
                limit=limit,
                asked_w=value_w,
                connection=connection,
                transaction=running,
                armed_s=now_s,
                armed_for_s=max(1.0, revert_s),
                proven=proven,
                readback={f"{self.id}/charging_profile_a": found_a},
                detail="cannot be read back" if found_a is None else detail,
            )
            if proven:
                self._hold(step)
            return self._applied(self._held, value_w, wrote=True)

    def _hold(self, step: PhaseStep | None) -> None:
        if self._switch is not None and step is not None:
            self._switch.held(step)

    def _limit(self, value_w: float | None, step: PhaseStep | None) -> Limit:
        connector, settings = self._station.connectors[self._number], self._settings
        if value_w is None:
            return Limit(current_a=settings.max_a, phases=self._phases, in_watts=self._station.in_watts)
        volts = mean_voltage({name: one.value for name, one in connector.values.items()})
        phases, told_w = (None, value_w) if step is None else (step.phases, step.power_w)
        phases = phases or self._phases
        current_a = current_of(told_w, phases=phases, voltage_v=volts, max_a=settings.max_a)
        return Limit(current_a=current_a, phases=phases, in_watts=self._station.in_watts)

    @property
    def _sent_today(self) -> int:
        return self._sent[1] if self._sent[0] == self._clock.now().date() else 0

    def _calm(self, limit: Limit) -> Limit:
        """Return what the station is told now of a limit: never more than that, and no rise so soon after the last."""
        held, now_s = self._held, self._clock.monotonic()
        if held is None or not held.proven or now_s >= held.until_s or held.limit.phases != limit.phases:
            return limit
        if now_s - held.armed_s >= CALM_S or limit.current_a == held.limit.current_a:
            return limit
        if limit.current_a > held.limit.current_a:
            return held.limit
        return replace(limit, current_a=float(floor(limit.current_a)))

    def _step(self, value_w: float | None) -> PhaseStep | None:
        """Return over how many phases a power is to be drawn now, and how much; None where it is not told phases."""
        switch = self._switch
        if switch is None or self._station.switches_phases is False:
            return None
        if value_w is None:
            return PhaseStep(phases=self._phases, power_w=0.0)
        if switch.now is None and (found := self._drawn_over()) is not None:
            switch.found(found)
        return switch.step(value_w, power=self.snapshot().get(POWER))

    def _drawn_over(self) -> int | None:
        """Return over how many phases a car draws now; None while nobody can tell."""
        now_s, values = self._clock.monotonic(), self._station.connectors[self._number].values
        fresh = [values[name] for name in _CURRENTS if name in values and now_s - values[name].at_s <= FRESH_S]
        if len(fresh) < len(_CURRENTS) or fresh[0].value < LEAST_A / 2:
            return None
        return 1 if all(one.value < LEAST_A / 4 for one in fresh[1:]) else self._phases

    def _kept(self, limit: Limit, value_w: float | None, *, revert_s: float, refresh: bool) -> Applied | None:
        """Return the proven outcome where the station holds it still and no renewal is due."""
        held, now_s = self._held, self._clock.monotonic()
        transaction = self._station.connectors[self._number].transaction
        if held is None or not held.proven or now_s >= held.until_s:
            return None
        if held.limit != limit and not (value_w == held.asked_w and _is_near(held.limit, limit)):
            return None
        if held.connection != self._station.connections:
            return None
        if held.transaction != (None if transaction is None else transaction.id):
            return None
        if held.until_s > now_s + revert_s + TIMER_S:
            return None  # The order ends sooner than the lease that serves it.
        if refresh_due(armed_s=held.armed_s, armed_for_s=held.armed_for_s, now_s=now_s) and refresh:
            return None
        return self._applied(held, value_w, wrote=False)

    def _applied(self, held: _Held, value_w: float | None, *, wrote: bool) -> Applied:
        return Applied(
            ok=held.proven,
            value_w=value_w,
            readback=held.readback,
            detail=held.detail if wrote else "in place",
            held_w=power_of(held.limit.current_a, phases=held.limit.phases),
            wrote=wrote,
        )


def _is_near(held: Limit, wanted: Limit) -> bool:
    """Say whether two limits differ by no more than the voltage does from one second to the next."""
    if not held.current_a or not wanted.current_a or (held.phases, held.in_watts) != (wanted.phases, wanted.in_watts):
        return False
    return abs(held.current_a - wanted.current_a) <= STEP_A + _SAME_SHARE * wanted.current_a
