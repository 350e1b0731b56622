"""The market's shell: whatever dies, the trades and the ledger are those of the undisturbed run."""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from cloud.errors import JournalStuck, PublishError, StoreError
from cloud.local.report import intervals, ledger, ledger_lines, orders
from cloud.shell.market import journal as journal_module
from cloud.shell.market import writer as writer_module
from cloud.shell.market.archive import Archive
from cloud.shell.market.fold import Input
from cloud.shell.market.journal import Journal
from cloud.shell.market.snapshots import Snapshots
from cloud.shell.market.writer import market_of
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.parquet import FolderLake
from cloud.stores.setup import Stores
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Delete, Table, Tables, prefix
from contracts.market import OrderStatus, ProductState, Side, TradesMessage
from contracts.units import epoch_ms
from tests.support.cloud.aws import moto_tables
from tests.support.cloud.crash import Crashed, Fuse, FusedPublisher, FusedTables
from tests.support.cloud.sites import START, ZONE, build_house, house_in
from tests.support.market.shell import INTERVAL, Event, able, order_of, orders_at, run_events, story, tick_at

CRASHES_IN_A_ROW = 4


def _told(sent: list[Any]) -> dict[tuple[str, int, int], str]:
    """Return what each site was told by number, and prove that a number never told two things."""
    told: dict[tuple[str, int, int], str] = {}
    for message in sent:
        if message.topic.endswith("/trades"):
            notice = TradesMessage.decode(message.payload)
            known = (notice.site, notice.epoch, notice.seq)
            content = notice.model_dump_json(exclude={"issued_at"})
            assert told.setdefault(known, content) == content
    return told


def _kept(tables: Tables) -> dict[str, Any]:
    """Return everything that the market left, without the journal and its positions."""
    kept: dict[str, Any] = {}
    for table in (Table.MARKET_DATA, Table.TRADE_DATA):
        for item in tables.query(table, keys.market(ZONE, INTERVAL)):
            body = {name: value for name, value in item.body.items() if name not in ("position", "at_ms")}
            kept[f"{table} {item.key.sk}"] = body
    return kept


def test_a_product_goes_from_orders_to_a_corrected_settlement(tmp_path: Path) -> None:
    """The plain run, against which the disturbed ones are compared."""
    with house_in(tmp_path) as (services, publisher):
        run_events(services, story())
        tables = services.stores.tables
        (interval,) = [one for one in intervals(tables, ZONE) if one["start"] == INTERVAL.isoformat()]
        assert interval["state"] == ProductState.CORRECTED
        sums = ledger(tables, [ZONE])
        assert (sums["sum"], sums["energy_sum"]) == (0, 0)
        assert sums["lines"] > 8
        late = tables.get(keys.market_item(ZONE, INTERVAL, "ORDER#farm#farm-2"))
        assert late is not None and late.body["status"] == OrderStatus.REJECTED
        notices = [TradesMessage.decode(payload) for payload in publisher.on("/home-2/trades")]
        assert [one.settlement.version for one in notices if one.settlement] == [1, 2]
        mine = tables.query_index(Table.TRADE_DATA, "factory#202603")
        assert {"SIDE", "SETTLED"} <= {item.key.sk.partition("#")[0] for item in mine}


def test_orders_of_one_gateway_reach_the_market_in_its_own_sequence(tmp_path: Path) -> None:
    """Nothing upstream keeps an order, and time priority hangs on it."""
    with house_in(tmp_path) as (services, publisher):
        early = orders_at(1, order_of("home-1", 2, Side.BUY, 10, 20_000))
        first = orders_at(1.1, order_of("home-1", 1, Side.BUY, 20, 20_000))
        run_events(services, [tick_at(0), early])
        assert publisher.on("/home-1/trades") == []
        run_events(services, [first])
        notices = [TradesMessage.decode(payload) for payload in publisher.on("/home-1/trades")]
        assert [result.order_id for one in notices for result in one.results] == ["home-1-1", "home-1-2"]


