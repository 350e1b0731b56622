"""The keys of the seven tables, built here only; never a timestamp as a partition key.

Sort keys that are numbers are padded, so that the order of the text is the order of the numbers.
"""

from datetime import UTC, datetime
from typing import Final

from cloud.stores.tables import Key, Table
from contracts.units import DELIVERY_INTERVAL_S, SiteId, ZoneId, epoch_ms, instant

# The aggregates of one delivery interval, and the newest values of a site, by the last part of their key.
METRIC_SET: Final = "quarter"
LATEST: Final = "LATEST"
STATUS: Final = "STATUS"
_QUARTER_MS: Final = DELIVERY_INTERVAL_S * 1000


def quarter_of(at: datetime) -> int:
    """Return when the delivery interval of an instant begins, in epoch milliseconds."""
    return epoch_ms(at) // _QUARTER_MS * _QUARTER_MS


def energy_quarter(site: SiteId, begin_ms: int) -> Key:
    """Return where a quarter of a site's connection point is kept, by the epoch minute of its beginning."""
    return Key(table=Table.ENERGY_METRICS, pk=energy_day(site, begin_ms), sk=f"{begin_ms // 60_000:010d}")


def energy_day(site: SiteId, at_ms: int) -> str:
    """Return the partition of the UTC day in which an instant lies."""
    return f"GW#{site}#{instant(at_ms):%Y%m%d}"


def sequence(site: SiteId, channel: str, epoch: int) -> Key:
    """Return where it is kept which messages of a channel have come."""
    return Key(table=Table.ENERGY_METRICS, pk=f"SEQ#{site}#{channel}", sk=f"{epoch:015d}")


def meter_reading(site: SiteId, interval_start: datetime) -> Key:
    """Return where the newest meter reading of a delivery interval is kept."""
    return Key(table=Table.ENERGY_METRICS, pk=f"METER#{site}#{interval_start:%Y%m}", sk=_iso_minute(interval_start))


def site_state(site: SiteId, what: str) -> Key:
    """Return where the newest state of a site is kept (its status, its last measurement)."""
    return Key(table=Table.ENERGY_METRICS, pk=f"SITE#{site}", sk=what)


def site_event(site: SiteId, at: datetime, epoch: int, seq: int) -> Key:
    """Return where an event that a site reported is kept."""
    return Key(
        table=Table.ENERGY_METRICS, pk=f"EVENT#{site}#{at:%Y%m}", sk=f"{epoch_ms(at):015d}#{epoch:015d}#{seq:012d}"
    )


def asset_quarter(table: Table, site: SiteId, device: str, begin_ms: int, metric_set: str) -> Key:
    """Return where a quarter of one device is kept."""
    at = instant(begin_ms)
    return Key(table=table, pk=f"ASSET#{site}/{device}#{at:%Y%m}", sk=f"{_iso_minute(at)}#{metric_set}")


def feeder_sample(feeder: SiteId, at: datetime) -> Key:
    """Return where a feeder's loading at a second is kept."""
    return Key(table=Table.GRID_METRICS, pk=f"NODE#{feeder}#{at:%Y%m%d}", sk=f"{epoch_ms(at) // 1000:010d}")


def feeder_state(feeder: SiteId) -> Key:
    """Return where the grid agent keeps what it is doing about a feeder."""
    return Key(table=Table.GRID_METRICS, pk=f"NODE#{feeder}", sk="STATE")


def grid_event(feeder: SiteId, event_id: str) -> Key:
    """Return where a demand-response event is kept."""
    return Key(table=Table.GRID_METRICS, pk=f"NODE#{feeder}", sk=f"EVENT#{event_id}")


def grid_evidence(event_id: str, number: int) -> Key:
    """Return where one record of an event's evidence is kept."""
    return Key(table=Table.GRID_METRICS, pk=f"EVIDENCE#{event_id}", sk=f"{number:08d}")


def command(site: SiteId, command_id: str) -> Key:
    """Return where a command and the answers to it are kept."""
    return Key(table=Table.GRID_METRICS, pk=f"COMMAND#{site}", sk=command_id)


def command_seq(issuer: str, site: SiteId) -> Key:
    """Return where the last number that an issuer gave to a site's command is kept."""
    return Key(table=Table.GRID_METRICS, pk=f"ISSUER#{issuer}", sk=site)


