"""Journal and link: records per second to disk and to a broker, beside plain sqlite3 and sqlite-utils in the same run.

    python -m benchmarks.bench_link [--json]

The broker is mosquitto on loopback with TLS and client certificates.
"""

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import sqlite_utils

from contracts.clock import SystemClock
from contracts.topics import Up
from edge.links.link import LinkState
from edge.links.making import make_link
from edge.links.settings import Client, LinkSettings
from edge.telemetry.journal import Journal
from edge.telemetry.uplink import Uplink
from tests.support.broker import Authority, Broker, running
from tests.support.link_parts import SITE, background, one_sample, reading, topic_of, until

SECONDS = 1.0
DRAINED_RECORDS = 2000
LINK_MESSAGES = 5000
IN_FLIGHT = 50
PAYLOAD = b"x" * 1024


def rate(work: Callable[[], int]) -> float:
    """Return how many items a second ``work`` does, called again and again for a while; it returns how many it did."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        done += work()
    return done / (time.perf_counter() - start)


def journal_rates(folder: Path) -> dict[str, float]:
    """Measure the journal: settlement on disk one by one, telemetry in batches of the flush window."""

    def settlement() -> int:
        journal.append(Up.METER, reading(1))
        return 1

    def telemetry() -> int:
        for _ in range(100):
            journal.append(Up.TELEMETRY, one_sample(1.5))
        journal.flush()
        return 100

    with closing(Journal.open(folder / "journal.db", site=SITE, clock=SystemClock())) as journal:
        journal.flush()
        return {"journal_durable_per_s": rate(settlement), "journal_batched_per_s": rate(telemetry)}


def sqlite_rates(folder: Path) -> dict[str, float]:
    """Measure the floor: one table, the same payload, the same durability."""
    payload = reading(1)(1, 1).encode()
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as plain:
        plain.execute("PRAGMA journal_mode = WAL")
        plain.execute("PRAGMA synchronous = FULL")
        plain.execute("CREATE TABLE records (id INTEGER PRIMARY KEY, payload BLOB)")

        def one() -> int:
            plain.execute("INSERT INTO records (payload) VALUES (?)", (payload,))
            return 1

        def hundred() -> int:
            plain.execute("BEGIN")
            plain.executemany("INSERT INTO records (payload) VALUES (?)", [(payload,)] * 100)
            plain.execute("COMMIT")
            return 100

        rates = {"sqlite3_durable_per_s": rate(one), "sqlite3_batched_per_s": rate(hundred)}
    with closing(sqlite3.connect(folder / "utils.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        table = sqlite_utils.Database(connection).table("records")

        def utils_one() -> int:
            table.insert({"payload": payload})
            return 1

        def utils_hundred() -> int:
            table.insert_all([{"payload": payload}] * 100)
            return 100

        return rates | {
            "sqlite_utils_durable_per_s": rate(utils_one),
            "sqlite_utils_batched_per_s": rate(utils_hundred),
        }


async def drain_rate(folder: Path, settings: LinkSettings) -> float:
    """Measure records per second from the journal to the broker and back to forgotten, without throttle."""
    with closing(Journal.open(folder / "drain.db", site=SITE, clock=SystemClock())) as journal:
        link = make_link(settings, client_id=SITE)
        uplink = Uplink(journal=journal, link=link, clock=SystemClock(), topic_of=topic_of, throttle=False)
        async with background(link.run(), name="link"), background(uplink.run(), name="uplink"):
            await link.wait_for(LinkState.CONNECTED)
            await until(lambda: not journal.read(Up.EVENTS))
            for value in range(DRAINED_RECORDS):
                journal.append(Up.TELEMETRY, one_sample(value))
            start = time.perf_counter()
            journal.flush()
            await until(lambda: uplink.stats().acknowledged >= DRAINED_RECORDS)
            return DRAINED_RECORDS / (time.perf_counter() - start)


async def link_rate(settings: LinkSettings) -> float:
    """Measure acknowledged messages of 1 KB a second over one link, with as many in flight as the uplink has."""
    link = make_link(settings, client_id=SITE)
    window = asyncio.Semaphore(IN_FLIGHT)
    async with background(link.run(), name="link"):
        await link.wait_for(LinkState.CONNECTED)
        start = time.perf_counter()
        for _ in range(LINK_MESSAGES):
            await window.acquire()
            link.publish(topic_of(Up.METER), PAYLOAD).add_done_callback(lambda _: window.release())
        for _ in range(IN_FLIGHT):
            await window.acquire()
        return LINK_MESSAGES / (time.perf_counter() - start)


async def network_rates(folder: Path) -> dict[str, float]:
    """Measure both links and the drain on one broker."""
    authority = Authority(folder=folder)
    identity = authority.issue(SITE)
    with running(Broker(folder=folder, authority=authority)) as broker:
        mqtt = LinkSettings(
            url=broker.url,
            ca_file=authority.ca_path,
            cert_file=identity.cert_path,
            key_file=identity.key_path,
            throttle=False,
        )
        aws = mqtt.model_copy(update={"client": Client.AWS})
        return {
            "drain_records_per_s": await drain_rate(folder, mqtt),
            "link_mqtt_messages_per_s": await link_rate(mqtt),
            "link_aws_messages_per_s": await link_rate(aws),
        }


def run() -> dict[str, float]:
    """Measure everything and return it by name."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return journal_rates(folder) | sqlite_rates(folder) | asyncio.run(network_rates(folder))


def main() -> None:
    """Measure and print."""
    results = run()
    if "--json" in sys.argv:
        print(json.dumps({name: round(value) for name, value in results.items()}))
        return
    for name, value in results.items():
        print(f"{name:32} {value:10,.0f}")


if __name__ == "__main__":
    main()
