"""Every map against the strictest device that fits it: one that refuses each address that the map does not name."""

import contextlib
from dataclasses import replace

import pytest

from contracts.clock import SystemClock
from contracts.units import Quality
from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.resolve import resolve
from edge.errors import DeviceRefused
from edge.modbus.bus import Bus
from edge.modbus.point import Access, DataType, PollClass, Priority
from edge.modbus.poller import Poller
from tests.support.modbus.maps import empty
from tests.support.modbus.server import Device, tcp_device

PASSES = 4  # A hole takes two; here every gap is one, and each class makes requests of its own.


@pytest.mark.parametrize("name", list_profiles())
async def test_every_point_is_read_of_a_device_with_nothing_between_them(name: str) -> None:
    """What one request finds illegal between its points may be what another one wants."""
    profile = load_profile(name)
    points = [point for point in resolve(profile).points.values() if point.access is not Access.WRITE]
    limits = replace(profile.link.limits(), min_gap_s=None, delay_after_connect_s=0.0)
    async with tcp_device(Device({1: empty(name)})) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        poller = Poller(bus, 1, points, clock=SystemClock(), limits=limits)
        for _ in range(PASSES):
            for poll_class in PollClass:
                members = [point.name for point in points if point.poll_class is poll_class]
                with contextlib.suppress(DeviceRefused):
                    await poller.read(members, priority=Priority.LIVE)
        refused = bus.unit(1).counts.exceptions
        for poll_class in PollClass:
            await poller.read([point.name for point in points if point.poll_class is poll_class])
        again = bus.unit(1).counts.exceptions - refused
    assert not poller.learned.missing
    # A clock of zeros shows no instant: it was answered, and it is no reading.
    unread = [
        point.name
        for point in points
        if poller.latest[point.name].raw is None and point.data_type is not DataType.CLOCK
    ]
    assert not unread
    assert all(poller.latest[point.name].quality in (Quality.GOOD, Quality.INVALID) for point in points)
    assert not again, "nothing is asked that was refused before"
