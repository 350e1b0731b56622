"""The keys of the seven tables, built here only; never a timestamp as a partition key.

Sort keys that are numbers are padded, so that the order of the text is the order of the numbers.
"""

from datetime import UTC, datetime
from typing import Final

from cloud.stores.tables import IndexKey, Key, Table
from contracts.market import Side
from contracts.units import DELIVERY_INTERVAL_S, SiteId, ZoneId, epoch_ms, instant

# The aggregates of one delivery interval, and the newest values of a site, by the last part of their key.
METRIC_SET: Final = "quarter"
LATEST: Final = "LATEST"
STATUS: Final = "STATUS"
ALARMS: Final = "ALARMS"
DOUBTED: Final = "DOUBTED"
# The single items of a market.
FENCE: Final = "FENCE"
STORED: Final = "STORED"
SNAPSHOT: Final = "SNAPSHOT"
# The single items of a product.
STATE: Final = "STATE"
CLEAR: Final = "CLEAR"
# What the sort keys of many items begin with.
ORDERS: Final = "ORDER#"
JOURNAL: Final = "JOURNAL#"
ARCHIVE: Final = "ARCHIVE#"
TRADES: Final = "TRADE#"
SIDES: Final = "SIDE#"
LEDGER: Final = "LEDGER#"
SETTLED: Final = "SETTLED#"
CLAIM: Final = "DR#"
GRID_EVENTS: Final = "EVENT#"
REFUSALS: Final = "REFUSED#"
REGISTRY: Final = Key(table=Table.GRID_METRICS, pk="REGISTRY", sk="CURRENT")
GATEWAYS: Final = "GATEWAY"
ERASURES: Final = "ERASURE"
LEASES: Final = "LEASES"
LEASE: Final = "LEASE#"
MEMBER: Final = "MEMBER#"
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
    """Return where the newest state of a site is kept (its status, its last measurement, its alarms)."""
    return Key(table=Table.ENERGY_METRICS, pk=f"SITE#{site}", sk=what)


def refusal(site: SiteId, kind: str) -> Key:
    """Return where a site's refused messages of a kind are counted."""
    return site_state(site, f"{REFUSALS}{kind}")


def site_event(site: SiteId, at: datetime, epoch: int, seq: int) -> Key:
    """Return where an event that a site reported is kept."""
    return Key(
        table=Table.ENERGY_METRICS,
        pk=site_events(site, f"{at:%Y%m}"),
        sk=f"{epoch_ms(at):015d}#{epoch:015d}#{seq:012d}",
    )


def site_events(site: SiteId, month: str) -> str:
    """Return the partition of a site's events of a month, written ``YYYYMM``."""
    return f"EVENT#{site}#{month}"


def asset_quarter(table: Table, site: SiteId, device: str, begin_ms: int, metric_set: str) -> Key:
    """Return where a quarter of one device is kept."""
    at = instant(begin_ms)
    return Key(table=table, pk=f"ASSET#{site}/{device}#{at:%Y%m}", sk=f"{_iso_minute(at)}#{metric_set}")


def feeder_sample(feeder: SiteId, at: datetime) -> Key:
    """Return where a feeder's loading at a second is kept."""
    return Key(table=Table.GRID_METRICS, pk=f"NODE#{feeder}#{at:%Y%m%d}", sk=f"{epoch_ms(at) // 1000:010d}")


def feeder_rest(feeder: SiteId, interval_start: datetime) -> Key:
    """Return where it is kept what a feeder carried beside its sites in a delivery interval."""
    return Key(table=Table.GRID_METRICS, pk=f"NODE#{feeder}#REST", sk=_iso_minute(interval_start))


def feeder_state(feeder: SiteId) -> Key:
    """Return where the grid agent keeps what it is doing about a feeder."""
    return Key(table=Table.GRID_METRICS, pk=f"NODE#{feeder}", sk="STATE")


