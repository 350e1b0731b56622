"""What the cloud last heard of a gateway, for the list of a fleet."""

from dataclasses import asdict, dataclass
from datetime import datetime

from cloud.shell.alarms import alarms_of
from cloud.stores import keys
from cloud.stores.tables import Table, Tables
from contracts.units import instant

_MONTHS_BACK = 2  # An event of longer ago is history.


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Whether a gateway is online, when it was last heard, which software it runs, its alarms, and its newest event.

    All is ``None`` for a gateway of which nothing was stored. ``event`` is the newest of this month and the one before.
    ``alarms`` are those that it told last, an empty tuple where it told that there are none.
    """

    online: bool | None = None
    heard_at: datetime | None = None
    software: str | None = None
    alarms: tuple[str, ...] | None = None
    alarms_at: datetime | None = None
    event: str | None = None
    event_at: datetime | None = None

    def plain(self) -> dict[str, object]:
        """Return it for programs."""
        named = {"heard_at": self.heard_at, "alarms_at": self.alarms_at, "event_at": self.event_at}
        instants = {name: None if at is None else at.isoformat() for name, at in named.items()}
        return {**asdict(self), **instants}

    def words(self) -> str:
        """Return it for people."""
        state = "never heard" if self.online is None else "online" if self.online else "OFFLINE"
        seen = "" if self.heard_at is None else f", values up to {self.heard_at:%Y-%m-%d %H:%M:%S} UTC"
        software = "" if self.software is None else f", version {self.software}"
        event = "" if self.event_at is None else f"; last event {self.event_at:%Y-%m-%d %H:%M:%S} UTC: {self.event}"
        return f"{state}{seen}{software}{self._alarms()}{event}"

    def _alarms(self) -> str:
        if not self.alarms or self.alarms_at is None:
            return ""
        return f"; ALARM since {self.alarms_at:%Y-%m-%d %H:%M:%S} UTC: {', and '.join(self.alarms)}"


def heard_of(tables: Tables, site: str, *, now: datetime) -> Heard:
    """Return what the tables hold of a site's gateway.

    Raises:
        CloudError: The tables cannot be read.
    """
    status = tables.get(keys.site_state(site, keys.STATUS))
    latest = tables.get(keys.site_state(site, keys.LATEST))
    alarms = alarms_of(tables, site)
    event, event_at = _newest_event(tables, site, now)
    return Heard(
        online=bool(status.body["online"]) if status else None,
        heard_at=instant(latest.body["told_until"]) if latest else None,
        software=status.body["software"] if status else None,
        alarms=None if alarms is None else alarms.texts,
        alarms_at=None if alarms is None else alarms.at,
        event=event,
        event_at=event_at,
    )


def _newest_event(tables: Tables, site: str, now: datetime) -> tuple[str | None, datetime | None]:
    months = [
        f"{now.year - (now.month <= back):04d}{(now.month - 1 - back) % 12 + 1:02d}" for back in range(_MONTHS_BACK)
    ]
    for month in months:
        for item in tables.query(Table.ENERGY_METRICS, keys.site_events(site, month), reverse=True, limit=1):
            return str(item.body["phrase"]), instant(int(item.key.sk.partition("#")[0]))
    return None, None
