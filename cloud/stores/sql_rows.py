"""How a row of an SQL table is an item: both SQL stores read and write the same columns."""

import json
from typing import Any

from cloud.stores.tables import IndexKey, Item, Key, Put, Table, text_of
from contracts.units import epoch_ms, instant


def item_of(table: Table, row: tuple[str, str, str, int]) -> Item:
    """Return the item of ``pk, sk, body, version``."""
    pk, sk, body, version = row
    return Item(key=Key(table=table, pk=pk, sk=sk), body=json.loads(body), version=version)


def put_of(table: Table, row: tuple[Any, ...]) -> Put:
    """Return the write that makes the item of ``pk, sk, body, version, gpk, gsk, expires_s`` again."""
    pk, sk, body, version, gpk, gsk, expires_s = row
    return Put(
        key=Key(table=table, pk=pk, sk=sk),
        body=json.loads(body),
        if_version=version,
        index=None if gpk is None else IndexKey(pk=gpk, sk=gsk),
        expires_at=None if expires_s is None else instant(expires_s * 1000),
    )


def values_of(put: Put) -> list[object]:
    """Return ``body, gpk, gsk, expires_s`` of an item.

    Raises:
        Unstorable: Its body is not JSON, or longer than ``BODY_BYTES_MAX``.
    """
    return [
        text_of(put),
        put.index.pk if put.index else None,
        put.index.sk if put.index else None,
        None if put.expires_at is None else epoch_ms(put.expires_at) // 1000,
    ]


def between(column: str, first: str | None, last: str | None, *, mark: str) -> tuple[str, list[str]]:
    """Return a condition, to stand after another, and its values; ``mark`` is the driver's for a value."""
    where, values = "", []
    if first is not None:
        where, values = f" AND {column} >= {mark}", [first]
    if last is not None:
        where, values = f"{where} AND {column} <= {mark}", [*values, last]
    return where, values