def feeder_request(feeder: SiteId) -> Key:
    """Return where it stands that a feeder is to be held below a lower limit for a while."""
    return Key(table=Table.GRID_METRICS, pk=f"NODE#{feeder}", sk="REQUEST")


def grid_event(feeder: SiteId, event_id: str) -> Key:
    """Return where a demand-response event is kept."""
    return Key(table=Table.GRID_METRICS, pk=f"NODE#{feeder}", sk=f"{GRID_EVENTS}{event_id}")


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


def load_wind_sun(zone: ZoneId, day: datetime) -> Key:
    """Return where the published load, wind and sun of one UTC day of a zone are kept, by quarter of an hour in MW."""
    return Key(table=Table.FORECAST_DATA, pk=f"SITE#{zone}#load-wind-sun", sk=f"{day.astimezone(UTC):%Y%m%d}")


def load_wind_sun_state(zone: ZoneId) -> Key:
    """Return where it is kept when a zone's provider of them may be asked next, and its last fault."""
    return Key(table=Table.FORECAST_DATA, pk=f"SITE#{zone}#load-wind-sun-state", sk="CURRENT")


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
    """Return where a part of a product's record (``STATE``, ``CLEAR``) or of a market's (``FENCE``, ...) is kept."""
    return Key(table=Table.MARKET_DATA, pk=market(zone, interval_start), sk=what)


def market_order(zone: ZoneId, interval_start: datetime, site: SiteId, order_id: str) -> Key:
    """Return where the newest state of an order is kept."""
    return market_item(zone, interval_start, f"{orders_of(site)}{order_id}")


def orders_of(site: SiteId) -> str:
    """Return what the sort keys of a site's orders begin with."""
    return f"{ORDERS}{site}#"


def market_products(zone: ZoneId, interval_start: datetime) -> IndexKey:
    """Return under which index key the states of a zone's products are found by time."""
    return IndexKey(pk=market(zone, None), sk=interval_text(interval_start))


def interval_text(at: datetime) -> str:
    """Return an instant as the index by time has it, to the minute."""
    return _iso_minute(at)


def journal_entry(zone: ZoneId, position: int) -> Key:
    """Return where an entry of a market's journal is kept."""
    return market_item(zone, None, f"{JOURNAL}{position:012d}")


def journal_position(key: Key) -> int:
    """Return the position of the journal entry that is kept under a key."""
    return int(key.sk.removeprefix(JOURNAL))


def archive_piece(zone: ZoneId, first: int, number: int) -> Key:
    """Return where a piece of the archive that begins with an entry is kept; ``number`` counts from 0."""
    return market_item(zone, None, f"{ARCHIVE}{first:012d}#{number:04d}")


def archive_first(key: Key) -> int:
    """Return with which entry the archive begins whose piece is kept under a key."""
    return int(key.sk.split("#")[1])


def snapshot_piece(zone: ZoneId, position: int, number: int) -> Key:
    """Return where a piece of the snapshot at a position is kept; ``number`` counts from 0."""
    return market_item(zone, None, f"{SNAPSHOT}#{position:012d}#{number:04d}")


def trade_item(zone: ZoneId, interval_start: datetime, what: str) -> Key:
    """Return where a part of what was traded and settled in a delivery interval is kept."""
    return Key(table=Table.TRADE_DATA, pk=market(zone, interval_start), sk=what)


def trade(zone: ZoneId, interval_start: datetime, trade_id: str) -> Key:
    """Return where a trade is kept."""
    return trade_item(zone, interval_start, f"{TRADES}{trade_id}")


def trade_side(zone: ZoneId, interval_start: datetime, trade_id: str, side: Side) -> Key:
    """Return where one side's copy of a trade is kept."""
    return trade_item(zone, interval_start, f"{SIDES}{trade_id}#{side.value.upper()}")


