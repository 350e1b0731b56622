"""Every topic name, built and parsed here only.

``sitewatt/v1/<zone>/<site>/<channel>`` for one site, ``sitewatt/v1/<zone>/broadcast/<channel>`` for all of a zone.
"""

from dataclasses import dataclass
from enum import StrEnum

from contracts.units import SiteId, ZoneId

ROOT = "sitewatt/v1"
# The issuer's common name on the certificates of a private fleet. By it a gateway knows whose services it asks.
PRIVATE_AUTHORITY = "sitewatt local authority"
_BROADCAST = "broadcast"


class Up(StrEnum):
    """Channels from a site."""

    TELEMETRY = "telemetry"
    METER = "meter"
    ORDERS = "orders"
    ACKS = "acks"
    EVENTS = "events"
    STATUS = "status"


class Down(StrEnum):
    """Channels to a site."""

    COMMANDS = "commands"
    TRADES = "trades"
    OUTLOOK = "outlook"
    RECEIPTS = "receipts"


class Broadcast(StrEnum):
    """Channels to every site of a zone."""

    FORECAST = "forecast"
    MARKET = "market"
    GRID = "grid"


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A parsed topic; ``site`` is ``None`` for a broadcast."""

    zone: ZoneId
    site: SiteId | None
    channel: Up | Down | Broadcast


def provisioning_topic(topic: str, *, certificate_id: str) -> str:
    """Return the topic by which the holder of one certificate asks a private fleet's provisioning services.

    AWS answers a request to the asker alone. A plain broker sends an answer to whoever may hear its topic, so in a
    private fleet each certificate has topics of its own below those of AWS.
    """
    return f"{topic}/by/{certificate_id}"


def site_topic(*, zone: ZoneId, site: SiteId, channel: Up | Down) -> str:
    """Return the topic of one channel of one site."""
    return f"{ROOT}/{zone}/{site}/{channel}"


def broadcast_topic(*, zone: ZoneId, channel: Broadcast) -> str:
    """Return the topic of a zone's broadcast."""
    return f"{ROOT}/{zone}/{_BROADCAST}/{channel}"


def parse(topic: str) -> Topic | None:
    """Return the parts of a topic, or ``None`` where it is not one of ours."""
    parts = topic.split("/")
    if len(parts) != 5 or "/".join(parts[:2]) != ROOT or not parts[2] or not parts[3]:
        return None
    zone, site, channel = parts[2:]
    if site == _BROADCAST:
        return Topic(zone=zone, site=None, channel=Broadcast(channel)) if channel in set(Broadcast) else None
    if channel in set(Up):
        return Topic(zone=zone, site=site, channel=Up(channel))
    return Topic(zone=zone, site=site, channel=Down(channel)) if channel in set(Down) else None
