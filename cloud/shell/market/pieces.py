"""Large values in a table that bounds its items: packed, and cut into pieces that each fit."""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final

from cloud.market.journal import decode, encode

PIECE_BYTES: Final = 240_000
# Little is gained by more, and a writer waits for it.
_LEVEL: Final = 1


def packed(value: object) -> list[str]:
    """Return a JSON value as one or more pieces of text, each small enough for one item."""
    text = b64encode(zlib.compress(encode(value), _LEVEL)).decode()
    return [text[start : start + PIECE_BYTES] for start in range(0, len(text), PIECE_BYTES)]


def unpacked(pieces: Sequence[str]) -> Any:
    """Return the value of all its pieces in their order."""
    return decode(zlib.decompress(b64decode("".join(pieces))))
