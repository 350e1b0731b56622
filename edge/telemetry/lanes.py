"""In which order the outbox's records go out: live before backlog, settlement before telemetry.

What was in the outbox when the link came up is backlog, unless it is small. Within a lane, records keep their order;
only telemetry has a lane for each, so that a backlog of days does not hold up what is measured now.
"""

from collections import deque
from dataclasses import dataclass

from contracts.topics import Up
from edge.outbox.outbox import Outbox
from edge.outbox.records import Record

SMALL_BACKLOG_RECORDS = 50
_PAGE = 20  # Records read at a time.
_ALL = 2**63 - 1


class Lane:
    """Records of one channel within a range of ids, oldest first, each handed out once."""

    def __init__(self, outbox: Outbox, channel: Up, *, after_id: int = 0, upto_id: int = _ALL) -> None:
        self.channel = channel
        self._outbox = outbox
        self._after_id = after_id
        self._upto_id = upto_id
        self._page: deque[Record] = deque()
        self._drained = False

    def peek(self) -> Record | None:
        """Return the next record, reading a page where none is at hand."""
        if not self._page and not self._drained:
            page = self._outbox.read(self.channel, after_id=self._after_id, upto_id=self._upto_id, limit=_PAGE)
            self._page.extend(page)
            self._drained = not page
            if page:
                self._after_id = page[-1].id
        return self._page[0] if self._page else None

    def pop(self) -> Record:
        """Hand out the next record."""
        return self._page.popleft()

    def refresh(self) -> None:
        """Look again: records were committed since."""
        self._drained = False


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """The lanes of one connection, in order of urgency."""

    live: tuple[Lane, ...]
    backlog: tuple[Lane, ...]

    def refresh(self) -> None:
        """Look again at what may have grown."""
        for lane in (*self.live, *self.backlog):
            lane.refresh()


def lanes_of(outbox: Outbox) -> Lanes:
    """Return the lanes of a connection that begins now.

    Orders, acknowledgements and events always count as live: an outage makes few of them. Settlement keeps one lane,
    which is backlog, and so is paced, while anything of before the connection is in it.
    """
    watermark = outbox.last_id()
    old = sum(outbox.stats().depth.values())
    prompt = tuple(Lane(outbox, channel) for channel in (Up.ORDERS, Up.ACKS, Up.EVENTS))
    if old <= SMALL_BACKLOG_RECORDS:
        return Lanes(live=(*prompt, Lane(outbox, Up.METER), Lane(outbox, Up.TELEMETRY)), backlog=())
    return Lanes(
        live=(*prompt, Lane(outbox, Up.TELEMETRY, after_id=watermark)),
        backlog=(Lane(outbox, Up.METER), Lane(outbox, Up.TELEMETRY, upto_id=watermark)),
    )
