"""Serve until told to stop: a plant, one device on a bench, or a dump. What is served is announced once it answers."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from contracts.clock import Clock
from firmware_sim.bank import Bank
from firmware_sim.driver import Driver
from firmware_sim.errors import PlantError
from firmware_sim.fault_rules import FaultKind, FaultRule
from firmware_sim.faults import FaultyWire
from firmware_sim.installation import device_banks, open_installation
from firmware_sim.plant import Plant
from firmware_sim.plant_config import PlantConfig
from firmware_sim.replay import ReplayBank, load_dump
from firmware_sim.rtu import Pace, PtyServer, RtuTcpServer
from firmware_sim.server import ModbusServer
from firmware_sim.truth import TruthLog, open_truth

Announce = Callable[[dict[str, Any]], None]
_PARENT_CHECK_S = 0.5


async def serve_plant(
    config: PlantConfig,
    clock: Clock,
    *,
    announce: Announce,
    truth: Path | None = None,
    truth_every_s: float = 1.0,
    parent_pid: int | None = None,
) -> None:
    """Serve every device of a plant.

    Args:
        config: The plant.
        clock: Whose time it lives by.
        announce: Is told the port of every ``site/device``, and the seed.
        truth: File to which the plant's state is appended, every ``truth_every_s`` seconds of the clock.
        parent_pid: The process whose end ends this one.

    Raises:
        PortTaken: A device's port is in use.
        OSError: The truth cannot be written.
    """
    file = open_truth(truth) if truth is not None else None
    try:
        async with open_installation(config, clock) as installation:
            log = TruthLog(plant=installation.plant, file=file, every_s=truth_every_s) if file else None
            announce({"ready": True, "ports": dict(installation.ports), "seed": config.seed})
            await _until_stopped(installation.driver.run(log.note if log else None), parent_pid)
    finally:
        if file is not None:
            file.close()


async def serve_rtu(config: PlantConfig, clock: Clock, *, announce: Announce, pace: Pace, tcp_port: int | None) -> None:
    """Serve the devices of a one-site plant on one serial line.

    Args:
        config: The plant; units tell its devices apart, the faults are those of the first device.
        clock: Whose time it lives by.
        announce: Is told the path to open, or the port.
        pace: The line's speed.
        tcp_port: Where the line is carried over TCP instead of a pseudo-terminal; 0 lets the machine choose.

    Raises:
        PlantError: A fault is asked for that only a connection can have.
        PortTaken: The port is in use.
    """
    plant = Plant(config, started_at=clock.now(), now_s=clock.monotonic())
    driver = Driver(plant, clock)
    banks = device_banks(plant, driver)
    units = {device.unit: bank for _, device, bank in banks}
    faults = banks[0][1].faults
    if tcp_port is None and any(rule.kind is FaultKind.HALF_OPEN for rule in faults):
        raise PlantError(
            "a serial line has no connection that could be half_open, it would be silent for ever; use drop"
        )
    wire = FaultyWire(faults, seed=config.seed, clock=clock) if faults else None
    said: dict[str, Any] = {"ready": True, "seed": config.seed, "units": sorted(units), "baud": pace.baud}
    if tcp_port is None:
        pty = PtyServer(units, pace=pace, wire=wire)
        try:
            announce(said | {"path": await pty.start()})
            await _until_stopped(driver.run(), None)
        finally:
            await pty.stop()
        return
    server = RtuTcpServer(units, pace=pace, wire=wire)
    try:
        announce(said | {"port": await server.start(host=config.host, port=tcp_port)})
        await _until_stopped(driver.run(), None)
    finally:
        await server.stop()


async def serve_bank(
    bank: Bank,
    driver: Driver,
    *,
    announce: Announce,
    host: str,
    port: int,
    unit: int,
    faults: tuple[FaultRule, ...] = (),
    seed: int = 0,
    clock: Clock,
    over_tcp: Pace | None = None,
) -> None:
    """Serve registers that somebody else keeps, over a plant.

    Args:
        announce: Is told the port.
        faults: What goes wrong on the wire.
        over_tcp: The speed of a serial line whose frames the port carries; None speaks Modbus/TCP.

    Raises:
        PortTaken: The port is in use.
    """
    wire = FaultyWire(faults, seed=seed, clock=clock) if faults else None
    units = {unit: bank}
    server: ModbusServer | RtuTcpServer
    server = ModbusServer(units, wire=wire) if over_tcp is None else RtuTcpServer(units, pace=over_tcp, wire=wire)
    try:
        announce({"ready": True, "port": await server.start(host=host, port=port), "seed": seed})
        await _until_stopped(driver.run(), None)
    finally:
        await server.stop()


async def serve_dump(
    path: Path,
    clock: Clock,
    *,
    announce: Announce,
    host: str,
    port: int,
    unit: int,
    faults: tuple[FaultRule, ...] = (),
    over_tcp: Pace | None = None,
) -> None:
    """Serve a dump file as a device.

    Args:
        faults: What it does wrong.
        over_tcp: The speed of a serial line whose frames the port carries; None speaks Modbus/TCP.

    Raises:
        PlantError: The file cannot be read or holds no registers.
        PortTaken: The port is in use.
    """
    frames = load_dump(path)
    units = {unit: ReplayBank(frames, clock)}
    wire = FaultyWire(faults, seed=0, clock=clock) if faults else None
    server: ModbusServer | RtuTcpServer
    server = ModbusServer(units, wire=wire) if over_tcp is None else RtuTcpServer(units, pace=over_tcp, wire=wire)
    try:
        announce({"ready": True, "port": await server.start(host=host, port=port), "frames": len(frames)})
        await _until_stopped(None, None)
    finally:
        await server.stop()


async def _until_stopped(work: Coroutine[Any, Any, None] | None, parent_pid: int | None) -> None:
    """Work until a signal says stop or the parent has gone; an error of the work is raised here."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait(), name="stop on signal")]
    if work is not None:
        tasks.append(asyncio.create_task(work, name="move the plant"))
    if parent_pid is not None:
        tasks.append(asyncio.create_task(_parent_gone(parent_pid), name="watch the parent"))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _parent_gone(parent_pid: int) -> None:
    """Return once another process has become our parent."""
    # Nothing tells a process that its parent has ended in a way that works everywhere, so it looks.
    while os.getppid() == parent_pid:  # noqa: ASYNC110
        await asyncio.sleep(_PARENT_CHECK_S)
