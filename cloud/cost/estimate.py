"""What a site costs at AWS in a month, part by part, beside the design that sends every sample on its own.

A part is a quantity times a price. Quantities follow the handlers: which items they write for a message, in a
transaction (two units for one) or not, and which messages come of an interval. What cannot be derived is an assumption
of ``Activity``, by name.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

from cloud.cost import keeping
from cloud.cost.capacity import ALARMS_A_TABLE, Load, TableLoad, held_ready
from cloud.cost.prices import PRICES, Prices
from cloud.cost.volumes import (
    Site,
    Telemetry,
    broadcast_bytes,
    chunks,
    forecast_bytes,
    forecast_item_bytes,
    history_item_bytes,
    journal_order_bytes,
    meter_bytes,
    order_bytes,
    outlook_bytes,
    telemetry_of,
    trades_bytes,
)
from cloud.infra.rules import CONSUMERS, RULES, SCHEDULES, Carrier, Stream
from cloud.infra.tables import LAKE
from cloud.shell.aggregates import KEEP_AGGREGATES_D
from cloud.shell.forecast.issuing import KEEP_FORECASTS_D
from cloud.shell.forecast.site_history import HISTORY_DAYS, QUARTERS_AGAIN
from cloud.stores.tables import Table
from contracts.units import DELIVERY_INTERVAL_S

GOAL_USD = 0.10
FORECAST_TICK = "forecast-tick"
DAYS = 30
MONTH_S = DAYS * 86_400
INTERVALS = MONTH_S // DELIVERY_INTERVAL_S
KIB = 1024
# Source: AWS IoT Core, a message is each started 5 KB; DynamoDB, a write unit is 1 KB and a read unit 4 KB, both twice
# in a transaction; Kinesis, a put unit is 25 KB, a shard takes 1 MB/s and 1,000 records/s and gives 2 MB/s.
IOT_BYTES, WRITE_BYTES, READ_BYTES, PUT_BYTES = 5 * KIB, KIB, 4 * KIB, 25 * KIB
SHARD_BYTES_S, SHARD_RECORDS_S, SHARD_READ_BYTES_S = 1_000_000, 1_000, 2_000_000
TRANSACTION = 2
# Products whose state moves, for each site and interval: a zone's few, shared by its sites.
STATES_INDEXED = 0.15


@dataclass(frozen=True, kw_only=True)
class Activity:
    """What no message size tells; each a usual value of a trading site, to be overruled.

    Args:
        orders: Order messages in a delivery interval.
        trade_sides: Sides of trades that come of them.
        resting_share: Of the orders that rest in the book first: in a market of calls alone all of them.
        notices: Messages of the market to the site in an interval: taken in, cleared, settled.
        broadcasts: Public messages to a zone's watchers in an interval: the product's states.
        commands: Demand-response commands in a month, each acknowledged in ``acks`` steps.
        reconnects: A day.
        function_ms: Billed time of one invocation without its records, and ``record_ms`` of one record: mostly the
            wait for DynamoDB.
        forecast_ms: Billed time of one site's forecast, within its zone's.
        polls_per_s: Batches that Lambda takes from a busy shard each second.
        sites_per_zone: Sites that share a market, and its ticks.
        lake_bytes: Parquet bytes of one sample, measured on our own encoder.
        interval_end_s: Within which all readings of an interval come: each gateway waits a time of its own
            (``telemetry.reading_spread_s`` of its file, whose default this is).
    """

    orders: float = 2
    trade_sides: float = 1
    resting_share: float = 1
    notices: float = 3
    broadcasts: float = 7
    commands: float = 20
    acks: float = 4
    reconnects: float = 1
    function_ms: float = 10
    record_ms: float = 25
    forecast_ms: float = 25
    function_gb: float = 0.5
    polls_per_s: float = 1
    sites_per_zone: int = 200
    lake_bytes: float = 2.5
    interval_end_s: float = 30.0


class Purpose(StrEnum):
    """What a part of the bill is paid for."""

    REPORTING = "telemetry, readings, connection"
    MARKET = "market, settlement, commands"
    FORECASTS = "forecasts"
    KEEPING = "books, recovery, copies, the stack itself"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One part of the bill of one site-month."""

    service: str
    what: str
    quantity: float
    usd: float
    purpose: Purpose = Purpose.REPORTING


