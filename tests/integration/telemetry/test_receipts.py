"""A site process, a broker and a cloud as they ship: what one forgets when it is killed, the outbox still has."""

import asyncio
import signal
from datetime import timedelta
from pathlib import Path

from cloud.stores import keys
from cloud.stores.sequence import Seen
from cloud.stores.sqlite import SqliteTables
from contracts.clock import SystemClock, scaled_clock
from contracts.topics import Up
from edge.config import SiteConfig
from edge.links.link import LinkState
from edge.site.parts import Site
from edge.site.site_build import open_site
from edge.site.site_process import run_opened
from tests.support.brokers.broker import free_port
from tests.support.brokers.link_parts import Build, background
from tests.support.cloud.process import Process, eventually, started
from tests.support.cloud.sites import START, reading, write_config
from tests.support.rigs.edge_parts import plain_config

SITE = "home-1"


def _site(folder: Path, *, port: int) -> SiteConfig:
    link = {"url": f"mqtt://127.0.0.1:{port}", "throttle": False, "reconnect_s_min": 0.05, "reconnect_s_max": 0.2}
    telemetry = {"reading_spread_s": 0}  # What the receipts say of readings does not wait for the readings' time.
    return SiteConfig.model_validate(plain_config(link=link, telemetry=telemetry, state_dir=str(folder / "state")))


def _append(site: Site, *numbers: int) -> None:
    for number in numbers:
        site.outbox.append(Up.METER, _reading(number))


def _reading(import_wh: int) -> Build:
    return lambda epoch, seq: reading(SITE, seq, START, import_wh=import_wh).model_copy(update={"epoch": epoch})


def _seen(folder: Path, *, epoch: int) -> Seen:
    tables = SqliteTables.open(folder / "cloud" / "tables.db", read_only=True)
    try:
        item = tables.get(keys.sequence(SITE, Up.METER.value, epoch))
        return Seen.from_body(item.body if item else None)
    finally:
        tables.close()


async def test_a_killed_broker_loses_nothing_that_it_had_acknowledged(tmp_path: Path) -> None:
    """It forgets what waits for a cloud that is away, and what comes before the cloud has subscribed again."""
    port = free_port()
    broker = Process("cloud.local.broker", "--port", str(port), "--dir", str(tmp_path / "broker"), folder=tmp_path)
    clock = scaled_clock(started_at=START + timedelta(minutes=20), speed=1).spec()
    cloud = Process(
        "cloud.local", "--config", str(write_config(tmp_path, port=port)), "--clock", clock, folder=tmp_path
    )
    async with started(broker), started(cloud), open_site(_site(tmp_path, port=port), clock=SystemClock()) as site:
        uplink, link = site.uplink, site.link
        assert uplink is not None and link is not None
        async with background(run_opened(site), name="site process"):
            _append(site, 1, 2, 3)
            await eventually(lambda: uplink.stats().receipts and not site.outbox.read(Up.METER))

            await cloud.stop(signal.SIGKILL)
            published = uplink.stats().published
            _append(site, *range(4, 24))
            await eventually(lambda: uplink.stats().published == published + 20)
            await eventually(lambda: uplink.stats().in_flight == 0)
            assert len(site.outbox.read(Up.METER)) == 20, "the broker's word is not enough"

            await broker.kill()
            await eventually(lambda: link.status().state is LinkState.DISCONNECTED)
            await broker.start()
            await eventually(lambda: uplink.stats().published == published + 40)
            await eventually(lambda: uplink.stats().in_flight == 0)
            await cloud.start()
            _append(site, 24)
            await eventually(lambda: not site.outbox.read(Up.METER))
        await eventually(lambda: _seen(tmp_path, epoch=site.outbox.epoch).stored == 24)
        assert uplink.stats().set_aside == 0
    async with asyncio.timeout(60), open_site(_site(tmp_path, port=port), clock=SystemClock()) as again:
        assert again.uplink is not None and again.uplink.stats().receipts, "what was learned of the cloud is remembered"
