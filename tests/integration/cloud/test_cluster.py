"""A cloud whose tables are in PostgreSQL and whose streams are in NATS: the same functions, the same results."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cloud.local.report import CloudReport, read_report
from cloud.stores import keys
from contracts.clock import scaled_clock
from contracts.market import MarketBroadcast, Side
from contracts.topics import Up, site_topic
from contracts.units import instant
from contracts.wire import SiteMessage
from tests.support.brokers.broker import free_port
from tests.support.cloud.process import SAFETY_S, Process, gateway, started
from tests.support.cloud.servers import NatsServer, nats_server, postgres_server
from tests.support.cloud.sites import START, ZONE, order, reading, telemetry, write_config


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, NatsServer]]:
    """An empty database and a NATS server."""
    with postgres_server() as database, nats_server(tmp_path_factory.mktemp("servers")) as nats:
        yield database, nats


def _topic(message: SiteMessage, channel: Up) -> str:
    return site_topic(zone=ZONE, site=message.site, channel=channel)


async def _reported(folder: Path, holds: Callable[[CloudReport], bool]) -> CloudReport:
    """Wait until the report of a cloud holds something, and return it."""
    async with asyncio.timeout(SAFETY_S):
        while not holds(report := await asyncio.to_thread(read_report, folder)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # A report asks the servers a hundred times.
    return report


@pytest.mark.nightly
async def test_a_day_at_the_market_over_nats_and_postgresql(tmp_path: Path, servers: tuple[str, NatsServer]) -> None:
    """Orders, gate closure, meters and settlement as with files; NATS dies in between, and nothing is lost."""
    database, nats = servers
    port, clock = free_port(), scaled_clock(started_at=START, speed=300)
    config = write_config(tmp_path, port=port, tables=database, streams=f"{nats.url}/day?shards=2")
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "broker"), folder=tmp_path)
    cloud = Process("cloud.local", "--config", str(config), "--clock", clock.spec(), folder=tmp_path)
    async with started(broker), started(cloud), gateway(port) as client:
        await client.subscribe("sitewatt/v1/+/broadcast/market", qos=1)
        # An interval opens two hours before delivery, here 24 s: time enough to send two orders.
        interval = instant(keys.quarter_of(clock.now() + timedelta(hours=2)))
        for message in (
            order("farm", 1, interval, Side.SELL, 5_000, 10_000, at=clock.now()),
            order("factory", 1, interval, Side.BUY, 8_000, 35_000, at=clock.now()),
        ):
            await client.publish(_topic(message, Up.ORDERS), message.encode(), qos=1)
        await _reported(tmp_path / "cloud", lambda report: report.orders["accepted"] == 2)
        nats.kill()
        sent = [telemetry("home-1", seq, START, {"meter/active_power_w": [1.0 * seq]}) for seq in range(1, 21)]
        for told in sent:
            await client.publish(_topic(told, Up.TELEMETRY), told.encode(), qos=1)
        nats.start()
        metered = False
        async with asyncio.timeout(SAFETY_S):
            async for heard in client.messages:
                assert isinstance(heard.payload, bytes)
                said = MarketBroadcast.decode(heard.payload)
                if said.interval_start != interval:
                    continue
                if said.state == "settled":
                    break
                if said.state == "delivered" and not metered:
                    metered = True
                    for one in (
                        reading("farm", 1, interval, export_wh=5_000),
                        reading("factory", 1, interval, import_wh=9_000),
                        reading("home-1", 1, interval, import_wh=100),
                        reading("home-2", 1, interval, import_wh=100),
                    ):
                        await client.publish(_topic(one, Up.METER), one.encode(), qos=1)
        report = await _reported(tmp_path / "cloud", lambda report: report.telemetry["stored"] == len(sent))
    assert [one["state"] for one in report.intervals if one["start"] == interval.isoformat()] == ["settled"]
    assert report.orders == {"sent": 2, "accepted": 2, "rejected": 0, "traded": 2}
    assert (report.ledger["sum"], report.ledger["energy_sum"]) == (0, 0) and report.ledger["lines"] > 0
    assert {(name, told["lost"], told["duplicated"]) for name, told in report.channels.items() if told["stored"]} == {
        ("telemetry", 0, 0), ("meter", 0, 0), ("orders", 0, 0),
    }  # fmt: skip
    assert not (tmp_path / "cloud" / "tables.db").exists() and not (tmp_path / "cloud" / "streams.db").exists()
