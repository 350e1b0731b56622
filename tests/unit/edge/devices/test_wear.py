"""What is kept about a device over restarts."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from edge.devices import wear
from edge.devices.recipes import Lever, Storage, WriteRule
from edge.devices.wear import WriteBudget, budget_of
from edge.errors import ValueRefused
from edge.state_store import VolatileStateStore
from tests.support.manual_clock import ManualClock

RULES = {
    "eeprom": WriteRule(storage=Storage.FLASH, daily_budget=2),
    "ram": WriteRule(storage=Storage.RAM),
    "unknown": WriteRule(),
}


def test_the_budget_holds_over_restarts_and_ends_with_the_day() -> None:
    """A gateway that restarts every hour wears no memory out, and tomorrow is another day."""
    memory, clock = VolatileStateStore(), ManualClock(datetime(2025, 6, 1, 23, 0, tzinfo=UTC))
    WriteBudget("one", memory, clock).spend(["eeprom"], RULES)
    WriteBudget("one", memory, clock).spend(["eeprom"], RULES)
    ledger = WriteBudget("one", memory, clock)
    with pytest.raises(ValueRefused, match="written 2 times today, its memory bears 2"):
        ledger.check(["eeprom"], RULES)
    clock.advance(3600)
    ledger.check(["eeprom"], RULES)
    ledger.spend(["eeprom"], RULES)
    assert ledger.writes_today == {"eeprom": 1} and ledger.writes_total == {"eeprom": 3}


def test_what_is_not_urgent_is_paced_over_the_day_and_leaves_a_share() -> None:
    """A morning of trading must not leave a grid operator's limit without a write, nor the evening without any."""
    clock = ManualClock(datetime(2025, 6, 1, 0, 0, tzinfo=UTC))
    ledger, name, rules = WriteBudget("one", VolatileStateStore(), clock), "unknown", RULES
    written = []
    for hour in range(24):
        before = ledger.writes_today.get(name, 0)
        with pytest.raises(ValueRefused, match="what is not urgent may have"):
            while True:
                ledger.check([name], rules, urgent=False)
                ledger.spend([name], rules)
        written.append(ledger.writes_today[name] - before)
        clock.advance(3600 if hour < 23 else 3599)
    assert written[0] == 20, "a tenth at once"
    assert set(written[1:]) <= {5, 6}, "and the rest hour by hour"
    assert sum(written) <= 150, "three quarters in all"
    for _ in range(200 - sum(written)):
        ledger.check([name], rules)
        ledger.spend([name], rules)
    with pytest.raises(ValueRefused, match="its memory bears 200"):
        ledger.check([name], rules)


def test_a_month_of_a_volatile_tariff_stays_in_the_budget_and_is_never_without_a_write_for_long() -> None:
    """Prices that change each quarter of an hour are followed; what changes each minute, as far as it can be."""
    clock = ManualClock(datetime(2025, 6, 1, 0, 0, tzinfo=UTC))
    ledger, name = WriteBudget("one", VolatileStateStore(), clock), "unknown"
    days: dict[int, int] = {}
    longest_s, last_s = 0.0, 0.0
    for minute in range(30 * 24 * 60):
        clock.advance(60)
        with contextlib.suppress(ValueRefused):
            ledger.check([name], RULES, urgent=False)
            ledger.spend([name], RULES)
            day = minute // (24 * 60)
            days[day] = days.get(day, 0) + 1
            longest_s, last_s = max(longest_s, clock.monotonic() - last_s), clock.monotonic()
    assert max(days.values()) <= 150
    assert longest_s <= 900


def test_memory_that_is_not_known_counts_as_wearing() -> None:
    """Caution costs a counter; the opposite costs an inverter."""
    assert budget_of(RULES["ram"]) is None
    assert budget_of(RULES["unknown"]) == 200 and budget_of(RULES["eeprom"]) == 2


class _SlowDisk(VolatileStateStore):
    """A disk that takes what it is given when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.free = asyncio.Event()

    async def on_disk(self) -> None:
        """Wait for the test."""
        await self.free.wait()


async def test_a_touched_lever_is_on_the_disk_before_the_first_write() -> None:
    """A crash between the note and the write costs a needless release; the other way round, a stuck device."""
    memory = _SlowDisk()
    ledger = WriteBudget("one", memory, ManualClock())
    first = asyncio.create_task(ledger.touch(Lever.BATTERY_POWER))
    await asyncio.sleep(0)
    assert not first.done(), "the note is not on the disk"
    memory.free.set()
    await first
    memory.free.clear()
    await ledger.touch(Lever.BATTERY_POWER)  # Known by now: it waits for nothing.
    again = WriteBudget("one", memory, ManualClock())
    assert again.touched == {Lever.BATTERY_POWER}
    again.let_go(Lever.BATTERY_POWER)
    assert WriteBudget("one", memory, ManualClock()).touched == frozenset()


async def test_a_write_is_decided_anew_while_the_disk_stands_still_and_made_when_that_lasts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A timer armed late would outlive its lease; a limit that waits for a dead disk would never come."""
    monkeypatch.setattr(wear, "NOTE_S", 0.001)
    ledger = WriteBudget("one", _SlowDisk(), ManualClock())
    for _ in range(2):
        with pytest.raises(ValueRefused, match="nothing was written") as refused:
            await ledger.touch(Lever.BATTERY_POWER)
        assert refused.value.code == "not_noted"
    monkeypatch.setattr(wear, "NOTE_S_MAX", 0.0)
    await ledger.touch(Lever.BATTERY_POWER)


@pytest.mark.parametrize("damaged", [None, 7, "x", {"day": 3}, ["no_such_lever"]])
def test_what_was_kept_in_another_shape_is_forgotten(damaged: object) -> None:
    """An older gateway's notes stop nobody."""
    memory = VolatileStateStore()
    memory.remember("device/one/wear", damaged)
    memory.remember("device/one/touched", damaged)
    ledger = WriteBudget("one", memory, ManualClock())
    assert ledger.writes_today == {} and ledger.touched == frozenset()
