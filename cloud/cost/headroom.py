"""How near a fleet comes to what AWS allows an account, a stream or a key by default: which bound is reached first.

A load is worked out from the same messages as the bill; a bound is a default quota, most of which AWS raises on
request. What happens to all sites at once (the end of a delivery interval, the return after an outage) is spread over
the seconds that ``Bursts`` names.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from cloud.cost.capacity import held_ready
from cloud.cost.estimate import (
    FORECAST_TICK,
    INTERVALS,
    MONTH_S,
    Activity,
    _dynamodb,
    _ticks_a_month,
    _up_messages,
    shards,
    table_loads,
)
from cloud.cost.prices import PRICES
from cloud.cost.volumes import Site, telemetry_of
from cloud.infra.rules import CONSUMERS, SCHEDULES, Carrier, Stream
from cloud.infra.tables import Capacity
from cloud.stores.tables import Table


@dataclass(frozen=True, kw_only=True)
class Bursts:
    """Over how many seconds comes what every site does at the same moment.

    Args:
        notices_s: What sites are told after a clearing: zones clear as their schedules fire.
        reconnect_s: Reconnections after an outage of the broker or of a provider, with full jitter.
        tick_s: Schedules of all zones, which fire within the same minute.
        tick_ms: Run time of one of them.
    """

    notices_s: float = 60.0
    reconnect_s: float = 300.0
    tick_s: float = 60.0
    tick_ms: float = 500.0


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One bound and the load on it; ``then`` says what happens there, and what is to be done before."""

    what: str
    load: float
    bound: float
    raised: bool
    then: str
    source: str

    @property
    def share(self) -> float:
        """Return which share of the bound is used."""
        return self.load / self.bound


def headroom(
    site: Site, *, sites: int, does: Activity | None = None, bursts: Bursts | None = None
) -> tuple[Bound, ...]:
    """Return every bound with the load of so many sites on it, the tightest first."""
    found = _bounds(site, sites, does or Activity(), bursts or Bursts())
    return tuple(sorted(found, key=lambda bound: -bound.share))


def _bounds(site: Site, sites: int, does: Activity, bursts: Bursts) -> Iterator[Bound]:
    told = telemetry_of(site)
    up = _up_messages(told, does)
    zones = max(1, sites / does.sites_per_zone)
    carriers = shards(told, up, sites, does)
    outlooks = _ticks_a_month(FORECAST_TICK)
    notices_s = sites * (INTERVALS * does.notices + outlooks + does.commands) / MONTH_S
    yield Bound(
        what="MQTT connections of an account",
        load=sites,
        bound=500_000,
        raised=True,
        then="new gateways are refused; ask for more, or a second account for other zones",
        source="AWS IoT Core quotas: maximum concurrent client connections per account",
    )
    yield Bound(
        what="connections a second, after an outage",
        load=sites / bursts.reconnect_s,
        bound=500,
        raised=True,
        then="gateways come back later, each with its outbox: nothing is lost",
        source="AWS IoT Core quotas: connect requests per second per account",
    )
    yield Bound(
        what="messages in a second, at an interval's end",
        load=sites / does.interval_end_s + sites * sum(up.values()) / MONTH_S,
        bound=20_000,
        raised=True,
        then="readings wait in the outbox and come within the next minutes, before they are settled",
        source="AWS IoT Core quotas: inbound publish requests per second per account",
    )
    yield Bound(
        what="messages out a second, after a clearing",
        load=sites / bursts.notices_s + notices_s,
        bound=20_000,
        raised=True,
        then="a site hears its trades later; it asks for what it missed",
        source="AWS IoT Core quotas: outbound publish requests per second per account",
    )
    yield Bound(
        what="evaluations of rules a second",
        load=sites / does.interval_end_s + sites * sum(up.values()) / MONTH_S,
        bound=20_000,
        raised=True,
        then="messages wait for their rule or are lost to it; ask for more before",
        source="AWS IoT Core quotas: rule evaluations per second per account",
    )
    yield Bound(
        what="shards of all streams",
        load=sum(carriers.values()),
        bound=500,
        raised=True,
        then="a stream cannot be widened; ask for more before",
        source="Kinesis Data Streams quotas: shards per account, provisioned mode, large Regions",
    )
    at_once = sum(carriers[carrier] * _readers(carrier) for carrier in Carrier)
    ticks = zones * len(SCHEDULES) * bursts.tick_ms / 1000 / bursts.tick_s
    yield Bound(
        what="functions at once",
        load=at_once + ticks,
        bound=1000,
        raised=True,
        then="schedules are late and streams wait; nothing is lost within the streams' 24 hours",
        source="AWS Lambda quotas: concurrent executions per account",
    )
    yield Bound(
        what="schedules fired a second",
        load=zones * len(SCHEDULES) / bursts.tick_s,
        bound=500,
        raised=True,
        then="a clearing begins later; orders and readings carry the market's time forward too",
        source="EventBridge Scheduler quotas: invocations throttle limit",
    )
    writes = sum(line.quantity for line in _dynamodb(told, up, does, PRICES) if "writes" in line.what) / MONTH_S
    yield Bound(
        what="write units a second of a table",
        load=sites * writes,  # Were all of them in one table: the largest holds about half.
        bound=40_000,
        raised=True,
        then="functions are refused and try again: streams wait",
        source="DynamoDB quotas: on-demand table write request units, default",
    )
    market = sum(line.quantity for line in _dynamodb(told, up, does, PRICES) if "market" in line.what) / MONTH_S
    yield Bound(
        what="write units a second of one zone's interval",
        load=does.sites_per_zone * market,
        bound=1000,
        raised=False,
        then="one zone has too many sites: split it, lines between zones couple their prices",
        source="DynamoDB developer guide: 1,000 write units per second per partition",
    )
    yield Bound(
        what="orders a second of one zone's writer",
        load=does.sites_per_zone * up[Stream.ORDERS] / MONTH_S,
        bound=1000 / does.record_ms,
        raised=False,
        then="one zone has too many sites: split it; a writer takes its orders one after the other",
        source="one writer a zone, at the billed time of one record (cloud.cost.estimate.Activity.record_ms)",
    )


def _readers(carrier: Carrier) -> int:
    return sum(1 for consumer in CONSUMERS if consumer.stream.carrier is carrier)


def capacity_for(sites: int) -> dict[Table, Capacity]:
    """Return what is held ready of each table that is not on demand for so many usual sites."""
    told, does = telemetry_of(Site()), Activity()
    return held_ready(table_loads(told, _up_messages(told, does), does), sites)


def shards_for(sites: int) -> dict[Carrier, int]:
    """Return how many shards each carrier needs for so many usual sites."""
    told, does = telemetry_of(Site()), Activity()
    return shards(told, _up_messages(told, does), sites, does)
