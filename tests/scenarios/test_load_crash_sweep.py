"""The gateway dies after each single write of an order to a load, and the next one leaves nothing of it behind.

``test_crash_sweep.py`` is the same of inverters and runs with every change.
"""

import asyncio
import os
import signal
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

from contracts.control import Action, Command, LimitLoad, Release, Switch
from firmware_sim.plant_config import DeviceKind
from tests.support.rigs.fault_matrix import TOLERANCE_W
from tests.support.rigs.fault_rig import AGGREGATOR, FaultRig, Says, fault_rig, load_site

SITE = "home"
RESTORED_S = 60.0  # Half a minute, and the shortest time for which a load keeps its state.
WRITES_MAX = 8
ORDER_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Change:
    """One order to a load, and what it draws before it and once it is complete; ``undone`` sweeps its release."""

    name: str
    kind: DeviceKind
    action: Action
    idle_w: float
    done_w: float
    undone: bool = False

    def draws(self, power_w: float) -> Says:
        """Say of a state of the plant whether the load draws a power."""
        return lambda state: abs(state["consumers_w"][self.kind.value] - power_w) <= TOLERANCE_W  # type: ignore[index]


def _charger(name: str, kind: DeviceKind, *, undone: bool = False) -> Change:
    action = LimitLoad(device=kind.value, max_w=5_000)
    return Change(name=name, kind=kind, action=action, idle_w=11_000.0, done_w=5_000.0, undone=undone)


def _pump(name: str, *, undone: bool = False) -> Change:
    action = Switch(device=DeviceKind.STIEBEL_ISG.value, on=False)
    return Change(name=name, kind=DeviceKind.STIEBEL_ISG, action=action, idle_w=1_000.0, done_w=0.0, undone=undone)


CHANGES = (
    _charger("a limit that stands a minute", DeviceKind.ALFEN_EVE),
    _charger("a limit with a watchdog", DeviceKind.HEIDELBERG_EC),
    _charger("a limit that is kept", DeviceKind.PHOENIX_EV_ETH),
    _charger("a kept limit lifted", DeviceKind.PHOENIX_EV_ETH, undone=True),
    _pump("a heat pump locked"),
    _pump("a heat pump let go", undone=True),
)


@pytest.mark.nightly
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name.replace(" ", "-"))
async def test_a_crash_after_any_write_leaves_no_load_held_back(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A car that charges at half its power, or a heat pump locked for good, is a call to the installer."""
    async with fault_rig(tmp_path, monkeypatch, [load_site(SITE, change.kind)]) as place:
        for writes in count(1):
            assert writes <= WRITES_MAX, f"{change.name} never ended"
            if not await _dies_after(place, change, writes):
                break
            await place.start(SITE)
            from_ms = place.now_ms()
            await place.steadily(SITE, change.draws(change.idle_w))
            since_ms = place.when(SITE, change.draws(change.idle_w), from_ms=from_ms)
            assert since_ms is not None and since_ms - from_ms <= 1_000 * RESTORED_S, (change.name, writes)
        assert writes > 1, "no write was swept"


async def _dies_after(place: FaultRig, change: Change, writes: int) -> bool:
    """Give the order and kill the gateway once so many writes have been taken; say whether it came to that."""
    await place.steadily(SITE, change.draws(change.idle_w))
    wire, process = place.wires[f"{SITE}/{change.kind.value}"], place.processes[SITE].process
    order: Command | None = None
    if change.undone:
        order = await place.order(SITE, change.action, issuer=AGGREGATOR, for_s=ORDER_S)
        await place.steadily(SITE, change.draws(change.done_w))
    died, told = asyncio.Event(), asyncio.Event()

    def dies(so_far: int) -> bool:
        if so_far == writes:
            os.killpg(process.pid, signal.SIGKILL)
            died.set()
        return so_far >= writes

    wire.writes, wire.on_write = 0, dies
    action = change.action if order is None else Release(command_id=order.command_id)
    aim = change.draws(change.done_w if order is None else change.idle_w)
    telling = asyncio.create_task(place.order(SITE, action, issuer=AGGREGATOR, for_s=ORDER_S), name="order a load")
    telling.add_done_callback(lambda _: told.set())
    begun_ms = place.now_ms()
    try:
        await place.until(
            lambda: died.is_set() or (told.is_set() and place.when(SITE, aim, from_ms=begun_ms) is not None),
            f"{change.name} or a crash",
        )
    finally:
        telling.cancel()
        wire.on_write = lambda _: False
    if died.is_set():
        await process.wait()
    return died.is_set()