@dataclass(frozen=True, kw_only=True)
class Bill:
    """The bill of one site-month."""

    lines: tuple[Line, ...]

    @property
    def usd(self) -> float:
        """Return the sum."""
        return sum(line.usd for line in self.lines)

    @property
    def dominant(self) -> Line:
        """Return the dearest part."""
        return max(self.lines, key=lambda line: line.usd)

    def by_service(self) -> dict[str, float]:
        """Return the sum of each service, the dearest first."""
        sums: dict[str, float] = {}
        for line in self.lines:
            sums[line.service] = sums.get(line.service, 0.0) + line.usd
        return dict(sorted(sums.items(), key=lambda pair: -pair[1]))

    def by_purpose(self) -> dict[Purpose, float]:
        """Return the sum of each purpose."""
        return {one: sum(line.usd for line in self.lines if line.purpose is one) for one in Purpose}


def our_bill(
    site: Site,
    *,
    sites: int,
    months: int = 1,
    copies: bool = False,
    private_network: bool = False,
    activity: Activity | None = None,
    prices: Prices = PRICES,
    basic_ingest: bool = True,
) -> Bill:
    """Return what one of so many equal sites costs in a month.

    Args:
        months: Which month of the stack; the market's books grow.
        copies: Whether the stack makes monthly copies (``deploy --backups``).
        private_network: Whether its functions are in a network of their own (``deploy --private-network``).
        basic_ingest: Whether gateways publish straight to the rules (the link for AWS does).
    """
    told, does = telemetry_of(site), activity or Activity()
    up = _up_messages(told, does)
    return Bill(
        lines=(
            *_iot(up, does, prices, basic_ingest=basic_ingest),
            *_kinesis(told, up, sites, does, prices),
            *_lambda(up, sites, does, prices),
            *_tables(told, up, sites, does, prices),
            *_lake(site, sites, does, prices),
            *_keeping(told, does, prices, sites=sites, months=months, copies=copies),
            *_once(prices, sites=sites, private_network=private_network),
        )
    )


def naive_bill(site: Site, *, prices: Prices = PRICES, activity: Activity | None = None) -> Bill:
    """Return what the same samples cost with one message, one invocation and one item each, through the broker."""
    does = activity or Activity()
    samples = site.points * site.rate_hz * MONTH_S
    return Bill(
        lines=(
            _line("iot", "connection minutes", MONTH_S / 60, prices.iot_connection_minutes_million / 1e6),
            _line("iot", "messages", samples, prices.iot_messages_million / 1e6),
            _line("iot", "rules and actions", samples, _rule(prices) / 1e6),
            *_invocations("one for each sample", samples, samples, does, prices),
            _line("dynamodb", "writes, one item a sample", samples, prices.dynamodb_writes_million / 1e6),
        )
    )


def _line(service: str, what: str, quantity: float, price: float, *, purpose: Purpose = Purpose.REPORTING) -> Line:
    return Line(service=service, what=what, quantity=quantity, usd=quantity * price, purpose=purpose)


def _purpose(stream: Stream) -> Purpose:
    return Purpose.MARKET if stream in (Stream.ORDERS, Stream.ACKS) else Purpose.REPORTING


def _ticks_a_month(name: str) -> float:
    """Return how often a schedule fires in a month for a zone: whole minutes at least."""
    return next(MONTH_S / max(60.0, schedule.every_s) for schedule in SCHEDULES if schedule.name == name)


def _rule(prices: Prices) -> float:
    return prices.iot_rules_million + prices.iot_actions_million


