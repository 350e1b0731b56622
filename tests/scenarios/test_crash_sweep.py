"""The gateway dies after each single write of a mode change, and the next one puts every register right.

A mode is several registers; between two of their writes the device holds something that nobody ever meant. The outbox
of touched levers, on the disk before the first write, is what the next process goes by.
"""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from contracts.control import Action, BatteryPower, Command, LimitExport, Release
from contracts.units import epoch_ms
from firmware_sim.plant_config import PlantSite
from tests.support.rigs.fault_matrix import EDGE_MS
from tests.support.rigs.fault_rig import (
    AGGREGATOR,
    BATTERY_LOAD_W,
    GRID_OPERATOR,
    FaultRig,
    Says,
    State,
    battery_site,
    fault_rig,
    sun_site,
)
from tests.support.rigs.fault_wire import Registers

SITE = "home"
SPEED = 6.0  # Half a minute on site is five seconds here; what is restored in time takes a few tenths of one.
RESTORED_S = 30.0
STEADY_MS = 3000
WRITES_MAX = 12  # No mode of any profile has so many.
ORDER_S = 600.0
LIMIT_S = 100.0
TOLERANCE_W = 150.0

# SunSpec models 123 and 124, from the id register on.
_LIMIT_TIMER, _LIMIT_ENABLE = (123, 7), (123, 9)
_STORAGE_MODE, _DISCHARGE_RATE, _CHARGE_RATE, _STORAGE_TIMER = (124, 5), (124, 12), (124, 13), (124, 15)
_BOTH_RATES = 3


@dataclass(frozen=True, kw_only=True)
class Change:
    """One mode change, and how a site looks before it and when it is complete.

    ``writes`` is how many requests the change takes at least. ``undone`` changes back: the order is obeyed first, and
    the writes that follow its release are swept.
    """

    name: str
    site: PlantSite
    action: Action
    done: Says
    idle: Says
    right: Callable[[Registers], bool]
    writes: int = 2
    undone: bool = False


def _battery_at(power_w: float) -> Says:
    return lambda state: abs(state["battery_w"] - power_w) < TOLERANCE_W


def _no_export(state: State) -> bool:
    return state["connection_w"] > -TOLERANCE_W and -state["pv_w"] < state["pv_available_w"] - 200.0


def _exports(state: State) -> bool:
    return -state["pv_w"] > 0.99 * state["pv_available_w"]


def _taken_over(held: Registers) -> bool:
    """Say whether a storage mode is complete: both rates name one power, and the timer runs."""
    rates = held[_DISCHARGE_RATE] + held[_CHARGE_RATE]
    return held[_STORAGE_MODE] == _BOTH_RATES and rates in (0, 1 << 16) and held[_STORAGE_TIMER] > 0


def _lifted(held: Registers) -> bool:
    """Say whether nothing of a limit is left, not even a time that the next tool would inherit."""
    return held[_LIMIT_ENABLE] == 0 and held[_LIMIT_TIMER] == 0


def _battery(name: str, power_w: int) -> Change:
    return Change(
        name=name,
        site=battery_site(SITE),
        action=BatteryPower(power_w=power_w),
        done=_battery_at(power_w),
        idle=_battery_at(-BATTERY_LOAD_W),
        right=_taken_over,
    )


def _limit(name: str, site: PlantSite, *, writes: int = 2, undone: bool = False) -> Change:
    return Change(
        name=name,
        site=site,
        action=LimitExport(max_w=0),
        done=_no_export,
        idle=_exports,
        right=_lifted,
        writes=writes,
        undone=undone,
    )


_CHANGES = (
    _battery("charge", 1500),
    _battery("discharge", -1000),
    _battery("hold", 0),
    _limit("limit", battery_site(SITE, sun=True)),
    _limit("limit lifted", battery_site(SITE, sun=True), undone=True),
    _limit("limit without a timer", sun_site(SITE, has_timer=False), writes=1),
    _limit("limit lifted without a timer", sun_site(SITE, has_timer=False), writes=1, undone=True),
)


