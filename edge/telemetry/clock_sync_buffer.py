"""Samples taken before the wall clock was ever trusted: held, and stamped anew by the monotonic clock once it is.

A board without a battery starts in the past and steps when the network comes. How far a sample's stamp was off is the
step between the two clocks' difference then and now. Messages of samples stamped so say ``holdover``: by our own clock,
counted back from a synchronisation. Where no synchronisation comes in time, they go as they are, ``untrusted``.

What is held is kept in the outbox at every flush window, so that a power cut costs no more than that; what an earlier
process held goes as it is, for its monotonic clock is gone.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from contracts.clock import Clock
from contracts.telemetry import Sample
from contracts.units import ClockTrust, Quality, epoch_ms, instant
from edge.outbox.outbox import FLUSH_WINDOW_S, Outbox

# Longer than the link waits for the clock; then telemetry is worth more than its stamps.
HOLD_S = 150.0
HELD_MAX = 20_000
_KEY = "telemetry.held"

Offer = Callable[[Sequence[Sample]], None]


class ClockSyncBuffer:
    """Stands between who reads and the sampler, and says how far the stamps of what it hands on may be trusted."""

    def __init__(self, *, clock: Clock, clock_trust: Callable[[], ClockTrust], outbox: Outbox) -> None:
        """Prepare; where the clock is trusted already, nothing is held."""
        self._clock = clock
        self._clock_trust = clock_trust
        self._outbox = outbox
        self._held: list[tuple[datetime, Sequence[Sample]]] = []
        self._count = 0
        self._over = clock_trust() is not ClockTrust.UNTRUSTED
        self._kept_s = clock.monotonic()
        self._until_s = self._kept_s + HOLD_S
        self._told: ClockTrust | None = None
        self._earlier = _samples(outbox.recall(_KEY))

    def trust(self) -> ClockTrust:
        """Return how far the stamps of what is handed on now may be trusted."""
        return self._told or self._clock_trust()

    def offer(self, samples: Sequence[Sample], *, to: Offer) -> None:
        """Hand samples on, or hold them while there was no trusted clock yet."""
        if self._earlier:
            self._hand_on([self._earlier], ClockTrust.UNTRUSTED, to=to)
            self._earlier = []
        if self._over:
            to(samples)
            return
        trusted = self._clock_trust() is not ClockTrust.UNTRUSTED
        if not trusted and self._clock.monotonic() < self._until_s and self._count < HELD_MAX:
            self._hold(samples)
            return
        self._let_go(trusted=trusted, to=to)
        to(samples)

    def close(self, *, to: Offer) -> None:
        """Hand on what is held as it is: the gateway stops before its clock was set."""
        self._let_go(trusted=False, to=to)

    def _hold(self, samples: Sequence[Sample]) -> None:
        self._held.append((self._origin(), samples))
        self._count += len(samples)
        if self._clock.monotonic() - self._kept_s >= FLUSH_WINDOW_S:
            self._kept_s = self._clock.monotonic()
            held = [one for _, each in self._held for one in each]
            rows = [(one.point, epoch_ms(one.at), one.value, one.quality) for one in held]
            self._outbox.remember(_KEY, rows, durable=False)

    def _let_go(self, *, trusted: bool, to: Offer) -> None:
        self._over = True
        held, self._held = self._held, []
        if not held:
            return
        origin = self._origin()
        steps = [(origin - then if trusted else timedelta(0), samples) for then, samples in held]
        stamped = [[replace(one, at=one.at + step) for one in samples] for step, samples in steps]
        self._hand_on(stamped, ClockTrust.HOLDOVER if trusted else ClockTrust.UNTRUSTED, to=to)

    def _hand_on(self, batches: Sequence[Sequence[Sample]], trust: ClockTrust, *, to: Offer) -> None:
        """Hand on what was held; from then on it is the sampler's to keep."""
        self._told = trust
        try:
            for samples in batches:
                to(samples)
        finally:
            self._told = None
        self._outbox.remember(_KEY, None, durable=False)

    def _origin(self) -> datetime:
        """Return the wall clock's instant at which the monotonic clock began; it moves only with a step."""
        return self._clock.now() - timedelta(seconds=self._clock.monotonic())


def _samples(kept: Any) -> list[Sample]:
    return [
        Sample(point=point, at=instant(at_ms), value=value, quality=Quality(quality))
        for point, at_ms, value, quality in kept or ()
    ]
