"""How many units a second a fleet needs of the tables that it writes evenly, held ready instead of paid one by one.

A unit held ready costs, fully used, three tenths of one on demand, so it pays where more than a third of it is used.
The market's day is a quarter of an hour that comes again and again: what is written within one minute of it, after a
clearing for instance, is taken from the units that were left over before. Tables that hardly anybody writes stay on
demand, and so do all of a small fleet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from cloud.infra.tables import Capacity
from cloud.stores.tables import Table

# Of fewer, a single zone with a lively hour is too much of the whole.
FROM_SITES = 5_000
# Of what is held ready, on average. Source: Application Auto Scaling's usual target for DynamoDB, 70 %.
USED_SHARE = 0.7
# Source: DynamoDB developer guide, "Burst capacity": unused capacity of up to five minutes is kept.
KEPT_S = 300.0
# Over how long a burst comes, and how much more of it than reckoned is borne.
BURST_S, BURST_RESERVE = 60.0, 1.2
# Target tracking makes four alarms for each: reads and writes, of the table and of its index; three more say that it
# refuses. Source: Application Auto Scaling user guide, target tracking for DynamoDB; ``cloud.infra.stack.watch``.
ALARMS_A_TABLE = 16 + 3


@dataclass(frozen=True, kw_only=True)
class Load:
    """What one site asks of a table: units a second on average, and the most that comes within one minute."""

    per_s: float = 0.0
    burst: float = 0.0

    def units(self, sites: int) -> int:
        """Return the units a second that so many sites need, at least one."""
        burst_per_s = BURST_RESERVE * self.burst / (KEPT_S + BURST_S)
        return max(1, ceil(sites * max(self.per_s / USED_SHARE, burst_per_s)))


@dataclass(frozen=True, kw_only=True)
class TableLoad:
    """What one site asks of a table and of its index."""

    writes: Load
    reads: Load
    index_writes: Load = Load()
    index_reads: Load = Load()

    def capacity(self, sites: int) -> Capacity:
        """Return what is held ready for so many sites."""
        return Capacity(
            writes=self.writes.units(sites),
            reads=self.reads.units(sites),
            index_writes=self.index_writes.units(sites),
            index_reads=self.index_reads.units(sites),
        )


def held_ready(loads: Mapping[Table, TableLoad], sites: int) -> dict[Table, Capacity]:
    """Return the capacity of each table that is not on demand for so many sites."""
    if sites < FROM_SITES:
        return {}
    return {table: load.capacity(sites) for table, load in loads.items()}
