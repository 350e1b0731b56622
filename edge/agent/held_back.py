"""Quarters of an hour in which generation was held back: what was generated then says nothing of the sun."""

from datetime import datetime, timedelta

from contracts.units import DELIVERY_INTERVAL_S, epoch_ms, instant
from edge.loop.measured import measured
from edge.loop.readings import POWER, PV_POWER
from edge.loop.seen import CycleSeen
from edge.state_store import StateStore

_KEY = "trading.held_back"
# Of a quarter, from which on it says nothing.
_SHARE = 0.1
# A generator this near its limit would give more without it.
_NEAR_W = 100.0
_KEPT = timedelta(days=112)


class HeldBack:
    """The quarters of the last months, kept over restarts."""

    def __init__(self, memory: StateStore) -> None:
        """Go on with what an earlier process kept."""
        self._memory = memory
        self._quarters = {instant(at) for at in memory.recall(_KEY) or []}
        self._held_s = 0.0

    def saw(self, cycle: CycleSeen, passed_s: float) -> None:
        """Add what one cycle says to the running quarter."""
        if any(
            _generated_w(cycle, device) >= limit_w - _NEAR_W for device, limit_w in cycle.generation_limits_w.items()
        ):
            self._held_s += passed_s

    def close(self, start: datetime) -> bool:
        """End the quarter that began at an instant; return whether its generation was held back."""
        held_s, self._held_s = self._held_s, 0.0
        if held_s < _SHARE * DELIVERY_INTERVAL_S:
            return False
        self._quarters = {at for at in self._quarters if at > start - _KEPT} | {start}
        self._memory.remember(_KEY, [epoch_ms(at) for at in sorted(self._quarters)], durable=False)
        return True

    @property
    def quarters(self) -> frozenset[datetime]:
        """Return the starts of all that are kept."""
        return frozenset(self._quarters)


def _generated_w(cycle: CycleSeen, device: str) -> float:
    readings = cycle.readings.get(device, {})
    name = PV_POWER if PV_POWER in readings else POWER
    return -(measured(readings.get(name), cycle.taken_s).usable() or 0.0)
