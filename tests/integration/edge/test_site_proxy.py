"""The proxy of a running gateway, as its configuration opens it, and a second Modbus client on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from sitewatt.demo import files
from tests.support.rigs.fault_rig import SAFETY_S, FaultRig, battery_site, fault_rig
from tests.support.rigs.gateway import restart

SHARED, ALONE = "shared", "alone"
SPEED = 10.0  # A control cycle every 0.1 s.
CYCLES = 40
CLIENTS = 3
SUNSPEC, SUNSPEC_MARKER = 40_000, [0x5375, 0x6E53]
FOREIGN_COUNT = 60  # A read that the gateway itself never makes.
CONTROL_SHARE_MIN = 0.9


@contextlib.asynccontextmanager
async def _client(port: int) -> AsyncIterator[AsyncModbusTcpClient]:
    foreign = AsyncModbusTcpClient("127.0.0.1", port=port, retries=0)
    assert await foreign.connect()
    try:
        yield foreign
    finally:
        foreign.close()


@contextlib.asynccontextmanager
async def _hammered(port: int) -> AsyncIterator[list[int]]:
    """Let clients ask for as much as they get while the block runs; the list holds how often one was answered."""
    answered = [0] * CLIENTS
    enough = asyncio.Event()  # Instead of a cancellation, which pymodbus may swallow.

    async def hammer(index: int) -> None:
        async with _client(port) as foreign:
            while not enough.is_set():
                reply = await foreign.read_holding_registers(SUNSPEC, count=FOREIGN_COUNT, device_id=1)
                answered[index] += not reply.isError()

    hammers = [asyncio.create_task(hammer(index), name="hammer") for index in range(CLIENTS)]
    try:
        yield answered
    finally:
        enough.set()
        await asyncio.gather(*hammers)


async def _listening(port: int) -> None:
    """Wait until somebody listens: a gateway is ready before its proxies are."""
    async with asyncio.timeout(SAFETY_S):
        while True:
            with contextlib.suppress(ConnectionError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


def _control_reads(place: FaultRig, site: str, request: bytes) -> int:
    return place.wires[f"{site}/inverter"].asked[request]


async def test_a_second_client_reads_may_not_write_and_slows_no_control_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inverter takes one client; home automation comes through the gateway, beside an equal site without it."""
    port = files.free_port()

    def share(content: dict[str, Any]) -> None:
        content["proxy"] = [{"device": "inverter", "listen": f"127.0.0.1:{port}"}]

    async with fault_rig(tmp_path, monkeypatch, [battery_site(SHARED), battery_site(ALONE)], speed=SPEED) as place:
        await restart(place, SHARED, share)
        await _listening(port)
        async with _client(port) as foreign:
            marker = await foreign.read_holding_registers(SUNSPEC, count=2, device_id=1)
            assert marker.registers == SUNSPEC_MARKER
            assert (await foreign.write_register(SUNSPEC + 4, 1, device_id=1)).exception_code == 1
            assert (await foreign.write_registers(SUNSPEC + 4, [1, 2], device_id=1)).exception_code == 1
            assert (await foreign.read_holding_registers(SUNSPEC, count=2, device_id=9)).exception_code == 10
            # The gateway itself may write meanwhile, never there.
            there = (SUNSPEC + 4).to_bytes(2, "big")
            passed = place.wires[f"{SHARED}/inverter"].asked
            assert not [request for request in passed if request[:1] in (b"\x06", b"\x10") and request[1:3] == there]

        alone = place.wires[f"{ALONE}/inverter"].asked
        await place.until(lambda: max(alone.values(), default=0) > CYCLES // 8, "the control points are read")
        control = max(alone, key=lambda request: alone[request])
        await place.until(lambda: _control_reads(place, SHARED, control) > CYCLES // 8, "those of the other as well")
        async with _hammered(port) as answered:
            before = {site: _control_reads(place, site, control) for site in (SHARED, ALONE)}
            await place.until(lambda: alone[control] >= before[ALONE] + CYCLES, "enough cycles")
            done = {site: _control_reads(place, site, control) - before[site] for site in (SHARED, ALONE)}
        assert min(answered) > 5
        assert done[SHARED] >= CONTROL_SHARE_MIN * done[ALONE], done
