"""What the tables prove about a run: read only, while the cloud runs or after it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cloud.errors import StoreError
from cloud.local.opening import TABLES_FILE, ask_streams, open_tables, tables_place
from cloud.shell.market.projection import committed_upto
from cloud.stores import keys
from cloud.stores.registry import Registry, load_registry
from cloud.stores.sequence import Seen
from cloud.stores.tables import Table, Tables, prefix
from contracts.market import OrderStatus, ProductState
from contracts.topics import Up
from contracts.units import SiteId, ZoneId, instant

_CLEARED: Final = frozenset(
    {
        ProductState.CLEARED,
        ProductState.DELIVERED,
        ProductState.METERED,
        ProductState.SETTLED,
        ProductState.CORRECTED,
    }
)
_SETTLED: Final = frozenset({ProductState.SETTLED, ProductState.CORRECTED})


@dataclass(frozen=True, kw_only=True)
class CloudReport:
    """Everything in plain JSON values, in the shape of the demonstration's report."""

    intervals: list[dict[str, Any]]
    ledger: dict[str, int]
    orders: dict[str, int]
    telemetry: dict[str, int]
    channels: dict[str, dict[str, int]]
    dr_events: list[dict[str, Any]]
    dr_claims: list[dict[str, Any]]
    refused: int
    streams: dict[str, int]


@contextmanager
def opened(folder: Path) -> Iterator[Tables]:
    """Open a local cloud's tables to read them.

    Raises:
        StoreError: There are none, or they cannot be opened.
    """
    place = tables_place(folder)
    if place is None:
        raise StoreError(f"{folder} holds no {TABLES_FILE}: no cloud has run there")
    tables = open_tables(place, read_only=True)
    try:
        yield tables
    finally:
        tables.close()


def read_report(folder: Path) -> CloudReport:
    """Return what the stores of a local cloud prove, given its folder.

    Raises:
        StoreError: They are not there or cannot be read.
        SetupError: They hold no registry: the cloud never ran.
    """
    with opened(folder) as tables:
        registry = load_registry(tables)
        channels = {
            channel.value: channel_counts(tables, registry, channel) for channel in Up if channel is not Up.STATUS
        }
        zones = [zone.id for zone in registry.zones]
        return CloudReport(
            intervals=[interval for zone in zones for interval in intervals(tables, zone)],
            ledger=ledger(tables, zones),
            orders=orders(tables, zones, sent=channels[Up.ORDERS]["published"]),
            telemetry=channels[Up.TELEMETRY],
            channels=channels,
            dr_events=dr_events(tables, registry),
            dr_claims=[one for zone in zones for one in dr_claims(tables, zone)],
            refused=sum(refusals(tables, member) for member in registry.members()),
            streams=ask_streams(folder, lambda streams: streams.counters()),
        )


def products(tables: Tables, zone: ZoneId) -> Sequence[dict[str, Any]]:
    """Return the public state of every product of a zone that has moved, the earliest first."""
    items = tables.query_index(Table.MARKET_DATA, keys.market(zone, None))
    return [item.body for item in items if item.key.sk == keys.STATE]


def intervals(tables: Tables, zone: ZoneId) -> list[dict[str, Any]]:
    """Return the delivery intervals whose clearing is committed, with price (mct per kWh), volume, trades and state."""
    upto = committed_upto(tables, zone)
    return [
        {
            "start": instant(body["interval_ms"]).isoformat(),
            "zone": zone,
            "price": body["price"],
            "volume_wh": body["volume_wh"],
            "trades": body["trades"],
            "state": body["state"],
            "settled": body["state"] in _SETTLED,
        }
        for body in products(tables, zone)
        if body["state"] in _CLEARED and body["position"] <= upto
    ]


def ledger_lines(tables: Tables, zone: ZoneId) -> Iterator[dict[str, Any]]:
    """Yield every ledger line of a zone that is committed, product by product."""
    upto = committed_upto(tables, zone)
    for product in products(tables, zone):
        partition = keys.market(zone, instant(product["interval_ms"]))
        for item in tables.query(Table.TRADE_DATA, partition, **prefix(keys.LEDGER)):
            if item.body["position"] <= upto:
                yield item.body


