"""What still waits in the cloud's streams when a run ends: neither stored nor lost."""

import json
from collections.abc import Mapping
from pathlib import Path

from cloud.infra.rules import CONSUMERS, Consumer, Stream
from cloud.local.opening import STREAMS_FILE, ask_streams, servers_of
from cloud.local.streams import Streams
from contracts.topics import Up

Message = tuple[str, int, int]
"""Who sent it, in which epoch, under which number."""

# The function of each channel that keeps count of what it has stored; others read the same stream for other ends.
_COUNTING: Mapping[Up, Consumer] = {
    channel: consumer
    for channel in Up
    for consumer in CONSUMERS
    if consumer.stream is Stream(channel.value) and consumer.handler == f"cloud.handlers.{channel.value}"
}


def waiting_messages(folder: Path) -> dict[Up, set[Message]]:
    """Return by channel the messages that the function of the channel has not taken yet, each once.

    Args:
        folder: The cloud's.

    Raises:
        StoreError: The streams cannot be read.
    """
    if servers_of(folder).streams is None and not (folder / STREAMS_FILE).exists():
        return {channel: set() for channel in _COUNTING}

    async def ask(streams: Streams) -> dict[Up, set[Message]]:
        waiting = {channel: await streams.not_passed(consumer) for channel, consumer in _COUNTING.items()}
        return {
            channel: {message for data in records if (message := _message(data)) is not None}
            for channel, records in waiting.items()
        }

    return ask_streams(folder, ask)


def _message(data: bytes) -> Message | None:
    """Return the sender, epoch and number of a record, None where it has none."""
    try:
        record = json.loads(data)
        return str(record["topic_site"]), int(record["epoch"]), int(record["seq"])
    except (ValueError, KeyError, TypeError):
        return None
