"""Market: books and auctions beside the rivals that are installed, in one run and on one workload.

    python -m benchmarks market [--json]

Rivals are measured where they are installed: ``pip install 'sitewatt[bench]'``. Rates are in CPU time of this process,
the best of a few runs; compare them within a run only.
"""

import gc
import math
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import market_rivals
from benchmarks.market_rivals import Message
from cloud.market import commands
from cloud.market.arrays import clear_columns
from cloud.market.auction import AuctionOrder, clear
from cloud.market.book import Book
from cloud.market.engine import Engine
from cloud.market.journal import decode, encode
from cloud.market.ledger import FEES, Entry, Kind, Ledger
from cloud.market.network import Link, clear_network
from cloud.market.rules import MarketRules, Participant
from cloud.market.state import Outcome
from cloud.market.tools.replay import collector_at_rest
from contracts.market import Side

MESSAGES = 200_000
RIVAL_MESSAGES = 20_000
SLOW_RIVAL_MESSAGES = 5_000
PAIRED_ORDERS = 1_000
ENGINE_MESSAGES = 100_000
REPLAYED_MESSAGES = 1_000_000
BATCH = 100
RUNS = 4
SETTLED_TRADES = 50_000
WORKLOADS = ("normal", "static", "swing", "deep")
COMMIT_EVERY = 1_000
START_MS = 1_760_002_200_000


def workload(name: str, count: int, seed: int = 23) -> list[Message]:
    """Return half new orders, two fifths cancellations, a tenth changes, around a price that moves as named."""
    draw = random.Random(seed)
    messages: list[Message] = []
    live: list[str] = []
    for number in range(count):
        kind = draw.random()
        if kind < 0.5 or not live:
            live.append(f"o{number}")
            messages.append(("new", live[-1], draw.random() < 0.5, draw.randint(1, 100), _price(draw, name, number)))
            continue
        place = draw.randrange(len(live))
        if kind < 0.9:
            live[place], live[-1] = live[-1], live[place]
            messages.append(("cancel", live.pop()))
        else:
            messages.append(("modify", live[place], draw.randint(1, 100), _price(draw, name, number)))
    return messages


