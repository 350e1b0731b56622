"""Who stands beside a gateway is told what it does and why; who does not, is told nothing."""

import asyncio
import contextlib
import gc
import json
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.control.model import Capability
from edge.devices.catalogue import load_profile
from edge.devices.device import Device
from edge.devices.wear import WriteBudget, budget_of
from edge.errors import StatusUnavailable
from edge.modbus.pool import BusPool
from edge.site.control_status import cycle_status, device_status, loop_status
from edge.site.status import CONTROL_SOCKET, SITE_SOCKET, Plain, ask_status, encode, serve_status
from edge.state_store import VolatileStateStore
from sitewatt.edge_status import lines
from tests.support.manual_clock import ManualClock
from tests.support.rigs.edge_parts import NOON, FakeDevice, fake_site, loop_of, plain_config
from tests.support.rigs.edge_parts import status as plain_status

WAIT_S = 120.0


@contextlib.asynccontextmanager
async def _serving(folder: Path, status: Plain) -> AsyncIterator[None]:
    task = asyncio.create_task(serve_status(folder, CONTROL_SOCKET, lambda: encode(status)), name="status")
    try:
        async with asyncio.timeout(WAIT_S):
            while not (folder / CONTROL_SOCKET).exists():  # noqa: ASYNC110 (a socket appears)
                await asyncio.sleep(0.01)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_socket_is_its_owners_and_goes_with_the_gateway(tmp_path: Path) -> None:
    """Other users of the machine have no business with it; a leftover must not look like a gateway."""
    folder = tmp_path / ("deep" * 20) / ("deeper" * 10)
    folder.mkdir(parents=True)
    async with _serving(folder, plain_status()):
        assert stat.S_IMODE((folder / CONTROL_SOCKET).stat().st_mode) == 0o600
        answers = await asyncio.gather(*(asyncio.to_thread(ask_status, folder) for _ in range(3)))
        assert [answer["site"] for answer in answers] == ["home-1"] * 3
    assert not (folder / CONTROL_SOCKET).exists()
    with pytest.raises(StatusUnavailable, match="no gateway runs on"):
        ask_status(folder)


async def test_a_socket_left_by_a_killed_gateway_is_replaced(tmp_path: Path) -> None:
    """After kill -9 the name is still there and nobody listens."""
    (tmp_path / CONTROL_SOCKET).touch()
    async with asyncio.timeout(WAIT_S):
        task = asyncio.create_task(
            serve_status(tmp_path, CONTROL_SOCKET, lambda: encode(plain_status())), name="status"
        )
        while not (tmp_path / CONTROL_SOCKET).is_socket():  # noqa: ASYNC110 (a socket appears)
            await asyncio.sleep(0.01)
        assert (await asyncio.to_thread(ask_status, tmp_path))["locked"] is False
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("turns", range(10))
async def test_an_asker_of_the_last_moment_hears_the_end_and_no_socket_is_left_open(tmp_path: Path, turns: int) -> None:
    """The gateway itself asks every half a minute, also while it stops, however far asyncio has come by then."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        async with _serving(tmp_path, plain_status()):
            asker.connect(str(tmp_path / CONTROL_SOCKET))
            for _ in range(turns):
                await asyncio.sleep(0)
        asker.settimeout(WAIT_S)
        with contextlib.suppress(ConnectionResetError):
            while asker.recv(65536):
                pass
    gc.collect()  # Whoever left a transport open is warned of here.


async def test_either_process_is_told_while_the_other_is_silent(tmp_path: Path) -> None:
    """What control does must be seen while the link's process is gone, and the other way round."""
    said = {
        "site": "home-1",
        "at": NOON.isoformat(),
        "clock": "synced",
        "process": {"pid": 7, "since_at": NOON.isoformat()},
        "peer": {"connected": True, "since_at": None, "pid": None, "connects": 3},
        "parts": [],
    }
    found = {}
    for name in (CONTROL_SOCKET, SITE_SOCKET):
        task = asyncio.create_task(serve_status(tmp_path, name, lambda: encode(said)), name="status")
        async with asyncio.timeout(WAIT_S):
            while not (tmp_path / name).is_socket():  # noqa: ASYNC110 (a socket appears)
                await asyncio.sleep(0.01)
        found[name] = await asyncio.to_thread(ask_status, tmp_path)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    alone, rest = found[CONTROL_SOCKET], found[SITE_SOCKET]
    assert (alone["processes"]["control"]["alive"], alone["processes"]["site"]["alive"]) == (True, False)
    assert alone["processes"]["site"]["restarts"] == 2, "as control has seen it come back"
    assert (alone["processes"]["site"]["heard"], alone["processes"]["control"]["heard"]) == (True, False)
    assert "the site process does not answer; control goes on" in "\n".join(lines(alone))
    assert (rest["processes"]["control"]["alive"], rest["processes"]["site"]["alive"]) == (False, True)
    assert "control does not answer" in "\n".join(lines(rest))


