"""Puts a gateway's own orders back into its own sequence: pure, and part of what the journal replays.

Nothing between a gateway and the market promises an order, so each order carries its number. An order that comes too
early waits for those before it, but not for long: what was lost upstream must not stop what comes after.
"""

from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypedDict

WAIT_MS_MAX: Final = 10_000
WAITING_MAX: Final = 100


class OrderInput(TypedDict):
    """An order that arrived at ``at_ms``, with its number in its gateway's epoch; the message is as JSON."""

    op: Literal["order"]
    at_ms: int
    site: str
    epoch: int
    seq: int
    message: dict[str, Any]


@dataclass(kw_only=True, slots=True)
class _Line:
    """One gateway's orders of one epoch: the next number, and what waits by number."""

    epoch: int
    next_seq: int = 1
    waiting: dict[int, OrderInput] = field(default_factory=dict)


@dataclass(kw_only=True, slots=True)
class Sequencer:
    """The lines of all gateways of a zone."""

    lines: dict[str, _Line] = field(default_factory=dict)
    repeated: int = 0

    def take(self, order: OrderInput) -> list[OrderInput]:
        """Return the orders that may go to the market now that this one has come, in the gateway's sequence.

        An order carries ``site``, ``epoch``, ``seq`` and ``at_ms``, when it arrived. One whose number has passed
        already is a repeat and is dropped; one of an earlier epoch is from a journal that is gone, and passes.
        """
        line = self.lines.get(order["site"])
        if line is None or order["epoch"] > line.epoch:
            released = [] if line is None else _all(line)
            line = self.lines[order["site"]] = _Line(epoch=order["epoch"])
            return [*released, *self._take(line, order)]
        if order["epoch"] < line.epoch:
            return [order]
        return self._take(line, order)

    def has_taken(self, order: OrderInput) -> bool:
        """Say whether this order has come before, as far as its number tells."""
        line = self.lines.get(order["site"])
        if line is None or order["epoch"] != line.epoch:
            return False
        return order["seq"] < line.next_seq or order["seq"] in line.waiting

    @property
    def due_ms(self) -> int | None:
        """Return when the first of the waiting orders has waited too long, ``None`` where none waits."""
        waits = [one["at_ms"] for line in self.lines.values() for one in line.waiting.values()]
        return min(waits) + WAIT_MS_MAX if waits else None

    def overdue(self, now_ms: int) -> list[OrderInput]:
        """Return the orders that have waited too long, each with those behind it that follow without a hole."""
        released: list[OrderInput] = []
        for site in sorted(self.lines):
            line = self.lines[site]
            while line.waiting and min(one["at_ms"] for one in line.waiting.values()) + WAIT_MS_MAX <= now_ms:
                released += _skip(line)
        return released

    def to_json(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {
            "repeated": self.repeated,
            "lines": {
                site: [line.epoch, line.next_seq, [line.waiting[seq] for seq in sorted(line.waiting)]]
                for site, line in sorted(self.lines.items())
            },
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Sequencer":
        """Return the sequencer of ``to_json``."""
        lines = {
            site: _Line(epoch=epoch, next_seq=next_seq, waiting={order["seq"]: order for order in waiting})
            for site, (epoch, next_seq, waiting) in raw["lines"].items()
        }
        return cls(lines=lines, repeated=raw["repeated"])

    def _take(self, line: _Line, order: OrderInput) -> list[OrderInput]:
        if self.has_taken(order):
            self.repeated += 1
            return []
        line.waiting[order["seq"]] = order
        released = _in_sequence(line)
        while len(line.waiting) > WAITING_MAX:
            released += _skip(line)
        return released


def _in_sequence(line: _Line) -> list[OrderInput]:
    released = []
    while line.next_seq in line.waiting:
        released.append(line.waiting.pop(line.next_seq))
        line.next_seq += 1
    return released


def _skip(line: _Line) -> list[OrderInput]:
    """Give up the hole in front of the first that waits."""
    line.next_seq = min(line.waiting)
    return _in_sequence(line)


def _all(line: _Line) -> list[OrderInput]:
    return [line.waiting[seq] for seq in sorted(line.waiting)]
