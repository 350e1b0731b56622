"""Outbox and link: records per second to disk and to a broker, beside plain sqlite3 in the same run.

    python -m benchmarks.bench_link [--json]

The broker is mosquitto on loopback with TLS and client certificates.
"""

import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from contracts.clock import SystemClock
from contracts.telemetry import Sample
from contracts.topics import Up
from contracts.units import Quality, epoch_ms
from edge.links.link import LinkState
from edge.links.making import make_link
from edge.links.settings import Client, LinkSettings
from edge.outbox.outbox import Outbox
from edge.telemetry.points import PointPolicy
from edge.telemetry.sampler import Sampler
from edge.telemetry.uplink import Uplink
from tests.support.brokers.broker import Authority, Broker, running
from tests.support.brokers.link_parts import AT, SITE, background, one_sample, reading, topic_of, until

SECONDS = 1.0
DRAINED_RECORDS = 2000
LINK_MESSAGES = 5000
POINTS = 10
FLUSH_SAMPLES = 30_000  # A flush window at a thousand samples a second.
WINDOWS = 3
IN_FLIGHT = 50
PAYLOAD = b"x" * 1024


def rate(work: Callable[[], int]) -> float:
    """Return how many items a second ``work`` does, called again and again for a while; it returns how many it did."""
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        done += work()
    return done / (time.perf_counter() - start)


def outbox_rates(folder: Path) -> dict[str, float]:
    """Measure the outbox: settlement on disk one by one, telemetry in batches of the flush window."""

    def settlement() -> int:
        outbox.append(Up.METER, reading(1))
        return 1

    def telemetry() -> int:
        for _ in range(100):
            outbox.append(Up.TELEMETRY, one_sample(1.5))
        outbox.flush()
        return 100

    with closing(Outbox.open(folder / "journal.db", site=SITE, clock=SystemClock())) as outbox:
        outbox.flush()
        return {"outbox_durable_per_s": rate(settlement), "outbox_batched_per_s": rate(telemetry)}


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

        return {"sqlite3_durable_per_s": rate(one), "sqlite3_batched_per_s": rate(hundred)}


def sample_costs(folder: Path) -> dict[str, float]:
    """Measure what a thousand samples a second take: processor and bytes in the file, packed by us and row by row.

    Ten points that change every second, through the sampler into the outbox; the rival inserts a row a sample, in one
    transaction a flush window.
    """
    generator = random.Random(7)
    windows = [
        [
            [
                Sample(
                    point=f"device-{point}/active_power_w",
                    at=AT + timedelta(seconds=window * FLUSH_SAMPLES / POINTS + second),
                    value=round(generator.gauss(1000, 40), 1),
                    quality=Quality.GOOD,
                )
                for point in range(POINTS)
            ]
            for second in range(FLUSH_SAMPLES // POINTS)
        ]
        for window in range(WINDOWS)
    ]
    policies = {f"device-{point}/active_power_w": PointPolicy() for point in range(POINTS)}
    found: dict[str, float] = {}

    def spent(name: str, path: Path, work: Callable[[list[list[Sample]]], None]) -> None:
        begin = time.process_time()
        for window in windows:
            work(window)
        samples = WINDOWS * FLUSH_SAMPLES
        found[f"{name}_cpu_ms_per_1000_samples"] = (time.process_time() - begin) * 1e6 / samples
        log = path.with_name(path.name + "-wal")
        found[f"{name}_bytes_per_sample"] = max(path.stat().st_size, log.stat().st_size) / samples

    ours = folder / "samples.db"
    with closing(Outbox.open(ours, site=SITE, clock=SystemClock())) as outbox:
        sampler = Sampler(site=SITE, outbox=outbox, clock=SystemClock(), policies=policies)

        def pack(window: list[list[Sample]]) -> None:
            for second in window:
                sampler.offer(second)
            outbox.flush()

        spent("outbox", ours, pack)
    bare = folder / "rows.db"
    with closing(sqlite3.connect(bare, isolation_level=None)) as plain:
        plain.execute("PRAGMA journal_mode = WAL")
        plain.execute("PRAGMA synchronous = FULL")
        plain.execute("CREATE TABLE samples (point TEXT, at_ms INTEGER, value REAL, quality TEXT)")

        def rows(window: list[list[Sample]]) -> None:
            plain.execute("BEGIN")
            plain.executemany(
                "INSERT INTO samples VALUES (?, ?, ?, ?)",
                [(one.point, epoch_ms(one.at), one.value, one.quality) for second in window for one in second],
            )
            plain.execute("COMMIT")

        spent("sqlite3", bare, rows)
    return found


async def drain_rate(folder: Path, settings: LinkSettings) -> float:
    """Measure records per second from the outbox to the broker and back to forgotten, without throttle."""
    with closing(Outbox.open(folder / "drain.db", site=SITE, clock=SystemClock())) as outbox:
        link = make_link(settings, client_id=SITE)
        # Whether the records count as a backlog depends on who wakes first; its random pause is not what is measured.
        uplink = Uplink(outbox=outbox, link=link, clock=SystemClock(), topic_of=topic_of, throttle=False, pause_s_max=0)
        async with background(link.run(), name="link"), background(uplink.run(), name="uplink"):
            await link.wait_for(LinkState.CONNECTED)
            await until(lambda: not outbox.read(Up.EVENTS))
            for value in range(DRAINED_RECORDS):
                outbox.append(Up.TELEMETRY, one_sample(value))
            start = time.perf_counter()
            outbox.flush()
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
        return outbox_rates(folder) | sqlite_rates(folder) | sample_costs(folder) | asyncio.run(network_rates(folder))


def main() -> None:
    """Measure and print."""
    results = run()
    if "--json" in sys.argv:
        print(json.dumps({name: round(value, 1) for name, value in results.items()}))
        return
    for name, value in results.items():
        print(f"{name:40} {value:12,.1f}")


if __name__ == "__main__":
    main()
