"""Every door by its name."""

from tests.fuzz import cloud_doors, edge_doors, file_doors
from tests.fuzz.door import Door

DOORS: dict[str, Door] = {door.name: door for door in (*edge_doors.DOORS, *cloud_doors.DOORS, *file_doors.DOORS)}