def _up_messages(told: Telemetry, does: Activity) -> dict[Stream, float]:
    """Return the messages that a site sends in a month, by stream; each is below 5 KB."""
    assert max(told.payload_bytes + 64, meter_bytes(), order_bytes()) <= IOT_BYTES, "a message is one message"
    return {
        Stream.TELEMETRY: MONTH_S / told.span_s,
        Stream.METER: INTERVALS,
        Stream.ORDERS: INTERVALS * does.orders,
        Stream.ACKS: does.commands * does.acks,
        Stream.EVENTS: DAYS,
        Stream.STATUS: DAYS * does.reconnects * 2,
    }


def _iot(up: dict[Stream, float], does: Activity, prices: Prices, *, basic_ingest: bool) -> Iterable[Line]:
    price = prices.iot_messages_million / 1e6
    direct = {rule.stream for rule in RULES if rule.basic_ingest and basic_ingest}
    through = sum(count for stream, count in up.items() if stream not in direct)
    # What is for a site is published, received and acknowledged by it: three messages. Public messages go to those who
    # watch the zone; the sites share what publishing them costs.
    notices = (INTERVALS * does.notices + does.commands) * (2 * chunks(trades_bytes(), IOT_BYTES) + 1)
    outlooks = _ticks_a_month(FORECAST_TICK) * (2 * chunks(outlook_bytes(), IOT_BYTES) + 1)
    states = INTERVALS * does.broadcasts * chunks(broadcast_bytes(), IOT_BYTES) / does.sites_per_zone
    forecasts = _ticks_a_month(FORECAST_TICK) * forecast_bytes() / IOT_BYTES
    subscribing = DAYS * does.reconnects * 3
    yield _line("iot", "connection minutes", MONTH_S / 60, prices.iot_connection_minutes_million / 1e6)
    yield _line("iot", "messages from the site (Basic Ingest is free)", through + subscribing, price)
    yield _line("iot", "notices and commands to the site, acknowledged", notices, price, purpose=Purpose.MARKET)
    yield _line("iot", "forecasts to the site, acknowledged", outlooks, price, purpose=Purpose.FORECASTS)
    yield _line("iot", "states of the market, shared by a zone", states, price, purpose=Purpose.MARKET)
    yield _line("iot", "forecasts of all sites, shared by a zone", forecasts, price, purpose=Purpose.FORECASTS)
    for purpose in (Purpose.REPORTING, Purpose.MARKET):
        count = sum(number for stream, number in up.items() if _purpose(stream) is purpose)
        yield _line("iot", f"rules and actions: {purpose}", count, _rule(prices) / 1e6, purpose=purpose)


def shards(told: Telemetry, up: dict[Stream, float], sites: int, does: Activity | None = None) -> dict[Carrier, int]:
    """Return the shards of each carrier: what is written, and what all its readers together read, must fit.

    The readings of an interval come after its end, within ``interval_end_s``.
    """
    at_once_s = sites / (does or Activity()).interval_end_s
    found: dict[Carrier, int] = {}
    for carrier in Carrier:
        carried = [stream for stream in Stream if stream.carrier is carrier]
        per_s = sites * sum(up[stream] for stream in carried) / MONTH_S
        bytes_s = per_s * (told.payload_bytes if carrier is Carrier.TELEMETRY else 600)
        readers = sum(1 for consumer in CONSUMERS if consumer.stream in carried)
        records_s = per_s + (at_once_s if Stream.METER in carried else 0.0)
        loads = (bytes_s / SHARD_BYTES_S, records_s / SHARD_RECORDS_S, readers * bytes_s / SHARD_READ_BYTES_S)
        found[carrier] = max(1, ceil(max(loads)))
    return found


def _kinesis(told: Telemetry, up: dict[Stream, float], sites: int, does: Activity, prices: Prices) -> Iterable[Line]:
    hours = sum(shards(told, up, sites, does).values()) * DAYS * 24
    puts = sum(up.values()) * chunks(told.payload_bytes, PUT_BYTES)
    yield _line("kinesis", "shard hours, shared by all sites", hours / sites, prices.kinesis_shard_hour)
    yield _line("kinesis", "put units", puts, prices.kinesis_put_units_million / 1e6)


