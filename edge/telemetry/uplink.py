"""Drains the outbox into the link, within the link's bounds, and forgets what the broker has acknowledged.

A record leaves the outbox only on its PUBACK. On a new connection everything that is not acknowledged is sent again,
in order; the cloud knows a repetition by its number. A topic that the broker refuses is rested and reported, the others
go on; a record that is larger than any packet that the broker takes is set aside and reported.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from contracts.clock import Clock
from contracts.topics import Up
from edge.errors import LinkError
from edge.links.flow import IN_FLIGHT_MAX, Flow
from edge.links.link import Ack, Link, LinkState
from edge.outbox.outbox import Outbox
from edge.outbox.records import Record
from edge.telemetry.lanes import Lane, Lanes, lanes_of

log = logging.getLogger(__name__)

BACKLOG_SHARE = 0.2
BACKLOG_PAUSE_S = 60.0  # A fleet that comes back together does not fill up together.
REFUSED_REST_S = 60.0
# Records that a broker takes no packet of the size of, kept for a person to look at.
SET_ASIDE_KEY = "uplink.set_aside"
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
        """
        self._outbox = outbox
        self._link = link
        self._clock = clock
        self._topic_of = topic_of
        self._throttle = throttle
        self._pause_s_max = pause_s_max
        self._generator = generator or random.Random()
        self._in_flight: dict[int, Record] = {}
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
            try:
                await self._drain()
            except LinkError as error:
                log.info("uplink paused", extra={"reason": str(error)})
                await asyncio.sleep(_PAUSE_S)

    def stats(self) -> UplinkStats:
        """Return counters and latencies."""
        return UplinkStats(
            published=self._published,
            acknowledged=self._acknowledged,
            refused=dict(self._refused),
            set_aside=self._set_aside_count,
            in_flight=len(self._in_flight),
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
        while len(self._in_flight) < IN_FLIGHT_MAX:
            if self._throttle and (wait_s := flow.wait_s()) > 0:
                return wait_s
            if lane := self._next(lanes.live):
                flow.take(self._publish(lane.pop(), live=True))
                continue
            lane = self._next(lanes.backlog)
            if lane is None:
                return self._rest_s()
            pause_s = (backlog_at - self._clock.monotonic()) / self._clock.speed
            if self._throttle:
                pause_s = max(pause_s, backlog_flow.wait_s())
            if pause_s > 0:
                return min(pause_s, _IDLE_S)
            size = self._publish(lane.pop(), live=False)
            flow.take(size)
            backlog_flow.take(size)
        return _IDLE_S

    def _next(self, lanes: tuple[Lane, ...]) -> Lane | None:
        """Return the first lane that has something to send and is not resting."""
        now = self._clock.monotonic()
        for lane in lanes:
            if self._resting_until.get(lane.channel, now) > now:
                continue
            while (record := lane.peek()) and record.id in self._in_flight:
                lane.pop()
            if record:
                return lane
        return None

    def _publish(self, record: Record, *, live: bool) -> int:
        topic = self._topic_of(record.channel)
        sent_at = asyncio.get_running_loop().time()
        answer = self._link.publish(topic, record.payload)
        self._in_flight[record.id] = record
        self._published += 1
        answer.add_done_callback(lambda done: self._answered(done, record, sent_at=sent_at, live=live))
        return len(topic) + len(record.payload)

    def _answered(self, answer: "asyncio.Future[Ack]", record: Record, *, sent_at: float, live: bool) -> None:
        self._wake.set()
        if self._in_flight.get(record.id) is not record:
            return
        del self._in_flight[record.id]
        if answer.cancelled() or answer.exception() is not None:
            self._look_again = True
            return
        if answer.result() is Ack.TOO_LARGE:
            self._set_aside(record)
            return
        if answer.result() is Ack.REFUSED:
            self._rest(record)
            return
        self._acknowledged += 1
        self._outbox.acknowledge([record.id])
        self._puback_ms.append((asyncio.get_running_loop().time() - sent_at) * 1000)
        if live:
            self._live_s.append((self._clock.now() - record.at).total_seconds())

    def _set_aside(self, record: Record) -> None:
        """Keep a record that this broker can never take out of the way of those behind it; the newest few stay."""
        kept = [*(self._outbox.recall(SET_ASIDE_KEY) or []), _plain(record)][-SET_ASIDE_MAX:]
        self._outbox.remember(SET_ASIDE_KEY, kept)
        self._outbox.acknowledge([record.id])
        self._set_aside_count += 1
        log.error(
            "record set aside",
            extra={"channel": record.channel, "record": record.id, "bytes": len(record.payload), "reason": "too large"},
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

    def _rest_s(self) -> float:
        return min([_IDLE_S, *(left / self._clock.speed for left in self._resting())])


def _plain(record: Record) -> dict[str, object]:
    return {"channel": record.channel.value, "id": record.id, "payload": record.payload.decode(errors="replace")}


def _quantile(values: "deque[float]", share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