def ledger(tables: Tables, zones: Sequence[ZoneId]) -> dict[str, int]:
    """Return how many lines there are and what they sum to: zero in money and in energy, or something is broken."""
    lines = [line for zone in zones for line in ledger_lines(tables, zone)]
    return {
        "sum": sum(line["money_uct"] for line in lines),
        "energy_sum": sum(line["energy_wh"] for line in lines),
        "lines": len(lines),
    }


def orders(tables: Tables, zones: Sequence[ZoneId], *, sent: int) -> dict[str, int]:
    """Return how many orders were sent, taken and refused, and how many traded at least in part, once committed."""
    bodies = []
    for zone in zones:
        upto = committed_upto(tables, zone)
        for product in products(tables, zone):
            pk = keys.market(zone, instant(product["interval_ms"]))
            items = tables.query(Table.MARKET_DATA, pk, **prefix(keys.ORDERS))
            bodies += [item.body for item in items if item.body["position"] <= upto]
    rejected = sum(body["status"] == OrderStatus.REJECTED for body in bodies)
    return {
        "sent": sent,
        "accepted": len(bodies) - rejected,
        "rejected": rejected,
        "traded": sum(body["traded_wh"] > 0 for body in bodies),
    }


def seen_by_epoch(tables: Tables, member: SiteId, channel: Up) -> dict[int, Seen]:
    """Return which messages of a gateway's channel have come, by the epoch of its journal."""
    items = tables.query(Table.ENERGY_METRICS, keys.sequence(member, channel, 0).pk)
    return {int(item.key.sk): Seen.from_body(item.body) for item in items}


def channel_counts(tables: Tables, registry: Registry, channel: Up) -> dict[str, int]:
    """Return what was published as far as the numbers tell, stored, lost and duplicated, over all gateways."""
    seen = [one for member in registry.members() for one in seen_by_epoch(tables, member, channel).values()]
    return {
        "published": sum(one.highest for one in seen),
        "stored": sum(one.stored for one in seen),
        "lost": sum(one.lost for one in seen),
        "duplicated": sum(one.duplicated for one in seen),
    }


def dr_events(tables: Tables, registry: Registry) -> list[dict[str, Any]]:
    """Return the demand-response events of all feeders, the earliest first."""
    found = [
        item.body
        for feeder in registry.feeders
        for item in tables.query(Table.GRID_METRICS, keys.feeder_state(feeder.id).pk, **prefix(keys.GRID_EVENTS))
    ]
    return sorted(found, key=lambda body: str(body["detected_at"]))


def dr_claims(tables: Tables, zone: ZoneId) -> list[dict[str, Any]]:
    """Return what sites claim of events, with baseline, method and flags, taken or refused, and what it came to.

    ``paid_uct`` is what the site owes (negative: is paid) by its newest settlement, ``None`` before the first.
    """
    upto = committed_upto(tables, zone)
    found = []
    for product in products(tables, zone):
        partition = keys.market(zone, instant(product["interval_ms"]))
        claims = tables.query(Table.TRADE_DATA, partition, **prefix(keys.CLAIM))
        newest = {
            item.body["site"]: item.body["demand_response_uct"]
            for item in (tables.query(Table.TRADE_DATA, partition, **prefix(keys.SETTLED)) if claims else ())
            if item.body["position"] <= upto
        }
        for item in claims:
            if item.body["position"] <= upto:
                paid_uct = newest.get(item.body["site"]) if item.body["taken"] else 0
                found.append({**item.body, "paid_uct": paid_uct})
    return found


def evidence(tables: Tables, event_id: str) -> list[dict[str, Any]]:
    """Return the evidence of an event in the order in which it was recorded."""
    return [item.body for item in tables.query(Table.GRID_METRICS, keys.grid_evidence(event_id, 0).pk)]


def refusals(tables: Tables, member: SiteId) -> int:
    """Return how many messages of a gateway could not be taken."""
    pk = keys.site_state(member, "").pk
    return sum(item.body["count"] for item in tables.query(Table.ENERGY_METRICS, pk, **prefix(keys.REFUSALS)))
