"""How soon a device is read rightly again after each fault of the simulator, and whether anything wrong was taken."""

import asyncio
import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.clock import Clock, scaled_clock
from contracts.units import Quality
from edge.devices.catalogue import load_profile
from edge.devices.device import Device
from edge.modbus.bus import Bus
from edge.modbus.point import Reading
from firmware_sim.errors import ExceptionCode
from firmware_sim.fault_rules import FaultKind, FaultRule
from firmware_sim.installation import open_installation
from firmware_sim.single import DEVICE, SITE, single_device
from tests.support.modbus.devices import NOON
from tests.support.modbus.wait import until

PROFILE = "sunspec_generic_int"
TRIES_MAX = 10  # A short fault may fall between two requests that it is about; then it comes again.
PHASE_S = 1.0  # The fault begins within so long after the first good reading, at whatever phase of the cycle.
FAULT_S = 1.2  # How long every request is spoiled, if not told otherwise.
LATE_S = 0.4  # Later than the shortest time-out.
FAR_OFF_S = 1e6  # The simulator gives a device with rules a wire that can go wrong.
NEVER_S = 60.0  # However long after the last answer a request comes, it is not heard.
SILENT_S = 1.0  # Of a reboot.
EXCEPTIONS = (  # What boots says "no such address" or "busy", what stands before it "no answer".
    ExceptionCode.ILLEGAL_DATA_ADDRESS,
    ExceptionCode.SERVER_DEVICE_BUSY,
    ExceptionCode.SERVER_DEVICE_FAILURE,
    ExceptionCode.GATEWAY_TARGET_FAILED,
)
HOLE_ADDRESS = 40_084  # In the middle of the inverter's model.
FOREIGN_ADDRESS = 40_400
HEALTHY_WITHIN_S = 10.0
LOOK_S = 0.05
GIVE_UP_S = 45.0  # For the first good reading, and again from the end of the fault.
BELIEVABLE: Mapping[str, tuple[float, float]] = {"voltage_l1_v": (200.0, 260.0), "frequency_hz": (49.0, 51.0)}
PROOF = "voltage_l1_v"


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What one run showed.

    Args:
        recovery_s: From the end of the fault to the first right reading, real seconds; None if there was none.
        wrong: Readings that were called good and could not be.
        happened: How often the fault struck.
    """

    recovery_s: float | None
    wrong: tuple[str, ...]
    happened: int


# What some devices do all their life: habits to live with, which the tests of habits try, no faults that pass.
HABITS = frozenset(
    {
        FaultKind.UNIT_REPLY,
        FaultKind.ANY_UNIT,
        FaultKind.DEAF,
        FaultKind.CLOSE_IDLE,
        FaultKind.CLOSE,
        FaultKind.TOO_LONG,
        FaultKind.VALUES,
        FaultKind.ECHO,
        FaultKind.SHORT,
        FaultKind.STICKY,
    }
)
PASSING = tuple(kind for kind in FaultKind if kind not in HABITS)


def rule(kind: FaultKind, *, from_s: float, fault_s: float, seed: int = 0) -> FaultRule:
    """Return the rule that spoils every request for so long from an instant on; the seed chooses an exception."""
    once = kind in (FaultKind.HALF_OPEN, FaultKind.REBOOT)
    is_second = kind is FaultKind.SECOND_MASTER
    return FaultRule(
        kind=kind,
        from_s=from_s,
        to_s=from_s + fault_s,
        delay_s=LATE_S if kind in (FaultKind.DELAY, FaultKind.LATE) else NEVER_S,
        silent_s=SILENT_S,
        code=EXCEPTIONS[seed % len(EXCEPTIONS)] if kind is FaultKind.EXCEPTION else None,
        count_max=1 if once else None,
        address=FOREIGN_ADDRESS if is_second else HOLE_ADDRESS if kind is FaultKind.HOLE else None,
        values=(1,) if is_second else (),
    )


def wrong_in(snapshot: Mapping[str, Reading]) -> list[str]:
    """Return what a snapshot calls good and cannot be."""
    return [
        f"{name} {snapshot[name].value}"
        for name, (least, most) in BELIEVABLE.items()
        if name in snapshot
        and snapshot[name].quality is Quality.GOOD
        and not least <= float(snapshot[name].value or 0.0) <= most
    ]


async def recover(kind: FaultKind, *, seed: int, fault_s: float = FAULT_S) -> Recovery:
    """Read a device through one fault, which begins when it is well, and return what came of it.

    Raises:
        TimeoutError: It was never well.
    """
    clock = scaled_clock(started_at=NOON, speed=1.0)
    from_s = random.Random(seed).uniform(0.0, PHASE_S)
    far_off = rule(kind, from_s=FAR_OFF_S, fault_s=fault_s)
    async with open_installation(single_device("sunspec", faults=(far_off,), seed=seed), clock) as installation:
        wire = installation.wires[f"{SITE}/{DEVICE}"]
        async with Bus(f"tcp://127.0.0.1:{installation.ports[f'{SITE}/{DEVICE}']}", seed=seed) as bus:
            device = Device(id="device", profile=load_profile(PROFILE), bus=bus, unit=1, clock=clock)
            task = asyncio.create_task(device.run(), name="read device")
            try:
                await until(lambda: _proven_s(device) is not None, safety_s=GIVE_UP_S)
                silent_s = SILENT_S if kind is FaultKind.REBOOT else 0.0
                for _ in range(TRIES_MAX):
                    wire.follow((rule(kind, from_s=from_s, fault_s=fault_s, seed=seed),))
                    ended_s = clock.monotonic() + from_s + fault_s + silent_s
                    recovery_s, wrong = await _watch(device, clock, ended_s=ended_s)
                    if wire.happened[kind]:
                        break
                return Recovery(recovery_s=recovery_s, wrong=wrong, happened=wire.happened[kind])
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def _proven_s(device: Device) -> float | None:
    """Return when the newest right reading came, None if there is none."""
    proof = device.snapshot().get(PROOF)
    return proof.monotonic_s if proof is not None and proof.quality is Quality.GOOD else None


async def _watch(device: Device, clock: Clock, *, ended_s: float) -> tuple[float | None, tuple[str, ...]]:
    """Return how long after an instant the first right reading came, and what was wrong until then."""
    wrong: dict[str, None] = {}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(ended_s - clock.monotonic() + GIVE_UP_S):
            while True:
                wrong.update(dict.fromkeys(wrong_in(device.snapshot())))
                proven_s = _proven_s(device)
                if proven_s is not None and proven_s > ended_s:
                    return proven_s - ended_s, tuple(wrong)
                await asyncio.sleep(LOOK_S)
    return None, tuple(wrong)
