"""Telemetry: each message is stored once, as aggregates, newest values and the feeder's loading."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.shell.counting import counted
from cloud.shell.intake import arrival_of, each_record
from cloud.shell.services import current
from cloud.shell.telemetry import store
from contracts.telemetry import TelemetryMessage


@counted("telemetry")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Store a batch of telemetry; records that could not be stored are named for another delivery."""
    services = current()

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(services, record, TelemetryMessage)
        if arrival is not None:
            store(services, arrival)

    return each_record(event, context, take)
