"""Telemetry: each message is stored once, as aggregates, newest values and the feeder's loading.

What comes after its quarter's meter reading is held against that.
"""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.shell.counting import counted
from cloud.shell.intake import arrival_of, each_record
from cloud.shell.market.readings import ended_quarters, note_late_doubts
from cloud.shell.services import current
from cloud.shell.telemetry import store
from cloud.stores import keys
from contracts.telemetry import TelemetryMessage, samples_of


@counted("telemetry")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Store a batch of telemetry; records that could not be stored are named for another delivery."""
    services = current()

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(services, record, TelemetryMessage)
        if arrival is None:
            return
        store(services, arrival)
        begins_ms = (keys.quarter_of(sample.at) for sample in samples_of(arrival.message))
        over = ended_quarters(begins_ms, at=arrival.at)
        note_late_doubts(services.stores.tables, services.registry, arrival.site, over)

    return each_record(event, context, take)
