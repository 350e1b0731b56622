"""A whole cloud under a real mix of channels: what a record costs, stage by stage, and what one machine bears.

    python -m benchmarks scale [--json]

mosquitto, one or three processes of the cloud and, where the stores are servers, NATS and PostgreSQL share the machine
with the generator. A site-interval of 15 minutes is three messages of telemetry (3,000 samples each, just under 5 KB,
as a gateway packs ten points at 1 Hz), one meter reading and two orders; of every fifty one event and one status. All
are published as fast as the broker takes them; the time runs until every function but the lake, which waits for its
window, has been given every record of its. A record is one record of a stream. Processor time is that of the processes
(from ``/proc``) and, of functions, that of their threads; the generator's is not counted.
Source: proc(5), /proc/PID/stat: utime and stime.
"""

import asyncio
import contextlib
import itertools
import os
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiomqtt

from cloud.cost.volumes import Site, full_message, telemetry_of
from cloud.infra.rules import CONSUMERS, rule_of
from contracts.market import Side
from contracts.telemetry import EventMessage, StatusMessage
from contracts.topics import Up, site_topic
from contracts.units import DELIVERY_INTERVAL_S, instant
from contracts.wire import SiteMessage
from sitewatt.swarm.process_tree import tree
from tests.support.brokers.broker import free_port
from tests.support.cloud.process import Process, gateway, started
from tests.support.cloud.servers import nats_server, postgres_server
from tests.support.cloud.sites import ZONE, order, reading, write_config

HOMES: Final = 98
SITE_INTERVALS: Final = 150  # How many site-intervals are sent in all.
TELEMETRY_EACH: Final = 3
SAFETY_S: Final = 900.0
INFLIGHT: Final = 100
TARGET_RECORDS_S: Final = 10_000
LAKE: Final = "lake"


@dataclass(frozen=True, kw_only=True)
class _Sent:
    """What was sent: its topic and bytes, in its order, and the samples in it."""

    messages: list[tuple[str, bytes]]
    of_channel: Mapping[Up, int]
    samples: int


