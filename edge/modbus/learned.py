"""What experience with one device teaches: its turnaround, the silence it needs, where reads may not go."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from edge.modbus.point import LinkLimits, Range, Table

HOLES_MAX = 256  # A device with more illegal ranges than this is described by the wrong profile.
REFUSED_AGAIN_S = 8.0  # A device that boots or sleeps refuses what it has; it must be read again within 10 s.
MUTE_AGAIN_S = 600.0  # Asking for what is met with silence costs a time-out, and the others their turn.


@dataclass(kw_only=True)
class Learned:
    """Kept over restarts by whoever owns the device, as the plain dict of ``as_dict``.

    Args:
        turnaround_s: Smoothed, without the time of the bytes on the line; None until measured.
        gap_s: Silence between reply and request that proved necessary.
        holes: Addresses of no use to us that a request must not touch.
        missing: Addresses that we want and that were refused, or not answered; each with the seconds after which
            it is worth a look again. What is missing today may be there when the device has woken up.
        barriers: Addresses that a request must not cross.
        wanted: All that is ever read of the unit, by whatever request; not kept.
    """

    turnaround_s: float | None = None
    gap_s: float = 0.0
    holes: list[Range] = field(default_factory=list)
    missing: dict[Range, float] = field(default_factory=dict)
    barriers: dict[Table, set[int]] = field(default_factory=dict)
    wanted: frozenset[Range] = frozenset()
    version: int = 0

    def add_hole(self, hole: Range) -> bool:
        """Remember addresses that answer with an exception, without those that we want; return whether any are left."""
        pieces = self._unwanted(hole)
        for piece in pieces:
            if piece not in self.holes and len(self.holes) < HOLES_MAX:
                self.holes.append(piece)
                self.version += 1
        return bool(pieces)

    def add_missing(self, wanted: Range, *, again_s: float) -> None:
        """Remember that wanted addresses were refused (``REFUSED_AGAIN_S``) or not answered (``MUTE_AGAIN_S``)."""
        if wanted not in self.missing and len(self.missing) < HOLES_MAX:
            self.missing[wanted] = again_s
            self.version += 1

    def found(self, wanted: Range) -> None:
        """Remember that a missing range is there, and believe that the others that were refused may be, too."""
        self.missing = {
            other: again_s for other, again_s in self.missing.items() if other != wanted and again_s > REFUSED_AGAIN_S
        }
        self.version += 1

    def forget_addresses(self) -> None:
        """Forget what was learned about addresses: what lies there now is something else."""
        self.holes, self.missing, self.barriers = [], {}, {}
        self.version += 1

    def want(self, wanted: Iterable[Range]) -> None:
        """Take note of what is read of the unit by any request; none of it is a hole, whatever another one showed."""
        self.wanted = frozenset((*self.wanted, *wanted))
        holes, self.holes = self.holes, []
        for hole in holes:
            self.add_hole(hole)

    def _unwanted(self, hole: Range) -> list[Range]:
        pieces: list[Range] = []
        start = hole.start
        inside = [
            one for one in self.wanted if one.table is hole.table and one.start < hole.end and hole.start < one.end
        ]
        for one in sorted(inside, key=lambda one: one.start):
            if one.start > start:
                pieces.append(replace(hole, start=start, end=one.start))
            start = max(start, one.end)
        return [*pieces, replace(hole, start=start)] if start < hole.end else pieces

    def add_barrier(self, table: Table, address: int) -> None:
        """Remember an address that no request may cross."""
        known = self.barriers.setdefault(table, set())
        if address not in known and len(known) < HOLES_MAX:
            known.add(address)
            self.version += 1

    def adopt(self, other: "Learned") -> None:
        """Add what another has learned about addresses."""
        for hole in other.holes:
            self.add_hole(hole)
        for wanted, again_s in other.missing.items():
            self.add_missing(wanted, again_s=again_s)
        for table, addresses in other.barriers.items():
            for address in addresses:
                self.add_barrier(table, address)

    def limits(self, profile: LinkLimits) -> LinkLimits:
        """Return what the profile and experience allow together."""
        tables = {*profile.barriers, *self.barriers}
        return replace(
            profile,
            forbidden=(*profile.forbidden, *self.holes, *self.missing),
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
            "missing": [[one.table.value, one.start, one.end, again_s] for one, again_s in self.missing.items()],
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
            missing={
                Range(table=Table(table), start=int(start), end=int(end)): float(again_s)
                for table, start, end, again_s in kept.get("missing", ())
            },
            barriers={Table(table): {int(at) for at in addresses} for table, addresses in kept["barriers"].items()},
        )
