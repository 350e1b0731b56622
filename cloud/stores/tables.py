"""Keyed tables with conditional writes: what every table store promises.

An item lives under a partition key and a sort key, both text; its body is JSON. Every write raises the item's version
by one, and a writer may demand the version that it has read, or that nothing is there yet. Several writes may be made
in one transaction: all of them or none.

Source: field practice for DynamoDB; the bounds are its service quotas (TransactWriteItems: 100 actions, no two on one
item; an item of at most 400 KB).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol, TypedDict, runtime_checkable

from cloud.errors import Unstorable

TRANSACT_MAX: Final = 100
BODY_BYTES_MAX: Final = 380_000
LAST_TEXT: Final = "\U0010ffff"
INDEX: Final = "by-index"

Body = Mapping[str, Any]


class Table(StrEnum):
    """Every table, by its name without the deployment's prefix."""

    ENERGY_METRICS = "energy-metrics"
    PRODUCER_METRICS = "producer-metrics"
    CONSUMER_METRICS = "consumer-metrics"
    GRID_METRICS = "grid-metrics"
    FORECAST_DATA = "forecast-data"
    MARKET_DATA = "market-data"
    TRADE_DATA = "trade-data"


# Money and traded energy are integers; a float in one of these tables is a mistake of ours.
INTEGER_TABLES: Final = frozenset({Table.MARKET_DATA, Table.TRADE_DATA})


@dataclass(frozen=True, kw_only=True)
class Key:
    """Where an item lives."""

    table: Table
    pk: str
    sk: str


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item as read. ``version`` is 1 when it was first written and rises by one with every write."""

    key: Key
    body: dict[str, Any]
    version: int


@dataclass(frozen=True, kw_only=True)
class IndexKey:
    """A second pair of keys under which an item can be found (the table's one secondary index)."""

    pk: str
    sk: str


@dataclass(frozen=True, kw_only=True)
class Put:
    """Write an item; with a condition, only if it still holds.

    ``if_version`` demands that version, 0 demands that there is no item. ``expires_at`` is when the store may
    forget it.
    """

    key: Key
    body: Body
    if_version: int | None = None
    index: IndexKey | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Check:
    """Write nothing; demand that an item has this version (0: that there is none)."""

    key: Key
    if_version: int


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Remove an item; removing what is not there is no error."""

    key: Key


Write = Put | Check | Delete

FENCE: Final[ContextVar[Check | None]] = ContextVar("fence", default=None)
"""What every write of the work at hand demands besides: that the lease under which it is done is still ours.

Kept by the stores that several processes of one's own may share (PostgreSQL, SQLite).
"""


class Tables(Protocol):
    """The seven tables.

    Raises:
        ConditionFailed: From ``put`` and ``transact``, when a condition does not hold; nothing was written.
        StoreError: From every call, when the store failed; trying again may help.
    """

    def get(self, key: Key) -> Item | None:
        """Return an item as it is now."""

    def put(self, put: Put) -> None:
        """Write one item."""

    def put_each(self, puts: Sequence[Put]) -> None:
        """Write items one after the other, each by itself; where one fails, those before it may stand.

        For writes that need not be made together: a store that bills transactions makes none, one whose transactions
        are cheaper than single writes makes one.

        Raises:
            ConditionFailed: A condition does not hold.
            StoreError: The store failed.
        """

    def transact(self, writes: Sequence[Write]) -> None:
        """Make up to ``TRANSACT_MAX`` writes on different items, all or none."""

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
        """Return a partition's items in the order of their sort keys, from ``first`` to ``last``, both included."""

    def query_index(
        self, table: Table, pk: str, *, first: str | None = None, last: str | None = None, limit: int | None = None
    ) -> Sequence[Item]:
        """Return items by their index key, newest writes possibly not yet among them."""

    def walk(self, table: Table) -> Iterator[Put]:
        """Yield each item of a table, in no order, as the write that makes it again where nobody wrote since.

        For rare work that must find everything: it reads the whole table, and bills it. What is written meanwhile may
        or may not be among it.
        """

    def close(self) -> None:
        """Release what the store holds."""


@runtime_checkable
class Forgetting(Protocol):
    """Tables that must be told to forget what has expired; DynamoDB does so by itself."""

    def forget_expired(self, now: datetime) -> int:
        """Remove the items whose expiry has passed and return how many.

        Raises:
            StoreError: The store failed.
        """


class Span(TypedDict):
    """The part of a partition between two sort keys, both included."""

    first: str
    last: str


def prefix(text: str) -> Span:
    """Return the arguments ``first`` and ``last`` of a query for the sort keys that begin with a text."""
    return Span(first=text, last=text + LAST_TEXT)


def text_of(put: Put) -> str:
    """Return the body of an item as JSON.

    Raises:
        Unstorable: It is not JSON, or longer than ``BODY_BYTES_MAX``.
    """
    try:
        text = json.dumps(put.body, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Unstorable(f"{put.key.table} {put.key.pk} {put.key.sk} is not JSON: {error}; nothing written") from error
    if len(text) > BODY_BYTES_MAX:
        raise Unstorable(
            f"{put.key.table} {put.key.pk} {put.key.sk} has {len(text)} bytes, above {BODY_BYTES_MAX}; nothing written"
        )
    return text


def chunks(writes: Sequence[Put]) -> Iterator[Sequence[Put]]:
    """Split writes that need not be made together into transactions; the last write to one key wins."""
    latest = list({(write.key.table, write.key.pk, write.key.sk): write for write in writes}.values())
    for start in range(0, len(latest), TRANSACT_MAX):
        yield latest[start : start + TRANSACT_MAX]


def check_writes(writes: Sequence[Write]) -> None:
    """Prove that a transaction is one that every store can make.

    Raises:
        Unstorable: Too many writes, two on one item, or a float where only integers may be.
    """
    if len(writes) > TRANSACT_MAX:
        raise Unstorable(f"transaction of {len(writes)} writes, above {TRANSACT_MAX}; nothing written")
    seen: set[tuple[str, str, str]] = set()
    for write in writes:
        at = (write.key.table, write.key.pk, write.key.sk)
        if at in seen:
            raise Unstorable(
                f"transaction writes {write.key.table} {write.key.pk} {write.key.sk} twice; nothing written"
            )
        seen.add(at)
        if isinstance(write, Put) and write.key.table in INTEGER_TABLES:
            refuse_floats(write.key, write.body)


def refuse_floats(key: Key, value: object) -> None:
    """Prove that a body of a market table holds no float.

    Raises:
        Unstorable: It does; the message names the item.
    """
    if value is None or isinstance(value, str | int):
        return  # To ask whether a text is a mapping looks through every mapping class there is: 0.5 s the first time.
    if isinstance(value, float):
        raise Unstorable(f"{key.table} {key.pk} {key.sk} holds the float {value!r}; money and energy are integers")
    if isinstance(value, dict) or isinstance(value, Mapping):  # noqa: SIM101 (the first is quick)
        for inner in value.values():
            refuse_floats(key, inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            refuse_floats(key, inner)
