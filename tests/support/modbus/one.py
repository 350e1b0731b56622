"""One device of a profile over registers on a real socket, read by the gateway's own reader."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from edge.devices.catalogue import load_profile
from edge.devices.device import Device, DeviceOptions
from edge.modbus.bus import Bus
from edge.state_store import VolatileStateStore
from tests.support.modbus.devices import fast_clock
from tests.support.modbus.server import Bank, tcp_device
from tests.support.modbus.server import Device as Server
from tests.support.modbus.wait import until

NO_WAITS = {"min_gap_ms": 0, "after_connect_ms": 0, "after_write_ms": 0, "timeout_s_min": None}


@asynccontextmanager
async def device(
    profile_id: str,
    bank: Bank,
    *,
    options: DeviceOptions | None = None,
    memory: VolatileStateStore | None = None,
    wait: bool = True,
) -> AsyncIterator[tuple[Device, Server]]:
    """Serve registers and read them as a device, by default once it is online."""
    profile = load_profile(profile_id)
    quick = profile.model_copy(update={"link": profile.link.model_copy(update=NO_WAITS)})
    server = Server({profile.link.unit or 1: bank})
    async with tcp_device(server) as port, Bus(f"tcp://127.0.0.1:{port}?unit={profile.link.unit or 1}") as bus:
        one = Device(
            id="one",
            profile=quick,
            bus=bus,
            unit=profile.link.unit or 1,
            clock=fast_clock(),
            options=options or DeviceOptions(generation_w=10_000, battery_w=5_000),
            memory=memory,
        )
        running = asyncio.create_task(one.run(), name="device")
        try:
            if wait:
                await until(lambda: one.health.online)
            yield one, server
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
