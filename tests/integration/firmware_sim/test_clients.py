"""Clients that are not ours read and write the simulated devices."""

import asyncio
import re
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP

from firmware_sim.errors import PlantError
from firmware_sim.installation import Installation, open_installation
from firmware_sim.plant_config import (
    BatteryConfig,
    DeviceConfig,
    DeviceKind,
    FeederConfig,
    LoadConfig,
    PlantConfig,
    PlantSite,
    PvConfig,
    SwitchedLoad,
)
from firmware_sim.server import ModbusServer
from tests.support.brokers.broker import Authority
from tests.support.modbus.simulator import SAFETY_S, ManualClock, RawClient, read_request

PLANT = PlantConfig(
    feeder=FeederConfig(limit_w=50_000, device=DeviceConfig(id="meter", kind=DeviceKind.SDM630)),
    sites=(
        PlantSite(
            id="farm",
            load=LoadConfig(base_w=2_000),
            pv=PvConfig(peak_w=40_000),
            battery=BatteryConfig(capacity_wh=50_000, charge_w_max=20_000, discharge_w_max=20_000),
            devices=(
                DeviceConfig(id="hybrid", kind=DeviceKind.SUNSPEC_HYBRID, model_802=True),
                DeviceConfig(id="meter", kind=DeviceKind.SUNSPEC_METER, unit=200, shares_port_of="hybrid"),
            ),
        ),
        PlantSite(
            id="home",
            load=LoadConfig(base_w=700),
            pv=PvConfig(peak_w=5_000),
            devices=(DeviceConfig(id="pv", kind=DeviceKind.SUNSPEC_PV, base=50_000),),
        ),
    ),
)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Installation, ManualClock]]:
    """Serve the plant at noon, on a clock that stands still."""
    clock = ManualClock()
    async with open_installation(PLANT, clock) as installation:
        yield installation, clock


async def test_pysunspec2_finds_every_model(served: tuple[Installation, ManualClock]) -> None:
    """The alliance's own client is the judge of whether we speak SunSpec."""
    installation, _ = served
    assert await asyncio.to_thread(scan, installation.ports["farm/hybrid"], 1) == [
        1,
        103,
        120,
        121,
        122,
        123,
        160,
        124,
        802,
    ]
    assert await asyncio.to_thread(scan, installation.ports["farm/meter"], 200) == [1, 203]
    assert await asyncio.to_thread(scan, installation.ports["home/pv"], 1) == [1, 103, 120, 121, 122, 123, 160]


def scan(port: int, unit: int) -> list[int]:
    """Return the models that pysunspec2 discovers."""
    device = SunSpecModbusClientDeviceTCP(slave_id=unit, ipaddr="127.0.0.1", ipport=port, timeout=SAFETY_S)
    try:
        device.scan()
        return [model for model in device.models if isinstance(model, int)]
    finally:
        device.close()


async def test_pysunspec2_reads_and_commands_the_hybrid(served: tuple[Installation, ManualClock]) -> None:
    """A foreign client's setpoint moves the battery, and what it reads is what the plant does."""
    installation, clock = served
    port = installation.ports["farm/hybrid"]
    site = installation.plant.sites["farm"]
    before = await asyncio.to_thread(command, port, None)
    assert before["W"] == pytest.approx(-site.pv_w, abs=6)
    assert before["strings_w"] == pytest.approx(-site.pv_w, abs=12)
    assert before["soc_percent"] == 50
    await asyncio.to_thread(command, port, -50.0)
    clock.move(30)
    after = await asyncio.to_thread(command, port, None)
    assert site.battery_w == pytest.approx(10_000, rel=1e-3)
    assert after["W"] == pytest.approx(-site.pv_w - site.battery_w, abs=6)
    assert after["charge_w"] == pytest.approx(10_000, abs=12)
    assert after["battery_w"] == pytest.approx(10_000, abs=12)
    assert after["soc_percent"] > 50


def command(port: int, out_percent: float | None) -> dict[str, float]:
    """Read the hybrid with pysunspec2, after writing a storage order if there is one."""
    device = SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=SAFETY_S)
    try:
        device.scan()
        storage = device.models[124][0]
        if out_percent is not None:
            storage.OutWRte.cvalue = out_percent
            storage.StorCtl_Mod.value = 2
            storage.write()
        for model in (103, 124, 160, 802):
            device.models[model][0].read()
        modules = device.models[160][0].module
        return {
            "W": device.models[103][0].W.cvalue,
            "strings_w": modules[0].DCW.cvalue + modules[1].DCW.cvalue,
            "charge_w": modules[2].DCW.cvalue,
            "battery_w": device.models[802][0].W.cvalue,
            "soc_percent": storage.ChaState.cvalue,
        }
    finally:
        device.close()


