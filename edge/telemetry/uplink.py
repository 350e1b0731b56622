"""Drains the outbox into the link, within the link's bounds, and forgets what the broker has acknowledged.

A record leaves the outbox when the cloud says that it has it (``receipts.py``), or, where the cloud sends no receipts,
on the broker's PUBACK. On a new connection everything else is sent again, in order; the cloud knows a repetition by its
number. A topic that the broker refuses is rested and reported, the others go on; a record that is larger than any
packet that the broker takes, or that the cloud cannot store, is set aside and reported.
"""

import asyncio
import json
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from contracts.clock import Clock
from contracts.receipt import Receipt
from contracts.topics import Up
from edge.errors import LinkError
from edge.links.flow import IN_FLIGHT_MAX, Flow
from edge.links.link import Ack, Link, LinkState
from edge.outbox.outbox import Outbox
from edge.outbox.records import Record
from edge.telemetry.lanes import Lane, Lanes, lanes_of
from edge.telemetry.receipts import Number, Receipts
from edge.telemetry.spread import wait_s as spread_wait_s

log = logging.getLogger(__name__)

BACKLOG_SHARE = 0.2
BACKLOG_PAUSE_S = 60.0  # A fleet that comes back together does not fill up together.
REFUSED_REST_S = 60.0
# Records that nobody can take, kept for a person to look at.
SET_ASIDE_KEY = "uplink.set_aside"
# Whether this site has heard a receipt: from then on the broker's word is not enough.
RECEIPTS_KEY = "uplink.receipts"
SET_ASIDE_MAX = 20
_LATENCIES_KEPT = 1000
_PAUSE_S = 0.05  # Real seconds until the link has noticed what a publish noticed.
_IDLE_S = 5.0  # Real seconds between looks at an idle outbox; a commit wakes it sooner.


@dataclass(frozen=True, kw_only=True)
class UplinkStats:
    """Counters since start.

    Latencies are real milliseconds from publish to PUBACK, and clock seconds from record to PUBACK for what is live.
    """

    published: int
    acknowledged: int
    refused: Mapping[Up, int] = field(default_factory=dict)
    set_aside: int = 0
    in_flight: int
    receipts: bool = False
    puback_ms_p50: float | None
    puback_ms_p95: float | None
    live_s_p95: float | None


