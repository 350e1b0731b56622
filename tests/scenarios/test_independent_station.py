"""A station on another's library, in another language, under a real gateway; each night, because it needs npm."""

import signal
from pathlib import Path

import pytest

from contracts.control import LimitLoad
from edge.state_store import VolatileStateStore
from sitewatt.demo import files
from tests.support.manual_clock import ManualClock
from tests.support.ocpp.independent import independent, install
from tests.support.rigs.fault_rig import AGGREGATOR, fault_rig, load_site
from tests.support.rigs.gateway import until_status
from tests.support.rigs.stations import PASSWORD, bench, certificate, password_file, section, until

pytestmark = pytest.mark.nightly
SITE, CAR = "home", "car"
SPEED = 10.0


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_an_independent_station_is_limited_left_by_a_killed_gateway_and_taken_up(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Boot, meter values, limit, the lease's end under a dead gateway, reconnect; every message fits its schemas."""
    install()
    port = files.free_port()
    told = {"station": "CP1", "password_file": str(password_file(tmp_path)), "version": version}
    car = {"id": CAR, "role": "load", "load": {"rated_w": 11_000}, "ocpp": told}
    ocpp = {SITE: {"ocpp": {"listen": f"127.0.0.1:{port}", "meter_interval_s": 2}}}
    endpoint = f"ws://127.0.0.1:{port}/ocpp"
    async with (
        fault_rig(tmp_path, monkeypatch, [load_site(SITE)], speed=SPEED, sections=ocpp, devices={SITE: [car]}) as place,
        independent(endpoint, name="CP1", password=PASSWORD, version=version, speed=SPEED) as station,
    ):
        await until(lambda: station.draws(16.0), "it charges with all that it may")
        await until(lambda: station.state["sample_s"] == 2, "it measures at the pace that it was told")
        await until_status(place, SITE, lambda said: _draws(said) == 16 * 690, "its power is read")
        for again in (False, True):
            await place.order(SITE, LimitLoad(device=CAR, max_w=6_900), issuer=AGGREGATOR, for_s=7_200)
            await until(lambda: station.draws(10.0), "it is limited")
            await until_status(place, SITE, lambda said: _draws(said) == 6_900, "its power is seen to fall")
            if again:
                break
            place.signal(signal.SIGKILL)
            await until(lambda: station.draws(6.0) and not station.state["connected"], "it is at its fallback, alone")
            await place.start(SITE)
            await until(lambda: station.draws(16.0), "nobody limits it: a restart takes no market order up")
        assert station.state["boots"] == 1 and station.state["disconnects"] >= 1
        assert station.state["broken"] == []


def _draws(said: dict[str, object]) -> float | None:
    cycle = said["cycle"]
    loads = cycle["loads"] if isinstance(cycle, dict) else []
    return next((load["power_w"] for load in loads if load["device"] == CAR), None)


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
async def test_an_independent_station_comes_in_over_tls_and_not_with_a_wrong_password(
    version: str, tmp_path: Path
) -> None:
    """Its library checks our certificate, and ours its password."""
    files_of_tls = certificate(tmp_path)
    # Its clock is ours by BootNotification, which stands.
    async with bench([section(tmp_path)], ManualClock(), tls=files_of_tls, memory=VolatileStateStore()) as place:
        about = {"name": "CP1", "version": version, "speed": 1.0, "ca_file": files_of_tls.certificate}
        async with independent(place.url, password="another-password", **about) as wrong:  # type: ignore[arg-type]
            await until(lambda: "failed" in wrong.state, "it was turned away")
            assert not place.devices["wallbox"].health.online
        async with independent(place.url, password=PASSWORD, **about) as station:  # type: ignore[arg-type]
            await until(lambda: place.devices["wallbox"].health.online, "it is ready")
            await until(lambda: station.draws(6.0), "it has its fallback")
            assert station.state["broken"] == []
