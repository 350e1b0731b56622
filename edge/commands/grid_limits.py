"""The grid operator's limits on the running site: one state machine for each direction, fed by genuine orders.

While an order runs, the order itself binds. The machine adds what no order says: the failsafe limit, from the start
until the grid operator is heard, and again when it falls silent. Where the machine stood is on the disk, so that a
restart in the middle of a limit begins in the failsafe state.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from contracts.control import Command, LimitExport, LimitImport
from edge.config import GridLimitsSection
from edge.control.limits import (
    GridLimit,
    LimitSettings,
    LimitState,
    bound_w,
    failsafe_request,
    heartbeat,
    ordered,
    started,
    ticked,
)
from edge.control.model import Request
from edge.state_store import StateStore

log = logging.getLogger(__name__)

_KEY = "grid.limits"


class Direction(StrEnum):
    """What a machine limits."""

    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True, kw_only=True)
class LimitStatus:
    """One machine for status: its state, the magnitude in force, and how long ago the grid operator was heard."""

    state: LimitState
    limit_w: float | None
    silent_s: float


class GridLimits:
    """The machines of one site; without a section there are none, and orders simply run to their end."""

    def __init__(self, section: GridLimitsSection | None, *, memory: StateStore, now_s: float) -> None:
        """Go on where an earlier process stopped; what was limited then is in failsafe now."""
        self._memory = memory
        self._settings = _settings(section)
        kept = memory.recall(_KEY)
        kept = kept if isinstance(kept, dict) else {}
        self._limits = {
            direction: started(now_s=now_s, was=_state(kept.get(direction))) for direction in self._settings
        }
        self._orders: dict[Direction, str] = {}
        self._keep()

    def heard(self, *, now_s: float) -> None:
        """Note a genuine, fresh message of the grid operator, whatever it asks."""
        for direction, limit in self._limits.items():
            self._limits[direction] = heartbeat(limit, now_s=now_s)

    def began(self, command: Command, *, expires_s: float, now_s: float) -> None:
        """Note that a limit of the grid operator was taken and runs until ``expires_s``."""
        found = _direction(command)
        if found is None or found not in self._limits or expires_s <= now_s:
            return
        assert isinstance(command.action, LimitImport | LimitExport)
        self._orders[found] = command.command_id
        self._move(
            found, ordered(self._limits[found], max_w=float(command.action.max_w), ends_s=expires_s, now_s=now_s)
        )

    def released(self, command: Command, *, now_s: float) -> None:
        """Note that the grid operator released a limit of its own."""
        found = _direction(command)
        if found is None or self._orders.get(found) != command.command_id or found not in self._limits:
            return
        del self._orders[found]
        self._move(found, ordered(self._limits[found], max_w=None, now_s=now_s))

    def falls_to_failsafe(self, command: Command) -> bool:
        """Say whether a failsafe limit follows an order whose issuer falls silent."""
        return _direction(command) in self._limits

    def requests(self, now_s: float) -> list[Request]:
        """Let time pass, and return the failsafe limits in force; a running order is a request of its own."""
        found = []
        for direction, settings in self._settings.items():
            limit = ticked(self._limits[direction], settings, now_s=now_s)
            self._move(direction, limit)
            request = failsafe_request(
                limit,
                settings,
                requester=f"grid_failsafe/{direction.value}",
                consumption=direction is Direction.IMPORT,
            )
            if request is not None:
                found.append(request)
        return found

    def status(self, now_s: float) -> Mapping[Direction, LimitStatus]:
        """Return where each machine stands."""
        return {
            direction: LimitStatus(
                state=limit.state,
                limit_w=bound_w(limit, self._settings[direction]),
                silent_s=now_s - limit.heard_s,
            )
            for direction, limit in self._limits.items()
        }

    def _move(self, direction: Direction, limit: GridLimit) -> None:
        before = self._limits[direction]
        self._limits[direction] = limit
        if limit.state is not before.state:
            log.warning("grid limit changed", extra={"direction": direction.value, "state": limit.state.value})
            self._keep()

    def _keep(self) -> None:
        if self._limits:
            kept = {direction.value: limit.state.value for direction, limit in self._limits.items()}
            self._memory.remember(_KEY, kept)


def _settings(section: GridLimitsSection | None) -> dict[Direction, LimitSettings]:
    if section is None:
        return {}
    failsafe_w = {Direction.IMPORT: section.failsafe_import_w, Direction.EXPORT: section.failsafe_export_w}
    return {
        direction: LimitSettings(
            failsafe_w=float(power_w),
            heartbeat_s=section.heartbeat_s,
            failsafe_s_min=section.failsafe_s_min,
            window_s=section.window_s,
        )
        for direction, power_w in failsafe_w.items()
        if power_w is not None
    }


def _state(kept: object) -> LimitState | None:
    return LimitState(kept) if isinstance(kept, str) and kept in set(LimitState) else None


def _direction(command: Command) -> Direction | None:
    if isinstance(command.action, LimitImport):
        return Direction.IMPORT
    return Direction.EXPORT if isinstance(command.action, LimitExport) else None
