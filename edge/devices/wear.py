"""What is kept about a device over restarts: writes to memory that wears out, and levers that we have touched."""

import asyncio
from collections.abc import Iterable
from datetime import date
from typing import Final

from contracts.clock import Clock
from edge.devices.profile import FLASH_WRITES_A_DAY
from edge.devices.recipes import Lever, Storage, WriteRule
from edge.errors import ValueRefused
from edge.state_store import NOTE_S, StateStore

# Of a day's budget: what is not urgent may use so much of it, and so much at once.
ORDINARY_SHARE = 0.75
BURST_SHARE = 0.1
# Real seconds. A write waits ``NOTE_S`` for its note to be on the disk, and is then decided anew in a later cycle: a
# timer that is armed must count from now. A limit must not wait for a dead disk: after so long it is written without.
NOTE_S_MAX: Final = 10.0


class WriteBudget:
    """Counts the writes of one device by day and point, and knows which levers hold something of ours."""

    def __init__(self, device: str, memory: StateStore, clock: Clock) -> None:
        self._device = device
        self._memory = memory
        self._clock = clock
        self._wear_key = f"device/{device}/wear"
        self._touched_key = f"device/{device}/touched"
        kept = memory.recall(self._wear_key)
        kept = kept if isinstance(kept, dict) else {}
        self._day = str(kept.get("day", ""))
        self._today: dict[str, int] = {str(name): int(count) for name, count in dict(kept.get("today", {})).items()}
        self._total: dict[str, int] = {str(name): int(count) for name, count in dict(kept.get("total", {})).items()}
        touched = memory.recall(self._touched_key)
        self._touched = {Lever(name) for name in touched if name in set(Lever)} if isinstance(touched, list) else set()
        self._noted_at: dict[Lever, float] = {}  # When the note of a lever began whose end nobody has seen.

    @property
    def writes_today(self) -> dict[str, int]:
        """Return today's writes to memory that may wear out, by point."""
        return dict(self._today) if self._day == self._today_date().isoformat() else {}

    @property
    def writes_total(self) -> dict[str, int]:
        """Return all writes ever counted, by point."""
        return dict(self._total)

    @property
    def touched(self) -> frozenset[Lever]:
        """Return the levers that may still hold something of ours, also from before a restart."""
        return frozenset(self._touched)

    async def touch(self, lever: Lever) -> None:
        """Note on the disk, before the first write, that a lever will hold something of ours.

        Raises:
            ValueRefused: The disk has not taken the note yet. Nothing may be written now; ask again in a later cycle.
        """
        now_s = asyncio.get_running_loop().time()
        if lever not in self._touched:
            self._touched.add(lever)
            self._noted_at[lever] = now_s
            self._keep_touched()
        began_s = self._noted_at.get(lever)
        if began_s is None:
            return
        if now_s - began_s < NOTE_S_MAX:
            try:
                async with asyncio.timeout(NOTE_S):
                    await self._memory.on_disk()
            except TimeoutError as error:
                raise ValueRefused(
                    f"{self._device}: the disk has not taken within {NOTE_S:g} s the note that {lever.value} will hold "
                    f"something of ours; nothing was written, after {NOTE_S_MAX:g} s it is written all the same",
                    code="not_noted",
                ) from error
        self._noted_at.pop(lever, None)

    def let_go(self, lever: Lever) -> None:
        """Note that a lever holds nothing of ours any more; where a crash loses the note, it is given back again."""
        if lever in self._touched:
            self._touched.discard(lever)
            self._noted_at.pop(lever, None)
            self._keep_touched()

    def check(self, names: Iterable[str], rules: dict[str, WriteRule], *, urgent: bool = True) -> None:
        """Make sure that points may be written once more now.

        What is not urgent may use a share of the budget, and that as the day goes on: a morning of trading must neither
        leave a device without a command for the rest of the day nor use up what a grid operator's limit needs.

        Raises:
            ValueRefused: The daily budget of a point is used up, or what is not urgent may use of it by now.
        """
        today = self.writes_today
        for name in names:
            budget, written = budget_of(rules.get(name)), today.get(name, 0)
            if budget is None:
                continue
            if written >= budget:
                raise ValueRefused(
                    f"{name} was written {written} times today, its memory bears {budget}; nothing was written",
                    code="wear_budget",
                )
            by_now = budget if urgent else self._by_now(budget)
            if written >= by_now:
                raise ValueRefused(
                    f"{name} was written {written} times today; what is not urgent may have {by_now} of {budget} by "
                    "now; nothing was written",
                    code="wear_pace",
                )

    def spend(self, names: Iterable[str], rules: dict[str, WriteRule]) -> None:
        """Count one write to each point whose memory may wear out."""
        wearing = [name for name in names if budget_of(rules.get(name)) is not None]
        if not wearing:
            return
        today = self._today_date().isoformat()
        if today != self._day:
            self._day, self._today = today, {}
        for name in wearing:
            self._today[name] = self._today.get(name, 0) + 1
            self._total[name] = self._total.get(name, 0) + 1
        kept = {"day": self._day, "today": self._today, "total": self._total}
        self._memory.remember(self._wear_key, kept, durable=False)

    def _by_now(self, budget: int) -> int:
        now = self._clock.now()
        day_share = (now.hour * 3600 + now.minute * 60 + now.second) / 86_400
        return max(1, int(budget * (BURST_SHARE + (ORDINARY_SHARE - BURST_SHARE) * day_share)))

    def _keep_touched(self) -> None:
        self._memory.remember(self._touched_key, sorted(self._touched), durable=True)

    def _today_date(self) -> date:
        return self._clock.now().date()


def wear_period_s(points: Iterable[str], rules: dict[str, WriteRule]) -> float:
    """Return how far apart writes to points must lie on average for their memory to bear them, 0 where it is RAM."""
    budgets = [budget for name in points if (budget := budget_of(rules.get(name))) is not None]
    return 86_400 / min(budgets) if budgets else 0.0


def budget_of(rule: WriteRule | None) -> int | None:
    """Return the writes a day that a point bears; None where it is RAM."""
    if rule is None or rule.storage is Storage.RAM:
        return None
    return rule.daily_budget or FLASH_WRITES_A_DAY