def _lambda(up: dict[Stream, float], sites: int, does: Activity, prices: Prices) -> Iterable[Line]:
    """Yield the functions: a reader takes what has come, at most so often a second, or waits for its window."""
    for purpose in (Purpose.REPORTING, Purpose.MARKET):
        batches = records = 0.0
        for consumer in CONSUMERS:
            if _purpose(consumer.stream) is not purpose:
                continue
            count = up[consumer.stream]
            most = (1 / consumer.window_s if consumer.window_s else does.polls_per_s) * MONTH_S / sites
            batches += max(count / consumer.records_max, min(count, most))
            records += count
        yield from _invocations(str(purpose), batches, records, does, prices, purpose=purpose)
    ticks = sum(_ticks_a_month(schedule.name) for schedule in SCHEDULES) / does.sites_per_zone
    # A forecast takes each site of the zone in turn.
    forecasts = _ticks_a_month(FORECAST_TICK) * does.forecast_ms / does.record_ms
    yield from _invocations(
        "schedules, shared by a zone", ticks, ticks + forecasts, does, prices, purpose=Purpose.FORECASTS
    )


def _invocations(
    what: str,
    batches: float,
    records: float,
    does: Activity,
    prices: Prices,
    *,
    purpose: Purpose = Purpose.REPORTING,
) -> Iterable[Line]:
    gb_s = does.function_gb * (batches * does.function_ms + records * does.record_ms) / 1000
    yield _line("lambda", f"requests: {what}", batches, prices.lambda_requests_million / 1e6, purpose=purpose)
    yield _line("lambda", f"GB-seconds: {what}", gb_s, prices.lambda_gb_s, purpose=purpose)


@dataclass(frozen=True, kw_only=True)
class _Market:
    """Write units of one site and interval in the market's tables, where a transaction counts twice.

    ``orders``: each order taken in and, where it rests, answered once more, and its share of a journal entry.
    ``trades``: for each side half of a trade, the side and two ledger lines. ``settled``: a settlement and its
    imbalance line. ``indexed``: sides and settlements in their index.
    """

    orders: float
    trades: float
    settled: float
    indexed: float

    @property
    def units(self) -> float:
        """Return the sum."""
        return self.orders + self.trades + self.settled + self.indexed


def _market(does: Activity) -> _Market:
    return _Market(
        orders=TRANSACTION * does.orders * (1 + does.resting_share + journal_order_bytes() / WRITE_BYTES),
        trades=TRANSACTION * does.trade_sides * (0.5 + 1 + 2),
        settled=TRANSACTION * 2,
        indexed=does.trade_sides + 1,
    )


@dataclass(frozen=True, kw_only=True)
class _Reported:
    """Units of one site in a month for what it reports: the quarters of its devices, and all else that is kept."""

    quarters_written: float
    newest_written: float
    others_written: float
    quarters_read: float
    others_read: float


def _reported(told: Telemetry, up: dict[Stream, float]) -> _Reported:
    messages = up[Stream.TELEMETRY]
    others = sum(count for stream, count in up.items() if stream is not Stream.TELEMETRY)
    # Orders are only numbered here: what they say is the market's.
    kept = others - up[Stream.ORDERS]
    return _Reported(
        # An aggregate grows over its quarter; the write that finishes it is the dearest, and stands for all.
        quarters_written=messages * told.quarter_items * chunks(told.quarter_item_bytes, WRITE_BYTES),
        newest_written=messages * (chunks(told.latest_item_bytes, WRITE_BYTES) + 1),
        others_written=others + kept,
        quarters_read=messages * told.quarter_items,
        others_read=messages * 2 + others + kept,
    )


