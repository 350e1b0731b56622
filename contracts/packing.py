"""Columns of a telemetry message, deflated: about two bytes a sample where plain JSON takes twelve.

A column becomes ``[point, decimals, qualities, time differences, value differences]``, values as whole multiples of
``10 ** -decimals``; all columns are deflated and written in base64, so that the message stays JSON. What has no exact
form of this kind (more than three decimals, very large numbers) stands in its column as it is, ``decimals`` being
``null``. Unpacking gives back exactly what was packed.
"""

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from contracts.wire import read_json

DECIMALS_MAX = 3
# What a message may unpack to: far above what 5 KB of real samples hold, far below what would hurt a reader.
UNPACKED_BYTES_MAX = 1024 * 1024
# Whole numbers above this are not exact in a float.
_WHOLE_MAX = 2.0**53
_LEVEL = 6

Column = tuple[str, Sequence[int], Sequence[float | None], str]


def pack(columns: Iterable[Column]) -> str:
    """Return columns (point, time differences, values, qualities) as deflated base64 text."""
    rows = [_row(*column) for column in columns]
    return base64.b64encode(zlib.compress(json.dumps(rows, separators=(",", ":")).encode(), _LEVEL)).decode()


def unpack(text: str) -> list[dict[str, Any]]:
    """Return packed columns as ``{"p", "at", "x", "q"}``; the inverse of ``pack``.

    Raises:
        ValueError: The text is damaged, or is larger unpacked than ``UNPACKED_BYTES_MAX``.
    """
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(base64.b64decode(text, validate=True), UNPACKED_BYTES_MAX)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"packed columns cannot be unpacked: {error}") from error
    if not inflater.eof:
        raise ValueError(f"packed columns are cut short, or hold more than {UNPACKED_BYTES_MAX} bytes")
    try:
        return [_column(*row) for row in read_json(plain, bytes_max=UNPACKED_BYTES_MAX)]
    except (TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(f"packed columns are malformed: {type(error).__name__}") from error


def _row(point: str, at: Sequence[int], values: Sequence[float | None], qualities: str) -> list[Any]:
    for decimals in range(DECIMALS_MAX + 1):
        wholes = _wholes(values, 10**decimals)
        if wholes is not None:
            return [point, decimals, qualities, list(at), _differences(wholes)]
    return [point, None, qualities, list(at), list(values)]


def _wholes(values: Sequence[float | None], scale: int) -> list[int | None] | None:
    """Return values as whole multiples of ``1 / scale``, ``None`` where one of them is none exactly."""
    wholes: list[int | None] = []
    for value in values:
        if value is None:
            wholes.append(None)
            continue
        if not abs(value) * scale < _WHOLE_MAX:
            return None
        whole = round(value * scale)
        if whole / scale != value:
            return None
        wholes.append(whole)
    return wholes


def _differences(wholes: Sequence[int | None]) -> list[int | None]:
    found: list[int | None] = []
    before = 0
    for whole in wholes:
        found.append(None if whole is None else whole - before)
        before = before if whole is None else whole
    return found


def _column(
    point: str, decimals: int | None, qualities: str, at: list[int], values: list[float | None]
) -> dict[str, Any]:
    if decimals is not None:
        if not 0 <= decimals <= DECIMALS_MAX:
            raise ValueError(f"packed columns have {decimals} decimals, above {DECIMALS_MAX}")
        scale = 10**decimals
        sums = accumulate(0 if value is None else value for value in values)
        values = [None if value is None else total / scale for value, total in zip(values, sums, strict=True)]
    return {"p": point, "at": at, "x": values, "q": qualities}
