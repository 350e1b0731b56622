"""Which alarms the cloud holds of each gateway: the newest that it told of itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from cloud.stores import keys
from cloud.stores.tables import Put, Tables
from contracts.alarms import alarms_in
from contracts.telemetry import EventMessage
from contracts.units import SiteId, epoch_ms, instant


@dataclass(frozen=True, kw_only=True)
class Alarms:
    """The alarms that a gateway has had since an instant of its own clock; an empty list says that it has none."""

    texts: tuple[str, ...]
    at: datetime


def alarms_put(tables: Tables, message: EventMessage) -> Put | None:
    """Return the write of the alarms that an event tells, ``None`` where a newer one is held.

    Newer by the gateway's own time, as its events are kept: what an outage held back does not undo what came since.
    """
    key = keys.site_state(message.site, keys.ALARMS)
    order = [epoch_ms(message.at), message.epoch, message.seq]
    held = tables.get(key)
    if held is not None and [int(part) for part in held.body["order"]] > order:
        return None
    return Put(key=key, body={"alarms": list(alarms_in(message.fields)), "at": order[0], "order": order})


def alarms_of(tables: Tables, site: SiteId) -> Alarms | None:
    """Return the alarms of a site's gateway, ``None`` where it told none yet, as earlier versions never do.

    Raises:
        CloudError: The tables cannot be read.
    """
    held = tables.get(keys.site_state(site, keys.ALARMS))
    if held is None:
        return None
    return Alarms(texts=tuple(held.body["alarms"]), at=instant(int(held.body["at"])))


def alarm_counts(tables: Tables, sites: Iterable[SiteId]) -> dict[SiteId, int]:
    """Return how many alarms each gateway has that told of them; one more stands for those beyond the words.

    Raises:
        CloudError: The tables cannot be read.
    """
    found = ((site, alarms_of(tables, site)) for site in sites)
    return {site: len(alarms.texts) for site, alarms in found if alarms is not None}