def _dynamodb(told: Telemetry, up: dict[Stream, float], does: Activity, prices: Prices) -> Iterable[Line]:
    """Yield the tables on demand, each unit paid for."""
    write, read = prices.dynamodb_writes_million / 1e6, prices.dynamodb_reads_million / 1e6
    units = _reported(told, up)
    reads, market = units.quarters_read + units.others_read, INTERVALS * _market(does).units
    yield _line("dynamodb", "writes: quarters of the devices", units.quarters_written, write)
    yield _line("dynamodb", "writes: newest values, numbers that have come", units.newest_written, write)
    yield _line("dynamodb", "writes: readings, events, numbers that have come", units.others_written, write)
    yield _line("dynamodb", "writes: market, trades, ledger", market, write, purpose=Purpose.MARKET)
    yield _line("dynamodb", "reads", reads, read)
    yield from _forecasts(told, prices)


def _kept_quarters(told: Telemetry, prices: Prices) -> Line:
    kept_gb = told.quarter_item_bytes * told.quarters_a_month * KEEP_AGGREGATES_D / DAYS / 1e9
    return _line("dynamodb", "GB-months of quarters", kept_gb, prices.dynamodb_gb_month)


def table_loads(told: Telemetry, up: dict[Stream, float], does: Activity) -> dict[Table, TableLoad]:
    """Return what one site asks of the tables that a large fleet holds capacity ready for.

    Sites are counted as consumers, the usual kind; a producer's quarters go to a table that stays on demand. What one
    site adds to a minute: its reading and the numbers of its orders; its orders, or the answers to them; its trades
    after a clearing. Forecasts come over the hour, a zone at a minute of its own. The market's three writers read in
    each other's journal what they did not write themselves, and a cold one reads all that is open.
    """
    units, market = _reported(told, up), _market(does)
    ticks, forecast = _ticks_a_month(FORECAST_TICK), _forecast_units(told)

    def monthly(count: float, *, burst: float = 0.0) -> Load:
        return Load(per_s=count / MONTH_S, burst=burst)

    def each_interval(count: float, *, burst: float) -> Load:
        return Load(per_s=count / DELIVERY_INTERVAL_S, burst=burst)

    return {
        Table.ENERGY_METRICS: TableLoad(
            writes=monthly(units.newest_written + units.others_written, burst=2 + does.orders),
            reads=monthly(units.others_read, burst=2 + does.orders),
        ),
        Table.CONSUMER_METRICS: TableLoad(
            writes=monthly(units.quarters_written),
            reads=monthly(units.quarters_read + ticks * forecast.quarters_read),
        ),
        Table.FORECAST_DATA: TableLoad(
            writes=monthly(ticks * forecast.written), reads=monthly(ticks * forecast.days_read)
        ),
        Table.MARKET_DATA: TableLoad(
            writes=each_interval(market.orders, burst=market.orders / 2),
            reads=each_interval(market.orders / 2, burst=market.orders / 2),
            index_writes=each_interval(STATES_INDEXED, burst=STATES_INDEXED),
        ),
        Table.TRADE_DATA: TableLoad(
            writes=each_interval(market.trades + market.settled, burst=market.trades),
            reads=each_interval(1, burst=1),
            index_writes=each_interval(market.indexed, burst=does.trade_sides),
        ),
    }


_PURPOSE_OF = {
    Table.MARKET_DATA: Purpose.MARKET,
    Table.TRADE_DATA: Purpose.MARKET,
    Table.FORECAST_DATA: Purpose.FORECASTS,
}


def _tables(told: Telemetry, up: dict[Stream, float], sites: int, does: Activity, prices: Prices) -> Iterable[Line]:
    """Yield the tables as so many sites have them: on demand, or some of them with capacity held ready."""
    ready = held_ready(table_loads(told, up, does), sites)
    yield _kept_quarters(told, prices)
    yield _kept_forecasts(prices)
    if not ready:
        yield from _dynamodb(told, up, does, prices)
        return
    hours = DAYS * 24 / sites
    for table, units in ready.items():
        purpose = _PURPOSE_OF.get(table, Purpose.REPORTING)
        writes, reads = units.writes + units.index_writes, units.reads + units.index_reads
        price, reading = prices.dynamodb_write_unit_hour, prices.dynamodb_read_unit_hour
        yield _line("dynamodb", f"write units held ready: {table}", writes * hours, price, purpose=purpose)
        yield _line("dynamodb", f"read units held ready: {table}", reads * hours, reading, purpose=purpose)
    yield _line(
        "cloudwatch",
        "alarms of their scaling and refusals",
        len(ready) * ALARMS_A_TABLE / sites,
        prices.cloudwatch_alarm_month,
    )


