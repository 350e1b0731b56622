"""Bytes as they come: only the answer to the outstanding request is taken."""

import asyncio
import struct
from typing import cast

import pytest

from edge.modbus.faults import Fault, NoReply
from edge.modbus.late_replies import LateReplies
from edge.modbus.pdu import read_reply, read_reply_bytes, read_request, read_values
from edge.modbus.point import Table
from edge.modbus.url import Scheme
from edge.modbus.wire import Wire

SOON_S, LONG_S = 0.001, 5.0


class Sink(asyncio.WriteTransport):
    """Takes what is sent; the tests play the device by hand."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send nowhere."""

    def close(self) -> None:
        """Close nothing."""


def opened(scheme: Scheme = Scheme.TCP) -> Wire:
    """Return a wire that believes to be connected."""
    wire = Wire(scheme, late_replies=LateReplies(), on_lost=lambda _: None)
    wire.connection_made(Sink())
    return wire


def frame(transaction: int, *values: int, unit: int = 1) -> bytes:
    """Return a reply that holds these registers."""
    payload = read_reply(Table.HOLDING, values)
    return struct.pack(">HHHB", transaction, 0, len(payload) + 1, unit) + payload


async def asked(wire: Wire, count: int, *, timeout_s: float = LONG_S) -> "asyncio.Task[bytes]":
    """Ask for so many registers and return the task that waits for them."""
    request = wire.request(
        unit=1,
        payload=read_request(Table.HOLDING, 0, count),
        reply_bytes=read_reply_bytes(Table.HOLDING, count),
        timeout_s=timeout_s,
    )
    task = asyncio.create_task(request, name="request")
    await asyncio.sleep(0)
    return task


async def lost(wire: Wire, count: int) -> None:
    """Ask, and let nobody answer in time."""
    with pytest.raises(NoReply):
        await (await asked(wire, count, timeout_s=SOON_S))


async def fault_of(task: "asyncio.Task[bytes]") -> Fault:
    """Return why a request failed."""
    with pytest.raises(NoReply) as failure:
        await task
    return failure.value.fault


async def test_an_answer_is_put_together_from_any_pieces() -> None:
    """TCP keeps no borders: a reply may come byte by byte, or with the next one."""
    wire = opened()
    task = await asked(wire, 2)
    for byte in frame(1, 5, 6):
        wire.data_received(bytes((byte,)))
    assert read_values(Table.HOLDING, 2, await task) == (5, 6)


async def test_late_and_repeated_replies_beside_the_answer_are_counted_and_left() -> None:
    """A slow device delivers everything at once when it wakes."""
    wire = opened()
    await lost(wire, 1)
    task = await asked(wire, 1)
    wire.data_received(frame(1, 7) + frame(2, 8) + frame(2, 8))
    assert read_values(Table.HOLDING, 1, await task) == (8,)
    assert (wire.counts.late, wire.counts.repeated) == (1, 1)
    assert cast(float, wire.late_latency_s) > 0


@pytest.mark.parametrize(
    ("late", "values", "kept"), [((9, 9), (5, 6), 11), ((9,), (1, 2, 3, 4, 5), 8), ((9,), (5, 6), 3)]
)
async def test_a_reply_cut_short_is_not_completed_by_a_late_one(
    late: tuple[int, ...], values: tuple[int, ...], kept: int
) -> None:
    """Transaction, unit, function and length would all fit, and the last registers would be another reply's head."""
    wire = opened()
    await lost(wire, len(late))
    task = await asked(wire, len(values))
    wire.data_received(frame(2, *values)[:kept])
    wire.data_received(frame(1, *late))
    assert await fault_of(task) is Fault.FRAMING


async def test_a_cut_reply_and_a_late_one_in_one_piece_are_not_data_either() -> None:
    """The kernel may hand both over together."""
    wire = opened()
    await lost(wire, 2)
    task = await asked(wire, 2)
    wire.data_received(frame(2, 5, 6)[:11] + frame(1, 9, 9))
    assert await fault_of(task) is Fault.FRAMING


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (frame(9, 5), Fault.MISMATCH),
        (frame(1, 5, unit=2), Fault.MISMATCH),
        (frame(1, 5, 6), Fault.LENGTH),
        (b"\x00\x01\x00\x07" + frame(1, 5)[4:], Fault.FRAMING),
        (b"\x00\x01\x00\x00\x7f\xff\x01\x03", Fault.FRAMING),
    ],
)
async def test_a_frame_that_is_not_the_answer_fails_the_request_at_once(reply: bytes, fault: Fault) -> None:
    """Waiting on for a better one is how replies get off by one."""
    wire = opened()
    task = await asked(wire, 1)
    wire.data_received(reply)
    assert await fault_of(task) is fault


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (b":0103020005F5\r\n", None),
        (b":0103020006F5\r\n", Fault.FRAMING),
        (b":0-03020005F5\r\n", Fault.FRAMING),
        (b":0203020005F4\r\n", Fault.MISMATCH),
        (b":0103040005000AE9\r\n", Fault.LENGTH),
    ],
)
async def test_an_ascii_frame_is_taken_only_if_its_sum_unit_and_length_fit(reply: bytes, fault: Fault | None) -> None:
    """Its checksum is one byte, so unit and length have to fit as well. Source: serial line 1.02, 2.5.2."""
    wire = opened(Scheme.ASCII)
    task = await asked(wire, 1)
    for byte in reply:
        wire.data_received(bytes((byte,)))
    if fault is None:
        assert read_values(Table.HOLDING, 1, await task) == (5,)
    else:
        assert await fault_of(task) is fault
