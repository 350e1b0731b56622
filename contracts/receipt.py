"""How a cloud tells a site which of its messages it has stored.

A broker's acknowledgement says that the broker has a message, in memory as a rule: a broker that is killed forgets what
nobody has fetched yet. A private cloud therefore says what it has in its own files. AWS IoT Core keeps what it has
acknowledged, and sends no receipts.
"""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from contracts.topics import Up
from contracts.units import Count, Number, SiteId
from contracts.wire import Message

# One for each message of the largest batch that the cloud takes at once.
RANGES_MAX: Final = 200


class StoredRange(BaseModel):
    """Messages of one channel and epoch, from the first number to the last, both stored and all between them."""

    model_config = ConfigDict(frozen=True)

    channel: Up
    epoch: Count
    first: Number
    last: Number


class Receipt(Message):
    """What of one site the cloud has just stored; a message that comes again is told again."""

    site: SiteId
    stored: tuple[StoredRange, ...] = Field(max_length=RANGES_MAX)
