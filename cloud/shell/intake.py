"""How every function takes a record in: who sent it, is it what it should be, has it come before."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.exceptions import BatchProcessingError
from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.errors import JournalStuck, PublishError, StoreError
from cloud.figures import RECORDS, RECORDS_FAILED, REFUSED, REPEATED
from cloud.shell.counting import count
from cloud.shell.quotas import PAYLOAD_BYTES_MAX, Quotas, stamps
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.sequence import Seen
from cloud.stores.tables import Key, Put, Tables
from contracts.topics import Up
from contracts.units import INSTANT_MS_MAX, SiteId, ZoneId, epoch_ms, instant, printable
from contracts.wire import Message, SiteMessage, WireError, read_json

LOG: Final = Logger(service="sitewatt", stream=sys.stderr)

# How far a stamp may lie ahead of its arrival: more than the clocks of a gateway and a broker differ.
AHEAD_MAX: Final = timedelta(minutes=5)

MessageT = TypeVar("MessageT", bound=Message)


@dataclass(frozen=True, kw_only=True)
class Arrival(Generic[MessageT]):
    """A message, the zone and site of its topic, and the instant at which its rule took it."""

    zone: ZoneId
    site: SiteId
    at: datetime
    message: MessageT


def each_record(event: dict[str, Any], context: Any, take: Callable[[KinesisStreamRecord], object]) -> dict[str, Any]:
    """Take the records of one batch, and answer which of them must be delivered again.

    Raises:
        StoreError, PublishError, JournalStuck: None of them could be taken, and this kept one of them at least.
        BatchProcessingError: None of them could be taken.
    """
    processor = BatchProcessor(event_type=EventType.KinesisDataStreams)
    count(RECORDS, len(event["Records"]))
    try:
        answer = process_partial_response(event=event, record_handler=take, processor=processor, context=context)
    except BatchProcessingError as failed:
        count(RECORDS_FAILED, len(event["Records"]))
        for _, error, _ in failed.child_exceptions:
            if isinstance(error, StoreError | PublishError | JournalStuck):
                raise error from None
        raise
    count(RECORDS_FAILED, len(answer["batchItemFailures"]))
    return dict(answer)


def arrival_of(services: Services, record: KinesisStreamRecord, model: type[MessageT]) -> Arrival[MessageT] | None:
    """Return what a record holds, or ``None`` where it is not what its topic promises.

    Such a record is noted and not tried again.
    """
    at = _streamed_at(record)
    raw = record.kinesis.data_as_bytes()
    zone, site = "", ""
    try:
        envelope = read_json(raw)
        at = _told_at(envelope) or at
        zone, site = envelope["topic_zone"], envelope["topic_site"]
        message = model.decode(raw)
        claimed = getattr(message, "site", site)
        if claimed != site:
            raise WireError(f"{model.__name__} says that it is from {printable(str(claimed), 64)}; refused")
        _check_channel(services, site, message, size_bytes=len(raw), at=at)
        if services.registry.zone_of(site) != zone:
            raise WireError(f"{site} is not registered in zone {zone}; refused")
    except (ValueError, KeyError, TypeError) as error:
        refuse(services.stores.tables, site=site or "unknown", what=model.__name__, why=str(error), at=at)
        return None
    return Arrival(zone=zone, site=site, at=at, message=message)


def _check_channel(services: Services, site: SiteId, message: Message, *, size_bytes: int, at: datetime) -> None:
    """Refuse what a valid but dishonest site may send: too much of it, or from the future.

    Raises:
        WireError: It does.
    """
    channel = getattr(message, "channel", Up.STATUS)
    bound = PAYLOAD_BYTES_MAX[channel]
    if size_bytes > bound:
        raise WireError(f"{channel} of {size_bytes} bytes, above {bound}; refused")
    newest = max(stamps(message), default=at)
    if newest - at > AHEAD_MAX:
        ahead_s = (newest - at).total_seconds()
        raise WireError(
            f"{channel} stamped {ahead_s:.0f} s ahead of its arrival, above {AHEAD_MAX.total_seconds():.0f} s"
        )
    with services.lock:
        quotas = services.memory.setdefault("quotas", Quotas())
        assert isinstance(quotas, Quotas)
        over = quotas.take(f"{site}/{channel}", size_bytes=size_bytes, at=at)
    if over is not None:
        raise WireError(f"{channel} of {site} above {over}; refused")


def arrived_at(record: KinesisStreamRecord) -> datetime:
    """Return when a record's message came: when its rule took it, or, where an earlier rule did not say, its stream.

    The only time that a function knows.
    """
    try:
        told = _told_at(read_json(record.kinesis.data_as_bytes()))
    except WireError:
        told = None
    return told or _streamed_at(record)


def _told_at(envelope: Any) -> datetime | None:
    told_ms = envelope.get("topic_at") if isinstance(envelope, dict) else None
    return instant(told_ms) if type(told_ms) is int and 0 <= told_ms <= INSTANT_MS_MAX else None


def _streamed_at(record: KinesisStreamRecord) -> datetime:
    return instant(round(record.kinesis.approximate_arrival_timestamp * 1000))


def refuse(tables: Tables, *, site: str, what: str, why: str, at: datetime) -> None:
    """Note that a message was refused, and count it, so that an operator finds out."""
    count(REFUSED)
    LOG.warning("message refused", extra={"site": site, "kind": what, "reason": why})
    key = keys.refusal(site, what)
    item = tables.get(key)
    times = item.body["count"] + 1 if item else 1
    tables.put(Put(key=key, body={"count": times, "reason": printable(why, 500), "at": epoch_ms(at)}))


def store_once(tables: Tables, message: SiteMessage, writes: Callable[[Seen], Iterable[Put]]) -> bool:
    """Make the writes of a message unless it has come before; return whether it was new.

    The note that the message has come is written last and alone, at half of what a transaction costs: a message whose
    note is missing is delivered and written again, so its writes must be such that making them again changes nothing.

    Args:
        tables: Where it is stored.
        message: What has come.
        writes: Makes the writes from which messages of the channel have come, this one among them.

    Raises:
        ConditionFailed: Another message of this channel came at the same time; deliver this one again.
    """
    note = note_of(tables, message)
    if note is None:
        return False
    tables.put_each([*writes(Seen.from_body(note.body)), note])
    return True


def note_all(tables: Tables, messages: Sequence[SiteMessage]) -> None:
    """Note many messages as come, and count those that had come before.

    For messages whose effect is known to happen once without the note: a batch that is delivered again after some of it
    was noted counts those as repeats, which they are.

    Raises:
        ConditionFailed: Another message of a channel came at the same time; deliver these again.
    """
    by_key: dict[Key, list[int]] = {}
    for message in messages:
        by_key.setdefault(keys.sequence(message.site, message.channel, message.epoch), []).append(message.seq)
    notes = []
    for key, numbers in by_key.items():
        item = tables.get(key)
        seen = Seen.from_body(item.body if item else None)
        for number in numbers:
            count(REPEATED, number in seen)
            seen = seen.with_repeat() if number in seen else seen.with_new(number)
        notes.append(Put(key=key, body=seen.body(), if_version=item.version if item else 0))
    tables.put_each(notes)


def note_of(tables: Tables, message: SiteMessage) -> Put | None:
    """Return the write that notes a message as come; ``None`` where it had come before, which is counted at once.

    Raises:
        ConditionFailed: Another message of this channel came at the same time; deliver this one again.
    """
    key = keys.sequence(message.site, message.channel, message.epoch)
    item = tables.get(key)
    seen = Seen.from_body(item.body if item else None)
    version = item.version if item else 0
    if message.seq in seen:
        count(REPEATED)
        tables.put(Put(key=key, body=seen.with_repeat().body(), if_version=version))
        return None
    return Put(key=key, body=seen.with_new(message.seq).body(), if_version=version)