def test_what_a_gateway_announced_bounds_its_orders_from_then_on(tmp_path: Path) -> None:
    """The registry knows the connection; only the gateway knows what its battery holds today."""
    with house_in(tmp_path) as (services, publisher):
        first = able(order_of("farm", 1, Side.SELL, 4_000, 9_000), export_wh=5_000, stored_wh=4_500)
        empty = order_of("farm", 2, Side.SELL, 600, 9_000)
        filled = able(order_of("farm", 3, Side.SELL, 600, 9_000), export_wh=5_000, stored_wh=9_000)
        beyond = order_of("farm", 4, Side.SELL, 500, 9_000)
        run_events(services, [tick_at(0), orders_at(1, first, empty), orders_at(2, beyond, filled)])
        told = [TradesMessage.decode(payload) for payload in publisher.on("farm/trades")]
        ends = {result.order_id: (result.status, result.code) for notice in told for result in notice.results}
        assert ends == {
            "farm-1": (OrderStatus.ACCEPTED, None),
            "farm-2": (OrderStatus.REJECTED, "storage"),
            "farm-3": (OrderStatus.ACCEPTED, None),
            "farm-4": (OrderStatus.REJECTED, "capacity"),
        }


def test_an_order_does_not_wait_for_ever_for_one_that_was_lost(tmp_path: Path) -> None:
    """A hole upstream must not silence a site."""
    with house_in(tmp_path) as (services, publisher):
        run_events(services, [tick_at(0), orders_at(1, order_of("home-1", 7, Side.BUY, 10, 20_000))])
        assert publisher.on("/home-1/trades") == []
        run_events(services, [tick_at(1.2)])
        assert len(publisher.on("/home-1/trades")) == 1


def test_a_batch_that_is_delivered_again_has_no_second_effect(tmp_path: Path) -> None:
    """Kinesis delivers a batch again whenever it is in doubt."""
    with house_in(tmp_path / "once") as (services, publisher):
        run_events(services, story())
        expected, told = _kept(services.stores.tables), _told(publisher.sent)
    with house_in(tmp_path / "twice") as (services, publisher):
        for event in story():
            run_events(services, [event, event])
        assert _kept(services.stores.tables) == expected
        assert _told(publisher.sent) == told


def test_two_writers_at_once_make_one_market(tmp_path: Path) -> None:
    """A function that is called twice at the same time, or one for orders and one for meters."""
    with house_in(tmp_path / "one") as (services, publisher):
        run_events(services, story())
        expected, told = _kept(services.stores.tables), _told(publisher.sent)
    with house_in(tmp_path / "two") as (services, publisher):
        other = replace(services, memory={})
        for number, event in enumerate(story()):
            run_events(other if number % 2 else services, [event])
        assert _kept(services.stores.tables) == expected
        assert _told(publisher.sent) == told


def test_notices_that_the_broker_did_not_take_are_told_by_the_next_call(tmp_path: Path) -> None:
    """A trade stands whether or not a site has heard of it; it must still hear of it."""
    with house_in(tmp_path) as (services, publisher):
        run_events(services, [tick_at(0)])
        publisher.fail = PublishError("broker away")
        with pytest.raises(PublishError):
            run_events(services, [orders_at(1, order_of("home-1", 1, Side.BUY, 10, 20_000))])
        stored = services.stores.tables.get(keys.market_item(ZONE, INTERVAL, "ORDER#home-1#home-1-1"))
        assert stored is not None, "the order stands and is stored, whatever the broker does"
        publisher.fail = None
        cold = replace(services, memory={})
        run_events(cold, [tick_at(2)])
        assert len(publisher.on("/home-1/trades")) == 1
        run_events(services, [tick_at(3)])
        assert _told(publisher.sent).keys() == {next(iter(_told(publisher.sent)))}


def test_time_alone_does_not_fill_the_journal(tmp_path: Path) -> None:
    """A tick comes every few seconds for years; only those that move something are worth an entry."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        market = market_of(services, ZONE)
        assert market is not None
        before = Journal(services.stores.tables, ZONE).fence()
        due_ms = market.fold(at_ms=0).due_ms
        assert due_ms > epoch_ms(START + timedelta(minutes=35))
        run_events(services, [tick_at(35 + second / 60) for second in range(0, 240, 5)])
        assert Journal(services.stores.tables, ZONE).fence() == before
        run_events(services, [tick_at((due_ms - epoch_ms(START)) / 60_000)])
        assert Journal(services.stores.tables, ZONE).fence().position == before.position + 1


def test_the_archive_and_the_journal_together_are_the_whole_past(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay from the beginning must stay possible after the journal was cut."""
    with house_in(tmp_path / "whole") as (services, _):
        run_events(services, story())
        whole = list(Journal(services.stores.tables, ZONE).history())
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", 3)
    monkeypatch.setattr(journal_module, "PRUNE_MAX", 2)  # A snapshot's entries take more than one archive.
    with house_in(tmp_path / "cut") as (services, _):
        run_events(services, story())
        journal = Journal(services.stores.tables, ZONE)
        assert 0 < len(journal.entries(after=0)) <= 3
        # The first entry names the epoch, which is when the journal began; both began at the same instant.
        assert list(journal.history()) == whole


