"""What experience with one device teaches: its turnaround, the silence it needs, where reads may not go."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge.modbus.point import LinkLimits, Range, Table

HOLES_MAX = 256  # A device with more illegal ranges than this is described by the wrong profile.


@dataclass(kw_only=True)
class Learned:
    """Kept over restarts by whoever owns the device, as the plain dict of ``as_dict``.

    Args:
        turnaround_s: Smoothed, without the time of the bytes on the line; None until measured.
        gap_s: Silence between reply and request that proved necessary.
        holes: Addresses that a request must not touch.
        barriers: Addresses that a request must not cross.
    """

    turnaround_s: float | None = None
    gap_s: float = 0.0
    holes: list[Range] = field(default_factory=list)
    barriers: dict[Table, set[int]] = field(default_factory=dict)
    version: int = 0

    def add_hole(self, hole: Range) -> None:
        """Remember addresses that answer with an exception."""
        if hole not in self.holes and len(self.holes) < HOLES_MAX:
            self.holes.append(hole)
            self.version += 1

    def add_barrier(self, table: Table, address: int) -> None:
        """Remember an address that no request may cross."""
        known = self.barriers.setdefault(table, set())
        if address not in known and len(known) < HOLES_MAX:
            known.add(address)
            self.version += 1

    def adopt(self, other: "Learned") -> None:
        """Add the holes and barriers that another has learned."""
        for hole in other.holes:
            self.add_hole(hole)
        for table, addresses in other.barriers.items():
            for address in addresses:
                self.add_barrier(table, address)

    def limits(self, profile: LinkLimits) -> LinkLimits:
        """Return what the profile and experience allow together."""
        tables = {*profile.barriers, *self.barriers}
        return replace(
            profile,
            forbidden=(*profile.forbidden, *self.holes),
            barriers={
                table: tuple(sorted({*profile.barriers.get(table, ()), *self.barriers.get(table, ())}))
                for table in tables
            },
            min_gap_s=max(profile.min_gap_s or 0.0, self.gap_s) or profile.min_gap_s,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return a plain dict that JSON can hold."""
        return {
            "turnaround_s": self.turnaround_s,
            "gap_s": self.gap_s,
            "holes": [[hole.table.value, hole.start, hole.end] for hole in self.holes],
            "barriers": {table.value: sorted(addresses) for table, addresses in self.barriers.items()},
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> "Learned":
        """Return what ``as_dict`` gave.

        Raises:
            ValueError, KeyError, TypeError: It is not such a dict.
        """
        turnaround_s = kept["turnaround_s"]
        return cls(
            turnaround_s=None if turnaround_s is None else float(turnaround_s),
            gap_s=float(kept["gap_s"]),
            holes=[Range(table=Table(table), start=int(start), end=int(end)) for table, start, end in kept["holes"]],
            barriers={Table(table): {int(at) for at in addresses} for table, addresses in kept["barriers"].items()},
        )
