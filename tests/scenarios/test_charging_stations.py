"""Charging stations of both versions under a real gateway: alive, killed, and back."""

import signal
from datetime import timedelta
from pathlib import Path

import pytest

from edge.control.lease import REVERT_S
from tests.support.rigs.gateway import until_status
from tests.support.rigs.station_rig import FALLBACK_A, MOST_A, SITE, VERSIONS, Cars, charging_cars, online
from tests.support.rigs.stations import until

LONG_S = 7_200.0


async def _killed(cars: Cars) -> None:
    """Kill the gateway, and wait until both cars are at their fallback, charging on."""
    cars.place.signal(signal.SIGKILL)
    assert cars.leases_end_at() <= cars.place.clock.now() + timedelta(seconds=REVERT_S)
    await until(lambda: cars.draw(FALLBACK_A), "both are at their fallback")
    assert all(station.transaction is not None for station in cars.stations.values()), "the cars charge on"


@pytest.mark.slow
async def test_a_killed_gateway_leaves_stations_at_their_fallback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cars of two versions: limited by order, and alone after kill -9 no longer than a lease."""
    async with charging_cars(tmp_path, monkeypatch) as cars:
        await cars.order(for_s=LONG_S)
        await _killed(cars)


@pytest.mark.nightly
async def test_the_gateway_that_comes_after_a_kill_takes_stations_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The transactions of before are known to it, so it can limit the cars that charge."""
    async with charging_cars(tmp_path, monkeypatch) as cars:
        await cars.order(for_s=LONG_S)
        await _killed(cars)
        await cars.place.start(SITE)
        await until_status(cars.place, SITE, lambda said: online(said) == set(VERSIONS), "both have called again")
        await until(lambda: cars.draw(MOST_A), "nobody limits them: a restart takes no market order up")
        await cars.order(for_s=LONG_S)
