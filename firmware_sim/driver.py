"""The driver: moves the plant on as its clock runs, and lets device timers expire at their very instant."""

from collections.abc import Callable
from typing import Protocol

from contracts.clock import Clock
from firmware_sim.plant import Plant

# Reads closer together than this see the same instant: a tenth of a control cycle, but never more than 100 steps a
# real second, which is what keeps twenty sites well under one core.
STEP_S = 0.1
STEP_REAL_S = 0.01
# A plant that nobody reads still moves on this often.
IDLE_STEP_REAL_S = 0.05


class Timer(Protocol):
    """A device's own timer."""

    @property
    def deadline_s(self) -> float | None:
        """Return when it runs out on the plant's clock, or ``None`` while it does not run."""

    def expire(self) -> None:
        """Do what the device does when it runs out."""


class Driver:
    """One plant and the clock that it lives by."""

    def __init__(self, plant: Plant, clock: Clock) -> None:
        """Take a plant that was built at a reading of the same clock."""
        self.plant = plant
        self._clock = clock
        self._step_s = max(STEP_S, STEP_REAL_S * clock.speed)
        self._timers: list[Timer] = []

    def add_timer(self, timer: Timer) -> None:
        """Watch a device's timer from now on."""
        self._timers.append(timer)

    def freshen(self) -> int:
        """Move the plant on if it has fallen behind by a step, and return its version."""
        now_s = self._clock.monotonic()
        if now_s - self.plant.now_s >= self._step_s:
            self._move(now_s)
        return self.plant.version

    def now_s(self) -> float:
        """Move the plant up to this very instant and return it."""
        now_s = self._clock.monotonic()
        self._move(now_s)
        return self.plant.now_s

    async def run(self, after_step: Callable[[], None] | None = None) -> None:
        """Keep the plant moving until cancelled; ``after_step`` is called each time."""
        pause_s = max(STEP_S, IDLE_STEP_REAL_S * self._clock.speed)
        while True:
            self.freshen()
            if after_step is not None:
                after_step()
            await self._clock.sleep(pause_s)

    def _move(self, now_s: float) -> None:
        while True:
            due = [
                (timer.deadline_s, index) for index, timer in enumerate(self._timers) if timer.deadline_s is not None
            ]
            deadline_s, index = min(due, default=(now_s, -1))
            if index < 0 or deadline_s > now_s:
                break
            self.plant.advance(deadline_s)
            self._timers[index].expire()
        self.plant.advance(now_s)
