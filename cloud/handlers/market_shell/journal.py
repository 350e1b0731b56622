"""The journal of a zone's market, its snapshots, and the fence that lets one writer on at a time.

``FENCE`` holds the position of the last entry and up to where its consequences are known to be stored and told. An
entry and the fence are written in one transaction on the fence's version, so of two writers one must read again.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cloud.handlers.market_shell.fold import Input
from cloud.stores import keys
from cloud.stores.tables import TRANSACT_MAX, Check, Delete, Key, Put, Table, Tables
from contracts.units import ZoneId

PIECE_BYTES: Final = 240_000
_FENCE: Final = "FENCE"
_SNAPSHOT: Final = "SNAPSHOT"


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

    def fence(self) -> Fence:
        """Return where the journal ends now."""
        item = self._tables.get(self._key(_FENCE))
        if item is None:
            return Fence()
        return Fence(position=item.body["position"], projected=item.body["projected"], version=item.version)

    def append(self, fence: Fence, inputs: Sequence[Input], *, projected: int) -> Fence:
        """Write the next entry and return the new fence.

        Raises:
            ConditionFailed: Another writer was first; nothing was written.
        """
        position = fence.position + 1
        self._tables.transact(
            [
                Put(
                    key=self._key(_FENCE),
                    body={"position": position, "projected": projected},
                    if_version=fence.version,
                ),
                Put(key=self._key(_entry(position)), body={"inputs": list(inputs)}, if_version=0),
            ]
        )
        return Fence(position=position, projected=projected, version=fence.version + 1)

    def check(self, fence: Fence) -> Check:
        """Return the demand that nobody has written since."""
        return Check(key=self._key(_FENCE), if_version=fence.version)

    def entries(self, *, after: int) -> list[tuple[int, list[Input]]]:
        """Return the entries behind a position, with their own."""
        items = self._tables.query(
            Table.MARKET_DATA, keys.market(self._zone, None), first=_entry(after + 1), last=_entry(10**12 - 1)
        )
        return [(int(item.key.sk.rpartition("#")[2]), item.body["inputs"]) for item in items]

    def save_snapshot(self, snapshot: dict[str, Any]) -> None:
        """Keep a snapshot, in pieces, and forget the one before; a reader sees the old or the new one whole."""
        position = snapshot["position"]
        text = b64encode(zlib.compress(json.dumps(snapshot, separators=(",", ":")).encode(), 1)).decode()
        pieces = [text[start : start + PIECE_BYTES] for start in range(0, len(text), PIECE_BYTES)]
        old = self._tables.get(self._key(_SNAPSHOT))
        for number, piece in enumerate(pieces):
            self._tables.put(Put(key=self._key(_piece(position, number)), body={"text": piece}))
        self._tables.put(Put(key=self._key(_SNAPSHOT), body={"position": position, "pieces": len(pieces)}))
        if old is not None and old.body["position"] != position:
            gone = [Delete(key=self._key(_piece(old.body["position"], number))) for number in range(old.body["pieces"])]
            for start in range(0, len(gone), TRANSACT_MAX):
                self._tables.transact(gone[start : start + TRANSACT_MAX])

    def load_snapshot(self) -> dict[str, Any] | None:
        """Return the newest snapshot, or ``None`` where there is none."""
        header = self._tables.get(self._key(_SNAPSHOT))
        if header is None:
            return None
        position = header.body["position"]
        pieces = [self._tables.get(self._key(_piece(position, number))) for number in range(header.body["pieces"])]
        if any(piece is None for piece in pieces):
            return None  # Somebody has just replaced it; the journal alone is enough.
        text = "".join(piece.body["text"] for piece in pieces if piece is not None)
        snapshot: dict[str, Any] = json.loads(zlib.decompress(b64decode(text)))
        return snapshot

    def _key(self, what: str) -> Key:
        return keys.market_item(self._zone, None, what)


def _entry(position: int) -> str:
    return f"JOURNAL#{position:012d}"


def _piece(position: int, number: int) -> str:
    return f"{_SNAPSHOT}#{position:012d}#{number:04d}"
