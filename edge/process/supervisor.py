"""Keep a fault of any part that is not control from ending control.

A part that fails is logged, counted and started again after a pause that doubles, with jitter. One that fails again and
again is switched off, said, and tried once more each hour. A part runs inside control's process: what blocks the event
loop, or ends the process, is beyond this.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from contracts.clock import Clock
from edge.process.apart import apart
from edge.process.lifetime import StopRequested

log = logging.getLogger(__name__)

FAILURES_MAX = 8  # In a row; with the pauses below that is three to four minutes of trying.
SETTLED_S = 600.0  # A part that ran so long begins a new row of failures.
PAUSE_S_MIN = 1.0
PAUSE_S_MAX = 60.0
# A switched-off part is tried again so often: a gateway in a cellar must not wait for a visit.
OFF_S = 3600.0
_ERROR_CHARS_MAX = 200

Result = TypeVar("Result")


class PartState(StrEnum):
    """Where a part stands; ``FAILING`` is a piece of work that failed when it was last done."""

    RUNNING = "running"
    FAILING = "failing"
    WAITING = "waiting"
    OFF = "off"
    ENDED = "ended"


_FAILING = frozenset({PartState.FAILING, PartState.WAITING, PartState.OFF})


@dataclass(kw_only=True)
class Part:
    """One part's state and counters since start; ``failures_in_a_row`` decides when it is switched off."""

    name: str
    state: PartState = PartState.RUNNING
    failures: int = 0
    failures_in_a_row: int = 0
    restarts: int = 0
    last_error: str | None = None

    def failed(self, error: BaseException) -> None:
        """Count a failure."""
        self.failures += 1
        self.failures_in_a_row += 1
        self.last_error = (f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)[
            :_ERROR_CHARS_MAX
        ]


class Supervisor:
    """Runs the parts of a site that are not control.

    Args:
        clock: Paces the pauses between a failure and the next start.
        generator: Source of the jitter.
    """

    def __init__(self, clock: Clock, *, generator: random.Random | None = None) -> None:
        self._clock = clock
        self._generator = generator or random.Random()
        self._parts: dict[str, Part] = {}

    @property
    def parts(self) -> tuple[Part, ...]:
        """Return every part in the order of their first start."""
        return tuple(self._parts.values())

    def failing(self) -> tuple[str, ...]:
        """Return the names of the parts that do not run now, though they should."""
        return tuple(part.name for part in self.parts if part.state in _FAILING)

    async def run(self, name: str, start: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a part for as long as the site runs, starting it again after a failure.

        Args:
            name: Of the part, for the log and the status.
            start: Makes one run of the part. A run that returns has ended in order and is not started again.

        Raises:
            StopRequested: The part asks the whole gateway to stop.
        """
        part = self._part(name)
        while True:
            began_s = self._clock.monotonic()
            part.state = PartState.RUNNING
            try:
                await apart(start())
            except StopRequested:
                raise
            except asyncio.CancelledError as error:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    raise
                # A future that somebody else cancelled came out of the part: that is the part's failure.
                self._note(part, error, ran_s=self._clock.monotonic() - began_s)
            except Exception as error:  # The border: whatever a part stumbles over, control goes on.
                self._note(part, error, ran_s=self._clock.monotonic() - began_s)
            else:
                part.state = PartState.ENDED
                return
            await self._clock.sleep(self._pause_s(part))
            part.restarts += 1

    def call(self, name: str, work: Callable[[], Result], *, otherwise: Result) -> Result:
        """Do one short piece of work inside a control cycle; where it raises, return ``otherwise``.

        The failure is logged at the first and then at each doubling of the row, since a cycle comes every second.
        """
        part = self._part(name)
        try:
            result = work()
        except StopRequested:
            raise
        except Exception as error:  # The border: an observer or requester that raises is left out of this cycle.
            part.state = PartState.FAILING
            part.failed(error)
            row = part.failures_in_a_row
            if row & (row - 1) == 0:
                log.exception("left out of a control cycle", extra={"part": name, "in_a_row": row})
            return otherwise
        part.state = PartState.RUNNING
        part.failures_in_a_row = 0
        return result

    def _part(self, name: str) -> Part:
        return self._parts.setdefault(name, Part(name=name))

    def _note(self, part: Part, error: BaseException, *, ran_s: float) -> None:
        if ran_s >= SETTLED_S:
            part.failures_in_a_row = 0
        part.failed(error)
        off = part.failures_in_a_row >= FAILURES_MAX
        part.state = PartState.OFF if off else PartState.WAITING
        log.error(
            "a part keeps failing and is switched off" if off else "a part failed and is started again",
            extra={"part": part.name, "failures": part.failures, "in_a_row": part.failures_in_a_row},
            exc_info=error,
        )

    def _pause_s(self, part: Part) -> float:
        """Return the pause before the next start, on the site's clock."""
        if part.state is PartState.OFF:
            return OFF_S * self._generator.uniform(1.0, 1.1)
        bound_s = min(PAUSE_S_MAX, PAUSE_S_MIN * 2.0**part.failures_in_a_row)
        return self._generator.uniform(PAUSE_S_MIN, bound_s)
