"""An operator's act beside the cloud that runs a market costs as much the tenth time as the first."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cloud.market import commands
from cloud.shell.market.journal import Journal
from cloud.shell.market.projection import committed_upto
from cloud.shell.market.reading import read_fold
from cloud.shell.market.writer import market_of
from cloud.shell.skill_ports import beside
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Write
from tests.support.cloud.sites import ZONE, house_in
from tests.support.market.shell import run_events, story

# Its entry, what it leaves in the tables, and nothing of the acts before it, which only wait to be told.
TRANSACTIONS = 2


def test_acts_that_wait_for_the_cloud_are_stored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it each halt wrote all before it anew, until the cloud had told them; that cloud tells each of them."""
    written: list[Sequence[Write]] = []
    transact = SqliteTables.transact

    def counted(tables: SqliteTables, writes: Sequence[Write]) -> None:
        written.append(writes)
        transact(tables, writes)

    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        tables = services.stores.tables
        submit = beside(tables, services.registry)
        fold = read_fold(tables, ZONE)
        assert fold is not None
        at_ms = fold.engine.now_ms
        monkeypatch.setattr(SqliteTables, "transact", counted)
        costs = []
        for number in range(6):
            written.clear()
            halt = commands.halt(reason=f"look {number}", at_ms=at_ms)
            submit(ZONE, halt if number % 2 == 0 else commands.resume(at_ms=at_ms))
            costs.append(len(written))
        assert costs == [TRANSACTIONS] * 6
        fence = Journal(tables, ZONE).fence()
        assert committed_upto(tables, ZONE) == fence.position

        market = market_of(services, ZONE)
        assert market is not None
        told = market.submit([], at_ms=at_ms)
        assert [step.position for step in told] == list(range(fence.position - 5, fence.position + 1))


def test_acts_of_several_threads_are_each_journalled_once(tmp_path: Path) -> None:
    """Doors call from threads, and a writer's memory of the market belongs to one at a time."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        submit = beside(services.stores.tables, services.registry)
        fold = read_fold(services.stores.tables, ZONE)
        assert fold is not None
        at_ms, before = fold.engine.now_ms, Journal(services.stores.tables, ZONE).fence().position
        with ThreadPoolExecutor(8) as threads:
            list(
                threads.map(lambda number: submit(ZONE, commands.halt(reason=f"look {number}", at_ms=at_ms)), range(24))
            )
        entries = list(Journal(services.stores.tables, ZONE).entries(after=before))
        reasons = {str(one.get("reason")) for _, inputs in entries for one in inputs}
        assert reasons == {f"look {number}" for number in range(24)} and len(entries) == 24
