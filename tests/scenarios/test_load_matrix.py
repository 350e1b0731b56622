"""The kill matrix of chargers and heat pumps: whatever dies, each is where its own device promises it to be.

``test_loads.py`` is the part of it that runs with every change. One gateway has a load of each kind: a limit that
stands for a minute, a watchdog that counts any message, a limit that is kept for ever, and a heat pump's two
contacts. Orders hold them all back; then something breaks.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.control import Action, LimitLoad, Switch
from contracts.units import epoch_ms
from edge.control.lease import LEASE_S
from firmware_sim.consumers import LEAST_A, PHASE_V, VALIDITY_S, WATCHDOG_S
from firmware_sim.plant_config import DeviceKind
from sitewatt.demo import files
from tests.support.rigs.fault_disk import Disk, disk
from tests.support.rigs.fault_matrix import EDGE_MS, MARGIN, TOLERANCE_W
from tests.support.rigs.fault_rig import AGGREGATOR, FaultRig, Says, fault_rig, load_site
from tests.support.rigs.fault_rows import Breaks, cut, fill, hang, kill, no_broker, stop

SITE = "home"
ORDER_S, LONG_ORDER_S = 90.0, 300.0
SAFE_W = LEAST_A * PHASE_V * 3
CAR_W, HELD_W = 11_000.0, 5_000


@dataclass(frozen=True, kw_only=True)
class Load:
    """A load, its order, and where it is without anybody: ``None`` of a timer keeps what it was told."""

    kind: DeviceKind
    action: Action
    held_w: float
    free_w: float
    alone_w: float
    timer_s: float | None

    def draws(self, power_w: float) -> Says:
        """Say of a state of the plant whether this load draws a power."""
        return lambda state: abs(state["consumers_w"][self.kind.value] - power_w) <= TOLERANCE_W  # type: ignore[index]


def _charger(kind: DeviceKind, timer_s: float | None) -> Load:
    return Load(
        kind=kind,
        action=LimitLoad(device=kind.value, max_w=HELD_W),
        held_w=HELD_W,
        free_w=CAR_W,
        alone_w=HELD_W if timer_s is None else SAFE_W,
        timer_s=timer_s,
    )


LOADS = (
    _charger(DeviceKind.ALFEN_EVE, VALIDITY_S),
    _charger(DeviceKind.HEIDELBERG_EC, WATCHDOG_S),
    _charger(DeviceKind.PHOENIX_EV_ETH, None),
    Load(
        kind=DeviceKind.STIEBEL_ISG,
        action=Switch(device=DeviceKind.STIEBEL_ISG.value, on=False),
        held_w=0.0,
        free_w=1_000.0,
        alone_w=0.0,
        timer_s=None,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One row: what is broken, and whether each device is alone from then on or the order holds to its end."""

    name: str
    breaks: Breaks
    alone: bool
    unnoticed_s: float = 0.0
    stateful: bool = False


async def _no_cloud(_: FaultRig, __: Disk) -> None:
    """Do nothing: whoever gave the orders is never heard again."""


async def _step(place: FaultRig, _: Disk) -> None:
    (place.hinder / "step").write_text("3600")


FAILURES = (
    Failure(name="gateway stopped (SIGSTOP)", breaks=stop, alone=True),
    Failure(name="gateway killed (kill -9)", breaks=kill, alone=True),
    # A watchdog of any message is fed by whoever reads: that ends once no cycle has looked for a lease's time.
    Failure(name="control task hangs", breaks=hang, alone=True, unnoticed_s=LEASE_S),
    Failure(name="bus cut", breaks=cut, alone=True),
    Failure(name="broker gone", breaks=no_broker, alone=False),
    Failure(name="cloud gone", breaks=_no_cloud, alone=False),
    Failure(name="clock steps +1 h", breaks=_step, alone=False),
    Failure(name="disk full", breaks=fill, alone=False, stateful=True),
)


@pytest.mark.nightly
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name.replace(" ", "-"))
async def test_every_load_is_where_its_device_promises(
    failure: Failure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No order to a load ends before its end, and none outlives the timer that its device has."""
    connection = {"meter": "meter", "import_limit_w": 60_000, "export_limit_w": 20_000}
    with contextlib.ExitStack() as stack:
        state = Disk(folder=tmp_path / "state", mounted=False)
        if failure.stateful:
            state = stack.enter_context(disk(files.state(tmp_path, "x").parent, image=tmp_path / "disk.img"))
        site = load_site(SITE, *(load.kind for load in LOADS))
        async with fault_rig(tmp_path, monkeypatch, [site], sections={SITE: {"connection": connection}}) as place:
            await _run(failure, place, state)


async def _run(failure: Failure, place: FaultRig, state: Disk) -> None:
    for load in LOADS:
        await place.steadily(SITE, load.draws(load.free_w))
    for_s = LONG_ORDER_S if failure.alone else ORDER_S
    orders = [await place.order(SITE, load.action, issuer=AGGREGATOR, for_s=for_s) for load in LOADS]
    for load in LOADS:
        await place.steadily(SITE, load.draws(load.held_w))
    failed_ms = place.now_ms()
    await failure.breaks(place, state)
    if failure.alone:
        await place.until_ms(failed_ms + int(1000 * max(VALIDITY_S, failure.unnoticed_s + WATCHDOG_S) * MARGIN) + 2_000)
        for load in LOADS:
            await place.steadily(SITE, load.draws(load.alone_w))
            since_ms = place.when(SITE, load.draws(load.alone_w), from_ms=failed_ms)
            within_s = ((load.timer_s or 0.0) + failure.unnoticed_s) * MARGIN + EDGE_MS / 1000
            assert since_ms is not None and since_ms - failed_ms <= 1000 * within_s, (failure.name, load.kind)
        return
    for load, order in zip(LOADS, orders, strict=True):
        ends_ms = epoch_ms(order.expires_at)
        await place.until_ms(ends_ms)
        await place.steadily(SITE, load.draws(load.free_w))
        assert place.always(SITE, load.draws(load.held_w), from_ms=failed_ms, to_ms=ends_ms - EDGE_MS), load.kind
