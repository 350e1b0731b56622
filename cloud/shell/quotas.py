"""What one site may send on one channel: bytes a message, messages and bytes over time, and which stamps it carries."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from contracts.control import CommandAck
from contracts.market import OrderMessage
from contracts.metering import MeterReading
from contracts.telemetry import EventMessage, StatusMessage, TelemetryMessage, samples_of
from contracts.topics import Up
from contracts.wire import Message, SiteMessage

_KB: Final = 1024
# Of one message, several times the largest that a gateway makes; 110 KB of acks held a shard for seconds each.
PAYLOAD_BYTES_MAX: Final[Mapping[Up, int]] = {
    Up.TELEMETRY: 64 * _KB,
    Up.METER: 4 * _KB,
    Up.ORDERS: 16 * _KB,
    Up.ACKS: 32 * _KB,
    Up.EVENTS: 64 * _KB,
    Up.STATUS: 4 * _KB,
}
# An outage of a week at a message a minute, at once; then the rate of a site that somebody watches.
MESSAGES_BURST: Final = 20_000
MESSAGES_PER_S: Final = 5.0
BYTES_BURST: Final = 100 * _KB * _KB
BYTES_PER_S: Final = 32.0 * _KB


@dataclass
class Level:
    at: datetime
    messages: float = float(MESSAGES_BURST)
    size_bytes: float = float(BYTES_BURST)


@dataclass
class Quotas:
    """What each site may still send on each channel, in the memory of one process; time is that of arrival."""

    _levels: dict[str, Level] = field(default_factory=dict)

    def take(self, name: str, *, size_bytes: int, at: datetime) -> str | None:
        """Take one message, or return which quota it is above."""
        level = self._levels.setdefault(name, Level(at=at))
        passed_s = max(0.0, (at - level.at) / timedelta(seconds=1))
        level.at = max(level.at, at)
        level.messages = min(MESSAGES_BURST, level.messages + passed_s * MESSAGES_PER_S)
        level.size_bytes = min(BYTES_BURST, level.size_bytes + passed_s * BYTES_PER_S)
        if level.messages < 1:
            return f"its quota of {MESSAGES_PER_S:g} messages a second"
        if level.size_bytes < size_bytes:
            return f"its quota of {BYTES_PER_S:g} bytes a second"
        level.messages -= 1
        level.size_bytes -= size_bytes
        return None


def stamps(message: Message) -> Iterator[datetime]:
    """Yield the instants at which a message says that something has happened."""
    if isinstance(message, SiteMessage):
        yield message.sent_at
    match message:
        case TelemetryMessage():
            yield from (sample.at for sample in samples_of(message))
        case MeterReading():
            yield message.interval_start
        case OrderMessage():
            yield message.issued_at
        case EventMessage() | CommandAck():
            yield message.at
        case StatusMessage():
            if message.at is not None:
                yield message.at