def _price(draw: random.Random, name: str, number: int) -> int:
    if name == "static":
        return 10_000 + draw.choice((-1, 1))
    if name == "swing":
        return 10_000 + (number // 50) % 400 + int(draw.gauss(0, 10))
    if name == "deep":
        return 10_000 + draw.randint(-5_000, 5_000)
    return 10_000 + int(draw.gauss(0, 10))


# Every account of a real market has one; here it binds nobody.
CREDIT_LIMIT_UCT = 10**18


def bare(messages: list[Message]) -> float:
    """Return messages a second through the book alone."""
    book: Book[str] = Book()
    add, cancel, modify = book.add, book.cancel, book.modify
    start = time.process_time()
    for message in messages:
        kind = message[0]
        if kind == "new":
            add(message[1], message[2], message[3], message[4])
        elif kind == "cancel":
            cancel(message[1])
        else:
            modify(message[1], message[2], message[3])
    return len(messages) / (time.process_time() - start)


class EngineFigures(NamedTuple):
    """Commands a second with checks, journal and events; seconds of a replay; whether both came to the same."""

    live: float
    replay_s: float
    agrees: bool


def engine_figures(messages: list[Message]) -> EngineFigures:
    """Journal and apply every message as a command, a batch to a journal entry as the shell does; then replay."""
    rules = MarketRules(zone="bench", opening_s=7200, commands_per_minute=10**9, open_orders_max=10**9)
    stream: list[Mapping[str, Any]] = [
        commands.register(
            Participant(
                site=f"s{n}", import_limit_wh=10**12, export_limit_wh=10**12, credit_limit_uct=CREDIT_LIMIT_UCT
            ),
            at_ms=START_MS - 10**6,
        )
        for n in range(100)
    ]
    stream += [_command(message, START_MS + number // 1000) for number, message in enumerate(messages)]
    journal: list[bytes] = []
    first = Engine(rules)
    trades = 0
    with collector_at_rest():
        start = time.process_time()
        for place in range(0, len(stream), BATCH):
            batch = stream[place : place + BATCH]
            journal.append(encode(batch))
            trades += _apply(first, batch)
        live = len(stream) / (time.process_time() - start)
    del stream
    wanted, first = (first.state_hash(), trades), Engine(rules)
    gc.collect()
    with collector_at_rest():
        start = time.process_time()
        trades = sum(_apply(first, decode(entry)) for entry in journal)
        taken = time.process_time() - start
    return EngineFigures(live, taken, (first.state_hash(), trades) == wanted)


def _apply(engine: Engine, batch: object) -> int:
    """Apply one journal entry into one outcome, as the shell does, and return how many trades it made."""
    assert isinstance(batch, list)
    outcome = Outcome()
    for command in batch:
        engine.apply(command, outcome)
    return len(outcome.trades)


def _command(message: Message, at_ms: int) -> dict[str, Any]:
    order_id = message[1]
    command = {
        "op": message[0],
        "at_ms": at_ms,
        "site": f"s{int(order_id[1:]) % 100}",
        "order_id": order_id,
        "interval_ms": START_MS + 3_600_000 - START_MS % 900_000,
    }
    if message[0] == "new":
        return command | {
            "side": "buy" if message[2] else "sell",
            "quantity_wh": message[3],
            "price_mct_per_kwh": message[4],
        }
    if message[0] == "modify":
        return command | {"quantity_wh": message[2], "price_mct_per_kwh": message[3]}
    return command


def auction_columns(count: int) -> tuple[float, float]:
    """Return the seconds of one call of so many orders and of a stable argsort of their prices."""
    draw = np.random.default_rng(7)
    half = count // 2
    buy, sell = draw.integers(10_000, 40_001, half), draw.integers(1_000, 31_001, half)
    bought, sold = draw.integers(1, 5_001, half), draw.integers(1, 5_001, half)
    both = np.concatenate([buy, sell])
    sorting = least(lambda: np.argsort(both, kind="stable"))
    return least(lambda: clear_columns(buy_price=buy, buy_wh=bought, sell_price=sell, sell_wh=sold)), sorting


def network_seconds(count: int, zones: int = 10) -> float:
    """Return the seconds of one clearing of so many orders over a ring of zones."""
    draw = random.Random(7)
    orders = [
        AuctionOrder(
            order_id=f"o{number}",
            agent="x",
            side=Side.BUY if number % 2 else Side.SELL,
            quantity_wh=draw.randint(1, 5000),
            limit_mct_per_kwh=draw.randint(10_000, 40_000) if number % 2 else draw.randint(1_000, 31_000),
            sequence=number,
            zone=f"z{number // 2 % zones}",
        )
        for number in range(count)
    ]
    links = [
        Link(origin=f"z{n}", target=f"z{(n + 1) % zones}", capacity_wh=count * 20, fee_mct_per_kwh=50 * (n % 3))
        for n in range(zones)
    ]
    return least(lambda: clear_network(orders, links), runs=2)


def durable_settlement() -> float:
    """Return trades a second from match to balanced ledger lines on disk, a thousand trades a commit, fully synced."""
    ledger = Ledger()
    with tempfile.TemporaryDirectory() as name, closing(sqlite3.connect(Path(name) / "ledger.db")) as table:
        table.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")
        table.execute("CREATE TABLE trade (id TEXT PRIMARY KEY, buy TEXT, sell TEXT, wh INTEGER, price INTEGER)")
        table.execute("CREATE TABLE line (number INTEGER PRIMARY KEY, account TEXT, uct INTEGER, wh INTEGER)")
        start = time.perf_counter()
        for first in range(0, SETTLED_TRADES, COMMIT_EVERY):
            trades: list[tuple[Any, ...]] = []
            lines: list[tuple[Any, ...]] = []
            for number in range(first, first + COMMIT_EVERY):
                buy, sell, quantity, price = f"s{number % 100}", f"s{number % 99 + 100}", number % 500 + 1, 20_000
                trades.append((f"t{number}", buy, sell, quantity, price))
                amount = quantity * price
                posted = ledger.post(
                    Kind.TRADE,
                    (Entry(buy, amount, quantity), Entry(sell, -amount, -quantity)),
                    interval_ms=START_MS,
                    reference=f"t{number}",
                    rules_version=1,
                )
                posted += ledger.post(
                    Kind.FEE,
                    (Entry(buy, quantity, 0), Entry(sell, quantity, 0), Entry(FEES, -2 * quantity, 0)),
                    interval_ms=START_MS,
                    reference=f"t{number}",
                    rules_version=1,
                )
                lines += [(row.number, row.account, row.money_uct, row.energy_wh) for row in posted]
            with table:
                table.executemany("INSERT INTO trade VALUES (?, ?, ?, ?, ?)", trades)
                table.executemany("INSERT INTO line VALUES (?, ?, ?, ?)", lines)
        return SETTLED_TRADES / (time.perf_counter() - start)


def least(work: Callable[[], object], runs: int = 3) -> float:
    """Return the least CPU seconds of a few runs."""
    found = []
    for _ in range(runs):
        start = time.process_time()
        work()
        found.append(time.process_time() - start)
    return min(found)


def _rivals(ours: float) -> dict[str, float]:
    """Return the rivals' figures on our messages and orders; one that is not installed is named, without a figure."""
    figures: dict[str, float] = {}
    for rival in market_rivals.BOOKS:
        if not rival.present:
            figures[f"{rival.name}: absent, install the extra 'bench'"] = math.nan
            continue
        count = SLOW_RIVAL_MESSAGES if rival.name == "order-matching" else RIVAL_MESSAGES
        rate = max(rival.rate(workload("normal", count)) for _ in range(2))
        figures[f"{rival.name}, normal, messages/s"] = rate
        figures[f"book, normal, times {rival.name}"] = ours / rate
    if not market_rivals.has_py_market():
        return figures | {"PyMarket: absent, install the extra 'bench'": math.nan}
    draw = random.Random(7)
    orders = [
        (number % 2 == 1, draw.randint(1, 5000), draw.randint(*((10_000, 40_000) if number % 2 else (1_000, 31_000))))
        for number in range(PAIRED_ORDERS)
    ]
    entries = [
        AuctionOrder(
            order_id=f"o{number}",
            agent=f"a{number}",
            side=Side.BUY if buy else Side.SELL,
            quantity_wh=quantity,
            limit_mct_per_kwh=price,
            sequence=number,
        )
        for number, (buy, quantity, price) in enumerate(orders)
    ]
    figures[f"PyMarket (Huang), {PAIRED_ORDERS} orders, s"] = market_rivals.py_market_seconds(orders)
    figures[f"call with trades, {PAIRED_ORDERS} orders, s"] = least(lambda: clear(entries))
    return figures


def run() -> dict[str, float]:
    """Measure everything and return it by name."""
    figures: dict[str, float] = {}
    rates = {name: max(bare(workload(name, MESSAGES)) for _ in range(RUNS)) for name in WORKLOADS}
    for name, rate in rates.items():
        figures[f"book, {name}, messages/s"] = rate
    figures["book, worst workload over best"] = min(rates.values()) / max(rates.values())
    figures |= _rivals(rates["normal"])
    live = [engine_figures(workload("normal", ENGINE_MESSAGES)) for _ in range(RUNS)]
    figures["engine with checks, journal, events, commands/s"] = max(run.live for run in live)
    replay = engine_figures(workload("normal", REPLAYED_MESSAGES))
    figures[f"engine replay of {REPLAYED_MESSAGES} commands, s"] = replay.replay_s
    figures["engine replay, state hash and trades agree"] = float(all(run.agrees for run in [*live, replay]))
    for count in (100_000, 1_000_000):
        clearing, sorting = auction_columns(count)
        figures[f"call auction of {count} orders, s"] = clearing
        figures[f"stable argsort of {count} prices, s"] = sorting
    for count in (1_000, 10_000, 100_000):
        figures[f"10 zones, {count} orders, s"] = network_seconds(count)
    figures["durable settlement, trades/s"] = durable_settlement()
    return figures