@dataclass(frozen=True, kw_only=True)
class _Forecast:
    """Units of one site and forecast: quarters become days, days become forecasts, and these are kept for scoring."""

    quarters_read: float
    days_read: float
    written: float


def _forecast_units(told: Telemetry) -> _Forecast:
    devices = told.quarters_a_month / INTERVALS
    return _Forecast(
        quarters_read=(QUARTERS_AGAIN + 1) * devices * chunks(told.quarter_item_bytes, READ_BYTES),
        days_read=ceil(HISTORY_DAYS * history_item_bytes() / READ_BYTES) + 2,
        written=chunks(history_item_bytes(), WRITE_BYTES) + 2 * chunks(forecast_item_bytes(), WRITE_BYTES),
    )


def _forecasts(told: Telemetry, prices: Prices) -> Iterable[Line]:
    """Yield what forecasting costs on demand."""
    ticks, units = _ticks_a_month(FORECAST_TICK), _forecast_units(told)
    write, read = prices.dynamodb_writes_million / 1e6, prices.dynamodb_reads_million / 1e6
    reads, purpose = ticks * (units.quarters_read + units.days_read), Purpose.FORECASTS
    yield _line("dynamodb", "writes: days and forecasts", ticks * units.written, write, purpose=purpose)
    yield _line("dynamodb", "reads: quarters and days", reads, read, purpose=purpose)


def _kept_forecasts(prices: Prices) -> Line:
    kept_gb = 2 * forecast_item_bytes() * _ticks_a_month(FORECAST_TICK) * KEEP_FORECASTS_D / DAYS / 1e9
    return _line("dynamodb", "GB-months of forecasts", kept_gb, prices.dynamodb_gb_month, purpose=Purpose.FORECASTS)


def _keeping(
    told: Telemetry, does: Activity, prices: Prices, *, sites: int, months: int, copies: bool
) -> Iterable[Line]:
    grown_gb = keeping.books_gb(orders=does.orders, trade_sides=does.trade_sides, intervals=INTERVALS)
    measured_gb = _kept_quarters(told, prices).quantity + _kept_forecasts(prices).quantity
    zones = max(1.0, sites / does.sites_per_zone)
    for kept in (
        *keeping.books(grown_gb, measured_gb, months=months, prices=prices, copies=copies),
        *keeping.switches(_ticks_a_month(FORECAST_TICK), zones=zones, sites=sites, prices=prices),
    ):
        yield _line(kept.service, kept.what, kept.quantity, kept.price, purpose=Purpose.KEEPING)


def _once(prices: Prices, *, sites: int, private_network: bool) -> Iterable[Line]:
    for kept in keeping.once(sites=sites, prices=prices, private_network=private_network):
        yield _line(kept.service, kept.what, kept.quantity, kept.price, purpose=Purpose.KEEPING)


def _lake(site: Site, sites: int, does: Activity, prices: Prices) -> Iterable[Line]:
    window_s = max(consumer.window_s for consumer in CONSUMERS)
    gb_a_day = site.samples_per_s * 86_400 * does.lake_bytes / 1e9
    files = MONTH_S / window_s / min(sites, does.sites_per_zone)
    cold_gb = gb_a_day * (LAKE.forget_after_d - LAKE.cold_after_d)
    yield _line("s3", "files of raw samples, shared by a zone", files, prices.s3_puts_thousand / 1000)
    yield _line("s3", "files that grow cold", files, prices.s3_cold_thousand / 1000)
    yield _line("s3", "GB-months of raw samples", gb_a_day * LAKE.cold_after_d, prices.s3_gb_month)
    yield _line("s3", "GB-months of cold raw samples", cold_gb, prices.s3_cold_gb_month)
