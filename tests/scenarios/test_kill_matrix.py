"""Whatever dies, every device is where it was promised to be within the timer that governs it, and a tenth.

Each row is a run of its own: four gateways that trade in a real cloud's market, four sites, four orders, one failure.
``tests/support/rigs/fault_rows.py`` has the rows; those without ``in_ci`` run at night. ``pytest
tests/scenarios/test_kill_matrix.py -m "slow or nightly" --write-safety-table`` runs all of them and writes what
they measured into docs/safety.md.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.units import epoch_ms
from edge.control.lease import HOLD_S, LEASE_S, REVERT_S
from sitewatt.demo import files
from tests.support.modbus.simulator import NOON
from tests.support.rigs.fault_disk import Disk, disk
from tests.support.rigs.fault_matrix import MARGIN, Cell, Column, Promise, judge, write_table
from tests.support.rigs.fault_rig import PV_W, REBOOT_SILENT_S, FaultRig, battery_site, fault_rig, sun_site
from tests.support.rigs.fault_rows import FAILURES, Failure
from tests.support.rigs.gateway import devices_read, until_status

ORDERED_S = 240.0  # Real seconds for solvers and forecasts of a start, beside another worker's tests.
HOUR_MS = 3_600_000
# What lasts hours begins early, with enough sun at its begin and at its end to show whether a limit holds.
MORNING = NOON.replace(hour=7)
LONG_PEAK_W = 15_000
STEADY_MS = 4000  # An order is obeyed for so long before anything is broken.
SAFETY_DOC = Path(__file__).parents[2] / "docs" / "safety.md"

NIGHTLY = pytest.mark.nightly
SPEED = 4.0  # Nine processes beside another worker's tests on two cores: readings 5 s old are 1.25 s here.


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Iterator[list[Cell]]:
    """Collect what the rows measure; write it where that was asked for."""
    cells: list[Cell] = []
    yield cells
    if request.config.getoption("--write-safety-table", default=False):
        write_table(SAFETY_DOC, cells, rows={failure.name: failure.columns for failure in FAILURES})


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(failure, id=failure.name.replace(" ", "-"), marks=pytest.mark.slow if failure.in_ci else NIGHTLY)
        for failure in FAILURES
    ],
)
async def test_every_device_is_safe_within_its_timer(
    failure: Failure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[Cell]
) -> None:
    """The plant is the witness: no limit ends before its order, and nothing commanded outlives its timer."""
    with contextlib.ExitStack() as stack:
        state = Disk(folder=tmp_path / "state", mounted=False)
        if failure.stateful:
            state = stack.enter_context(disk(files.state(tmp_path, "x").parent, image=tmp_path / "disk.img"))
        peak_w = PV_W if failure.speed is None else LONG_PEAK_W
        sites = [
            sun_site("curtail"), sun_site("limit", peak_w=peak_w), battery_site("charge"), battery_site("discharge")
        ]  # fmt: skip
        async with fault_rig(
            tmp_path,
            monkeypatch,
            [site for site in sites if any(column.site == site.id for column in failure.columns)],
            speed=failure.speed or SPEED,
            trading=failure.trades,
            sections=failure.sections,
            started_at=NOON if failure.speed is None else MORNING,
        ) as place:
            await _run(failure, place, state, measured)


async def _run(failure: Failure, place: FaultRig, state: Disk, measured: list[Cell]) -> None:
    columns = failure.columns
    await place.until(lambda: all(_is_up(place, column) for column in columns), "every site runs by itself")
    await devices_read(place, *(column.site for column in columns))
    for site in place.sites if failure.trades else ():
        await until_status(place, site, lambda said: said["trading"]["orders"] > 0, "it ordered", within_s=ORDERED_S)
    begun_ms = place.now_ms()
    given = await asyncio.gather(
        *(
            place.order(column.site, column.action, issuer=column.issuer, for_s=column.lasts_s(failure.promise(column)))
            for column in columns
        )
    )
    orders = {column.name: order for column, order in zip(columns, given, strict=True)}
    await place.until(lambda: all(_is_steady(place, column, begun_ms) for column in columns), "every order is obeyed")

    failed_ms = place.now_ms()
    await failure.breaks(place, state)
    if failure.from_start:
        failed_ms = place.now_ms()

    promises = {failure.promise(column) for column in columns}
    governing_s = REVERT_S if Promise.LETS_GO in promises else LEASE_S
    if Promise.HELD_LONG in promises:
        governing_s = HOLD_S
    until_ms = failed_ms + int(1000 * (governing_s * MARGIN + REBOOT_SILENT_S))
    for at_ms in range(failed_ms, until_ms, HOUR_MS):
        await place.until_ms(at_ms)  # What lasts hours is waited for hour by hour, each within the safety bound.
    await place.until_ms(until_ms)
    ends = [
        order
        for column, order in zip(columns, orders.values(), strict=True)
        if failure.promise(column) not in (Promise.LETS_GO, Promise.HELD_LONG)
    ]
    for order in ends:
        lasts_ms = epoch_ms(order.expires_at) - epoch_ms(order.issued_at)
        await place.until_ms(epoch_ms(order.issued_at) + int(lasts_ms * MARGIN) + 1000)
    if failure.proof is not None:
        await failure.proof(place, state)
    measured.extend(
        judge(place, column, orders[column.name], failure.promise(column), row=failure.name, failed_ms=failed_ms)
        for column in columns
    )


def _is_up(place: FaultRig, column: Column) -> bool:
    return bool(place.truth()) and column.safe(place.latest(column.site))


def _is_steady(place: FaultRig, column: Column, begun_ms: int) -> bool:
    since_ms = place.when(column.site, column.held, from_ms=begun_ms)
    return since_ms is not None and place.truth()[-1][0] - since_ms >= STEADY_MS
