"""Registers of devices that nobody simulates, from their maps."""

from edge.devices.catalogue import load_profile
from edge.devices.resolve import resolve
from edge.modbus.point import Table
from tests.support.modbus.server import Bank


def empty(profile_id: str) -> Bank:
    """Return a device that has every register of a profile, all zero."""
    tables: dict[Table, dict[int, int]] = {table: {} for table in Table}
    for point in resolve(load_profile(profile_id)).points.values():
        for start, end in point.spans():
            tables[point.table].update(dict.fromkeys(range(start, end), 0))
        if point.write_address is not None:
            tables[point.table].update(dict.fromkeys(range(point.write_address, point.write_address + point.count), 0))
    return Bank(
        holding=tables[Table.HOLDING],
        input=tables[Table.INPUT],
        coil=tables[Table.COIL],
        discrete=tables[Table.DISCRETE],
    )
