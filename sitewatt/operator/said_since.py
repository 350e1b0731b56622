"""What sites said of commands after whoever sent them had stopped to listen: the cloud keeps every answer."""

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from contracts.control import CommandAck
from contracts.wire import WireError
from sitewatt.operator.book import Entry

if TYPE_CHECKING:
    from cloud.stores.tables import Tables


def answers_since(tables: "Tables", entries: Iterable[Entry]) -> list[CommandAck]:
    """Return the answers to the commands of a book that a cloud's tables hold, the earliest first.

    Raises:
        CloudError: The tables cannot be read.
    """
    found = [ack for entry in entries for ack in _answers(tables, entry)]
    return sorted(found, key=lambda ack: ack.at)


def _answers(tables: "Tables", entry: Entry) -> Iterator[CommandAck]:
    from cloud.stores import keys

    item = tables.get(keys.command(entry["site"], entry["command_id"]))
    for told in [] if item is None else item.body["acks"]:
        try:
            yield CommandAck.decode(json.dumps(told).encode())
        except WireError:  # Of another version of this software.
            continue