def test_a_writer_that_slept_through_an_archiving_begins_at_the_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory lies behind a part of the journal that is gone."""
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", 3)
    events = story()
    with house_in(tmp_path) as (services, publisher):
        sleeper = replace(services, memory={})
        run_events(sleeper, events[:1])
        run_events(services, events[1:-1])
        run_events(sleeper, events[-1:])
        kept, told = _kept(services.stores.tables), _told(publisher.sent)
    with house_in(tmp_path / "plain") as (services, publisher):
        run_events(services, events)
        assert kept == _kept(services.stores.tables)
        assert told == _told(publisher.sent)


def test_an_older_snapshot_never_replaces_a_newer_one(tmp_path: Path) -> None:
    """The entries between the two may be archived already."""
    with house_in(tmp_path) as (services, _):
        snapshots = Snapshots(services.stores.tables, ZONE)
        assert snapshots.load() is None
        assert snapshots.save({"position": 8, "state": "x" * 900_000})
        assert not snapshots.save({"position": 8})
        assert not snapshots.save({"position": 5})
        assert snapshots.save({"position": 9, "state": "y"})
        assert snapshots.load() == {"position": 9, "state": "y"}
        span = prefix("SNAPSHOT#")
        left = services.stores.tables.query(Table.MARKET_DATA, keys.market(ZONE, None), **span)
        assert [item.key.sk for item in left] == ["SNAPSHOT#000000000009#0000"]


def test_an_archive_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    """Its entries are still in the journal; half an archive is none."""
    with house_in(tmp_path) as (services, _):
        archive = Archive(services.stores.tables, ZONE)
        noise = random.Random(3)
        large = [(position, [_void(noise.randbytes(100_000).hex())]) for position in (1, 2, 3, 4)]
        archive.keep(large)
        assert list(archive.entries(after=2)) == large[2:]
        key = keys.market_item(ZONE, None, "ARCHIVE#000000000001#0001")
        services.stores.tables.transact([Delete(key=key)])
        assert list(archive.entries(after=0)) == []
        archive.keep([(3, [_void("a")]), (4, [])])
        archive.keep([(4, []), (5, [_void("b")])])
        assert list(archive.entries(after=0)) == [(3, [_void("a")]), (4, []), (5, [_void("b")])]


def _void(reason: str) -> Input:
    return {"op": "void", "at_ms": 0, "reason": reason}


def _large_clearing(trades: int) -> list[Event]:
    """Return the events of one clearing that leaves several transactions: six writes a trade, a hundred in each."""
    buyers = [order_of("factory", seq, Side.BUY, 100, 20_000 + seq) for seq in range(1, trades + 1)]
    return [tick_at(0), orders_at(1, order_of("farm", 1, Side.SELL, trades * 100, 9_000), *buyers), tick_at(10)]


def _calling(services: Services) -> Services:
    """Return services whose market only has a closing call, so that all its trades come at once."""
    zone = services.registry.zones[0].model_copy(update={"market": {"opening_s": 7200, "mechanism": "call"}})
    return replace(services, registry=services.registry.model_copy(update={"zones": (zone,)}), memory={})


def _watched_clearing(tables: Tables, folder: Path, *, trades: int) -> None:
    """Die after every transaction of a large clearing in turn, and look at the tables each time."""
    world = _World(tables, folder)

    def process(fuse: Fuse) -> Services:
        return _calling(world.process(fuse))

    *before, clearing = _large_clearing(trades)
    run_events(process(Fuse()), before)
    seen = []
    for at in itertools.count(1):
        with suppress(Crashed):
            run_events(process(Fuse(at=at, after=True)), [clearing])
        lines = list(ledger_lines(tables, ZONE))
        assert sum(line["money_uct"] for line in lines) == 0
        assert sum(line["energy_wh"] for line in lines) == 0
        stored = tables.get(keys.market_item(ZONE, None, "STORED"))
        assert stored is not None
        prepared, committed = stored.body["prepared"], stored.body["committed"]
        state = tables.get(keys.market_item(ZONE, INTERVAL, "STATE"))
        assert state is not None
        if committed < prepared:
            assert lines == []
            assert state.body["state"] != ProductState.CLEARED
            assert intervals(tables, ZONE) == []
            assert orders(tables, [ZONE], sent=0)["traded"] == 0
        seen.append((prepared, committed, len(lines)))
        if lines:
            break
    assert any(prepared > committed for prepared, committed, _ in seen), "the clearing was prepared before it stood"
    assert len(tables.query(Table.TRADE_DATA, keys.market(ZONE, INTERVAL), **prefix("TRADE#"))) == trades
    run_events(process(Fuse()), [clearing])
    assert len(list(ledger_lines(tables, ZONE))) == seen[-1][2]


def test_nobody_sees_half_a_clearing(tmp_path: Path) -> None:
    """Forty-eight trades do not fit two transactions; a reader sees none of them or all."""
    with _sqlite(tmp_path / "tables.db") as tables:
        _watched_clearing(tables, tmp_path, trades=48)


@pytest.mark.slow
def test_nobody_sees_half_a_clearing_on_dynamodb(tmp_path: Path) -> None:
    """There the bound of a hundred actions is the store's own; twenty trades are beyond it."""
    with moto_tables() as tables:
        _watched_clearing(tables, tmp_path, trades=20)


