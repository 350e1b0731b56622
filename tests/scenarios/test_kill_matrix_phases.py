"""The kill matrix of what a charging station is told beside its limit: its phases, and when to start; each night.

The cars of two stations, one of each version, are the witness. A limit below what three phases need is drawn over one;
a car that waits for a card is started by the gateway.
"""

import re
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from edge.control.lease import REVERT_S
from tests.support.rigs.gateway import until_status
from tests.support.rigs.station_rig import FALLBACK_A, MOST_A, SITE, VERSIONS, Cars, charging_cars, online
from tests.support.rigs.stations import until

SMALL_W, SMALL_A = 2_300, 10.0  # Over one phase; over three it would be less than a car can take.
LONG_S = 7_200.0
CARD = "GATEWAY"
SAFETY_DOC = Path(__file__).parents[2] / "docs" / "safety.md"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What is broken while both cars use one phase, and whether they come to use it again by themselves."""

    name: str
    breaks: Callable[[Cars], Awaitable[None]]
    comes_back: bool


async def _kill(cars: Cars) -> None:
    cars.place.signal(signal.SIGKILL)


async def _cut(cars: Cars) -> None:
    for station in cars.stations.values():
        station.cut()


async def _reboot(cars: Cars) -> None:
    for station in cars.stations.values():
        station.reboot()


FAILURES = (
    Failure(name="one phase: gateway killed (kill -9)", breaks=_kill, comes_back=False),
    Failure(name="one phase: connection cut", breaks=_cut, comes_back=False),
    Failure(name="one phase: station reboots", breaks=_reboot, comes_back=True),
)
START = "a charge is started: gateway killed (kill -9)"


@pytest.mark.nightly
@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
async def test_a_station_on_one_phase_is_safe_within_its_lease(
    failure: Failure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No power above the limit is drawn before the lease ends, and its fallback afterwards, on all of its phases."""
    async with charging_cars(tmp_path, monkeypatch, switches_phases=True) as cars:
        await cars.tell(SMALL_W, for_s=LONG_S)
        await until(lambda: cars.use(1, SMALL_A), "both use one phase")
        failed_at = cars.place.clock.now()
        await failure.breaks(cars)
        if failure.comes_back:
            await until(lambda: cars.use(1, SMALL_A), "both use one phase again")
            assert cars.most_w(from_at=failed_at, to_at=cars.place.clock.now()) <= FALLBACK_A * 3 * 230 + 1
        else:
            assert cars.leases_end_at() <= failed_at + timedelta(seconds=REVERT_S)
            held_to = cars.first_lease_ends_at() - timedelta(seconds=2)
            await until(lambda: cars.use(3, FALLBACK_A), "both are at their fallback")
            assert cars.most_w(from_at=failed_at, to_at=held_to) <= SMALL_W + 1


@pytest.mark.nightly
async def test_a_car_that_was_started_is_limited_again_by_the_gateway_that_comes_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It charges on at its fallback while nobody is there; the next gateway starts nothing twice."""
    async with charging_cars(tmp_path, monkeypatch, start_as=CARD) as cars:
        begun = {name: station.transaction for name, station in cars.stations.items()}
        assert all(station.start_as == CARD for station in cars.stations.values()) and all(begun.values())
        await cars.order(for_s=LONG_S)
        cars.place.signal(signal.SIGKILL)
        await until(lambda: cars.draw(FALLBACK_A), "both are at their fallback")
        await cars.place.start(SITE)
        await until_status(cars.place, SITE, lambda said: online(said) == set(VERSIONS), "both have called again")
        await until(lambda: cars.draw(MOST_A), "nobody limits them: a restart takes no market order up")
        await cars.order(for_s=LONG_S)
        assert {name: station.transaction for name, station in cars.stations.items()} == begun


def test_the_safety_document_names_every_row() -> None:
    """Whoever reads what a dead gateway leaves must read it of phases and of charges that were started, too."""
    text = SAFETY_DOC.read_text(encoding="utf-8")
    for name in (*(failure.name for failure in FAILURES), START):
        assert re.search(rf"^\| {re.escape(name)} \|", text, re.MULTILINE), name
