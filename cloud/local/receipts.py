"""Tells each site which of its messages are in the streams, so that its outbox may forget them.

The broker's own acknowledgement came before: it holds a message in memory until it is fetched, and forgets it when it
is killed.
"""

from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from cloud.shell.publishing import Outgoing
from contracts.receipt import RANGES_MAX, Receipt, StoredRange
from contracts.topics import Down, Topic, Up, site_topic

Stored = tuple[Topic, Mapping[str, object]]


def receipts(stored: Iterable[Stored]) -> Iterator[Outgoing]:
    """Yield what to tell each site of messages that were stored, given by topic and fields."""
    by_site: dict[tuple[str, str], dict[tuple[Up, int], set[int]]] = {}
    for topic, fields in stored:
        one = _range(topic, fields)
        if one is not None and topic.site is not None:
            numbers = by_site.setdefault((topic.zone, topic.site), {})
            numbers.setdefault((one.channel, one.epoch), set()).add(one.first)
    for (zone, site), numbered in by_site.items():
        ranges = [one for (channel, epoch), numbers in numbered.items() for one in _ranges(channel, epoch, numbers)]
        for start in range(0, len(ranges), RANGES_MAX):
            receipt = Receipt(site=site, stored=tuple(ranges[start : start + RANGES_MAX]))
            topic_name = site_topic(zone=zone, site=site, channel=Down.RECEIPTS)
            yield Outgoing(topic=topic_name, payload=receipt.encode())


def message_id(topic: Topic, fields: Mapping[str, object]) -> str | None:
    """Return what names a message for good, ``None`` where its sender does not number it."""
    one = _range(topic, fields)
    return None if one is None else f"{topic.zone}:{topic.site}:{one.channel}:{one.epoch}:{one.first}"


def _range(topic: Topic, fields: Mapping[str, object]) -> StoredRange | None:
    """Return the number of one message, ``None`` where it has none, as what others throw at the broker."""
    try:
        seq = fields.get("seq")
        return StoredRange.model_validate(
            {"channel": topic.channel, "epoch": fields.get("epoch"), "first": seq, "last": seq}
        )
    except ValidationError:
        return None


def _ranges(channel: Up, epoch: int, numbers: set[int]) -> list[StoredRange]:
    found: list[StoredRange] = []
    for number in sorted(numbers):
        if found and number == found[-1].last + 1:
            number_before = found.pop().first
            found.append(StoredRange(channel=channel, epoch=epoch, first=number_before, last=number))
        else:
            found.append(StoredRange(channel=channel, epoch=epoch, first=number, last=number))
    return found
