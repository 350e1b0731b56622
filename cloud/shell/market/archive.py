"""The journal's past: entries behind a snapshot, packed, so that a replay from the beginning stays possible.

An archive is written before the entries in it are removed. Whoever dies in between leaves both, and a later archive may
begin among entries of an earlier one; a reader takes each position once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from cloud.shell.market.fold import Input
from cloud.shell.market.pieces import packed, unpacked
from cloud.stores import keys
from cloud.stores.tables import Delete, Item, Key, Put, Table, Tables, prefix
from contracts.units import ZoneId

Entry = tuple[int, list[Input]]


class Archive:
    """The packed entries of one zone's journal."""

    def __init__(self, tables: Tables, zone: ZoneId) -> None:
        self._tables = tables
        self._zone = zone

    def keep(self, entries: Sequence[Entry]) -> None:
        """Pack entries that follow one another.

        Raises:
            StoreError: The tables failed; the entries must not be removed.
        """
        first, last = entries[0][0], entries[-1][0]
        assert last - first + 1 == len(entries), "entries follow one another"
        pieces = packed([inputs for _, inputs in entries])
        for number, piece in enumerate(pieces):
            body = {"last": last, "pieces": len(pieces), "text": piece}
            self._tables.put(Put(key=self._key(first, number), body=body))

    def rewrite(self, change: Callable[[Any], Any]) -> None:
        """Write every archive anew with its entries changed; one that the change leaves as it is stays.

        Raises:
            StoreError: The tables failed; give it again.
        """
        for pieces in list(self._archives()):
            first, last = keys.archive_first(pieces[0].key), pieces[0].body["last"]
            entries = unpacked([piece.body["text"] for piece in pieces])
            changed = [change(inputs) for inputs in entries]
            if changed == entries:
                continue
            self.keep(list(enumerate(changed, start=first)))
            fewer = range(len(packed(changed)), len(pieces))
            self._tables.transact([Delete(key=self._key(first, number)) for number in fewer])
            assert last == first + len(entries) - 1, "an archive holds what it says"

    def entries(self, *, after: int) -> Iterator[Entry]:
        """Yield the packed entries behind a position in their order, each once."""
        for pieces in self._archives():
            first, last = keys.archive_first(pieces[0].key), pieces[0].body["last"]
            if last <= after:
                continue
            for position, inputs in enumerate(unpacked([piece.body["text"] for piece in pieces]), start=first):
                if position > after:
                    after = position
                    yield position, inputs

    def _archives(self) -> Iterator[list[Item]]:
        """Yield the pieces of each archive that is complete."""
        pk = self._key(0, 0).pk
        after: str | None = None
        while True:
            span = prefix(keys.ARCHIVE)
            found = self._tables.query(
                Table.MARKET_DATA, pk, first=span["first"] if after is None else f"{after}!", last=span["last"], limit=1
            )
            if not found:
                return
            pieces = [found[0]]
            for number in range(1, found[0].body["pieces"]):
                piece = self._tables.get(self._key(keys.archive_first(found[0].key), number))
                # Pieces of an archive that was cut short end elsewhere; the journal still has its entries.
                if piece is not None and piece.body["last"] == found[0].body["last"]:
                    pieces.append(piece)
            after = self._key(keys.archive_first(found[0].key), 9999).sk
            if len(pieces) == found[0].body["pieces"]:
                yield pieces

    def _key(self, first: int, number: int) -> Key:
        return keys.archive_piece(self._zone, first, number)
