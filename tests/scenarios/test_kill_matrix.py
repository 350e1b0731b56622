"""Whatever dies, every device is where it was promised to be within the timer that governs it, and a tenth.

Each row is a run of its own: four gateways, four sites, four orders, one failure. ``pytest
tests/scenarios/test_kill_matrix.py --write-safety-table`` writes the measured table into docs/safety.md.
"""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.control import BatteryPower
from contracts.units import epoch_ms
from edge.control.lease import LEASE_S, REVERT_S
from sitewatt.demo import files
from tests.support.rigs.fault_disk import Disk, disk
from tests.support.rigs.fault_matrix import COLUMNS, MARGIN, Cell, Column, Promise, judge, write_table
from tests.support.rigs.fault_rig import AGGREGATOR, REBOOT_SILENT_S, Siege, battery_site, siege, sun_site
from tests.support.rigs.fault_wire import overwrite
from tests.support.rigs.gateway import devices_read

STEADY_MS = 4000  # An order is obeyed for so long before anything is broken.
SAFETY_DOC = Path(__file__).parents[2] / "docs" / "safety.md"
# SunSpec models 123 and 124, from the id register on: WMaxLim_Ena and StorCtl_Mod.
_LIMIT_ENABLE = (123, 9)
_STORAGE_MODE = (124, 5)

Breaks = Callable[[Siege, Disk], Awaitable[None]]

