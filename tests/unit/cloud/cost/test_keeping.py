"""What is kept is on the bill as it grows: the market's books, recovery, copies; and what a stack has once."""

from collections import defaultdict
from pathlib import Path

import pytest

from cloud.cost import keeping
from cloud.cost.estimate import Bill, our_bill
from cloud.cost.volumes import ITEM_OVERHEAD_BYTES, Site, item_bytes
from cloud.stores.tables import INTEGER_TABLES
from tests.support.cloud.sites import house_in
from tests.support.market.shell import run_events, story

SITES = 10_000


def _usd(bill: Bill, what: str) -> float:
    return sum(line.usd for line in bill.lines if what in line.what)


def test_items_of_the_books_are_as_large_as_the_market_makes_them(tmp_path: Path) -> None:
    """A whole product's story, from orders to a correction."""
    sizes: dict[str, list[int]] = defaultdict(list)
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        for table in INTEGER_TABLES:
            for put in services.stores.tables.walk(table):
                sizes[put.key.sk.partition("#")[0]].append(item_bytes(put.body) + ITEM_OVERHEAD_BYTES)
    for kind in ("ORDER", "SIDE", "TRADE", "LEDGER", "SETTLED"):
        assert sum(sizes[kind]) / len(sizes[kind]) == pytest.approx(getattr(keeping, kind), rel=0.1), kind


def test_books_grow_each_month_and_nothing_else_does() -> None:
    """Nobody throws them away: their storage and their recovery are dearer in the twelfth month, the rest is not."""
    first, twelfth = our_bill(Site(), sites=SITES), our_bill(Site(), sites=SITES, months=12)
    assert _usd(twelfth, keeping.GROWING) == pytest.approx(23 * _usd(first, keeping.GROWING))
    grown = [now.what for then, now in zip(first.lines, twelfth.lines, strict=True) if now.usd != then.usd]
    assert grown == [keeping.GROWING, "GB-months of recovery to any second"]


def test_monthly_copies_are_each_of_all_that_there_is() -> None:
    """Thirteen of them at most, none in the first month."""
    assert _usd(our_bill(Site(), sites=SITES, copies=True), "copies") == 0
    three = _usd(our_bill(Site(), sites=SITES, months=3, copies=True), "copies")
    assert _usd(our_bill(Site(), sites=SITES, months=4, copies=True), "copies") == pytest.approx(three * 6 / 3)
    late = [_usd(our_bill(Site(), sites=SITES, months=months, copies=True), "copies") for months in (20, 21, 22)]
    assert late[2] - late[1] == pytest.approx(late[1] - late[0])


def test_a_larger_fleet_receives_its_features_less_often() -> None:
    """A zone alone finds its function cold each hour; many keep it warm for each other."""
    small, large = our_bill(Site(), sites=200), our_bill(Site(), sites=SITES)
    assert _usd(small, "features received") > 20 * _usd(large, "features received") > 0
    assert _usd(large, "the features") == pytest.approx(720 / 200 * 0.0000002)
