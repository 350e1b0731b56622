"""What is known of one station: its connectors, what they measure, which transactions run; kept over restarts.

It holds no socket. A session (``session.py``) writes into it what the station tells, a device reads from it.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from contracts.clock import Clock
from edge.errors import DeviceSilent
from edge.ocpp.limits import Limit
from edge.ocpp.settings import OcppSettings, StationSettings, Version
from edge.state_store import NOTE_S, StateStore

_FIRST_TRANSACTION = 1
# 1.6 numbers transactions by 32 bits; a station keeps what it was given.
_TRANSACTION_MAX = 2**31 - 1
# A car whose charge was asked for so often and does not begin is left to its owner.
STARTS_MAX = 3
# States of a connector with a car whose charge has not begun: 1.6 has a word for it, 2.0.1 the lack of a transaction.
_WAITING = frozenset({"Preparing", "Occupied"})
# A value that the station took so long ago says nothing of now: it was kept while there was no connection.
LATE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Value:
    """A measured number, and when it was: on the site's monotonic clock and its wall clock."""

    value: float
    at_s: float
    at: datetime


@dataclass(kw_only=True)
class Transaction:
    """A car that charges: what the station calls it, and what its meter read when it began."""

    id: int | str
    began_wh: float | None = None
    began_at: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is kept."""
        return {"id": self.id, "began_wh": self.began_wh, "began_at": self.began_at}


@dataclass(kw_only=True)
class Connector:
    """One connector: its state as the station says it, its newest values, its transaction.

    Args:
        starts: How often a charge was asked for since the car came.
        finished: The car has charged; it is not started again.
    """

    status: str | None = None
    error: str | None = None
    charging: bool | None = None
    values: dict[str, Value] = field(default_factory=dict)
    transaction: Transaction | None = None
    starts: int = 0
    finished: bool = False


class Caller(Protocol):
    """How a station that is connected is asked, in its own version."""

    @property
    def version(self) -> Version:
        """Return which version is spoken."""

    async def set_fallback(self, connector: int, limit: Limit) -> None:
        """Leave a connector with a limit for good.

        Raises:
            DeviceSilent: No answer.
            StationRefused: The station said no.
        """

    async def set_lease(self, connector: int, limit: Limit, *, transaction: int | str | None, lease_s: float) -> None:
        """Give a connector a limit that ends by itself; raises as ``set_fallback``."""

    async def composite_a(self, connector: int, *, phases: int) -> float | None:
        """Return the current in force, ``None`` where the station does not tell; raises ``DeviceSilent``."""

    async def start(self, connector: int, id_tag: str) -> None:
        """Start a charge for the car that waits; raises as ``set_fallback``."""


class Station:
    """One station of the site.

    Args:
        sections: Its connectors, by number.
        phases: Over how many each is wired.
        memory: Where transactions outlive the process.
    """

    def __init__(
        self,
        *,
        sections: dict[int, StationSettings],
        phases: dict[int, int],
        settings: OcppSettings,
        clock: Clock,
        memory: StateStore,
    ) -> None:
        first = next(iter(sections.values()))
        self.id = first.station
        self.password_file = first.password_file
        self.version = first.version
        self.sections = sections
        self.phases = phases
        self.settings = settings
        self.clock = clock
        self.connectors = {number: Connector() for number in sections}
        self.caller: Caller | None = None
        self.ready = False
        self.in_watts = False
        self.switches_phases: bool | None = None  # As it says; None where it says nothing.
        self.since_at: datetime | None = None
        self.boot: dict[str, str] = {}
        self.last_error: str | None = None
        self.connections = 0
        self.messages = 0
        self.faults = 0
        self._memory = memory
        self._key = f"ocpp/{self.id}"
        self._next = _FIRST_TRANSACTION
        self._is_noted = True
        self._recall()

    @property
    def online(self) -> bool:
        """Say whether it is connected and knows its fallback."""
        return self.caller is not None and self.ready

    def asked(self) -> Caller:
        """Return how it is asked.

        Raises:
            DeviceSilent: It is not connected.
        """
        if self.caller is None:
            raise DeviceSilent(f"station {self.id} is not connected: {self.last_error or 'it has not called yet'}")
        return self.caller

    def fallback_of(self, number: int) -> Limit:
        """Return what a connector goes on with alone."""
        return Limit(current_a=self.sections[number].fallback_a, phases=self.phases[number], in_watts=self.in_watts)

    def measured(self, number: int, values: dict[str, float], *, taken_at: datetime | None) -> None:
        """Take what a connector measures; what was kept while there was no connection is no value of now."""
        connector = self.connectors.get(number)
        if connector is None:
            return
        now = self.clock.now()
        if taken_at is not None and abs((now - taken_at).total_seconds()) > LATE_S:
            self.last_error = f"a value is of {taken_at:%H:%M:%S} UTC, and it is {now:%H:%M:%S}; it was left out"
            return
        at_s = self.clock.monotonic()
        for name, value in values.items():
            connector.values[name] = Value(value=value, at_s=at_s, at=now)

    def new_transaction(self, number: int, *, began_wh: float | None, began_at: str | None) -> int:
        """Return the number of a transaction that a 1.6 station begins; one that is told twice is one."""
        connector = self.connectors.get(number)
        running = None if connector is None else connector.transaction
        if running is not None and running.began_at == began_at and running.began_wh == began_wh:
            return int(running.id)
        given = self._next
        self._next = given % _TRANSACTION_MAX + 1
        self.begin(number, Transaction(id=given, began_wh=began_wh, began_at=began_at))
        return given

    def begin(self, number: int, transaction: Transaction) -> None:
        """Note that a transaction runs at a connector."""
        if number in self.connectors:
            self.connectors[number].transaction = transaction
            self.connectors[number].starts = 0
        self._keep()

    def runs(self, number: int, transaction: int | str) -> None:
        """Note a transaction that the station says runs, one that began before we heard of it too."""
        connector = self.connectors.get(number)
        if connector is not None and (connector.transaction is None or connector.transaction.id != transaction):
            self.begin(number, Transaction(id=transaction))
            if isinstance(transaction, int) and transaction >= self._next:
                self._next = transaction % _TRANSACTION_MAX + 1
                self._keep()

    def end(self, transaction: int | str) -> None:
        """Note that a transaction has ended, at whichever connector."""
        for connector in self.connectors.values():
            if connector.transaction is not None and connector.transaction.id == transaction:
                connector.transaction, connector.finished = None, True
        self._keep()

    def idle(self, number: int) -> None:
        """Note that a connector has no car: whatever ran there has ended."""
        connector = self.connectors.get(number)
        if connector is None:
            return
        connector.starts, connector.finished = 0, False
        if connector.transaction is not None:
            connector.transaction = None
            self._keep()

    def starts_as(self, number: int) -> str | None:
        """Return as whom a charge is to be started now, ``None`` where nobody waits, or it was tried enough."""
        connector = self.connectors[number]
        waits = connector.status in _WAITING and connector.transaction is None and not connector.finished
        return self.sections[number].start_as if self.ready and waits and connector.starts < STARTS_MAX else None

    @property
    def own_tags(self) -> frozenset[str]:
        """Return the names under which charges are started from here."""
        return frozenset(section.start_as for section in self.sections.values() if section.start_as is not None)

    async def noted(self) -> None:
        """Wait until what runs is on the disk, a second at most: a number that was given is not given again."""
        if self._is_noted:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NOTE_S):
                await self._memory.on_disk()
        self._is_noted = True

    def _keep(self) -> None:
        self._is_noted = False
        running = {
            str(number): connector.transaction.as_dict()
            for number, connector in self.connectors.items()
            if connector.transaction is not None
        }
        self._memory.remember(self._key, {"next": self._next, "running": running}, durable=True)

    def _recall(self) -> None:
        kept = self._memory.recall(self._key)
        if not isinstance(kept, dict):
            return
        if isinstance(kept.get("next"), int):
            self._next = kept["next"]
        running = kept.get("running")
        for number, found in running.items() if isinstance(running, dict) else ():
            connector = self.connectors.get(int(number)) if str(number).isdigit() else None
            if connector is not None and isinstance(found, dict) and isinstance(found.get("id"), int | str):
                connector.transaction = Transaction(
                    id=found["id"], began_wh=found.get("began_wh"), began_at=found.get("began_at")
                )
