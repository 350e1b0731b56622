"""Which registers an unknown device has, and what they hold: read-only, in blocks that halve where it refuses."""

from collections.abc import Callable

from edge.devices.scan import framing_hint
from edge.errors import DeviceRefused, DeviceSilent
from edge.modbus.bus import Bus
from edge.modbus.faults import NoReply
from edge.modbus.patience import GATEWAY, read_patiently
from edge.modbus.point import Table
from edge.modbus.url import parse_url

BLOCK = 64
REGISTERS_MAX = 4096


async def survey(
    url: str,
    *,
    tables: tuple[Table, ...],
    first: int,
    last: int,
    on_block: Callable[[Table, int], None] = lambda _table, _at: None,
) -> dict[Table, dict[int, int]]:
    """Return the words of each table between two addresses; those that the device refuses are left out.

    Args:
        on_block: Called with each block before it is read.

    Raises:
        DeviceSilent: Nobody answers there.
    """
    endpoint = parse_url(url)
    words: dict[Table, dict[int, int]] = {}
    async with Bus(endpoint) as bus:
        for table in tables:
            words[table] = {}
            for at in range(first, last + 1, BLOCK):
                on_block(table, at)
                try:
                    await _read(bus, endpoint.unit, table, at, count=min(BLOCK, last + 1 - at), into=words[table])
                except NoReply as lost:
                    raise DeviceSilent(f"{lost}{framing_hint(endpoint, lost)}") from lost
    return words


async def _read(bus: Bus, unit: int, table: Table, at: int, *, count: int, into: dict[int, int]) -> None:
    try:
        into.update(enumerate(await read_patiently(bus, unit, table, at, count), at))
    except DeviceRefused as refusal:
        if refusal.exception_code in GATEWAY:
            raise
        if count == 1 or refusal.exception_code == 1:  # Nothing of this table at all.
            return
        half = count // 2
        await _read(bus, unit, table, at, count=half, into=into)
        await _read(bus, unit, table, at + half, count=count - half, into=into)
