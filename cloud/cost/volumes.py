"""How large our messages and items really are: measured on messages that the contracts build, not assumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from random import Random

from cloud.shell.aggregates import by_device_and_quarter, merged_body
from cloud.shell.forecast.issuing import HORIZON_STEPS, OUTLOOK_STEPS
from cloud.shell.market.fold import order_input
from cloud.stores.sequence import Seen
from contracts.forecast import ForecastBroadcast, ForecastKind, ForecastSeries
from contracts.market import MarketBroadcast, OrderMessage, OrderResult, OrderStatus, ProductState, Side, TradesMessage
from contracts.metering import MeterReading
from contracts.telemetry import MESSAGE_BYTES_MAX, Sample, TelemetryMessage, columns, samples_of
from contracts.topics import Broadcast, Down, Up, broadcast_topic, site_topic
from contracts.units import DELIVERY_INTERVAL_S, ClockTrust, Quality, epoch_ms
from contracts.wire import Message

SITE, ZONE = "site-00001", "zone-east"
AT = datetime(2026, 3, 17, 12, 0, tzinfo=UTC)
_SEQ = 1_000_000
_EPOCH = 1_790_000_000_000
# Quantities that a gateway reports of a device, in their order.
_POINTS = ("active_power_w", "energy_import_wh", "energy_export_wh", "voltage_l1_v", "frequency_hz", "soc_pct")
# Of each: a usual value, the noise of one second, decimals of the device.
_USUAL = (
    (-3271.4, 37.0, 1),
    (18_273_410.0, 2.0, 0),
    (27_410_377.0, 2.0, 0),
    (231.3, 0.7, 1),
    (49.98, 0.012, 2),
    (57.4, 0.2, 1),
)
# Keys, version and expiry of an item beside its body. Source: DynamoDB, item size: names and values count.
ITEM_OVERHEAD_BYTES = 120
QUARTERS_A_MONTH = 30 * 24 * 3600 // DELIVERY_INTERVAL_S


@dataclass(frozen=True, kw_only=True)
class Site:
    """What a site reports.

    Args:
        rate_hz: Samples a second of each point.
        changed: Share of the samples that leave their dead band and are sent; 1 is the dearest case.
        period_s: Longest time between two telemetry messages.
    """

    devices: int = 2
    points_per_device: int = 5
    rate_hz: float = 1.0
    changed: float = 1.0
    period_s: float = 300.0

    @property
    def points(self) -> int:
        """Return the points of all devices."""
        return self.devices * self.points_per_device

    @property
    def samples_per_s(self) -> float:
        """Return the samples that are sent each second."""
        return self.points * self.rate_hz * self.changed


@dataclass(frozen=True, kw_only=True)
class Telemetry:
    """One usual telemetry message.

    Args:
        samples: In it.
        span_s: From the beginning of one message to that of the next.
        payload_bytes: Without the topic.
        quarter_items: Items of aggregates that it touches; a finished one has ``quarter_item_bytes``.
        quarters_a_month: Items of aggregates that a month leaves.
    """

    samples: int
    span_s: float
    payload_bytes: int
    quarter_items: float
    quarters_a_month: int
    quarter_item_bytes: int
    latest_item_bytes: int


def telemetry_of(site: Site) -> Telemetry:
    """Return the message that a site sends: closed when it is full or its period is over, whichever comes first."""
    each = max(1, round(site.period_s * site.rate_hz * site.changed))
    low, high = 1, each
    while low < high:
        middle = (low + high + 1) // 2
        if len(full_message(site, middle).encode()) <= MESSAGE_BYTES_MAX:
            low = middle
        else:
            high = middle - 1
    message = full_message(site, low)
    whole_s = site.period_s if low == each else low / (site.rate_hz * site.changed)
    samples = list(samples_of(message))
    quarters = by_device_and_quarter(samples)
    bodies = [
        merged_body(None, points, epoch=_EPOCH, seq=_SEQ, seen=Seen(), begin_ms=begin_ms)
        for (_, begin_ms), points in quarters.items()
    ]
    latest = {sample.point: [_EPOCH, sample.value, str(sample.quality)] for sample in samples}
    # A site with very many points needs several messages for one sample of each.
    parts = chunks(len(message.encode()), MESSAGE_BYTES_MAX)
    return Telemetry(
        samples=len(samples) // parts,
        span_s=whole_s / parts,
        payload_bytes=len(message.encode()) // parts,
        # A message that begins anywhere within a quarter touches one more than it is long.
        quarter_items=site.devices / parts * (whole_s / DELIVERY_INTERVAL_S + 1),
        quarters_a_month=site.devices * QUARTERS_A_MONTH,
        quarter_item_bytes=max(item_bytes(body) for body in bodies) + ITEM_OVERHEAD_BYTES,
        latest_item_bytes=item_bytes({"points": latest}) + ITEM_OVERHEAD_BYTES,
    )


def full_message(site: Site, each: int) -> TelemetryMessage:
    """Return a message with so many samples of each point, that pack no better than real ones."""
    step = timedelta(seconds=1 / (site.rate_hz * site.changed))
    samples = [
        Sample(
            point=f"device-{device}/{_name(number)}",
            at=AT + index * step + timedelta(milliseconds=7 * device + index % 3),
            value=value,
            quality=Quality.GOOD,
        )
        for device in range(site.devices)
        for number in range(site.points_per_device)
        for index, value in enumerate(_values(device, number, each))
    ]
    base_at, series = columns(samples)
    # Not held to the wire's bounds: it stands for as many messages as it fills, and is divided by them.
    return TelemetryMessage.model_construct(
        site=SITE, epoch=_EPOCH, seq=_SEQ, sent_at=AT, base_at=base_at, series=series
    )


def _name(number: int) -> str:
    plain = _POINTS[number % len(_POINTS)]
    return plain if number < len(_POINTS) else f"{plain}_{number}"


def _values(device: int, number: int, count: int) -> list[float]:
    """Return what a meter may say in so many seconds, with its digits: noise about a value, counters that creep."""
    kind = number % len(_POINTS)
    middle, noise, decimals = _USUAL[kind]
    generator = Random(f"{device}/{number}")
    if _POINTS[kind].startswith("energy"):
        return [float(round(middle + index + generator.uniform(0, noise))) for index in range(count)]
    return [round(generator.gauss(middle, noise), decimals) for _ in range(count)]


def item_bytes(body: object) -> int:
    """Return what a body takes in a DynamoDB table.

    Source: DynamoDB developer guide, "Item sizes and formats": text counts its UTF-8, a number a byte for two
    significant digits and one more, one for the sign; a list or map three, and one for each element.
    """
    match body:
        case None | bool():
            return 1
        case str():
            return len(body.encode())
        case int() | float():
            digits = f"{abs(body):.15g}".replace(".", "").strip("0") or "0"
            return ceil(len(digits) / 2) + 1 + (body < 0)
        case Mapping():
            return 3 + sum(1 + len(str(name).encode()) + item_bytes(value) for name, value in body.items())
        case Sequence():
            return 3 + sum(1 + item_bytes(value) for value in body)
        case _:
            return item_bytes(str(body))


def _on(topic: str, message: Message) -> int:
    """Return the metered bytes of a message: topic and payload."""
    return len(topic.encode()) + len(message.encode())


def meter_bytes() -> int:
    """Return the metered bytes of a meter reading."""
    reading = MeterReading(
        site=SITE,
        epoch=_EPOCH,
        seq=_SEQ,
        sent_at=AT,
        interval_start=AT,
        import_wh=1_250,
        export_wh=0,
        register_import_wh=18_273_410,
        register_export_wh=27_410_377,
        quality=Quality.GOOD,
        clock=ClockTrust.SYNCED,
    )
    return _on(site_topic(zone=ZONE, site=SITE, channel=Up.METER), reading)


def order_bytes() -> int:
    """Return the metered bytes of an order."""
    return _on(site_topic(zone=ZONE, site=SITE, channel=Up.ORDERS), _order())


def journal_order_bytes() -> int:
    """Return what an order adds to an entry of the market's journal, which holds those of one batch."""
    return item_bytes(order_input(_order(), at_ms=epoch_ms(AT)))


