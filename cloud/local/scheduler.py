"""Calls functions again and again on the system's clock: what stands where EventBridge Scheduler stands."""

import logging
from datetime import datetime, timedelta
from typing import Final, Protocol

from cloud.infra.rules import Schedule
from cloud.local.events import scheduled_event
from cloud.stores.tables import Check
from contracts.clock import Clock
from contracts.units import epoch_ms, instant

log = logging.getLogger(__name__)

PERIOD_MS_MIN: Final = 1000
# So many failures in a row are an error; what the next tick makes good was a moment's.
LOUD_FROM: Final = 3


class Called(Protocol):
    """What calls a function by the module of its handler."""

    async def call(self, module: str, event: dict[str, object], *, fence: Check | None = None) -> object:
        """Call it and return its answer; whatever it raises is raised here."""


class Scheduler:
    """One schedule for one target. A call that takes longer than the period makes the next ticks fall out."""

    def __init__(
        self,
        *,
        schedule: Schedule,
        every_s: float,
        target: dict[str, str],
        functions: Called,
        fence: Check | None = None,
    ) -> None:
        self._schedule = schedule
        self._every_ms = max(PERIOD_MS_MIN, round(every_s * 1000))
        self._target = target
        self._functions = functions
        self._fence = fence
        self._failed = 0

    async def run(self, clock: Clock) -> None:
        """Call the function at each whole multiple of the period until cancelled; a failure waits for the next tick.

        The first call makes up for the last tick before we came.
        """
        await self._call(self._next(clock.now()) - timedelta(milliseconds=self._every_ms))
        while True:
            due_at = self._next(clock.now())
            await clock.sleep((due_at - clock.now()).total_seconds())
            await self._call(due_at)

    def _next(self, now: datetime) -> datetime:
        return instant((epoch_ms(now) // self._every_ms + 1) * self._every_ms)

    async def _call(self, due_at: datetime) -> None:
        try:
            await self._functions.call(self._schedule.handler, scheduled_event(due_at, self._target), fence=self._fence)
        except Exception as error:  # The border of the function: the next tick tries again.
            self._failed += 1
            level = logging.WARNING if self._failed < LOUD_FROM else logging.ERROR
            fields = {"schedule": self._schedule.name, **self._target, "in_a_row": self._failed}
            log.log(level, "scheduled call failed", extra={**fields, "error": f"{type(error).__name__}: {error}"})
        else:
            self._failed = 0
