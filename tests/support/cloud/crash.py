"""Tables and a publisher that die at a chosen call, before or after it took effect."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from cloud.shell.publishing import Outgoing
from cloud.stores.tables import Item, Key, Put, Table, Tables, Write


class Crashed(BaseException):
    """The process is gone; nothing in it may handle this."""


@dataclass
class Fuse:
    """Counts calls that change the world, and crashes at one of them; 0 never does."""

    at: int = 0
    after: bool = False
    calls: int = 0

    def around(self, call: Any) -> None:
        """Make a call, or crash before or after it."""
        self.calls += 1
        if self.calls == self.at and not self.after:
            raise Crashed
        call()
        if self.calls == self.at:
            raise Crashed


class FusedTables:
    """Tables whose writes go through a fuse."""

    def __init__(self, tables: Tables, fuse: Fuse) -> None:
        self._tables = tables
        self._fuse = fuse

    def get(self, key: Key) -> Item | None:
        """Return an item as it is now."""
        return self._tables.get(key)

    def put(self, put: Put) -> None:
        """Write one item, or crash."""
        self._fuse.around(lambda: self._tables.put(put))

    def put_each(self, puts: Sequence[Put]) -> None:
        """Write items, or crash at any of them."""
        for put in puts:
            self.put(put)

    def transact(self, writes: Sequence[Write]) -> None:
        """Make writes, or crash."""
        self._fuse.around(lambda: self._tables.transact(writes))

    def query(
        self,
        table: Table,
        pk: str,
        *,
        first: str | None = None,
        last: str | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> Sequence[Item]:
        """Return a part of a partition."""
        return self._tables.query(table, pk, first=first, last=last, reverse=reverse, limit=limit)

    def query_index(
        self, table: Table, pk: str, *, first: str | None = None, last: str | None = None, limit: int | None = None
    ) -> Sequence[Item]:
        """Return items by their index key."""
        return self._tables.query_index(table, pk, first=first, last=last, limit=limit)

    def walk(self, table: Table) -> Iterator[Put]:
        """Yield every item of a table."""
        return self._tables.walk(table)

    def close(self) -> None:
        """Leave the tables open: another process may still use them."""


@dataclass
class FusedPublisher:
    """A publisher that goes through a fuse; what was sent before the crash stays sent."""

    fuse: Fuse
    sent: list[Outgoing] = field(default_factory=list)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Send messages, or crash."""
        if messages:
            self.fuse.around(lambda: self.sent.extend(messages))
