"""Modbus servers that are not ours: libmodbus (C), pyModbusTCP and modbus-tk, which share no code with the engine."""

import asyncio
import os
import socket
import subprocess
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp

import serial
from modbus_tk import defines
from modbus_tk.modbus_rtu import RtuServer
from pyModbusTCP.server import DataBank, ModbusServer

SOURCE = Path(__file__).with_name("libmodbus.c")
START_S = 120.0


@lru_cache(maxsize=1)
def compiled() -> Path:
    """Return the libmodbus server, compiled once."""
    program = Path(mkdtemp(prefix="libmodbus-")) / "server"
    subprocess.run(["gcc", "-O1", "-o", str(program), str(SOURCE), "-lmodbus"], check=True)
    return program


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def _running(*arguments: str) -> AsyncIterator[None]:
    program = await asyncio.to_thread(compiled)
    process = await asyncio.create_subprocess_exec(str(program), *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            assert await process.stdout.readline() == b"ready\n"
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def libmodbus_tcp() -> AsyncIterator[str]:
    """Serve libmodbus on loopback and yield its URL."""
    port = free_port()
    async with _running("tcp", str(port)):
        yield f"tcp://127.0.0.1:{port}?unit=1"


@asynccontextmanager
async def _line() -> AsyncIterator[tuple[str, str]]:
    """Yield the two ends of a line made of two pseudo-terminals."""
    loop = asyncio.get_running_loop()
    pairs = [os.openpty(), os.openpty()]
    masters = [master for master, _ in pairs]
    for descriptor in (*pairs[0], *pairs[1]):
        tty.setraw(descriptor)

    def forward(source: int, sink: int) -> None:
        os.write(sink, os.read(source, 4096))

    loop.add_reader(masters[0], forward, masters[0], masters[1])
    loop.add_reader(masters[1], forward, masters[1], masters[0])
    try:
        yield os.ttyname(pairs[0][1]), os.ttyname(pairs[1][1])
    finally:
        for master in masters:
            loop.remove_reader(master)
        for descriptor in (*pairs[0], *pairs[1]):
            os.close(descriptor)


@asynccontextmanager
async def libmodbus_rtu() -> AsyncIterator[str]:
    """Serve libmodbus on one end of a line and yield the URL of the other end."""
    async with _line() as (theirs, ours), _running("rtu", theirs):
        yield f"rtu://{ours}?baud=115200&unit=1"


@asynccontextmanager
async def modbustk_rtu() -> AsyncIterator[str]:
    """Serve modbus-tk on one end of a line and yield the URL of the other end."""
    async with _line() as (theirs, ours):
        server = RtuServer(serial.Serial(theirs, baudrate=115_200))
        unit = server.add_slave(1)
        for name, kind, values in (
            ("holding", defines.HOLDING_REGISTERS, [at * 7 for at in range(200)]),
            ("input", defines.ANALOG_INPUTS, [at * 11 for at in range(200)]),
            ("discrete", defines.DISCRETE_INPUTS, [at % 2 for at in range(64)]),
            ("coil", defines.COILS, [0] * 64),
        ):
            unit.add_block(name, kind, 0, len(values))
            unit.set_values(name, 0, values)
        await asyncio.to_thread(server.start)
        try:
            yield f"rtu://{ours}?baud=115200&unit=1"
        finally:
            await asyncio.to_thread(server.stop)


@asynccontextmanager
async def pymodbustcp() -> AsyncIterator[str]:
    """Serve pyModbusTCP on loopback and yield its URL."""
    port = free_port()
    bank = DataBank()
    bank.set_holding_registers(0, [at * 7 for at in range(200)])
    bank.set_input_registers(0, [at * 11 for at in range(200)])
    bank.set_discrete_inputs(0, [bool(at % 2) for at in range(64)])
    server = ModbusServer(host="127.0.0.1", port=port, no_block=True, data_bank=bank)
    await asyncio.to_thread(server.start)
    try:
        yield f"tcp://127.0.0.1:{port}?unit=1"
    finally:
        await asyncio.to_thread(server.stop)
