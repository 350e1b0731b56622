"""Telemetry: quarter-hour aggregates by device, the newest values of the site, and the feeder's loading."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cloud.shell.aggregates import KEEP_AGGREGATES_D, by_device_and_quarter, merged_body
from cloud.shell.intake import AHEAD_MAX, Arrival, store_once
from cloud.shell.services import Services
from cloud.stores import keys
from cloud.stores.sequence import Seen
from cloud.stores.tables import Key, Put, Table
from contracts.market import SiteAgent
from contracts.telemetry import SERIES_MAX, Sample, TelemetryMessage, samples_of
from contracts.units import Quality, SiteId, epoch_ms, instant

FEEDER_STEP_S: Final = 10
# Newest values of one site: as many as one message may name, so that they fit one item.
POINTS_MAX: Final = SERIES_MAX
_ACTIVE_POWER: Final = "active_power_w"


def store(services: Services, arrival: Arrival[TelemetryMessage]) -> bool:
    """Store one message; return whether it was new.

    Raises:
        StoreError: It could not be stored; deliver it again.
    """
    samples = list(samples_of(arrival.message))

    def writes(seen: Seen) -> Iterator[Put]:
        if services.registry.feeder(arrival.site) is not None:
            yield from _feeder_samples(services, arrival.site, samples)
        yield from _quarters(services, arrival, samples, seen)
        yield _latest(services, arrival, samples)

    return store_once(services.stores.tables, arrival.message, writes)


def _quarters(
    services: Services, arrival: Arrival[TelemetryMessage], samples: Sequence[Sample], seen: Seen
) -> Iterator[Put]:
    for (device, begin_ms), points in by_device_and_quarter(samples).items():
        key = _quarter_key(services, arrival.site, device, begin_ms)
        item = services.stores.tables.get(key)
        body = merged_body(
            item.body if item else None,
            points,
            epoch=arrival.message.epoch,
            seq=arrival.message.seq,
            seen=seen,
            begin_ms=begin_ms,
        )
        if body is not None:
            yield Put(
                key=key,
                body=body,
                if_version=item.version if item else 0,
                expires_at=instant(begin_ms) + timedelta(days=KEEP_AGGREGATES_D),
            )


def _quarter_key(services: Services, site: SiteId, device: str, begin_ms: int) -> Key:
    """Return where a device's quarter is kept: the connection point's under its gateway, others by the agent's kind."""
    record = services.registry.site(site)
    if record is None or device == record.meter:
        return keys.energy_quarter(site, begin_ms)
    table = Table.PRODUCER_METRICS if record.agent is SiteAgent.PRODUCER else Table.CONSUMER_METRICS
    return keys.asset_quarter(table, site, device, begin_ms, keys.METRIC_SET)


def _latest(services: Services, arrival: Arrival[TelemetryMessage], samples: Sequence[Sample]) -> Put:
    """Return the site's newest values, each with its own source time and quality.

    ``told_until`` is when the gateway last spoke: until then a value that was not sent again was within its dead band.
    """
    key = keys.site_state(arrival.site, keys.LATEST)
    item = services.stores.tables.get(key)
    # What lies ahead of the arrival was kept before such stamps were refused; it would stand for years.
    latest_ms = epoch_ms(arrival.at + AHEAD_MAX)
    points: dict[str, list[Any]] = {
        point: kept for point, kept in (item.body["points"] if item else {}).items() if kept[0] <= latest_ms
    }
    for sample in samples:
        at_ms = epoch_ms(sample.at)
        if sample.point not in points and len(points) >= POINTS_MAX:
            continue
        if sample.point not in points or points[sample.point][0] <= at_ms:
            points[sample.point] = [at_ms, sample.value, str(sample.quality)]
    told_until = max(epoch_ms(arrival.message.sent_at), min(item.body["told_until"], latest_ms) if item else 0)
    body = {
        "points": points,
        "clock": str(arrival.message.clock),
        "told_until": told_until,
        "arrived_at": epoch_ms(arrival.at),
    }
    return Put(key=key, body=body, if_version=item.version if item else 0)


def _feeder_samples(services: Services, feeder: SiteId, samples: Sequence[Sample]) -> Iterator[Put]:
    """Yield the feeder's loading, the greatest by magnitude in every ten seconds."""
    record = services.registry.feeder(feeder)
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
            expires_at=at + timedelta(days=KEEP_AGGREGATES_D),
        )
