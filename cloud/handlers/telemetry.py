"""Telemetry: minute aggregates by device, the newest values of the site, and the feeder's loading."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.handlers.intake import Arrival, arrival_of, each_record, store_once
from cloud.handlers.minutes import by_device_and_minute, merged_body
from cloud.handlers.wiring import House, current
from cloud.infra.tables import KEEP_MINUTES_D
from cloud.stores import keys
from cloud.stores.registry import AgentKind
from cloud.stores.tables import TRANSACT_MAX, Key, Put, Table, Write, chunks
from contracts.telemetry import Sample, TelemetryMessage, samples_of
from contracts.units import Quality, SiteId, epoch_ms

METRIC_SET: Final = "minute"
LATEST: Final = "LATEST"
FEEDER_STEP_S: Final = 10
_ACTIVE_POWER: Final = "active_power_w"


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Store a batch of telemetry; records that could not be stored are named for another delivery."""
    house = current()

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(house, record, TelemetryMessage)
        if arrival is not None:
            store(house, arrival)

    return each_record(event, context, take)


def store(house: House, arrival: Arrival[TelemetryMessage]) -> bool:
    """Store one message; return whether it was new.

    Raises:
        StoreError: It could not be stored; deliver it again.
    """
    message = arrival.message
    samples = list(samples_of(message))

    def writes() -> Sequence[Write]:
        minutes = list(_minutes(house, arrival, samples))
        # A backlog after an outage covers hours. Its minutes may be written ahead: taking them again changes nothing.
        while len(minutes) > TRANSACT_MAX // 2:
            house.stores.tables.transact(minutes[: TRANSACT_MAX // 2])
            minutes = minutes[TRANSACT_MAX // 2 :]
        return [*minutes, _latest(house, arrival, samples)]

    if house.registry.feeder(arrival.site) is not None:
        for part in chunks(list(_feeder_samples(house, arrival.site, samples))):
            house.stores.tables.transact(part)
    return store_once(house.stores.tables, message, writes)


def _minutes(house: House, arrival: Arrival[TelemetryMessage], samples: Sequence[Sample]) -> Iterator[Put]:
    source = (arrival.message.epoch, arrival.message.seq)
    for (device, minute), points in by_device_and_minute(samples).items():
        key = _minute_key(house, arrival.site, device, minute)
        item = house.stores.tables.get(key)
        body = merged_body(item.body if item else None, points, source=source)
        if body is not None:
            yield Put(
                key=key,
                body=body,
                if_version=item.version if item else 0,
                expires_at=datetime.fromtimestamp(minute * 60, UTC) + timedelta(days=KEEP_MINUTES_D),
            )


def _minute_key(house: House, site: SiteId, device: str, minute: int) -> Key:
    """Return where a device's minute is kept: the connection point's under its gateway, others by the agent's kind."""
    record = house.registry.site(site)
    if record is None or device == record.meter:
        return keys.energy_minute(site, minute)
    table = Table.PRODUCER_METRICS if record.agent is AgentKind.PRODUCER else Table.CONSUMER_METRICS
    return keys.asset_minute(table, site, device, minute, METRIC_SET)


def _latest(house: House, arrival: Arrival[TelemetryMessage], samples: Sequence[Sample]) -> Put:
    """Return the site's newest values, each with its own source time and quality.

    ``told_until`` is when the gateway last spoke: until then a value that was not sent again was within its dead band.
    """
    key = keys.site_state(arrival.site, LATEST)
    item = house.stores.tables.get(key)
    points: dict[str, list[Any]] = dict(item.body["points"]) if item else {}
    for sample in samples:
        at_ms = epoch_ms(sample.at)
        if sample.point not in points or points[sample.point][0] <= at_ms:
            points[sample.point] = [at_ms, sample.value, str(sample.quality)]
    told_until = max(epoch_ms(arrival.message.sent_at), item.body["told_until"] if item else 0)
    body = {
        "points": points,
        "clock": str(arrival.message.clock),
        "told_until": told_until,
        "arrived_at": epoch_ms(arrival.at),
    }
    return Put(key=key, body=body, if_version=item.version if item else 0)


def _feeder_samples(house: House, feeder: SiteId, samples: Sequence[Sample]) -> Iterator[Put]:
    """Yield the feeder's loading, the greatest by magnitude in every ten seconds."""
    record = house.registry.feeder(feeder)
    assert record is not None
    greatest: dict[int, float] = {}
    for sample in samples:
        told = sample.point == f"{record.meter}/{_ACTIVE_POWER}" and sample.quality is Quality.GOOD
        if told and sample.value is not None:
            step = epoch_ms(sample.at) // (FEEDER_STEP_S * 1000)
            greatest[step] = max(greatest.get(step, 0.0), float(sample.value), key=abs)
    for step, power_w in greatest.items():
        at = datetime.fromtimestamp(step * FEEDER_STEP_S, UTC)
        yield Put(
            key=keys.feeder_sample(feeder, at),
            body={"power_w": power_w, "limit_w": record.import_limit_w if power_w >= 0 else record.export_limit_w},
            expires_at=at + timedelta(days=KEEP_MINUTES_D),
        )
