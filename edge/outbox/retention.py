"""What an over-full outbox gives up: detail first, then age; settlement never."""

from collections.abc import Iterable
from dataclasses import replace

from contracts.telemetry import Sample, TelemetryMessage, columns, samples_of
from contracts.units import Quality, epoch_ms
from edge.outbox.records import Caps, Record, RecordClass

_MINUTE_MS = 60_000


def thin(record: Record) -> Record:
    """Return a telemetry record with one sample a minute and point, under the same number.

    A minute's sample is the mean of its good values at the instant of the last of them; a minute without a good value
    keeps its last sample as it is, so that a fault stays visible.
    """
    message = TelemetryMessage.decode(record.payload)
    base_at, series = columns(list(_per_minute(samples_of(message))))
    return replace(record, payload=message.model_copy(update={"base_at": base_at, "series": series}).encode())


def _per_minute(samples: Iterable[Sample]) -> Iterable[Sample]:
    minutes: dict[tuple[str, int], list[Sample]] = {}
    for sample in samples:
        minutes.setdefault((sample.point, epoch_ms(sample.at) // _MINUTE_MS), []).append(sample)
    for group in minutes.values():
        good = [sample for sample in group if sample.quality is Quality.GOOD and sample.value is not None]
        if not good:
            yield group[-1]
            continue
        mean = sum(sample.value for sample in good if sample.value is not None) / len(good)
        yield replace(good[-1], value=mean)


def telemetry_bytes_max(caps: Caps, *, disk_bytes: int, others_bytes: int) -> int:
    """Return how many payload bytes telemetry may hold.

    Args:
        caps: The outbox's bounds.
        disk_bytes: Size of the disk below the outbox.
        others_bytes: Payload bytes of the classes that are dearer.
    """
    return max(0, min(caps.bytes_max, int(caps.disk_share_max * disk_bytes)) - others_bytes)


def bytes_max_of(caps: Caps, record_class: RecordClass) -> int | None:
    """Return the cap of a class that has one of its own."""
    return {RecordClass.ORDERS: caps.orders_bytes_max, RecordClass.EVENTS: caps.events_bytes_max}.get(record_class)