async def test_pymodbus_reads_the_transformer(served: tuple[Installation, ManualClock]) -> None:
    """The SDM630 in the form that a gateway's library decodes it."""
    installation, _ = served
    client = AsyncModbusTcpClient("127.0.0.1", port=installation.ports["feeder/meter"], retries=0, timeout=SAFETY_S)
    assert await client.connect()
    try:
        answer = await client.read_input_registers(52, count=2, device_id=1)
        power_w = client.convert_from_registers(answer.registers, client.DATATYPE.FLOAT32)
        assert power_w == pytest.approx(installation.plant.feeder.power_w, rel=1e-6)
        refused = await client.read_input_registers(106, count=2, device_id=1)
        assert refused.isError()
        assert refused.exception_code == 2
        too_many = await client.read_input_registers(0, count=81, device_id=1)
        assert too_many.exception_code == 3
    finally:
        client.close()


async def test_mbpoll_reads_floats_and_registers(served: tuple[Installation, ManualClock]) -> None:
    """A C client on libmodbus, which an installer has in his pocket."""
    installation, _ = served
    out = await mbpoll(installation.ports["feeder/meter"], "-t", "3:float", "-B", "-r", "71", "-c", "1")
    frequency = re.search(r"\[71\]:\s+([\d.]+)", out)
    assert frequency is not None, out
    assert float(frequency[1]) == pytest.approx(50, abs=0.05)
    out = await mbpoll(installation.ports["home/pv"], "-t", "4:hex", "-r", "50001", "-c", "2")
    assert "0x5375" in out
    assert "0x6E53" in out