SPEED = 10.0  # Eight processes of four gateways, a plant and a broker beside another worker's tests on two cores.


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One row: what is broken, what is promised of market orders and of the grid operator's limit.

    ``proof`` fails where the gateways did not suffer what was done to them, for failures that the plant cannot show.
    """

    name: str
    breaks: Breaks
    market: Promise
    limit: Promise
    stateful: bool = False
    proof: Breaks | None = None

    def promise(self, column: Column) -> Promise:
        """Return what is promised of a column."""
        return self.limit if column.site == "limit" else self.market


async def _kill(place: Siege, _: Disk) -> None:
    place.signal(signal.SIGKILL)


async def _stop(place: Siege, _: Disk) -> None:
    place.signal(signal.SIGSTOP)


async def _hang(place: Siege, _: Disk) -> None:
    (place.hinder / "hang").touch()


async def _no_broker(place: Siege, _: Disk) -> None:
    place.processes.kill("broker")


async def _no_cloud(place: Siege, _: Disk) -> None:
    """Do nothing: whoever gave the orders is never heard again."""


async def _reboot(place: Siege, _: Disk) -> None:
    await asyncio.gather(*(place.reboot(site) for site in place.sites))


async def _cut(place: Siege, _: Disk) -> None:
    place.cut()


async def _fill(place: Siege, state: Disk) -> None:
    state.fill(*place.pids())


async def _read_only(place: Siege, state: Disk) -> None:
    state.turn_read_only(*place.pids())


async def _missed_the_disk(place: Siege, state: Disk) -> None:
    """Fail unless each outbox could not be written; without a disk of their own nobody could write that down."""
    if state.mounted:
        for site in place.sites:
            assert "outbox write failed" in place.log(site), f"{site} wrote its outbox all the same"


async def _distrust_the_clock(place: Siege, _: Disk) -> None:
    """Fail unless a gateway whose clock has stepped refuses orders."""
    with pytest.raises(AssertionError, match=r"refused: (clock_untrusted|too_old|from_the_future|expired)"):
        await place.order("charge", BatteryPower(power_w=100), issuer=AGGREGATOR, for_s=60.0)


def _step(by_s: float) -> Breaks:
    async def step(place: Siege, _: Disk) -> None:
        (place.hinder / "step").write_text(str(by_s))

    return step


async def _second_master(place: Siege, _: Disk) -> None:
    for column in COLUMNS:
        model, offset = _STORAGE_MODE if "battery" in column.name else _LIMIT_ENABLE
        await overwrite(place.wires[f"{column.site}/inverter"].device_port, model, offset, 0)


FAILURES = (
    Failure(name="gateway killed (kill -9)", breaks=_kill, market=Promise.LETS_GO, limit=Promise.TO_THE_END),
    Failure(name="gateway stopped (SIGSTOP)", breaks=_stop, market=Promise.LETS_GO, limit=Promise.TO_THE_END),
    Failure(name="control task hangs", breaks=_hang, market=Promise.LETS_GO, limit=Promise.TO_THE_END),
    Failure(name="broker gone", breaks=_no_broker, market=Promise.TO_THE_END, limit=Promise.TO_THE_END),
    Failure(name="cloud gone", breaks=_no_cloud, market=Promise.TO_THE_END, limit=Promise.TO_THE_END),
    Failure(name="device reboots", breaks=_reboot, market=Promise.COMES_BACK, limit=Promise.COMES_BACK),
    Failure(name="bus cut", breaks=_cut, market=Promise.LETS_GO, limit=Promise.TO_THE_END),
    Failure(
        name="disk full",
        breaks=_fill,
        market=Promise.TO_THE_END,
        limit=Promise.TO_THE_END,
        stateful=True,
        proof=_missed_the_disk,
    ),
    Failure(
        name="disk read-only",
        breaks=_read_only,
        market=Promise.TO_THE_END,
        limit=Promise.TO_THE_END,
        stateful=True,
        proof=_missed_the_disk,
    ),
    Failure(
        name="clock steps +1 h",
        breaks=_step(3600.0),
        market=Promise.TO_THE_END,
        limit=Promise.TO_THE_END,
        proof=_distrust_the_clock,
    ),
    Failure(
        name="clock steps -1 h",
        breaks=_step(-3600.0),
        market=Promise.TO_THE_END,
        limit=Promise.TO_THE_END,
        proof=_distrust_the_clock,
    ),
    Failure(name="second master", breaks=_second_master, market=Promise.COMES_BACK, limit=Promise.COMES_BACK),
)


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> Iterator[list[Cell]]:
    """Collect what the rows measure; write it where that was asked for and every row is there."""
    cells: list[Cell] = []
    yield cells
    if request.config.getoption("--write-safety-table", default=False):
        assert len(cells) == len(FAILURES) * len(COLUMNS), "the table is written from a whole run in which all held"
        write_table(SAFETY_DOC, cells)


@pytest.mark.slow
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name.replace(" ", "-"))
async def test_every_device_is_safe_within_its_timer(
    failure: Failure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, measured: list[Cell]
) -> None:
    """The plant is the witness: no limit ends before its order, and nothing commanded outlives its timer."""
    with contextlib.ExitStack() as stack:
        state = Disk(folder=tmp_path / "state", mounted=False)
        if failure.stateful:
            state = stack.enter_context(disk(files.state(tmp_path, "x").parent, image=tmp_path / "disk.img"))
        sites = [sun_site("curtail"), sun_site("limit"), battery_site("charge"), battery_site("discharge")]
        async with siege(tmp_path, monkeypatch, sites, speed=SPEED) as place:
            await _run(failure, place, state, measured)


async def _run(failure: Failure, place: Siege, state: Disk, measured: list[Cell]) -> None:
    await place.until(lambda: all(_is_up(place, column) for column in COLUMNS), "every site runs by itself")
    await devices_read(place, *(column.site for column in COLUMNS))
    begun_ms = place.now_ms()
    given = await asyncio.gather(
        *(
            place.order(column.site, column.action, issuer=column.issuer, for_s=column.lasts_s(failure.promise(column)))
            for column in COLUMNS
        )
    )
    orders = {column.name: order for column, order in zip(COLUMNS, given, strict=True)}
    await place.until(lambda: all(_is_steady(place, column, begun_ms) for column in COLUMNS), "every order is obeyed")

    failed_ms = place.now_ms()
    await failure.breaks(place, state)

    promises = {failure.promise(column) for column in COLUMNS}
    governing_s = REVERT_S if Promise.LETS_GO in promises else LEASE_S
    await place.until_ms(failed_ms + int(1000 * (governing_s * MARGIN + REBOOT_SILENT_S)))
    ends = [
        order
        for column, order in zip(COLUMNS, orders.values(), strict=True)
        if failure.promise(column) is not Promise.LETS_GO
    ]
    for order in ends:
        lasts_ms = epoch_ms(order.expires_at) - epoch_ms(order.issued_at)
        await place.until_ms(epoch_ms(order.issued_at) + int(lasts_ms * MARGIN) + 1000)
    if failure.proof is not None:
        await failure.proof(place, state)
    measured.extend(
        judge(place, column, orders[column.name], failure.promise(column), row=failure.name, failed_ms=failed_ms)
        for column in COLUMNS
    )


def _is_up(place: Siege, column: Column) -> bool:
    return bool(place.truth()) and column.safe(place.latest(column.site))


def _is_steady(place: Siege, column: Column, begun_ms: int) -> bool:
    since_ms = place.when(column.site, column.held, from_ms=begun_ms)
    return since_ms is not None and place.truth()[-1][0] - since_ms >= STEADY_MS