def run() -> dict[str, float]:
    """Measure a cloud in files, and in servers with one process and with three, and return the figures by name."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        figures |= asyncio.run(_measure("in files, 1 process", Path(name), processes=1))
    for processes in (1, 3):
        with (
            tempfile.TemporaryDirectory() as name,
            postgres_server(durable=True) as database,
            nats_server(Path(name)) as nats,
        ):
            label = f"NATS + PostgreSQL, {processes} process{'es' if processes > 1 else ''}"
            stores = {"tables": database, "streams": f"{nats.url}/scale?shards=4"}
            servers = {name: _child(begins) for name, begins in (("PostgreSQL", "postgres"), ("NATS", "nats"))}
            figures |= asyncio.run(_measure(label, Path(name), processes=processes, servers=servers, **stores))
    return figures


async def _measure(
    label: str, folder: Path, *, processes: int, servers: Mapping[str, int] | None = None, **stores: Any
) -> dict[str, float]:
    port = free_port()
    config = write_config(folder, port=port, homes=HOMES, metrics={"port": 0}, **stores)
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(folder / "broker"), folder=folder)
    clouds = []
    for number in range(processes):
        own = folder / f"process-{number}"
        own.mkdir()
        clouds.append(Process("cloud.local", "--config", str(config), folder=own))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(started(broker))
        for cloud in clouds:
            await stack.enter_async_context(started(cloud))
        pages = [str(cloud.ready["metrics"]) for cloud in clouds]
        client = await stack.enter_async_context(gateway(port, max_inflight_messages=INFLIGHT))
        client.pending_calls_threshold = INFLIGHT + 1  # That many are meant to wait.
        groups = {"broker": [_pid(broker)], "cloud": [_pid(cloud) for cloud in clouds]}
        groups |= {name: [pid] for name, pid in (servers or {}).items()}
        # What begins late (imports, leases, first connections) is no part of a record's cost.
        await _through(client, pages, _mix(10, first=1))
        before, told_before = _spent(groups), await asyncio.to_thread(_told, pages)
        begun_s = time.monotonic()
        sent = _mix(SITE_INTERVALS, first=100)
        await _through(client, pages, sent)
        took_s = time.monotonic() - begun_s
        after, told_after = _spent(groups), await asyncio.to_thread(_told, pages)
    records = len(sent.messages)
    us = {name: (after[name] - before[name]) / records * 1e6 for name in groups}
    cpu = "sitewatt_call_cpu_seconds_total"
    calls = {
        function: (told_after.get((cpu, function), 0.0) - told_before.get((cpu, function), 0.0)) * 1e6
        for function in (consumer.handler.rpartition(".")[2] for consumer in CONSUMERS)
    }
    inside = sum(calls.values()) / records
    figures = {
        "records/s": records / took_s,
        "samples/s": sent.samples / took_s,
        "cores busy": sum(us.values()) * records / 1e6 / took_s,
        "us a record, all": sum(us.values()),
        **{f"us a record: {name}": value for name, value in us.items()},
        "us a record: of cloud, intake and streams": us["cloud"] - inside,
        **{f"us a call's record: {name}": spent / _given(sent, name) for name, spent in calls.items() if name != LAKE},
        "cores for 10,000 records/s": sum(us.values()) * TARGET_RECORDS_S / 1e6,
    }
    return {f"{name} | {label}": value for name, value in figures.items()}


def _given(sent: _Sent, function: str) -> int:
    consumer = next(one for one in CONSUMERS if one.handler.endswith(f".{function}"))
    return max(
        1, sum(count for channel, count in sent.of_channel.items() if rule_of(channel).stream is consumer.stream)
    )


def _mix(intervals: int, *, first: int) -> _Sent:
    """Return what so many site-intervals send, sites in turn; ``first`` is above every number that was sent before."""
    now = datetime.now(UTC)
    site = Site()
    telemetry = full_message(site, telemetry_of(site).samples // site.points)
    closes = instant(int((now + timedelta(minutes=40)).timestamp()) // DELIVERY_INTERVAL_S * DELIVERY_INTERVAL_S * 1000)
    ended = closes - timedelta(seconds=DELIVERY_INTERVAL_S * 4)
    numbers = {name: itertools.count(first * 10) for name in (f"home-{each}" for each in range(1, HOMES + 1))}
    counts = dict.fromkeys(Up, 0)
    messages: list[tuple[str, bytes]] = []

    def add(channel: Up, message: SiteMessage | StatusMessage) -> None:
        messages.append((site_topic(zone=ZONE, site=message.site, channel=channel), message.encode()))
        counts[channel] += 1

    for number, name in zip(range(intervals), itertools.cycle(numbers)):
        for _ in range(TELEMETRY_EACH):
            told = {"site": name, "epoch": 1, "seq": next(numbers[name]), "sent_at": now, "base_at": now}
            add(Up.TELEMETRY, telemetry.model_copy(update=told))
        add(Up.METER, reading(name, next(numbers[name]), ended, import_wh=100))
        for side in Side:
            # At prices that never meet: what trades cost is measured by `market_wire`.
            price = 10_000 if side is Side.BUY else 30_000
            add(Up.ORDERS, order(name, next(numbers[name]), closes, side, 100, price, at=now))
        if number % 50 == 0:
            seq = next(numbers[name])
            add(Up.EVENTS, EventMessage(site=name, epoch=1, seq=seq, sent_at=now, at=now, phrase="link up"))
            add(Up.STATUS, StatusMessage(site=name, online=True, at=now))
    samples = counts[Up.TELEMETRY] * telemetry_of(site).samples
    return _Sent(messages=messages, of_channel=counts, samples=samples)


async def _through(client: aiomqtt.Client, pages: list[str], sent: _Sent) -> None:
    """Publish everything and wait until every function but the lake was given what is its."""
    before = await asyncio.to_thread(_told, pages)
    async with asyncio.timeout(SAFETY_S):
        for start in range(0, len(sent.messages), INFLIGHT):
            part = sent.messages[start : start + INFLIGHT]
            await asyncio.gather(*(client.publish(topic, payload, qos=1, timeout=SAFETY_S) for topic, payload in part))
        while True:
            now = await asyncio.to_thread(_told, pages)
            name = "sitewatt_records_total"
            missing = [
                function
                for function in (consumer.handler.rpartition(".")[2] for consumer in CONSUMERS)
                if function not in (LAKE, "acks")
                and now.get((name, function), 0.0) - before.get((name, function), 0.0) < _given(sent, function)
            ]
            if not missing:
                return
            await asyncio.sleep(0.1)


def _told(pages: list[str]) -> dict[tuple[str, str], float]:
    """Return the counters of all processes, by figure and function."""
    found: dict[tuple[str, str], float] = {}
    for page in pages:
        with urllib.request.urlopen(page, timeout=60) as answer:
            for line in answer.read().decode().splitlines():
                if "{" in line and not line.startswith("#"):
                    name, _, rest = line.partition("{")
                    function, _, value = rest.partition("} ")
                    at = (name, function.partition('"')[2].rstrip('"'))
                    found[at] = found.get(at, 0.0) + float(value)
    return found


def _spent(groups: Mapping[str, list[int]]) -> dict[str, float]:
    return {name: sum(_cpu_s(each) for pid in pids for each in tree(pid)) for name, pids in groups.items()}


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process, and of its children that have ended, in seconds."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(each) for each in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _child(begins: str) -> int:
    """Return the first of our processes whose name begins so."""
    return next(pid for pid in tree(os.getpid()) if Path(f"/proc/{pid}/comm").read_text().startswith(begins))


def _pid(process: Process) -> int:
    assert process.process is not None
    return process.process.pid
