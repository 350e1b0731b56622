"""The gateway's own history: means of 10 s for a day, of a minute for a week, of quarters of an hour for five years.

Cycles are counted in memory and written every five minutes in one commit, in a thread: some 300 commits and 15 MB a
day, which a card bears for decades. A kill loses the last five minutes. Counters keep their last value.
"""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from contracts.clock import Clock
from contracts.reasons import reason_of
from contracts.telemetry import Sample
from contracts.units import ClockTrust, Quality, epoch_ms
from edge.errors import OutboxError
from edge.telemetry.history_file import FILE, TIERS, HistoryFile, Row

log = logging.getLogger(__name__)

WRITE_EVERY_S: Final = 300.0
# Of a card that takes nothing: an hour of rows waits, then the oldest go.
WAITING_MAX: Final = 450


@dataclass(kw_only=True)
class _Step:
    """A step that is being counted."""

    start_s: int
    cycles: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)

    def row(self, step_s: int) -> Row:
        """Return the step as it stands."""
        means = {point: total / self.counts[point] for point, total in self.sums.items()}
        return Row(step_s=step_s, start_s=self.start_s, cycles=self.cycles, values={**means, **self.last})


class History:
    """Takes what each cycle saw, and writes it now and then."""

    def __init__(self, state_dir: Path, *, clock: Clock, clock_trust: Callable[[], ClockTrust]) -> None:
        self._path = state_dir / FILE
        self._clock = clock
        self._clock_trust = clock_trust
        self._file: HistoryFile | None = None
        self._steps: dict[int, _Step] = {}
        self._waiting: list[Row] = []
        self._written: list[Row] = []  # What a thread is writing.
        self._failing = False
        # A write that was begun in a thread goes on when the task that waits for it is cancelled.
        self._lock = threading.Lock()

    def offer(self, samples: Iterable[Sample]) -> None:
        """Take one cycle's samples; only good numbers count, and none while the clock is not trusted."""
        if self._clock_trust() is ClockTrust.UNTRUSTED:
            return
        values = {one.point: one.value for one in samples if one.quality is Quality.GOOD and one.value is not None}
        now_s = epoch_ms(self._clock.now()) // 1000
        for tier in TIERS:
            start_s = now_s // tier.step_s * tier.step_s
            step = self._steps.get(tier.step_s)
            if step is None or step.start_s != start_s:
                if step is not None:
                    self._waiting.append(step.row(tier.step_s))
                step = self._steps[tier.step_s] = self._begun(tier.step_s, start_s, first=step is None)
            step.cycles += 1
            for point, value in values.items():
                if "energy" in point:
                    step.last[point] = value
                else:
                    step.sums[point] = step.sums.get(point, 0.0) + value
                    step.counts[point] = step.counts.get(point, 0) + 1
        del self._waiting[:-WAITING_MAX]

    async def run(self) -> None:
        """Write every five minutes until cancelled."""
        while True:
            await self._clock.sleep(WRITE_EVERY_S)
            rows = self._written = self._due()
            if not await asyncio.to_thread(self._write, rows):
                self._waiting = [*rows, *self._waiting][-WAITING_MAX:]
            self._written = []

    def unwritten(self, step_s: int) -> list[Row]:
        """Return the finished steps of one length that the file may not hold yet, oldest first; any thread may ask."""
        return [row for row in (*tuple(self._written), *tuple(self._waiting)) if row.step_s == step_s]

    def write(self) -> bool:
        """Write what was counted before returning, and say whether the card took it."""
        return self._write(self._due())

    def close(self) -> None:
        """Write what was counted and close the file."""
        self.write()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _due(self) -> list[Row]:
        """Return the finished steps and those that are being counted, which are written again when they end."""
        rows, self._waiting = self._waiting, []
        return [*rows, *(step.row(step_s) for step_s, step in self._steps.items() if step.cycles)]

    def _write(self, rows: list[Row]) -> bool:
        """Write rows; a card that fails is told once, and costs history alone."""
        try:
            with self._lock:
                self._opened().write(rows)
        except (sqlite3.Error, OutboxError, OSError) as error:
            if not self._failing:
                log.warning("history not written", extra={"file": str(self._path), "error": reason_of(error)})
            self._failing = True
            return False
        self._failing = False
        return True

    def _begun(self, step_s: int, start_s: int, *, first: bool) -> _Step:
        """Return a step, after a start with what an earlier process had counted of it."""
        step = _Step(start_s=start_s)
        if not first:
            return step
        try:
            with self._lock:
                row = self._opened().row(step_s, start_s)
        except (sqlite3.Error, OutboxError, OSError):
            return step  # Writing tells it.
        if row is not None:
            step.cycles = row.cycles
            step.last = {point: value for point, value in row.values.items() if "energy" in point}
            means = {point: value for point, value in row.values.items() if "energy" not in point}
            step.sums = {point: value * row.cycles for point, value in means.items()}
            step.counts = dict.fromkeys(means, row.cycles)
        return step

    def _opened(self) -> HistoryFile:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = HistoryFile(self._path, now_ms=epoch_ms(self._clock.now()))
        return self._file