def test_endless_bounds_are_null_not_broken_json() -> None:
    """JSON knows no infinity, and programs read this."""
    said = json.loads(encode(plain_status(outbox={"a": float("inf"), "b": [float("-inf"), 1.23456]})))
    assert said["outbox"] == {"a": None, "b": [None, 1.235]}


async def test_a_cycle_is_told_with_who_won_what_clipped_it_and_what_is_left() -> None:
    """The first question in every quarrel about power."""
    clock = ManualClock(NOON)
    loop, cycles = loop_of(fake_site(clock), clock)
    running = asyncio.create_task(loop.run(), name="control")
    for _ in range(4):
        await asyncio.sleep(0)
        clock.advance(1.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    said = cycle_status(cycles[-1])
    assert [link["requester"] for link in said["chain"]] == ["self_consumption"]
    battery = next(one for one in said["setpoints"] if one["capability"] == "battery_power")
    assert (battery["requester"], battery["proven"]) == ("self_consumption", True)
    status = plain_status(
        cycle=said,
        loop=loop_status(loop.stats, period_s=1.0),
        outbox={"state": "disk", "waiting": 2, "bytes": 2048, "dropped": 0, "error": None},
        link={"state": "connected", "connects": 1, "error": None},
        grid_limits={"import": {"state": "failsafe", "limit_w": 4200.0, "silent_s": 130.0}},
        relays={"box/relay1": True},
        relays_unread=("box/relay1",),
        weaknesses=("pv keeps its last limit_generation when the gateway dies",),
        device_clocks=("the clock of pv is 3600 s ahead of ours",),
        locked=True,
    )
    text = "\n".join(lines(json.loads(encode(status))))
    for says in (
        "LOCKED for maintenance",
        "2 waiting (2 KiB)",
        "import: failsafe, 4200 W, grid operator silent for 130 s",
        "box/relay1 closed, cannot be read",
        "pv keeps its last limit_generation",
        "note     the clock of pv is 3600 s ahead of ours",
        "self_consumption on connection asks anything wishes 0 W: held, leaves -10000 to 17000 W",
        "inverter limit_generation: no limit for ",
    ):
        assert says in text, text


async def test_worn_memory_and_a_missing_timer_are_told_of_a_device() -> None:
    """Whoever stands beside it must see how many writes its memory still bears, also after a restart."""
    clock, memory, profile = ManualClock(NOON), VolatileStateStore(), load_profile("growatt_min_tlxh")
    name = next(name for name, rule in profile.writes.items() if budget_of(rule) is not None)
    for _ in range(3):
        WriteBudget("pv", memory, clock).spend([name], profile.writes)
    async with BusPool() as buses:
        bus, unit = buses.get("tcp://127.0.0.1:9?unit=1")
        said = device_status(Device(id="pv", profile=profile, bus=bus, unit=unit, clock=clock, memory=memory))
    said["no_timer"] = ["limit_generation"]
    status = plain_status(
        devices=(said,),
        loop={"cycles": 0, "late": 0, "last_cycle_ms": 0.0, "writes": 0, "failed_writes": 0, "alarms": []},
        outbox={"state": "disk", "waiting": 0, "bytes": 0, "dropped": 0, "error": None},
        link={"state": "connected", "connects": 1, "error": None},
    )
    line = next(line for line in lines(json.loads(encode(status))) if line.startswith("device"))
    assert f"3 of {budget_of(profile.writes[name])} writes today to {name}" in line
    assert "no timer of its own for limit_generation" in line


async def test_a_load_is_told_with_how_it_is_moved_and_whether_a_car_is_there() -> None:
    """Why does my car not charge: one line says what it may draw, and the chain above it who holds it."""
    clock = ManualClock(NOON)
    fakes = fake_site(clock)
    fakes["ev"] = FakeDevice(
        id="ev",
        clock=clock,
        values={"active_power_w": 6_000.0, "ev_state": 67.0},
        capabilities=frozenset({Capability.LIMIT_CONSUMPTION}),
    )
    load = {"id": "ev", "profile": "phoenix_ev_eth", "url": "tcp://127.0.0.1:4?unit=1", "role": "load"}
    devices = [*plain_config()["devices"], {**load, "load": {"rated_w": 11_000}}]
    loop, cycles = loop_of(fakes, clock, devices=devices)
    running = asyncio.create_task(loop.run(), name="control")
    for _ in range(4):
        await asyncio.sleep(0)
        clock.advance(1.0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    (said,) = cycle_status(cycles[-1])["loads"]
    assert said == {
        "device": "ev",
        "moved_by": "limit_consumption",
        "power_w": 6_000.0,
        "least_w": 4_140.0,
        "rated_w": 11_000.0,
        "on": True,
        "connected": True,
    }
