"""When a site sends its meter reading: all sites finish a delivery interval at one instant, and must not speak at once.

Each site waits a time of its own, always the same one, so the readings of a fleet come evenly over the spread. Only the
sending waits: the reading is kept on the disk at once.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256

from contracts.topics import Up
from contracts.units import SiteId


def offset_s(site: SiteId, *, spread_s: float) -> float:
    """Return the seconds that a site waits, at least zero and below ``spread_s``; the same at each call and start."""
    share = int.from_bytes(sha256(site.encode()).digest()[:8], "big") / 2**64
    return share * spread_s


def wait_s(offsets_s: Mapping[Up, float], channel: Up, *, made_at: datetime, now: datetime) -> float:
    """Return the seconds until a record may be sent, zero where it may be now.

    A record from the future says that the clock was set back since; it waits for nothing.
    """
    age_s = (now - made_at).total_seconds()
    return max(0.0, offsets_s.get(channel, 0.0) - age_s) if age_s >= 0 else 0.0