def forecast(site: SiteId, kind: str, issued_at: datetime, start: datetime) -> Key:
    """Return where one issue of a forecast is kept; a zone's price forecast stands under the zone's name."""
    return Key(
        table=Table.FORECAST_DATA,
        pk=f"SITE#{site}#{kind}",
        sk=f"{epoch_ms(issued_at):015d}#{epoch_ms(start):015d}",
    )


def site_history(site: SiteId, day: datetime) -> Key:
    """Return where the quarters of one UTC day of a site are kept, from which forecasts are made."""
    return Key(table=Table.FORECAST_DATA, pk=f"SITE#{site}#history", sk=f"{day.astimezone(UTC):%Y%m%d}")


def day_ahead(zone: ZoneId, day: datetime) -> Key:
    """Return where the published prices of one UTC day of a zone are kept, by quarter of an hour."""
    return Key(table=Table.FORECAST_DATA, pk=f"SITE#{zone}#day-ahead", sk=f"{day.astimezone(UTC):%Y%m%d}")


def day_ahead_state(zone: ZoneId) -> Key:
    """Return where it is kept when a zone's provider of prices may be asked next, and its last fault."""
    return Key(table=Table.FORECAST_DATA, pk=f"SITE#{zone}#day-ahead-state", sk="CURRENT")


def weather(zone: ZoneId, cell: str, day: datetime) -> Key:
    """Return where the hours of weather of one UTC day are kept for a cell of places."""
    return Key(table=Table.FORECAST_DATA, pk=f"SITE#{zone}#weather#{cell}", sk=f"{day.astimezone(UTC):%Y%m%d}")


def weather_state(zone: ZoneId, cell: str) -> Key:
    """Return where it is kept when the weather of a cell may be asked for next."""
    return Key(table=Table.FORECAST_DATA, pk=f"SITE#{zone}#weather-state", sk=cell)


def market(zone: ZoneId, interval_start: datetime | None) -> str:
    """Return the partition of a product, or of the zone's market as a whole."""
    return f"MKT#{zone}" if interval_start is None else f"MKT#{zone}#{_iso_minute(interval_start)}"


def market_item(zone: ZoneId, interval_start: datetime | None, what: str) -> Key:
    """Return where a part of a product's record is kept: ``CLEAR``, ``SETTLED`` or ``ORDER#<site>#<order>``."""
    return Key(table=Table.MARKET_DATA, pk=market(zone, interval_start), sk=what)


def trade_item(zone: ZoneId, interval_start: datetime, what: str) -> Key:
    """Return where a trade (``TRADE#<id>``) or a ledger line (``LEDGER#<number>``) is kept."""
    return Key(table=Table.TRADE_DATA, pk=market(zone, interval_start), sk=what)


def call_record(at: datetime, record: str) -> Key:
    """Return where one call of an agent's skill is kept, among those of its UTC day."""
    day = at.astimezone(UTC)
    return Key(table=Table.GRID_METRICS, pk=f"CALLS#{day:%Y%m%d}", sk=f"{epoch_ms(at):015d}#{record}")


def call_key(caller: str, key: str) -> Key:
    """Return where it is kept what a caller's idempotency key was used for."""
    return Key(table=Table.GRID_METRICS, pk=f"CALLKEY#{caller}", sk=key)


def conversation(at: datetime, record: str) -> Key:
    """Return where a model's answer to a question is kept with its transcript, among those of its UTC day."""
    day = at.astimezone(UTC)
    return Key(table=Table.GRID_METRICS, pk=f"ASKED#{day:%Y%m%d}", sk=record)


def live_event(channel: str, seq: int) -> Key:
    """Return where one event of a live channel is kept."""
    return Key(table=Table.GRID_METRICS, pk=f"LIVE#{channel}", sk=f"{seq:015d}")


def a2a_task(agent: str, owner: str, task: str) -> Key:
    """Return where a task that an agent was given by another organisation's is kept."""
    return Key(table=Table.GRID_METRICS, pk=f"A2ATASK#{agent}#{owner}", sk=task)


def a2a_open(agent: str, owner: str, task: str) -> Key:
    """Return where it is noted that such a task has not ended."""
    return Key(table=Table.GRID_METRICS, pk=f"A2AOPEN#{agent}", sk=f"{owner}#{task}")


def a2a_push(agent: str, task: str, owner: str, config: str) -> Key:
    """Return where an address is kept that is told how a task goes on."""
    return Key(table=Table.GRID_METRICS, pk=f"A2APUSH#{agent}#{task}", sk=f"{owner}#{config}")


def _iso_minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
