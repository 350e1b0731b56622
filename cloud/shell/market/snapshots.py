"""The newest snapshot of a zone's market: a reader sees an old or a new one, each whole, and never an older one again.

Entries of the journal behind a snapshot may be gone (``archive.py``), so only a later one ever replaces a snapshot.
"""

from collections.abc import Sequence
from typing import Any

from cloud.errors import ConditionFailed
from cloud.shell.market.pieces import packed, unpacked
from cloud.stores import keys
from cloud.stores.tables import TRANSACT_MAX, Delete, Put, Tables
from contracts.units import ZoneId


class Snapshots:
    """The snapshots of one zone, of which the newest is kept."""

    def __init__(self, tables: Tables, zone: ZoneId) -> None:
        self._tables = tables
        self._zone = zone
        self._header = keys.market_item(zone, None, keys.SNAPSHOT)

    def save(self, snapshot: dict[str, Any]) -> bool:
        """Keep a snapshot and forget the one before; return whether it is the newest now.

        Raises:
            StoreError: The tables failed; the one before stands.
        """
        position = snapshot["position"]
        old = self._tables.get(self._header)
        if old is not None and old.body["position"] >= position:
            return False
        pieces = packed(snapshot)
        for number, piece in enumerate(pieces):
            self._tables.put(Put(key=keys.snapshot_piece(self._zone, position, number), body={"text": piece}))
        header = {"position": position, "pieces": len(pieces)}
        try:
            self._tables.put(Put(key=self._header, body=header, if_version=old.version if old is not None else 0))
        except ConditionFailed:
            self._forget(header)
            return False
        if old is not None:
            self._forget(old.body)
        return True

    def replace(self, snapshot: dict[str, Any], closing: Sequence[Put]) -> None:
        """Keep a snapshot together with the journal entry that it stands behind, all or nothing.

        Raises:
            ConditionFailed: Somebody wrote meanwhile; the snapshot of before stands.
            StoreError: The tables failed; the snapshot of before stands.
        """
        position = snapshot["position"]
        old = self._tables.get(self._header)
        pieces = packed(snapshot)
        for number, piece in enumerate(pieces):
            self._tables.put(Put(key=keys.snapshot_piece(self._zone, position, number), body={"text": piece}))
        header = {"position": position, "pieces": len(pieces)}
        version = old.version if old is not None else 0
        try:
            self._tables.transact([*closing, Put(key=self._header, body=header, if_version=version)])
        except ConditionFailed:
            self._forget(header)
            raise
        if old is not None:
            self._forget(old.body)

    def position(self) -> int:
        """Return the position of the newest snapshot, 0 before the first."""
        header = self._tables.get(self._header)
        return int(header.body["position"]) if header is not None else 0

    def load(self) -> dict[str, Any] | None:
        """Return the newest snapshot, or ``None`` where there is none yet.

        Raises:
            ConditionFailed: It was replaced while it was read; read again.
            StoreError: The tables failed.
        """
        header = self._tables.get(self._header)
        if header is None:
            return None
        position = header.body["position"]
        items = [
            self._tables.get(keys.snapshot_piece(self._zone, position, number))
            for number in range(header.body["pieces"])
        ]
        texts = [item.body["text"] for item in items if item is not None]
        if len(texts) < len(items):
            raise ConditionFailed(f"snapshot {position} of {self._zone} was replaced while it was read; read again")
        snapshot: dict[str, Any] = unpacked(texts)
        return snapshot

    def _forget(self, header: dict[str, Any]) -> None:
        gone = [
            Delete(key=keys.snapshot_piece(self._zone, header["position"], number))
            for number in range(header["pieces"])
        ]
        for start in range(0, len(gone), TRANSACT_MAX):
            self._tables.transact(gone[start : start + TRANSACT_MAX])
