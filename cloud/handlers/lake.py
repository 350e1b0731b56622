"""Raw telemetry to the lake: one file for each batch of a shard."""

from collections import defaultdict
from typing import Any

from aws_lambda_powertools.utilities.data_classes import KinesisStreamEvent

from cloud.figures import RECORDS, SAMPLES
from cloud.shell.counting import count, counted
from cloud.shell.intake import LOG
from cloud.shell.services import current
from cloud.stores.lake import RawSample
from contracts.telemetry import TelemetryMessage, samples_of
from contracts.wire import WireError, read_json


@counted("lake")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Write a batch of telemetry, zone by zone, under a name made of its sequence numbers; all of it or an error.

    Raises:
        StoreError: A file could not be written; deliver the batch again.
    """
    services = current()
    records = list(KinesisStreamEvent(event).records)
    by_zone: dict[str, list[RawSample]] = defaultdict(list)
    for record in records:
        try:
            zone = read_json(record.kinesis.data_as_bytes())["topic_zone"]
            message = TelemetryMessage.decode(record.kinesis.data_as_bytes())
        except (ValueError, KeyError, TypeError, WireError):
            # The function that stores the aggregates counts what it refuses; here it is only left out.
            LOG.debug("message left out of the lake", extra={"sequence_number": record.kinesis.sequence_number})
            continue
        by_zone[zone].extend(_raw(message))
    first, last = records[0].kinesis.sequence_number, records[-1].kinesis.sequence_number
    count(RECORDS, len(records))
    count(SAMPLES, sum(map(len, by_zone.values())))
    for zone, samples in by_zone.items():
        services.stores.lake.write(zone=zone, name=f"{first}-{last}", samples=samples)
    return {"batchItemFailures": []}


def _raw(message: TelemetryMessage) -> list[RawSample]:
    return [
        RawSample(
            site=message.site,
            epoch=message.epoch,
            seq=message.seq,
            point=sample.point,
            at=sample.at,
            value=sample.value,
            quality=str(sample.quality),
        )
        for sample in samples_of(message)
    ]
