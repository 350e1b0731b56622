"""A process that says of each number that it is kept, once the store that keeps it says so, until it is killed."""

import asyncio
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

from cloud.infra.rules import Stream
from cloud.local.sqlite_streams import StreamLog
from cloud.local.streams import NewRecord
from cloud.stores import keys
from cloud.stores.sqlite import SqliteTables
from cloud.stores.tables import Put
from contracts.topics import Up
from edge.outbox.outbox import Outbox
from edge.private_files import write_whole
from tests.support.brokers.link_parts import AT, SITE, reading
from tests.support.manual_clock import ManualClock

KEY = keys.site_state(SITE, "number")


def open_outbox(folder: Path) -> Outbox:
    """Open the outbox of the folder."""
    return Outbox.open(folder / "state" / "journal.db", site=SITE, clock=ManualClock())


async def _outbox(folder: Path, say: Callable[[int], None]) -> None:
    outbox = open_outbox(folder)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outbox.run(), name="outbox")
        for number in itertools.count(1):
            assert outbox.append(Up.METER, reading(number)) == number
            await outbox.on_disk()
            say(number)


async def _state(folder: Path, say: Callable[[int], None]) -> None:
    outbox = open_outbox(folder)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outbox.run(), name="outbox")
        for number in itertools.count(1):
            outbox.remember("number", number)
            await outbox.on_disk()
            say(number)


async def _file(folder: Path, say: Callable[[int], None]) -> None:
    for number in itertools.count(1):
        write_whole(folder / "state" / "number", str(number).encode())
        say(number)


async def _tables(folder: Path, say: Callable[[int], None]) -> None:
    tables = SqliteTables.open(folder / "cloud" / "tables.db")
    for number in itertools.count(1):
        tables.put(Put(key=KEY, body={"number": number}))
        say(number)


async def _streams(folder: Path, say: Callable[[int], None]) -> None:
    streams = StreamLog.open(folder / "cloud" / "streams.db")
    for number in itertools.count(1):
        record = NewRecord(stream=Stream.METER, partition_key=SITE, arrived_at=AT, data=str(number).encode())
        streams.append([record])
        say(number)


WRITERS = {"outbox": _outbox, "state": _state, "file": _file, "tables": _tables, "streams": _streams}

if __name__ == "__main__":
    asyncio.run(WRITERS[sys.argv[1]](Path(sys.argv[2]), lambda number: print(number, flush=True)))
