"""Whatever dies, a charging station is where it was promised to be within the lease that governs it; each night.

Each row is a run of its own: one gateway, a station of each version, orders, one failure. ``pytest -m nightly
tests/scenarios/test_kill_matrix_stations.py --write-safety-table`` writes the measured table into docs/safety.md.
"""

import os
import re
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from edge.control.lease import REVERT_S
from tests.support.rigs.fault_matrix import EDGE_MS, LONG_ORDER_S, ORDER_S, Promise
from tests.support.rigs.gateway import status
from tests.support.rigs.station_rig import FALLBACK_A, LIMIT_A, MOST_A, SITE, Cars, charging_cars
from tests.support.rigs.stations import until

SAFETY_DOC = Path(__file__).parents[2] / "docs" / "safety.md"
_BEGIN, _END = "<!-- station matrix: begin -->", "<!-- station matrix: end -->"
Row = tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One row: what is broken, and what is promised of an order."""

    name: str
    breaks: Callable[[Cars], Awaitable[None]]
    promise: Promise


async def _kill(cars: Cars) -> None:
    cars.place.signal(signal.SIGKILL)


async def _stop(cars: Cars) -> None:
    cars.place.signal(signal.SIGSTOP)


async def _hang(cars: Cars) -> None:
    (cars.place.hinder / "hang").touch()


async def _cut(cars: Cars) -> None:
    for station in cars.stations.values():
        station.cut()


async def _no_broker(cars: Cars) -> None:
    cars.place.processes.kill("broker")


async def _no_site_process(cars: Cars) -> None:
    said = await status(cars.place, SITE)
    assert said is not None
    os.kill(said["processes"]["site"]["pid"], signal.SIGKILL)


async def _reboot(cars: Cars) -> None:
    for station in cars.stations.values():
        station.reboot()
    assert not cars.draw(LIMIT_A), "a reboot stops the cars"


FAILURES = (
    Failure(name="gateway killed (kill -9)", breaks=_kill, promise=Promise.LETS_GO),
    Failure(name="gateway stopped (SIGSTOP)", breaks=_stop, promise=Promise.LETS_GO),
    Failure(name="control task hangs", breaks=_hang, promise=Promise.LETS_GO),
    Failure(name="connection cut", breaks=_cut, promise=Promise.LETS_GO),
    Failure(name="broker gone", breaks=_no_broker, promise=Promise.TO_THE_END),
    Failure(name="site process killed", breaks=_no_site_process, promise=Promise.TO_THE_END),
    Failure(name="station reboots", breaks=_reboot, promise=Promise.COMES_BACK),
)


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    """Collect the measured rows of all failures, and write the table where that was asked for."""
    found: list[Row] = []
    yield found
    if request.config.getoption("--write-safety-table", default=False):
        assert len(found) == len(FAILURES), "only a whole matrix is written down"
        _write_table(found)


@pytest.mark.nightly
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
async def test_every_station_is_safe_within_its_lease(
    failure: Failure, rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cars are the witness: no limit ends before its order, and nothing commanded outlives its lease."""
    async with charging_cars(tmp_path, monkeypatch) as cars:
        orders = await cars.order(for_s=LONG_ORDER_S if failure.promise is Promise.LETS_GO else ORDER_S)
        failed_at = cars.place.clock.now()
        await failure.breaks(cars)
        if failure.promise is Promise.LETS_GO:
            assert cars.leases_end_at() <= failed_at + timedelta(seconds=REVERT_S)
            await until(lambda: cars.draw(FALLBACK_A), "both are at their fallback")
            said = "fallback"
        elif failure.promise is Promise.TO_THE_END:
            ends_at = min(order.expires_at for order in orders)
            await until(lambda: cars.draw(MOST_A), "both are free")
            edge_at = ends_at - timedelta(milliseconds=EDGE_MS)
            assert cars.always(LIMIT_A, from_at=failed_at, to_at=edge_at), "held to the order's end"
            said = "held, then released"
        else:
            await until(lambda: cars.draw(LIMIT_A), "both are limited again")
            said = "held again"
        took_s = (cars.place.clock.now() - failed_at).total_seconds()
        rows.append((failure.name, f"{said}; {failure.promise.value}; **{took_s:.0f} s**"))


def test_the_safety_document_holds_every_row() -> None:
    """Whoever reads what a dead gateway leaves must read it of stations too."""
    found = re.search(f"{_BEGIN}(.*){_END}", SAFETY_DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    told = [line.split("|")[1].strip() for line in found.group(1).strip().splitlines()[2:]]
    assert told == [failure.name for failure in FAILURES]


def _write_table(rows: list[Row]) -> None:
    lines = ["| failure | charging stations, OCPP 1.6 and 2.0.1 |", "| --- | --- |"]
    lines += [f"| {name} | {said} |" for name, said in rows]
    table = f"{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}"
    text = SAFETY_DOC.read_text(encoding="utf-8")
    made, count = re.subn(f"{_BEGIN}.*{_END}", lambda _: table, text, flags=re.DOTALL)
    assert count == 1, f"{SAFETY_DOC} has no place for the table between its two marks"
    SAFETY_DOC.write_text(made, encoding="utf-8")