class Uplink:
    """Moves records from one outbox to one link; made idle, lives in ``run``."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        link: Link,
        clock: Clock,
        topic_of: Callable[[Up], str],
        throttle: bool = True,
        pause_s_max: float = BACKLOG_PAUSE_S,
        generator: random.Random | None = None,
        offsets_s: Mapping[Up, float] | None = None,
    ) -> None:
        """Prepare an uplink.

        Args:
            outbox: Where records wait.
            link: Where they go.
            clock: Paces the rests and the pause before a backlog.
            topic_of: The topic of each channel.
            throttle: Keep within AWS IoT Core's bounds; a private broker needs none.
            pause_s_max: Longest random pause before a backlog is sent, on the site's clock.
            generator: Source of the pause's jitter.
            offsets_s: How long a record of a channel waits after it was made, on the site's clock; none without one.
        """
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._topic_of = topic_of
        self._throttle = throttle
        self._pause_s_max = pause_s_max
        self._generator = generator or random.Random()
        self._offsets_s = offsets_s or {}
        self._in_flight: dict[int, Record] = {}
        self._receipts = Receipts(expected=bool(outbox.recall(RECEIPTS_KEY)))
        self._resting_until: dict[Up, float] = {}
        self._wake = outbox.committed
        self._published = self._acknowledged = 0
        self._refused: dict[Up, int] = {}
        self._set_aside_count = 0
        self._look_again = False
        self._puback_ms: deque[float] = deque(maxlen=_LATENCIES_KEPT)
        self._live_s: deque[float] = deque(maxlen=_LATENCIES_KEPT)

    async def run(self) -> None:
        """Drain whenever the link is connected, until cancelled."""
        while True:
            await self._link.wait_for(LinkState.CONNECTED)
            self._in_flight.clear()
            self._receipts.begin_connection()
            try:
                await self._drain()
            except LinkError as error:
                log.info("uplink paused", extra={"reason": str(error)})
                await asyncio.sleep(_PAUSE_S)

    def hear(self, receipt: Receipt) -> None:
        """Forget what the cloud has, and send again what later records overtook."""
        if not self._receipts.expected:
            self._outbox.remember(RECEIPTS_KEY, True, durable=False)
            log.info("the cloud sends receipts")
        settled = self._receipts.hear(receipt.stored)
        for record_id in settled.unstorable:
            self._set_aside_unstorable(record_id)
        self._forget(settled.stored)
        self._look_again |= settled.overtaken
        self._wake.set()

    def stats(self) -> UplinkStats:
        """Return counters and latencies."""
        return UplinkStats(
            published=self._published,
            acknowledged=self._acknowledged,
            refused=dict(self._refused),
            set_aside=self._set_aside_count,
            in_flight=len(self._in_flight),
            receipts=self._receipts.expected,
            puback_ms_p50=_quantile(self._puback_ms, 0.5),
            puback_ms_p95=_quantile(self._puback_ms, 0.95),
            live_s_p95=_quantile(self._live_s, 0.95),
        )

    async def _drain(self) -> None:
        """Serve one connection.

        Raises:
            LinkError: The connection is gone.
        """
        flow, backlog_flow = Flow(), Flow(share=BACKLOG_SHARE)
        generation, lanes = self._outbox.generation, lanes_of(self._outbox)
        backlog_at = self._clock.monotonic()
        if lanes.backlog:
            backlog_at += self._generator.uniform(0, self._pause_s_max)
        connects = self._link.status().connects
        while (status := self._link.status()).state is LinkState.CONNECTED and status.connects == connects:
            self._wake.clear()
            self._chase()
            if generation != self._outbox.generation or (self._look_again and not self._resting()):
                self._look_again = False
                generation, lanes = self._outbox.generation, lanes_of(self._outbox)
            lanes.refresh()
            wait_s = self._send_some(lanes, flow, backlog_flow, backlog_at)
            try:
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()
            except TimeoutError:
                continue
        raise LinkError("the connection is gone")

    def _send_some(self, lanes: Lanes, flow: Flow, backlog_flow: Flow, backlog_at: float) -> float:
        """Publish what the bounds allow now and return the real seconds after which more may be possible."""
        while len(self._in_flight) < IN_FLIGHT_MAX and not self._receipts.full:
            if self._throttle and (wait_s := flow.wait_s()) > 0:
                return wait_s
            if lane := self._next(lanes.live):
                flow.take(self._publish(lane.pop(), live=True))
                continue
            lane = self._next(lanes.backlog)
            if lane is None:
                return self._rest_s((*lanes.live, *lanes.backlog))
            pause_s = (backlog_at - self._clock.monotonic()) / self._clock.speed
            if self._throttle:
                pause_s = max(pause_s, backlog_flow.wait_s())
            if pause_s > 0:
                return min(pause_s, _IDLE_S)
            size = self._publish(lane.pop(), live=False)
            flow.take(size)
            backlog_flow.take(size)
        return _IDLE_S

    def _chase(self) -> None:
        """Send again what has waited too long for its receipt; stop waiting where none ever comes."""
        if self._receipts.probe(now_s=asyncio.get_running_loop().time()):
            self._look_again = True
        given_up = self._receipts.give_up(now_s=self._clock.monotonic())
        if given_up:
            self._outbox.remember(RECEIPTS_KEY, None, durable=False)
            log.error("no receipts for a day, the broker's word is taken", extra={"records": len(given_up)})
            self._forget(given_up)

    def _next(self, lanes: tuple[Lane, ...]) -> Lane | None:
        """Return the first lane that has something to send and is not resting."""
        now = self._clock.monotonic()
        for lane in lanes:
            if self._resting_until.get(lane.channel, now) > now:
                continue
            while (record := lane.peek()) and (record.id in self._in_flight or record.id in self._receipts):
                lane.pop()
            if record and not self._spread_s(record):
                return lane
        return None

    def _spread_s(self, record: Record) -> float:
        """Return the clock seconds that a record still waits, so that a fleet does not speak at once."""
        return spread_wait_s(self._offsets_s, record.channel, made_at=record.at, now=self._clock.now())

    def _publish(self, record: Record, *, live: bool) -> int:
        topic = self._topic_of(record.channel)
        sent_at = asyncio.get_running_loop().time()
        answer = self._link.publish(topic, record.payload)
        self._in_flight[record.id] = record
        self._published += 1
        number = _number_of(record) if self._receipts.expected else None
        if number is not None:
            self._receipts.sent(number, record.id)
        answer.add_done_callback(lambda done: self._answered(done, record, number, sent_at=sent_at, live=live))
        return len(topic) + len(record.payload)

    def _answered(
        self, answer: "asyncio.Future[Ack]", record: Record, number: Number | None, *, sent_at: float, live: bool
    ) -> None:
        self._wake.set()
        if self._in_flight.get(record.id) is not record:
            return
        del self._in_flight[record.id]
        accepted = not answer.cancelled() and answer.exception() is None and answer.result() is Ack.ACCEPTED
        if not accepted:
            self._not_taken(answer, record, number)
            return
        now_s = asyncio.get_running_loop().time()
        if number is None or not self._receipts.expected:
            self._forget([record.id])
        elif not self._receipts.taken(number, now_s=now_s):
            self._look_again = True  # Stored by now, or overtaken while it was on its way.
        self._puback_ms.append((now_s - sent_at) * 1000)
        if live:
            self._live_s.append((self._clock.now() - record.at).total_seconds())

    def _not_taken(self, answer: "asyncio.Future[Ack]", record: Record, number: Number | None) -> None:
        if number is not None:
            self._receipts.drop(number)
        if answer.cancelled() or answer.exception() is not None:
            self._look_again = True
        elif answer.result() is Ack.TOO_LARGE:
            self._set_aside(record, reason="too large")
        else:
            self._rest(record)

    def _forget(self, ids: Sequence[int]) -> None:
        self._acknowledged += len(ids)
        self._outbox.acknowledge(ids)

    def _set_aside_unstorable(self, record_id: int) -> None:
        for channel in Up:
            for record in self._outbox.read(channel, after_id=record_id - 1, upto_id=record_id, limit=1):
                self._set_aside(record, reason="the cloud does not store it")

    def _set_aside(self, record: Record, *, reason: str) -> None:
        """Keep a record that can never be taken out of the way of those behind it; the newest few stay."""
        kept = [*(self._outbox.recall(SET_ASIDE_KEY) or []), _plain(record)][-SET_ASIDE_MAX:]
        self._outbox.remember(SET_ASIDE_KEY, kept)
        self._outbox.acknowledge([record.id])
        self._set_aside_count += 1
        log.error(
            "record set aside",
            extra={"channel": record.channel, "record": record.id, "bytes": len(record.payload), "reason": reason},
        )

    def _rest(self, record: Record) -> None:
        """Leave a refused channel alone for a while; the outbox keeps its records for a later connection."""
        self._look_again = True
        first = record.channel not in self._refused
        self._refused[record.channel] = self._refused.get(record.channel, 0) + 1
        self._resting_until[record.channel] = self._clock.monotonic() + REFUSED_REST_S
        if first:
            log.error("broker refuses a topic", extra={"topic": self._topic_of(record.channel)})

    def _resting(self) -> list[float]:
        """Return the clock seconds left for each channel that rests."""
        now = self._clock.monotonic()
        return [until - now for until in self._resting_until.values() if until > now]

    def _rest_s(self, lanes: Sequence[Lane]) -> float:
        """Return the real seconds until a channel has rested, or the first record of a lane has waited its time."""
        heads = (record for lane in lanes if (record := lane.peek()) is not None)
        left_s = [*self._resting(), *(wait_s for record in heads if (wait_s := self._spread_s(record)) > 0)]
        return min([_IDLE_S, *(each / self._clock.speed for each in left_s)])


def _number_of(record: Record) -> Number:
    """Return the number under which the cloud knows a record; its epoch stands in the message alone."""
    return record.channel, int(json.loads(record.payload)["epoch"]), record.seq


def _plain(record: Record) -> dict[str, object]:
    return {"channel": record.channel.value, "id": record.id, "payload": record.payload.decode(errors="replace")}


def _quantile(values: "deque[float]", share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