def ledger_line(zone: ZoneId, interval_start: datetime, number: int) -> Key:
    """Return where a line of the ledger is kept."""
    return trade_item(zone, interval_start, f"{LEDGER}{number:012d}")


def settlement(zone: ZoneId, interval_start: datetime, site: SiteId, version: int) -> Key:
    """Return where a version of a site's settlement is kept."""
    return trade_item(zone, interval_start, f"{SETTLED}{site}#{version:04d}")


def claim(zone: ZoneId, interval_start: datetime, event: str, site: SiteId) -> Key:
    """Return where a site's claim for demand response in an event is kept."""
    return trade_item(zone, interval_start, f"{CLAIM}{event}#{site}")


def site_month(site: SiteId, at: datetime) -> str:
    """Return under which index partition a site's trades and settlements of a month of UTC are found."""
    return f"{site}#{at.astimezone(UTC):%Y%m}"


def site_trade(site: SiteId, interval_start: datetime, key: Key) -> IndexKey:
    """Return under which index key a trade or settlement is found among a site's."""
    return IndexKey(pk=site_month(site, interval_start), sk=f"{_iso_minute(interval_start)}#{key.sk}")


def site_trades_from(interval_start: datetime) -> str:
    """Return the index's first sort key of what a site traded for a delivery interval, and of all that follow."""
    return f"{_iso_minute(interval_start)}#"


def gateway(serial: str) -> Key:
    """Return where a gateway's serial is kept with what it may register as."""
    return Key(table=Table.GRID_METRICS, pk=GATEWAYS, sk=serial)


def erasure(site: SiteId) -> Key:
    """Return where it stands, while a site is being erased, what stands in its place."""
    return Key(table=Table.GRID_METRICS, pk=ERASURES, sk=site)


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


def proposal_decision(proposal: str) -> Key:
    """Return where a person's word on a model's proposal is kept."""
    return Key(table=Table.GRID_METRICS, pk="PROPOSAL", sk=proposal)


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


def letter_waiting(peer: str, number: int) -> Key:
    """Return where a letter to another organisation's agent waits for its turn."""
    return Key(table=Table.GRID_METRICS, pk="A2AWAITING", sk=f"{peer}#{number:015d}")


def letter(peer: str, number: int) -> Key:
    """Return where a letter stands that was answered or given up."""
    return Key(table=Table.GRID_METRICS, pk="A2ALETTER", sk=f"{peer}#{number:015d}")


def letter_count(peer: str) -> Key:
    """Return where the number of the last letter to a peer is kept."""
    return Key(table=Table.GRID_METRICS, pk="A2ALETTERS", sk=peer)


def join(zone: ZoneId, site: SiteId) -> Key:
    """Return where a site's request to take part in a zone's market is kept, and what was decided."""
    return Key(table=Table.GRID_METRICS, pk="JOIN", sk=f"{zone}#{site}")


def programme(feeder: SiteId) -> Key:
    """Return where it is kept what relief is paid at a feeder, where it was changed since the registry was written."""
    return Key(table=Table.GRID_METRICS, pk="PROGRAMME", sk=feeder)


def peer_key(peer: str) -> Key:
    """Return where the key is kept that signed a peer's card when it was first seen."""
    return Key(table=Table.GRID_METRICS, pk="A2APEERKEY", sk=peer)


def lease(part: str) -> Key:
    """Return where it is kept which process does a part of a cloud's work."""
    return Key(table=Table.GRID_METRICS, pk=LEASES, sk=f"{LEASE}{part}")


def lease_fence(part: str) -> Key:
    """Return the item whose version rises whenever a part changes hands."""
    return Key(table=Table.GRID_METRICS, pk=LEASES, sk=f"FENCE#{part}")


def lease_member(process: str) -> Key:
    """Return where a process of a cloud says that it lives."""
    return Key(table=Table.GRID_METRICS, pk=LEASES, sk=f"{MEMBER}{process}")


def _iso_minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%MZ}"
