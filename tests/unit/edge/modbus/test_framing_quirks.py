"""Devices as they frame their answers: no unit, an echo, a chain that forgot its end, texts with other padding."""

import pytest

from contracts.units import Quality
from edge.errors import DeviceSilent
from edge.modbus.bus import Bus
from edge.modbus.codec import decode
from edge.modbus.point import DataType, RegisterPoint, Table
from edge.modbus.sunspec import MARKER, walk_image
from tests.support.modbus.server import Bank, Device, Request, Sending, tcp_device


def _bank() -> Bank:
    return Bank(holding={address: address for address in range(300)})


@pytest.mark.parametrize("named", [0, 255])
async def test_an_answer_that_names_no_unit_is_taken_where_its_transaction_fits(named: int) -> None:
    """Bridges forget the unit; the transaction id says whose answer it is."""

    def nameless(device: Device, request: Request, payload: bytes | None) -> Sending:
        assert payload is not None
        return [(0.0, device.frame(request, payload, unit=named))]

    async with tcp_device(Device({19: _bank()}, fault=nameless)) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        assert await bus.read(19, Table.HOLDING, 5, 2) == (5, 6)


async def test_an_answer_on_a_line_that_names_unit_0_is_taken_where_no_other_is_due() -> None:
    """Adapters without a unit of their own say 0, which no unit is; where another answer may come late, whose is it?"""
    is_late = False

    def nameless(device: Device, request: Request, payload: bytes | None) -> Sending:
        assert payload is not None
        return [] if is_late else [(0.0, device.frame(request, payload, unit=0))]

    device = Device({3: _bank(), 4: _bank()}, is_rtu=True, fault=nameless)
    async with tcp_device(device) as port, Bus(f"rtuovertcp://127.0.0.1:{port}") as bus:
        assert await bus.read(4, Table.HOLDING, 5, 2) == (5, 6)
        with pytest.raises(DeviceSilent):  # Begins like a stray byte before unit 3 and function 3.
            await bus.read(3, Table.HOLDING, 5, 2)
        is_late = True
        with pytest.raises(DeviceSilent):
            await bus.read(4, Table.HOLDING, 9, 2)
        is_late = False
        bus.unit(5).latency_s = 0.005
        with pytest.raises(DeviceSilent):
            await bus.read(5, Table.HOLDING, 5, 2)


async def test_an_answer_of_another_unit_is_still_refused() -> None:
    """Only a missing name is forgiven, not a wrong one."""

    def wrong(device: Device, request: Request, payload: bytes | None) -> Sending:
        assert payload is not None
        return [(0.0, device.frame(request, payload, unit=20))]

    async with tcp_device(Device({19: _bank()}, fault=wrong)) as port, Bus(f"tcp://127.0.0.1:{port}") as bus:
        with pytest.raises(DeviceSilent):
            await bus.read(19, Table.HOLDING, 5, 2)


@pytest.mark.parametrize("pieces", [False, True])
async def test_the_echo_of_a_half_duplex_adapter_is_dropped(pieces: bool) -> None:
    """The request comes back before the answer, at once or in pieces; a write's echo is not taken for its answer."""
    written: list[bytes] = []

    def echoes(device: Device, request: Request, payload: bytes | None) -> Sending:
        assert payload is not None
        own, answer = device.frame(request, request.pdu), device.frame(request, payload)
        if request.pdu[0] == 6:
            written.append(answer)
        if pieces:
            return [(0.0, own[:3]), (0.01, own[3:]), (0.02, answer[:4]), (0.03, answer[4:])]
        return [(0.0, own + answer)]

    device = Device({1: _bank()}, is_rtu=True, fault=echoes)
    async with tcp_device(device) as port, Bus(f"rtuovertcp://127.0.0.1:{port}") as bus:
        for address in (0, 3, 256):
            assert await bus.read(1, Table.HOLDING, address, 3) == (address, address + 1, address + 2)
        await bus.write(1, Table.HOLDING, 7, (99,))
        assert await bus.read(1, Table.HOLDING, 7, 1) == (99,)
    assert len(written) == 1


def _image(*models: tuple[int, int, int], end: tuple[int, ...] = (0xFFFF, 0)) -> dict[int, int]:
    """Return a chain of models: id, length told, registers really there."""
    words = [*MARKER]
    for model_id, told, real in models:
        words += [model_id, told, *([0] * real)]
    return dict(enumerate([*words, *end, *([0] * 300)], 40000))


@pytest.mark.parametrize("end", [(0xFFFF, 0), (0, 0), ()])
def test_a_chain_ends_at_its_end_model_or_in_zeros(end: tuple[int, ...]) -> None:
    """Some devices forget the end model; zeros went on for 128 models and nothing was read."""
    found = walk_image(_image((1, 66, 66), (103, 50, 50), end=end))
    assert found is not None and [model.model_id for model in found.models] == [1, 103]


def test_a_model_1_that_does_not_count_its_pad_hides_nothing() -> None:
    """It says 65 registers and has 66: the next model begins one later."""
    found = walk_image(_image((1, 65, 66), (103, 50, 50)))
    assert found is not None
    assert [(model.model_id, model.address) for model in found.models] == [(1, 40002), (103, 40070)]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((0x5345, 0x3430, 0x3030, 0xFFFF, 0xFFFF), "SE4000"),
        ((0x5345, 0x34FF, 0xFFFF, 0, 0), "SE4"),
        ((0x48, 0x33, 0x2D, 0x38, 0x20), "H3-8"),
        ((0x4800, 0x3300, 0x2D00, 0x3800, 0), "H3-8"),
        ((0x5345, 0x3430, 0x3030, 0, 0xFFFF), "SE4000"),
        ((0x4100, 0, 0, 0, 0), "A"),
        ((0xFFFF, 0xFFFF, 0, 0, 0), None),
        ((0, 0, 0x5345, 0x3400, 0), "SE4"),
        ((0x57E4, 0x726D, 0x6500, 0, 0), "Wärme"),
        ((0x2020, 0x2020, 0x2020, 0, 0), None),
    ],
)
def test_texts_are_read_as_they_are_padded(words: tuple[int, ...], text: str | None) -> None:
    """A model's name decides which profile fits; 26 question marks after it decide nothing."""
    point = RegisterPoint(name="model", table=Table.HOLDING, address=0, count=5, data_type=DataType.STRING)
    reading = decode(point, dict(enumerate(words)))
    assert reading.value == text
    assert reading.quality is (Quality.INVALID if text is None else Quality.GOOD)
