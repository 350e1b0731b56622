"""Samples taken before the wall clock was ever trusted: held, and stamped anew by the monotonic clock once it is.

A board without a battery starts in the past and steps when the network comes. How far a sample's stamp was off is the
step between the two clocks' difference then and now. Messages of samples stamped so say ``holdover``: by our own clock,
counted back from a synchronisation. Where no synchronisation comes in time, they go as they are, ``untrusted``.

What is held is in memory only; a power cut in the first two minutes of a start without a clock loses it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from contracts.clock import Clock
from contracts.telemetry import Sample
from contracts.units import ClockTrust

# Longer than the link waits for the clock; then telemetry is worth more than its stamps.
HOLD_S = 150.0
HELD_MAX = 20_000

Offer = Callable[[Sequence[Sample]], None]


class Holdback:
    """Stands between who reads and the sampler, and says how far the stamps of what it hands on may be trusted."""

    def __init__(self, *, clock: Clock, clock_trust: Callable[[], ClockTrust]) -> None:
        """Prepare; where the clock is trusted already, nothing is ever held."""
        self._clock = clock
        self._clock_trust = clock_trust
        self._held: list[tuple[datetime, Sequence[Sample]]] = []
        self._count = 0
        self._over = clock_trust() is not ClockTrust.UNTRUSTED
        self._until_s = clock.monotonic() + HOLD_S
        self._stamped_anew = False

    def trust(self) -> ClockTrust:
        """Return how far the stamps of what is handed on now may be trusted."""
        return ClockTrust.HOLDOVER if self._stamped_anew else self._clock_trust()

    def offer(self, samples: Sequence[Sample], *, to: Offer) -> None:
        """Hand samples on, or hold them while there was no trusted clock yet."""
        if self._over:
            to(samples)
            return
        trusted = self._clock_trust() is not ClockTrust.UNTRUSTED
        if not trusted and self._clock.monotonic() < self._until_s and self._count < HELD_MAX:
            self._held.append((self._origin(), samples))
            self._count += len(samples)
            return
        self._over = True
        self._let_go(trusted=trusted, to=to)
        to(samples)

    def close(self, *, to: Offer) -> None:
        """Hand on what is held as it is: the gateway stops before its clock was set."""
        self._over = True
        self._let_go(trusted=False, to=to)

    def _let_go(self, *, trusted: bool, to: Offer) -> None:
        held, self._held = self._held, []
        origin = self._origin()
        self._stamped_anew = trusted and bool(held)
        try:
            for origin_then, samples in held:
                step = origin - origin_then if trusted else timedelta(0)
                to([replace(sample, at=sample.at + step) for sample in samples])
        finally:
            self._stamped_anew = False

    def _origin(self) -> datetime:
        """Return the wall clock's instant at which the monotonic clock began; it moves only with a step."""
        return self._clock.now() - timedelta(seconds=self._clock.monotonic())