def test_a_cold_process_finds_the_same_market_from_snapshot_and_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restart must not take longer the longer the market has run, nor change it."""
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", 4)
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        warm = market_of(services, ZONE)
        cold = market_of(replace(services, memory={}), ZONE)
        assert warm is not None and cold is not None
        snapshot = services.stores.tables.get(keys.market_item(ZONE, None, "SNAPSHOT"))
        assert snapshot is not None and snapshot.body["position"] >= 8
        warm_fold, cold_fold = warm.fold(at_ms=0), cold.fold(at_ms=0)
        assert cold_fold.engine.state_hash() == warm_fold.engine.state_hash()
        assert json.dumps(cold_fold.snapshot(), sort_keys=True) == json.dumps(warm_fold.snapshot(), sort_keys=True)


def _plain(services: Services) -> Services:
    return services


def _coupled(services: Services) -> Services:
    """Return services whose market has two areas and a line between them that is full in the story."""
    link = {"from": "east", "to": "west", "capacity_wh": 1_500, "fee_mct_per_kwh": 200}
    rules = {"opening_s": 7200, "mechanism": "call", "links": [link], "last_resort": {"area": "west"}}
    zone = services.registry.zones[0].model_copy(update={"market": rules})
    sites = tuple(
        site.model_copy(update={"area": "east" if site.id == "farm" else "west"}) for site in services.registry.sites
    )
    registry = services.registry.model_copy(update={"zones": (zone,), "sites": sites})
    return replace(services, registry=registry, memory={})


class _World:
    """One set of tables, and processes that come and go."""

    def __init__(self, tables: Tables, folder: Path, arranged: Callable[[Services], Services] = _plain) -> None:
        self.tables = tables
        self.arranged = arranged
        self.lake = FolderLake(folder)
        self.sent: list[Any] = []

    def run(self, events: list[Event], rng: random.Random, *, crash_every: int) -> int:
        """Run events; processes crash at random calls and their event is delivered again. Return the crashes."""
        crashes, services = 0, None
        for event in events:
            for attempt in itertools.count():
                # After a few crashes in a row a process lives long enough, or the story would never end.
                at = rng.randint(1, crash_every) if attempt < CRASHES_IN_A_ROW else 0
                fuse = Fuse(at=at, after=rng.random() < 0.5)
                # A process that did not crash may live on: its memory must be as good as the tables.
                if services is None or rng.random() < 0.3:
                    services = self.process(fuse)
                else:
                    services = replace(self.process(fuse), memory={}) if rng.random() < 0.5 else services
                try:
                    run_events(services, [event])
                    break
                except Crashed:
                    crashes, services = crashes + 1, None
        return crashes

    def process(self, fuse: Fuse) -> Services:
        """Return a new process over these tables."""
        publisher = FusedPublisher(fuse, self.sent)
        stores = Stores(tables=FusedTables(self.tables, fuse), lake=self.lake)
        return self.arranged(replace(build_house(stores, publisher), memory={}))  # type: ignore[arg-type]


@contextmanager
def _sqlite(path: Path) -> Iterator[Tables]:
    tables = SqliteTables.open(path, power_safe=False)
    try:
        yield tables
    finally:
        tables.close()


def _crash_points(
    tmp_path: Path,
    *,
    crashes: int,
    seed: int,
    open_tables: Callable[[Path], Any],
    arranged: Callable[[Services], Services] = _plain,
) -> None:
    """Run the story in processes that crash; whatever they leave must be what the undisturbed run leaves."""
    with house_in(tmp_path / "plain") as (services, publisher):
        run_events(arranged(services), story())
        expected, told = _kept(services.stores.tables), _told(publisher.sent)
    rng, survived, number = random.Random(seed), 0, 0
    while survived < crashes:
        number += 1
        with open_tables(tmp_path / f"{number}.db") as tables:
            world = _World(tables, tmp_path, arranged)
            survived += world.run(story(), rng, crash_every=12)
            assert _kept(tables) == expected, f"seed {seed}, run {number}"
            assert _told(world.sent) == told, f"seed {seed}, run {number}"
            positions = [position for position, _ in Journal(tables, ZONE).history()]
            assert positions == list(range(1, len(positions) + 1)), f"seed {seed}, run {number}"


@pytest.mark.parametrize("snapshot_every", [500, 2])
def test_crashes_at_any_point_leave_the_same_trades_and_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, snapshot_every: int
) -> None:
    """Journal, tables, notices, counters, snapshots, archive: a process may die between any two of them."""
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", snapshot_every)
    _crash_points(tmp_path, crashes=60, seed=1, open_tables=_sqlite)


def test_crashes_leave_the_same_coupled_areas_and_the_rent_on_its_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Areas are part of one writer's state, so nothing between two writers can be lost: there is only one."""
    with house_in(tmp_path / "once") as (services, _):
        run_events(_coupled(services), story())
        balances: dict[str, int] = {}
        for line in ledger_lines(services.stores.tables, ZONE):
            balances[line["account"]] = balances.get(line["account"], 0) + line["money_uct"]
        assert balances["lines"] == 0
        assert balances["congestion-rent"] < 0
        assert balances["link-fees"] == -1_500 * 200
        assert sum(balances.values()) == 0
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", 3)
    _crash_points(tmp_path, crashes=30, seed=4, open_tables=_sqlite, arranged=_coupled)