async def mbpoll(port: int, *options: str) -> str:
    """Run one poll and return what it printed."""
    arguments = ("-m", "tcp", "-a", "1", "-1", "-p", str(port), *options, "127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        "mbpoll", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(SAFETY_S):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


async def test_pipelined_requests_are_answered_in_order(served: tuple[Installation, ManualClock]) -> None:
    """Three requests in one segment, and one cut in two, are four answers."""
    installation, _ = served
    client = await RawClient.connect(installation.ports["farm/hybrid"])
    client.send((1, 1, read_request(40_000, 2)), (2, 200, read_request(40_000, 2)), (3, 1, read_request(39_000, 1)))
    assert await client.receive() == (1, 1, b"\x03\x04SunS")
    assert await client.receive() == (2, 200, b"\x03\x04SunS")
    assert await client.receive() == (3, 1, b"\x83\x02")
    whole = struct.pack(">HHHB", 4, 0, 6, 1) + read_request(40_000, 2)
    client.writer.write(whole[:5])
    await client.writer.drain()
    client.writer.write(whole[5:])
    assert await client.receive() == (4, 1, b"\x03\x04SunS")
    await client.close()


async def test_an_absent_unit_is_silent_and_a_broken_frame_ends_the_connection(
    served: tuple[Installation, ManualClock],
) -> None:
    """Silence is what a gateway meets on a bus; a stream out of step cannot be mended."""
    installation, _ = served
    client = await RawClient.connect(installation.ports["farm/hybrid"])
    client.send((1, 9, read_request(40_000, 2)), (2, 1, read_request(40_000, 2)))
    assert (await client.receive())[0] == 2
    client.writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await client.ended()
    await client.close()


async def test_a_relay_switches_the_loads_behind_it() -> None:
    """Coils are the one table that nothing else here has; a switch command ends in one."""
    relay = DeviceConfig(id="relay", kind=DeviceKind.RELAY)
    loads = (SwitchedLoad(coil=0, power_w=500, on=True), SwitchedLoad(coil=2, power_w=3_000))
    site = PlantSite(id="home", load=LoadConfig(base_w=100), switched=loads, devices=(relay,))
    async with open_installation(PlantConfig(sites=(site,)), ManualClock()) as installation:
        client = AsyncModbusTcpClient("127.0.0.1", port=installation.ports["home/relay"], retries=0, timeout=SAFETY_S)
        assert await client.connect()
        try:
            assert installation.plant.sites["home"].connection_w == 600
            assert not (await client.write_coil(2, True, device_id=1)).isError()
            assert installation.plant.sites["home"].connection_w == 3_600
            assert not (await client.write_coils(0, [False, True, False], device_id=1)).isError()
            assert installation.plant.sites["home"].connection_w == 100
            assert (await client.read_coils(0, count=8, device_id=1)).bits == [False, True] + [False] * 6
            assert (await client.read_coils(7, count=2, device_id=1)).exception_code == 2
            assert (await client.read_holding_registers(0, count=1, device_id=1)).exception_code == 1
        finally:
            client.close()


async def test_a_device_may_hand_out_few_registers_at_once() -> None:
    """Limits differ per device, and a planner must keep to each."""
    device = DeviceConfig(id="meter", kind=DeviceKind.SUNSPEC_METER, registers_per_read_max=50)
    async with open_installation(
        PlantConfig(sites=(PlantSite(id="home", devices=(device,)),)), ManualClock()
    ) as installation:
        client = await RawClient.connect(installation.ports["home/meter"])
        assert (await client.ask(read_request(40_000, 50)))[:2] == b"\x03\x64"
        assert await client.ask(read_request(40_000, 51)) == b"\x83\x03"
        await client.close()


async def test_two_devices_cannot_be_one_unit_of_one_port() -> None:
    """The second would silently answer for the first."""
    other = ModbusServer({})
    port = await other.start()
    await other.stop()
    device = DeviceConfig(id="meter", kind=DeviceKind.SDM630, port=port)
    sites = (PlantSite(id="one", devices=(device,)), PlantSite(id="two", devices=(device,)))
    with pytest.raises(PlantError, match="'two/meter' answers as unit 1"):
        async with open_installation(PlantConfig(sites=sites), ManualClock()):
            pass


async def test_registers_travel_encrypted_too(tmp_path: Path) -> None:
    """Source: MODBUS/TCP Security, the same frames inside TLS."""
    authority = Authority(tmp_path)
    identity = authority.issue("device", server=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(identity.cert_path, identity.key_path)
    async with open_installation(PLANT, ManualClock()) as installation:
        server = ModbusServer(installation.servers["home/pv"].units)
        port = await server.start(tls=context)
        trusting = ssl.create_default_context(cafile=str(authority.ca_path))
        streams = await asyncio.open_connection("127.0.0.1", port, ssl=trusting)
        client = RawClient(*streams)
        assert await client.ask(read_request(50_000, 2)) == b"\x03\x04SunS"
        await client.close()
        await server.stop()


async def test_no_more_clients_than_the_device_takes() -> None:
    """Many inverters admit one; the second must see its connection end, not hang."""
    device = DeviceConfig(id="meter", kind=DeviceKind.SUNSPEC_METER, clients_max=1)
    config = PlantConfig(sites=(PlantSite(id="home", devices=(device,)),))
    async with open_installation(config, ManualClock()) as installation:
        first = await RawClient.connect(installation.ports["home/meter"])
        assert await first.ask(read_request(40_000, 2)) == b"\x03\x04SunS"
        second = await RawClient.connect(installation.ports["home/meter"])
        assert await second.ended()
        assert await first.ask(read_request(40_000, 2)) == b"\x03\x04SunS"
        await second.close()
        await first.close()


@pytest.mark.parametrize(
    ("request_pdu", "answer"),
    [
        pytest.param(b"\x2b\x0e\x01\x00", b"\xab\x01", id="unknown function"),
        pytest.param(b"\x03\x9c", b"\x83\x03", id="cut short"),
        pytest.param(read_request(40_000, 0), b"\x83\x03", id="no registers"),
        pytest.param(read_request(40_000, 126), b"\x83\x03", id="too many registers"),
        pytest.param(read_request(65_535, 2), b"\x83\x02", id="past the last address"),
        pytest.param(read_request(0, 1, function=4), b"\x84\x01", id="a table that it has not"),
        pytest.param(read_request(0, 1, function=1), b"\x81\x01", id="coils that it has not"),
        pytest.param(b"\x10\x9c\x40\x00\x02\x04\x00\x01", b"\x90\x03", id="byte count that lies"),
        pytest.param(b"\x10\x9c\x40\x00\x00\x00", b"\x90\x03", id="write of nothing"),
    ],
)
async def test_bad_requests_are_answered_with_the_right_exception(
    served: tuple[Installation, ManualClock], request_pdu: bytes, answer: bytes
) -> None:
    """The specification's state diagrams, as a client sees them."""
    installation, _ = served
    client = await RawClient.connect(installation.ports["farm/hybrid"])
    assert await client.ask(request_pdu) == answer
    await client.close()