@pytest.mark.slow
@pytest.mark.parametrize("change", _CHANGES, ids=lambda change: change.name.replace(" ", "-"))
async def test_a_crash_after_any_write_is_put_right(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a mode is nobody's intention: it may not outlive the restart by half a minute."""
    async with fault_rig(tmp_path, monkeypatch, [change.site], speed=SPEED, trading=True) as place:
        for writes in count(1):
            assert writes <= WRITES_MAX, f"the change to {change.name} never ended"
            if not await _dies_after(place, change, writes):
                break
            await place.start(SITE)
            await _is_put_right(place, change, writes, from_ms=place.now_ms())
        assert writes > change.writes, f"{writes - 1} writes were swept, the change takes {change.writes}"


async def _dies_after(place: FaultRig, change: Change, writes: int) -> bool:
    """Change the mode and kill the gateway once so many writes have been taken; say whether it came to that."""
    await _steady(place, change.idle)
    wire, process = place.wires[f"{SITE}/inverter"], place.processes[SITE].process
    order: Command | None = None
    if change.undone:
        order = await place.order(SITE, change.action, issuer=AGGREGATOR, for_s=ORDER_S)
        await _steady(place, change.done)
    died = asyncio.Event()

    def dies(so_far: int) -> bool:
        if so_far == writes:
            os.killpg(process.pid, signal.SIGKILL)
            died.set()
        return so_far >= writes

    wire.writes, wire.on_write = 0, dies
    action = change.action if order is None else Release(command_id=order.command_id)
    aim = change.done if order is None else change.idle
    telling = asyncio.create_task(place.order(SITE, action, issuer=AGGREGATOR, for_s=ORDER_S), name="change the mode")
    begun_ms = place.now_ms()

    def ended() -> bool:
        if telling.done():
            telling.result()  # Raises where the site refused.
        return died.is_set() or _since(place, aim, begun_ms)

    try:
        await place.until(ended, f"{change.name} or a crash")
    finally:
        telling.cancel()
        wire.on_write = lambda _: False
    if died.is_set():
        await process.wait()
    return died.is_set()


async def _is_put_right(place: FaultRig, change: Change, writes: int, *, from_ms: int) -> None:
    async with place.registers(SITE) as held:
        while not (change.right(await held()) and change.idle(place.latest(SITE))):
            took_s = (place.now_ms() - from_ms) / 1000
            assert took_s <= RESTORED_S, (
                f"{change.name}, killed after write {writes}: after {took_s:.0f} s the device holds {await held()}"
                f" and the plant says {place.latest(SITE)}"
            )
            await asyncio.sleep(0.02)


async def _steady(place: FaultRig, says: Says) -> None:
    begun_ms = place.now_ms()
    await place.until(lambda: _since(place, says, begun_ms), "the site is steady")


def _since(place: FaultRig, says: Says, begun_ms: int) -> bool:
    since_ms = place.when(SITE, says, from_ms=begun_ms)
    return since_ms is not None and place.truth()[-1][0] - since_ms >= STEADY_MS


@pytest.mark.slow
@pytest.mark.parametrize("has_timer", [True, False], ids=["timer", "no-timer"])
async def test_a_restart_does_not_lift_the_grid_operators_limit(
    has_timer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order still runs: neither our death nor our return is a reason to feed in."""
    async with fault_rig(tmp_path, monkeypatch, [sun_site(SITE, has_timer=has_timer)], speed=SPEED) as place:
        await _steady(place, _exports)
        order = await place.order(SITE, LimitExport(max_w=0), issuer=GRID_OPERATOR, for_s=LIMIT_S)
        await _steady(place, _no_export)
        held_ms = place.now_ms()

        place.signal(signal.SIGKILL)
        await place.processes[SITE].process.wait()
        await place.start(SITE)

        ends_ms = epoch_ms(order.expires_at)
        await place.until_ms(ends_ms + int(LIMIT_S * 100))
        assert place.always(SITE, _no_export, from_ms=held_ms, to_ms=ends_ms - EDGE_MS)
        assert place.when(SITE, _exports, from_ms=ends_ms - EDGE_MS) is not None, "the limit outlived its order"
