"""A monitor writes nothing, ever: each way that ends in a write is tried on a device that counts them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge.config import SiteConfig
from edge.control.model import CONNECTION, Priority, Reason, Request
from edge.devices.device import Device
from edge.devices.opening import open_devices
from edge.devices.recipes import Lever
from edge.errors import DeviceRefused, ValueRefused
from edge.loop.cycle import Cycle
from edge.loop.loop import ControlLoop
from edge.modbus.bus import Bus
from edge.modbus.point import Table
from edge.modbus.proxy import Proxy
from edge.state_store import VolatileStateStore
from tests.support.modbus.devices import Section, fast_clock
from tests.support.modbus.server import Bank, tcp_device
from tests.support.modbus.server import Device as Server
from tests.support.modbus.wait import until
from tests.support.rigs.edge_parts import Asking, Kept, config, plain_config

WRITES = {5, 6, 15, 16, 22, 23}
BOX = "kmtronic_relay"


def _server() -> Server:
    return Server({1: Bank(coil=dict.fromkeys(range(8), 0), holding={64512: 0, 64513: 7})})


@asynccontextmanager
async def monitored(server: Server, *, memory: VolatileStateStore) -> AsyncIterator[tuple[Device, int]]:
    """Open a relay box that is only read, once its contacts are known."""
    async with tcp_device(server) as port:
        section = Section(id="box", profile=BOX, url=f"tcp://127.0.0.1:{port}", role="load")
        async with open_devices([section], clock=fast_clock(), outbox=memory, read_only=True) as devices:
            box = devices["box"]
            await until(lambda: box.snapshot().get("relay1") is not None)
            yield box, port


async def test_no_lever_no_leftover_and_no_proxy_writes_on_a_monitor() -> None:
    """An order, what an earlier configuration left behind, another program, and the bus itself."""
    server = _server()
    memory = VolatileStateStore()
    memory.remember("device/box/touched", ["switch"])
    async with monitored(server, memory=memory) as (box, _):
        assert not box.capabilities and not box.levers and not box.leftovers
        assert box.left_behind == {Lever.SWITCH}
        for lever in Lever:
            for value in (1.0, 0.0, None):
                with pytest.raises(ValueRefused, match="monitor writes nothing"):
                    await box.apply(lever, value, revert_s=90)
        with pytest.raises(ValueRefused, match="monitor writes nothing"):
            await box._bus.write(1, Table.COIL, 0, (1,))
        proxy = Proxy(box._bus, units={1}, writable=True)
        task = asyncio.create_task(proxy.run(port=0), name="proxy")
        try:
            async with Bus(f"tcp://127.0.0.1:{await proxy.port()}") as foreign:
                with pytest.raises(DeviceRefused):
                    await foreign.write(1, Table.COIL, 0, (1,))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert not [request for request in server.requests if request.pdu[0] in WRITES]


async def test_the_control_loop_of_a_monitor_writes_nothing_whatever_is_asked() -> None:
    """The fuse is exceeded and the grid operator asks for relief: a monitor reports it and touches nothing."""
    server = _server()
    cycles: list[Cycle] = []
    limit = Request(
        requester="grid",
        resource=CONNECTION,
        priority=Priority.GRID_OPERATOR,
        reason=Reason.GRID_LIMIT,
        expires_s=float("inf"),
        max_w=0.0,
    )
    async with monitored(server, memory=VolatileStateStore()) as (box, _):
        content = plain_config()
        load = {"id": "box", "profile": BOX, "url": "tcp://127.0.0.1:1?unit=1", "role": "load"}
        content["devices"] = [content["devices"][0], {**load, "load": {"rated_w": 2000, "state": "relay1"}}]
        site = config(devices=content["devices"])
        clock = fast_clock()
        loop = ControlLoop(
            config=site,
            clock=clock,
            devices={"meter": box, "box": box},
            requesters=[Asking([limit])],
            observers=[Kept(cycles)],
            locked=lambda: False,
        )
        task = asyncio.create_task(loop.run(), name="control")
        await until(lambda: len(cycles) > 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert not any(cycle.decision.setpoints for cycle in cycles)
    assert not [request for request in server.requests if request.pdu[0] in WRITES]


def test_a_writable_proxy_of_a_monitor_is_refused_with_the_configuration() -> None:
    """The contradiction is told before anything opens."""
    proxy = [{"device": "meter", "listen": "127.0.0.1:5020", "writable": True}]
    site = {**plain_config()["site"], "agent": "monitor"}
    with pytest.raises(ValueError, match="it writes nothing"):
        SiteConfig.model_validate({**plain_config(), "site": site, "proxy": proxy})
