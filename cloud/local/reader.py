"""Reads one shard for one function: batches, checkpoints, partial failures, and what is set aside.

Source: AWS Lambda developer guide, "Handling errors with a Kinesis event source": with ReportBatchItemFailures the
lowest reported sequence number becomes the checkpoint, and records after it are delivered again even if they succeeded;
with BisectBatchOnFunctionError a batch whose function raised is halved until the record at fault stands alone.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from typing import Final

from cloud.errors import JournalStuck, PublishError, StoreError, Unstorable
from cloud.infra.rules import Consumer
from cloud.local.events import kinesis_event
from cloud.local.functions import Functions
from cloud.local.streams import StreamRecord, Streams
from cloud.stores.tables import Check
from contracts.clock import Clock
from contracts.units import printable

log = logging.getLogger(__name__)

RETRY_S_MIN: Final = 0.05  # Real seconds: a failing store or broker is a matter of the machine, not of the sites.
RETRY_S_MAX: Final = 5.0
# Another record would meet the same: broker or store is away, somebody else writes, the market waits for a person.
_NOT_OF_THE_RECORD: Final = (PublishError, StoreError, JournalStuck)


class ShardReader:
    """One consumer in one shard; the records of a shard are taken in their order, one batch at a time."""

    def __init__(
        self,
        *,
        consumer: Consumer,
        shard: int,
        streams: Streams,
        functions: Functions,
        clock: Clock,
        fence: Check | None = None,
    ) -> None:
        self._consumer = consumer
        self._shard = shard
        self._streams = streams
        self._functions = functions
        self._clock = clock
        self._fence = fence
        self._grown = asyncio.Event()
        self._grown.set()  # What an earlier process has left is there already.
        self._attempts = 0  # Of the record that stands first.
        self._waits = 0  # For what is not of the record.
        self._size = consumer.records_max

    def wake(self) -> None:
        """Say that the shard has grown."""
        self._grown.set()

    async def run(self) -> None:
        """Take batches until cancelled."""
        while True:
            await self._until_grown()
            if self._consumer.window_s:
                await self._clock.sleep(self._consumer.window_s)
            try:
                while records := (await self._streams.read(self._consumer, self._shard))[: self._size]:
                    await self._take(records)
            except StoreError as error:
                # The streams failed, not the function: what was not noted is delivered again.
                self._grown.set()
                await self._wait(error)

    async def _until_grown(self) -> None:
        """Wait until the shard has grown, or it is time to look whether it has."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._streams.look_again_s):
                await self._grown.wait()
        self._grown.clear()

    async def _take(self, records: Sequence[StreamRecord]) -> None:
        event = kinesis_event(self._consumer.stream, self._shard, records)
        try:
            answer = await self._functions.call(self._consumer.handler, event, fence=self._fence)
        except Exception as error:  # The border of the function: whatever it raised, the batch failed.
            if isinstance(error, _NOT_OF_THE_RECORD) and not isinstance(error, Unstorable):
                await self._wait(error)
                return
            told = f"{type(error).__name__}: {printable(str(error))}"
            if len(records) > 1:
                self._size = (len(records) + 1) // 2
                log.warning(
                    "batch failed, halved",
                    extra={
                        "handler": self._consumer.handler,
                        "shard": self._shard,
                        "records": self._size,
                        "error": told,
                    },
                )
            else:
                await self._failed(records, first=0, error=told)
            return
        self._waits = 0
        self._size = min(self._consumer.records_max, 2 * self._size)
        failed = _first_failure(answer, records)
        if failed is None:
            self._attempts = 0
            await self._streams.passed(self._consumer, self._shard, records[-1].seq)
        else:
            await self._failed(records, first=failed, error="reported as failed; see the function's log")

    async def _failed(self, records: Sequence[StreamRecord], *, first: int, error: str) -> None:
        if first > 0:
            self._attempts = 0
            await self._streams.passed(self._consumer, self._shard, records[first - 1].seq)
        self._attempts += 1
        if self._attempts < self._consumer.attempts_max:
            await self._pause(self._attempts, error=error)
            return
        log.error("record set aside", extra=self._fields(error))
        self._attempts = 0
        await self._streams.set_aside(self._consumer, records[first], error=error)
        await self._streams.passed(self._consumer, self._shard, records[first].seq)

    async def _wait(self, error: Exception) -> None:
        """Wait for what no record is to blame for, as often as it takes: none is set aside for it."""
        self._waits = min(self._waits + 1, self._consumer.attempts_max)
        await self._pause(self._waits, error=f"{type(error).__name__}: {printable(str(error))}")

    async def _pause(self, failed: int, *, error: str) -> None:
        """Wait before the next try, the longer the more have failed."""
        log.warning("batch failed, tried again", extra=self._fields(error))
        pause_s = min(RETRY_S_MAX, RETRY_S_MIN * 2**failed)
        await asyncio.sleep(random.uniform(RETRY_S_MIN, pause_s))

    def _fields(self, error: str) -> dict[str, object]:
        return {"handler": self._consumer.handler, "shard": self._shard, "attempt": self._attempts, "error": error}


def _first_failure(answer: object, records: Sequence[StreamRecord]) -> int | None:
    """Return the position of the first record that a function named as failed."""
    failures = answer.get("batchItemFailures", []) if isinstance(answer, dict) else []
    numbers = {int(failure["itemIdentifier"]) for failure in failures}
    return next((position for position, record in enumerate(records) if record.seq in numbers), None)
