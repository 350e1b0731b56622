"""Who of several processes does which part of a cloud's work: pure, from what the tables say and since when.

Nobody's clock is compared with another's: a process counts as dead when its beat has not moved for ``DEAD_AFTER_S`` of
the observer's own monotonic clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

DEAD_AFTER_S: Final = 5.0  # Five beats; with the next round's second and the start of the work below ten.


@dataclass(frozen=True, kw_only=True)
class Moves:
    """What a process does in one round: parts that it gives up, and parts that it tries to take."""

    give: tuple[str, ...] = ()
    take: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Beats:
    """When the beat of each process was last seen to move."""

    _seen: dict[str, tuple[int, float]] = field(default_factory=dict)

    def note(self, beats: Mapping[str, int], *, now_s: float) -> None:
        """Take down every process' beat; who is new has moved now."""
        self._seen = {
            process: known if (known := self._seen.get(process)) and known[0] == beat else (beat, now_s)
            for process, beat in beats.items()
        }

    def alive(self, *, now_s: float) -> frozenset[str]:
        """Return the processes whose beat has moved within ``DEAD_AFTER_S``."""
        return frozenset(process for process, (_, at_s) in self._seen.items() if now_s - at_s < DEAD_AFTER_S)


def moves(holders: Mapping[str, str | None], *, alive: Iterable[str], me: str) -> Moves:
    """Return what a process does so that all parts are done, by each living process about as many.

    Args:
        holders: Who holds each part; ``None``: nobody.
        alive: Who lives, the process itself among them.
        me: The process.
    """
    living = sorted({*alive, me})
    held = {process: [part for part, holder in sorted(holders.items()) if holder == process] for process in living}
    least, rest = divmod(len(holders), len(living))
    most = least + (rest > 0)
    mine = held[me]
    free = [part for part, holder in sorted(holders.items()) if holder not in held]
    if free and len(mine) < most:
        # Begin at a place of one's own, so that several processes seldom reach for the same part.
        start = living.index(me) * len(free) // len(living)
        return Moves(take=tuple([*free[start:], *free[:start]][: most - len(mine)]))
    hungry = any(len(parts) < least for parts in held.values())
    return Moves(give=tuple(mine[least if hungry and len(mine) > least else most :]))
