"""What the bill says of the market's writes is what its writer writes: a zone trades, and its units are counted."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from cloud.cost.capacity import USED_SHARE
from cloud.cost.estimate import INTERVALS, READ_BYTES, TRANSACTION, WRITE_BYTES, Activity, our_bill
from cloud.cost.headroom import capacity_for
from cloud.cost.volumes import ITEM_OVERHEAD_BYTES, Site, item_bytes
from cloud.handlers import market_tick, meter, orders
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import INTEGER_TABLES, Item, Key, Put, Table, Write
from contracts.market import Side
from contracts.topics import Up
from tests.support.cloud.sites import START, ZONE, batch, context, house_in, order, reading

HOMES = 30
SITES = 10_000
WARM, COUNTED = 4, 4  # Intervals until one is opened, traded and settled at every step; and those that are counted.
INTERVAL = timedelta(minutes=15)


@contextmanager
def _units() -> Iterator[list[int]]:
    """Count the write units of the market's two tables: two for one in a transaction, one more for an index.

    And, second, their read units: each started 4 KB of what a look finds, at least one.
    """
    counted = [0, 0]
    real, get, query = SqliteTables.transact, SqliteTables.get, SqliteTables.query

    def transact(self: SqliteTables, writes: Sequence[Write]) -> None:
        for write in writes:
            if write.key.table in INTEGER_TABLES:
                units, indexed = 1, False
                if isinstance(write, Put):
                    units = ceil((item_bytes(dict(write.body)) + ITEM_OVERHEAD_BYTES) / WRITE_BYTES)
                    indexed = write.index is not None
                counted[0] += units * ((TRANSACTION if len(writes) > 1 else 1) + indexed)
        real(self, writes)

    def read(table: Table, found: Sequence[Item]) -> None:
        if table in INTEGER_TABLES:
            size = sum(item_bytes(dict(item.body)) + ITEM_OVERHEAD_BYTES for item in found)
            counted[1] += max(1, ceil(size / READ_BYTES))

    def counted_get(self: SqliteTables, key: Key) -> Item | None:
        found = get(self, key)
        read(key.table, [] if found is None else [found])
        return found

    def counted_query(self: SqliteTables, table: Table, pk: str, **options: Any) -> Sequence[Item]:
        found = query(self, table, pk, **options)
        read(table, found)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteTables, "transact", transact)
        patch.setattr(SqliteTables, "get", counted_get)
        patch.setattr(SqliteTables, "query", counted_query)
        yield counted


def _interval(number: int, seqs: dict[str, int]) -> None:
    """Let each home buy or sell for the interval after the next, and report the one that has ended."""
    begin, at = START + number * INTERVAL, START + number * INTERVAL + timedelta(minutes=1)
    sites = ["farm", "factory", *(f"home-{home}" for home in range(1, HOMES + 1))]
    ended = begin - INTERVAL
    readings = [reading(site, number + 1, ended, import_wh=500 if site[-1:] in "13579" else 0) for site in sites]
    _call(meter, batch(Up.METER, *readings, at=begin + timedelta(seconds=20)))
    told = []
    for home, site in enumerate(sites[2:]):
        seqs[site] = seqs.get(site, 0) + 1
        side, price = (Side.SELL, 9_000) if home % 2 else (Side.BUY, 30_000)
        told.append(order(site, seqs[site], begin + 2 * INTERVAL, side, 500, price, at=at))
    _call(orders, batch(Up.ORDERS, *told, at=at))
    _tick(begin + timedelta(minutes=6))
    _tick(begin + timedelta(minutes=12))


def _call(function: Any, event: dict[str, Any]) -> None:
    assert function.handler(event, context()) == {"batchItemFailures": []}


def _tick(at: Any) -> None:
    market_tick.handler({"time": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "zone": ZONE}, context())


def test_a_market_writes_what_the_bill_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One order and one side of a trade each, half of the orders resting first; the zone's own writes are shared."""
    seqs: dict[str, int] = {}
    with house_in(tmp_path, homes=HOMES), _units() as counted:
        for number in range(WARM):
            _interval(number, seqs)
        before = tuple(counted)
        for number in range(WARM, WARM + COUNTED):
            _interval(number, seqs)
    capsys.readouterr()
    written, read = ((now - then) / COUNTED / HOMES for now, then in zip(counted, before, strict=True))
    does = Activity(orders=1, trade_sides=1, resting_share=0.5)
    lines = our_bill(Site(), sites=1000, activity=does).lines
    billed = next(line.quantity for line in lines if line.what == "writes: market, trades, ledger") / INTERVALS
    assert written == pytest.approx(billed, rel=0.2), (written, billed)
    ready = [capacity_for(SITES)[table] for table in INTEGER_TABLES]
    held = sum(units.reads for units in ready) * INTERVAL.total_seconds() / SITES
    assert 0 < read <= held * USED_SHARE, (read, held)
