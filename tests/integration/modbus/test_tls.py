"""Modbus/TCP Security: both ends show certificates, and a device that cannot prove itself is not read."""

import ssl
from pathlib import Path

import pytest

from edge.modbus.bus import Bus
from edge.modbus.faults import Fault, NoReply
from edge.modbus.point import Table
from tests.support.brokers.broker import Authority
from tests.support.modbus.server import Bank, Device, tcp_device


async def test_a_device_is_read_only_where_its_certificate_is_ours(tmp_path: Path) -> None:
    """A limit that is written to whoever answers on the address is no limit."""
    (tmp_path / "other").mkdir()
    authority, stranger = Authority(tmp_path), Authority(tmp_path / "other")
    served, ours = authority.issue("localhost", server=True), authority.issue("gateway")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca_path))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(served.cert_path, served.key_path)
    device = Device({1: Bank(holding={0: 5, 1: 6})})
    own = f"cert={ours.cert_path}&key={ours.key_path}"
    async with tcp_device(device, tls=context) as port:
        async with Bus(f"tls://localhost:{port}?ca={authority.ca_path}&{own}") as bus:
            await bus.write(1, Table.HOLDING, 1, (7,))
            assert await bus.read(1, Table.HOLDING, 0, 2) == (5, 7)
        async with Bus(f"tls://localhost:{port}?ca={stranger.ca_path}&{own}") as bus:
            with pytest.raises(NoReply) as refusal:
                await bus.read(1, Table.HOLDING, 0, 2)
            assert refusal.value.fault is Fault.UNCONNECTED
        async with Bus(f"tls://localhost:{port}?ca={tmp_path / 'missing.pem'}") as bus:
            with pytest.raises(NoReply) as refusal:
                await bus.read(1, Table.HOLDING, 0, 2)
            assert refusal.value.fault is Fault.UNCONNECTED
