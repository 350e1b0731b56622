"""The journal of a zone's market, and the fence that lets one writer on at a time.

``FENCE`` holds the position of the last entry and up to where its consequences are known to be stored and told. An
entry and the fence are written in one transaction on the fence's version, so of two writers one must read again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cloud.errors import StoreError
from cloud.shell.market.archive import Archive, Entry
from cloud.shell.market.fold import Input, Void
from cloud.stores import keys
from cloud.stores.tables import TRANSACT_MAX, Check, Delete, Item, Put, Span, Table, Tables
from contracts.units import ZoneId

# So many entries become one archive.
PRUNE_MAX: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Fence:
    """Where the journal ends; ``version`` is that of the item, 0 before the first entry."""

    position: int = 0
    projected: int = 0
    version: int = 0


class Journal:
    """The journal of one zone."""

    def __init__(self, tables: Tables, zone: ZoneId) -> None:
        self._tables = tables
        self._zone = zone
        self._fence = keys.market_item(zone, None, keys.FENCE)
        self._archive = Archive(tables, zone)

    def fence(self) -> Fence:
        """Return where the journal ends now."""
        item = self._tables.get(self._fence)
        if item is None:
            return Fence()
        return Fence(position=item.body["position"], projected=item.body["projected"], version=item.version)

    def append(self, fence: Fence, inputs: Sequence[Input], *, projected: int) -> Fence:
        """Write the next entry and return the new fence.

        Raises:
            ConditionFailed: Another writer was first; nothing was written.
        """
        self._tables.transact(self._entry(fence, inputs, projected=projected))
        return Fence(position=fence.position + 1, projected=projected, version=fence.version + 1)

    def closing(self, fence: Fence, inputs: Sequence[Input]) -> list[Put]:
        """Return the writes of an entry that leads to nothing that must be told, to be made with others."""
        return self._entry(fence, inputs, projected=fence.position + 1)

    def _entry(self, fence: Fence, inputs: Sequence[Input], *, projected: int) -> list[Put]:
        position = fence.position + 1
        return [
            Put(key=self._fence, body={"position": position, "projected": projected}, if_version=fence.version),
            Put(key=keys.journal_entry(self._zone, position), body={"inputs": list(inputs)}, if_version=0),
        ]

    def void(self, position: int, *, reason: str, at_ms: int) -> None:
        """Replace an entry by a void that holds it and says why; every writer reads the journal again.

        Raises:
            StoreError: There is no such entry, it is archived, or somebody wrote meanwhile.
        """
        fence = self.fence()
        item = self._tables.get(keys.journal_entry(self._zone, position))
        if item is None:
            raise StoreError(f"journal of {self._zone} has no entry {position}, or it is archived; nothing voided")
        void: Void = {"op": "void", "at_ms": at_ms, "reason": reason, "voided": item.body["inputs"]}
        self._tables.transact(
            [
                Put(
                    key=self._fence,
                    body={"position": fence.position, "projected": fence.projected},
                    if_version=fence.version,
                ),
                Put(key=item.key, body={"inputs": [void]}, if_version=item.version),
            ]
        )

    def check(self, fence: Fence) -> Check:
        """Return the demand that nobody has written since."""
        return Check(key=self._fence, if_version=fence.version)

    def entries(self, *, after: int) -> list[Entry]:
        """Return the entries behind a position that are not archived, with their own."""
        items = self._tables.query(
            Table.MARKET_DATA, keys.market(self._zone, None), **self._span(after + 1, 10**12 - 1)
        )
        return [_read(item) for item in items]

    def history(self) -> Iterator[Entry]:
        """Yield every entry since the beginning, from the archive and what is not archived yet.

        Raises:
            StoreError: An entry is missing, or the tables failed.
        """
        at, end, grew = 0, self.fence().position, True
        while grew:
            grew = False
            for source in (self._archive.entries, self.entries):
                for position, inputs in source(after=at):
                    if position != at + 1:
                        break  # Archived while we read; it is found there in the next round.
                    at, grew = position, True
                    yield position, inputs
        if at < end:
            raise StoreError(f"journal of {self._zone} has {end} entries, number {at + 1} is missing")

    def prune(self, *, upto: int) -> int:
        """Move the entries up to a position into the archive, and return how many there were.

        Only what lies behind a snapshot may go: a writer begins at the snapshot.

        Raises:
            StoreError: The tables failed; whatever was not archived is still in the journal.
        """
        pruned = 0
        while items := self._tables.query(
            Table.MARKET_DATA, keys.market(self._zone, None), **self._span(0, upto), limit=PRUNE_MAX
        ):
            self._archive.keep([_read(item) for item in items])
            for start in range(0, len(items), TRANSACT_MAX):
                self._tables.transact([Delete(key=item.key) for item in items[start : start + TRANSACT_MAX]])
            pruned += len(items)
        return pruned

    def _span(self, first: int, last: int) -> Span:
        """Return the arguments of a query for the entries from one position to another."""
        return Span(first=keys.journal_entry(self._zone, first).sk, last=keys.journal_entry(self._zone, last).sk)


def _read(item: Item) -> Entry:
    return keys.journal_position(item.key), item.body["inputs"]
