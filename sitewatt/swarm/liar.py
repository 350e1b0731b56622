"""A dishonest site: registered as any other, with no gateway behind it, whose readings are valid and not true.

What it says lies within what its connection carries, beyond it, in the future, or replaces what it said before. It may
lie about itself; it may neither be paid for more than its connection carries nor touch what others are owed.
"""

import asyncio
import contextlib
import random
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import aiomqtt
import yaml

from contracts.clock import Clock
from contracts.metering import MeterReading
from contracts.topics import Up, site_topic
from contracts.units import ClockTrust, DeliveryInterval, Quality, epoch_ms
from sitewatt.demo import files
from sitewatt.demo.neighbourhood import ZONE
from sitewatt.swarm.plan import LIAR, FaultKind, Plan

CONNECTION_W: Final = 10_000
ENERGY_WH_MAX: Final = CONNECTION_W // 4
"""What the connection carries in a delivery interval of a quarter of an hour."""
WITHIN, BEYOND, AHEAD, AGAIN = "within", "beyond", "ahead", "again"
LIES: Final = (WITHIN, BEYOND, AHEAD, AGAIN)
_BEYOND_WH: Final = (ENERGY_WH_MAX * 2, 100_000, 10_000_000, 1_000_000_000)
_CONNECT_S: Final = 5.0


def register(folder: Path, plan: Plan) -> None:
    """Put the dishonest site into the cloud's registry, where the plan lets it speak: every interval waits for it."""
    if not any(fault.kind is FaultKind.LIE for fault in plan.faults):
        return
    path = files.cloud(folder)
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["registry"]["sites"].append(
        {
            "id": LIAR,
            "zone": ZONE,
            "agent": "producer",
            "import_limit_w": CONNECTION_W,
            "export_limit_w": CONNECTION_W,
            "pv_peak_w": CONNECTION_W,
        }
    )
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")


async def lie(*, port: int, clock: Clock, kind: str, seed: int) -> int:
    """Publish readings of the intervals just ended, and return how many messages the broker took."""
    taken = 0
    with contextlib.suppress(aiomqtt.MqttError, TimeoutError):
        async with asyncio.timeout(_CONNECT_S), aiomqtt.Client("127.0.0.1", port) as client:
            for reading in readings(kind, seed, clock=clock):
                topic = site_topic(zone=ZONE, site=LIAR, channel=Up.METER)
                await client.publish(topic, reading.encode(), qos=1)
                taken += 1
    return taken


def readings(kind: str, seed: int, *, clock: Clock) -> list[MeterReading]:
    """Return what the site says of the last two intervals; a later lie has a later epoch."""
    generator, now = random.Random(seed), clock.now()
    last = DeliveryInterval.containing(now).later(-1)
    register_wh = int(epoch_ms(now) // 1000)
    found = []
    for seq, interval in enumerate((last.later(-1), last), start=1):
        exported_wh = generator.choice(_BEYOND_WH) if kind == BEYOND else generator.randrange(ENERGY_WH_MAX + 1)
        start = interval.start + timedelta(days=1) if kind == AHEAD else interval.start
        register_wh += exported_wh
        found.append(
            MeterReading(
                site=LIAR,
                epoch=epoch_ms(now),
                seq=seq,
                sent_at=now,
                interval_start=start,
                import_wh=0,
                export_wh=exported_wh,
                register_import_wh=0,
                register_export_wh=register_wh,
                quality=Quality.GOOD,
                clock=ClockTrust.SYNCED,
                version=generator.randrange(2, 6) if kind == AGAIN else 1,
            )
        )
    return found
