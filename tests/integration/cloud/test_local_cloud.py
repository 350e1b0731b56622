"""The local cloud as it runs: a real broker, real processes, real files."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from cloud.local.sqlite_streams import StreamLog
from cloud.shell.aggregates import mean_of
from cloud.stores import keys
from cloud.stores.sequence import Seen
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Table
from contracts.clock import ScaledClock, scaled_clock
from contracts.market import MarketBroadcast, Side, TradesMessage
from contracts.telemetry import StatusMessage
from contracts.topics import Down, Up, site_topic
from contracts.wire import SiteMessage
from sitewatt.swarm.process_tree import limit_files
from tests.support.brokers.broker import free_port
from tests.support.cloud.process import Process, eventually, gateway, started
from tests.support.cloud.sites import START, ZONE, order, reading, telemetry, write_config


@pytest.fixture(params=[False, True], ids=["mosquitto", "amqtt"])
async def broker(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Process]:
    """The broker of this machine, in both kinds."""
    more = ["--embedded"] if request.param else []
    arguments = ["--port", str(free_port()), "--dir", str(tmp_path / "broker"), *more]
    async with started(Process("cloud.local.broker", *arguments, folder=tmp_path)) as process:
        yield process


def _cloud(tmp_path: Path, config: Path, *, clock: ScaledClock | None = None) -> Process:
    clock = clock or scaled_clock(started_at=START, speed=1)
    return Process("cloud.local", "--config", str(config), "--clock", clock.spec(), folder=tmp_path)


def _topic(message: SiteMessage, channel: Up) -> str:
    return site_topic(zone=ZONE, site=message.site, channel=channel)


def _seen(tables: SqliteTables, site: str, channel: str = "telemetry") -> Seen:
    item = tables.get(keys.sequence(site, channel, 1))
    return Seen.from_body(item.body if item else None)


async def test_telemetry_reaches_the_tables_over_either_broker(tmp_path: Path, broker: Process) -> None:
    """The same functions and rules must work with what is installed and with what is embedded."""
    port = broker.ready["port"]
    async with (
        started(
            _cloud(
                tmp_path,
                write_config(tmp_path, port=port, metrics={"port": 0}),
                clock=scaled_clock(started_at=START + timedelta(minutes=21), speed=1),
            )
        ) as cloud,
        gateway(port) as client,
    ):
        for seq in range(1, 21):
            message = telemetry("home-1", seq, START + timedelta(minutes=seq), {"meter/active_power_w": [100.0, 300.0]})
            await client.publish(_topic(message, Up.TELEMETRY), message.encode(), qos=1)
        tables = SqliteTables.open(tmp_path / "cloud" / "tables.db", read_only=True)
        await eventually(lambda: _seen(tables, "home-1").stored == 20)
        quarter = tables.get(keys.energy_quarter("home-1", keys.quarter_of(START)))
        assert quarter is not None
        assert mean_of(quarter.body, "active_power_w") == pytest.approx((100 + (13 * 60 + 59) * 300 - 13 * 200) / 840)
        assert (_seen(tables, "home-1").lost, _seen(tables, "home-1").duplicated) == (0, 0)
        tables.close()
        async with httpx.AsyncClient() as prometheus:
            told = await prometheus.get(cloud.ready["metrics"], timeout=60)
            assert (await prometheus.get(cloud.ready["metrics"] + "/no", timeout=60)).status_code == 404
        counted = [line for line in told.text.splitlines() if line.startswith('sitewatt_records_total{service="tele')]
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4") and len(counted) == 1
        assert int(counted[0].rpartition(" ")[2]) >= 20


async def test_a_reading_is_held_against_the_register_of_the_one_before(tmp_path: Path) -> None:
    """The running cloud doubts what its own counter does not show, and keeps why."""
    port = free_port()
    after = START + timedelta(minutes=15)
    first = reading("home-1", 1, START, import_wh=100).model_copy(update={"register_import_wh": 10_000})
    second = reading("home-1", 2, after, import_wh=100).model_copy(update={"register_import_wh": 90_000})
    config = write_config(tmp_path, port=port)
    async with (
        started(Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "b"), folder=tmp_path)),
        started(_cloud(tmp_path, config, clock=scaled_clock(started_at=after + timedelta(minutes=15), speed=1))),
        gateway(port) as client,
    ):
        for message in (first, second):
            await client.publish(_topic(message, Up.METER), message.encode(), qos=1)
        tables = SqliteTables.open(tmp_path / "cloud" / "tables.db", read_only=True)
        await eventually(lambda: tables.get(keys.meter_reading("home-1", after)) is not None)
        kept = [tables.get(keys.meter_reading("home-1", start)) for start in (START, after)]
        doubts = [item.body.get("doubt") for item in kept if item is not None]
        tables.close()
    assert doubts[0] is None
    assert "jump: the import register began the interval at 89900 Wh" in str(doubts[1])


async def test_a_day_at_the_market_is_answered_over_the_broker(tmp_path: Path) -> None:
    """The whole loop: orders, gate closure, trades to sites, meters, settlement, all driven by the scaled clock."""
    port = free_port()
    interval = START + timedelta(minutes=15)
    # Both processes have 19 s to start in before the gate closes; a busy machine takes ten.
    clock = scaled_clock(started_at=interval - timedelta(minutes=100), speed=300)
    folder = tmp_path / "broker"
    async with (
        started(Process("cloud.local.broker", "--port", str(port), "--dir", str(folder), folder=tmp_path)),
        started(_cloud(tmp_path, write_config(tmp_path, port=port), clock=clock)),
        gateway(port) as client,
    ):
        await client.subscribe("sitewatt/v1/#", qos=1)
        # The gate closes 300 s before delivery: the orders must be in before that.
        for message in (
            order("farm", 1, interval, Side.SELL, 5_000, 10_000, at=clock.now()),
            order("factory", 1, interval, Side.BUY, 8_000, 35_000, at=clock.now()),
        ):
            await client.publish(_topic(message, Up.ORDERS), message.encode(), qos=1)
        told: dict[str, list[TradesMessage]] = {}
        states: list[str] = []
        metered = False
        async with asyncio.timeout(120):
            async for heard in client.messages:
                topic = str(heard.topic)
                assert isinstance(heard.payload, bytes)
                if topic.endswith("/trades"):
                    trades = TradesMessage.decode(heard.payload)
                    told.setdefault(trades.site, []).append(trades)
                elif topic.endswith("/broadcast/market"):
                    said = MarketBroadcast.decode(heard.payload)
                    if said.interval_start == interval:
                        states.append(said.state)
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
        assert [state for state in states if state != "call"][-3:] == ["cleared", "delivered", "settled"]
        bought = sum(line.quantity_wh for message in told["factory"] for line in message.trades)
        assert bought == 8_000
        assert [message.seq for message in told["factory"]] == list(range(1, len(told["factory"]) + 1))
        settlement = told["factory"][-1].settlement
        assert settlement is not None
        assert (settlement.metered_wh, settlement.imbalance_wh) == (9_000, 1_000)
        tables = SqliteTables.open(tmp_path / "cloud" / "tables.db", read_only=True)
        lines = [
            item.body
            for item in tables.query(Table.TRADE_DATA, keys.market(ZONE, interval), first="LEDGER#", last="LEDGER$")
        ]
        assert lines and sum(line["money_uct"] for line in lines) == 0
        tables.close()


async def test_a_trade_that_a_killed_broker_forgot_is_told_when_its_site_is_back(tmp_path: Path) -> None:
    """The ledger has it, so its site must hear of it: what waited in the broker is gone with its memory."""
    port = free_port()
    interval = START + timedelta(hours=1)
    trades = site_topic(zone=ZONE, site="farm", channel=Down.TRADES)
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "broker"), folder=tmp_path)
    async with started(broker), started(_cloud(tmp_path, write_config(tmp_path, port=port))):
        async with gateway(port, identifier="farm", clean_session=False) as client:
            await client.subscribe(trades, qos=1)
        async with gateway(port) as client:
            for message in (
                order("farm", 1, interval, Side.SELL, 5_000, 10_000, at=START),
                order("factory", 1, interval, Side.BUY, 5_000, 35_000, at=START),
            ):
                await client.publish(_topic(message, Up.ORDERS), message.encode(), qos=1)
        tables = SqliteTables.open(tmp_path / "cloud" / "tables.db", read_only=True)
        await eventually(lambda: tables.query_index(Table.TRADE_DATA, keys.site_month("farm", interval)))
        tables.close()
        await broker.kill()
        await broker.start()

        async with gateway(port, identifier="farm", clean_session=False) as client, asyncio.timeout(60):
            await client.subscribe(trades, qos=1)
            online = StatusMessage(site="farm", online=True, at=START)
            topic = site_topic(zone=ZONE, site="farm", channel=Up.STATUS)
            await client.publish(topic, online.encode(), qos=1, retain=True)
            async for heard in client.messages:
                assert isinstance(heard.payload, bytes)
                told = TradesMessage.decode(heard.payload)
                if told.trades:
                    break
    assert (told.interval_start, sum(line.quantity_wh for line in told.trades)) == (interval, 5_000)


@pytest.mark.parametrize("protocol", ["3.1.1", "5"])
async def test_nothing_is_lost_when_the_cloud_is_killed(tmp_path: Path, protocol: str) -> None:
    """A message that the broker took must reach the tables, whatever happens to the process in between."""
    port = free_port()
    folder = tmp_path / "broker"
    config = write_config(tmp_path, port=port, broker={"protocol": protocol})
    async with started(Process("cloud.local.broker", "--port", str(port), "--dir", str(folder), folder=tmp_path)):
        cloud = _cloud(tmp_path, config)
        async with started(cloud), gateway(port) as client:
            for seq in range(1, 301):
                message = telemetry(
                    "home-1", seq, START + timedelta(seconds=seq), {"meter/active_power_w": [1.0 * seq]}
                )
                await client.publish(_topic(message, Up.TELEMETRY), message.encode(), qos=1)
                if seq == 100:
                    await cloud.stop(signal.SIGKILL)
                if seq == 200:
                    await cloud.start()
            tables = SqliteTables.open(tmp_path / "cloud" / "tables.db", read_only=True)
            await eventually(lambda: _seen(tables, "home-1").stored == 300)
            assert _seen(tables, "home-1").lost == 0
            tables.close()


async def test_nothing_is_lost_when_the_broker_restarts(tmp_path: Path) -> None:
    """The broker is a machine like any other; both sides wait for it and go on."""
    port = free_port()
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "broker"), folder=tmp_path)
    async with started(broker), started(_cloud(tmp_path, write_config(tmp_path, port=port))):
        tables = SqliteTables.open(tmp_path / "cloud" / "tables.db", read_only=True)
        for first in (1, 6):
            async with gateway(port) as client:
                for seq in range(first, first + 5):
                    message = telemetry("home-1", seq, START + timedelta(seconds=seq), {"meter/active_power_w": [1.0]})
                    await client.publish(_topic(message, Up.TELEMETRY), message.encode(), qos=1)
            if first == 1:
                await broker.stop()
                await broker.start()
        await eventually(lambda: _seen(tables, "home-1").stored == 10)
        tables.close()


async def test_a_stop_is_quick_and_clean(tmp_path: Path) -> None:
    """Ctrl-C must not leave a process behind, nor take longer than a person waits."""
    port = free_port()
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "broker"), folder=tmp_path)
    async with started(broker):
        cloud = _cloud(tmp_path, write_config(tmp_path, port=port))
        async with started(cloud):
            assert await cloud.stop() == 0
        assert "Traceback" not in cloud.log
        assert await broker.stop() == 0
        assert "Traceback" not in broker.log


async def test_what_is_not_json_is_counted_and_does_not_stop_the_others(tmp_path: Path) -> None:
    """One broken gateway must not stop a stream."""
    port = free_port()
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "broker"), folder=tmp_path)
    async with started(broker), started(_cloud(tmp_path, write_config(tmp_path, port=port))), gateway(port) as client:
        good = telemetry("home-1", 1, START, {"meter/active_power_w": [1.0]})
        stranger = telemetry("stranger", 1, START, {"meter/active_power_w": [1.0]})
        for topic, payload in (
            (_topic(good, Up.TELEMETRY), b"\xff{"),
            (_topic(good, Up.TELEMETRY), b"{}"),
            (_topic(good, Up.TELEMETRY), stranger.encode()),
            (_topic(stranger, Up.TELEMETRY), stranger.encode()),
            (_topic(good, Up.TELEMETRY), good.encode()),
        ):
            await client.publish(topic, payload, qos=1)
        tables = SqliteTables.open(tmp_path / "cloud" / "tables.db", read_only=True)
        await eventually(lambda: _seen(tables, "home-1").stored == 1)
        await eventually(lambda: tables.get(keys.site_state("stranger", "REFUSED#TelemetryMessage")))
        refused = tables.get(keys.site_state("home-1", "REFUSED#TelemetryMessage"))
        assert refused is not None and refused.body["count"] == 2
        assert _seen(tables, "stranger").stored == 0
        tables.close()
        streams = StreamLog.open(tmp_path / "cloud" / "streams.db", read_only=True)
        assert streams.counters()["not_forwarded"] == 1
        assert streams.counters()["set_aside"] == 0
        streams.close()


async def test_a_disk_that_cannot_be_written_is_waited_for(tmp_path: Path) -> None:
    """What comes meanwhile, noise too, stays with the broker; readers and schedules go on, and all is stored."""
    port = free_port()
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "broker"), folder=tmp_path)
    cloud = _cloud(tmp_path, write_config(tmp_path, port=port))
    async with started(broker), started(cloud), gateway(port) as client:
        assert cloud.process is not None
        first = telemetry("home-1", 1, START, {"meter/active_power_w": [1.0]})
        await client.publish(_topic(first, Up.TELEMETRY), first.encode(), qos=1)
        tables = SqliteTables.open(tmp_path / "cloud" / "tables.db", read_only=True)
        await eventually(lambda: _seen(tables, "home-1").stored == 1)
        limit_files([cloud.process.pid], bytes_max=0)
        await client.publish(_topic(first, Up.TELEMETRY), b"\xff{", qos=1)
        for seq in (2, 3):
            message = telemetry("home-1", seq, START + timedelta(minutes=seq), {"meter/active_power_w": [1.0]})
            await client.publish(_topic(message, Up.TELEMETRY), message.encode(), qos=1)
        troubles = ("not counted", "messages not stored, tried again", "scheduled call failed")
        await eventually(lambda: all(trouble in cloud.log for trouble in troubles))
        assert _seen(tables, "home-1").stored == 1
        limit_files([cloud.process.pid], bytes_max=None)
        await eventually(lambda: _seen(tables, "home-1").stored == 3)
        assert _seen(tables, "home-1").lost == 0  # What was taken and not noted as passed may come twice.
        tables.close()
        assert await cloud.stop() == 0
        assert "Traceback" not in cloud.log


async def test_a_broker_ends_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    """A killed demonstration must leave no process and no port behind."""
    port = free_port()
    command = (
        f"{sys.executable} -m cloud.local.broker --port {port} --dir {tmp_path}/broker --parent-pid $$ & echo up; wait"
    )
    parent = await asyncio.create_subprocess_exec("sh", "-c", command, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        assert await parent.stdout.readline() == b"up\n"
        assert b"ready" in await parent.stdout.readline()
    assert _answers(port)
    parent.kill()
    await parent.wait()
    await eventually(lambda: not _answers(port))


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_port_in_use_is_one_sentence(tmp_path: Path) -> None:
    """The most common mistake must not be a trace of calls."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "broker"), folder=tmp_path)
        await broker.start(wait=False)
        assert broker.process is not None
        async with asyncio.timeout(60):
            assert await broker.process.wait() == 2
        assert str(port) in broker.log and "Traceback" not in broker.log


async def test_wrong_settings_are_one_sentence(tmp_path: Path) -> None:
    """Exit 2 tells a program that trying again does not help."""
    (tmp_path / "cloud.yaml").write_text(
        "folder: cloud\nsigning: {key_file: k.pem}\nregistry: {zones: []}\ncolour: red\n"
    )
    cloud = _cloud(tmp_path, tmp_path / "cloud.yaml")
    await cloud.start(wait=False)
    assert cloud.process is not None
    async with asyncio.timeout(60):
        assert await cloud.process.wait() == 2
    assert "colour" in cloud.log and "Traceback" not in cloud.log