@pytest.mark.slow
def test_a_thousand_crashes_leave_the_same_trades_and_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, until a rare interleaving would have shown."""
    monkeypatch.setattr(writer_module, "SNAPSHOT_EVERY", 5)
    _crash_points(tmp_path, crashes=1000, seed=2, open_tables=_sqlite)


@pytest.mark.slow
def test_crashes_leave_the_same_trades_and_ledger_on_dynamodb(tmp_path: Path) -> None:
    """The conditions that protect the market must mean the same in the cloud."""
    _crash_points(tmp_path, crashes=15, seed=3, open_tables=lambda _: moto_tables())


def test_an_entry_that_cannot_be_applied_is_voided_with_a_reason_and_nothing_else_is(tmp_path: Path) -> None:
    """One entry stopped a market for ever, also in a new process, and only a hand in the tables could help."""
    with house_in(tmp_path) as (services, _):
        run_events(services, [tick_at(0)])
        tables = services.stores.tables
        journal = Journal(tables, ZONE)
        position = journal.fence().position + 1
        journal.append(journal.fence(), [cast(Input, {"no": "op"})], projected=position - 1)
        market = market_of(services, ZONE)
        assert market is not None
        for _ in range(2):
            with pytest.raises(JournalStuck, match=f"entry {position}, .*KeyError"):
                market.submit([], at_ms=epoch_ms(START))
        with pytest.raises(StoreError, match="not the one that is stuck"):
            market.void(position - 1, reason="wrong one", at_ms=epoch_ms(START))
        market.void(position, reason="written by a broken tool", at_ms=epoch_ms(START))
        run_events(services, story())
        assert ledger(tables, [ZONE])["sum"] == 0
        (void,) = next(inputs for at, inputs in journal.entries(after=0) if at == position)
        assert void["op"] == "void"
        assert (void["reason"], void["voided"]) == ("written by a broken tool", [{"no": "op"}])
        with pytest.raises(StoreError, match="can be applied"):
            market.void(position, reason="again", at_ms=epoch_ms(START))