def _order() -> OrderMessage:
    return OrderMessage(
        site=SITE,
        epoch=_EPOCH,
        seq=_SEQ,
        sent_at=AT,
        order_id="o" * 24,
        interval_start=AT,
        side=Side.BUY,
        quantity_wh=1_250,
        price_mct_per_kwh=21_500,
        issued_at=AT,
    )


def trades_bytes() -> int:
    """Return the metered bytes of what the market tells a site."""
    result = OrderResult(order_id="o" * 24, status=OrderStatus.FILLED, traded_wh=1_250)
    told = TradesMessage(
        zone=ZONE, site=SITE, interval_start=AT, issued_at=AT, epoch=_EPOCH, seq=_SEQ, results=(result, result)
    )
    return _on(site_topic(zone=ZONE, site=SITE, channel=Down.TRADES), told)


def broadcast_bytes() -> int:
    """Return the metered bytes of a public state of the market."""
    told = MarketBroadcast(
        zone=ZONE, interval_start=AT, issued_at=AT, state=ProductState.CLEARED, price_mct_per_kwh=21_500
    )
    return _on(broadcast_topic(zone=ZONE, channel=Broadcast.MARKET), told)


def outlook_bytes() -> int:
    """Return the metered bytes of what a site is told of its load, its PV and the price."""
    return _on(site_topic(zone=ZONE, site=SITE, channel=Down.OUTLOOK), _forecast(OUTLOOK_STEPS))


def forecast_bytes() -> int:
    """Return the metered bytes of what the watchers of a zone are told of one site."""
    return len(_forecast(HORIZON_STEPS).encode())


def forecast_item_bytes() -> int:
    """Return what one issue of one quantity takes in a table."""
    return item_bytes(_forecast(HORIZON_STEPS).series[0].model_dump(mode="json")) + ITEM_OVERHEAD_BYTES


def history_item_bytes() -> int:
    """Return what one day of a site's quarters takes in a table."""
    quarters = [round(1200.3 + 31.7 * (step % 29), 1) for step in range(86_400 // DELIVERY_INTERVAL_S)]
    return item_bytes({"load": quarters, "pv": quarters}) + ITEM_OVERHEAD_BYTES


def _forecast(steps: int) -> ForecastBroadcast:
    def series(kind: ForecastKind, site: str | None) -> ForecastSeries:
        middle = [1_200 + 31 * (step % 29) for step in range(steps)]
        low, high = tuple(value - 400 for value in middle), tuple(value + 400 for value in middle)
        return ForecastSeries(kind=kind, site=site, start=AT, p10=low, p50=tuple(middle), p90=high, method="blend")

    told = (series(ForecastKind.LOAD, SITE), series(ForecastKind.PV, SITE), series(ForecastKind.PRICE, None))
    return ForecastBroadcast(zone=ZONE, issued_at=AT, series=told, last_price_mct_per_kwh=21_500)


def chunks(size: int, of: int) -> int:
    """Return how many started units of a size something takes."""
    return max(1, ceil(size / of))
