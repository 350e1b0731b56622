"""The feeder's telemetry drives the grid agent: it sees every sample that the transformer's meter told."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.grid.event import Observation
from cloud.shell.counting import counted
from cloud.shell.grid.agent import step
from cloud.shell.grid.view import power_samples, supply_samples
from cloud.shell.intake import arrived_at, each_record
from cloud.shell.services import current
from contracts.telemetry import TelemetryMessage
from contracts.wire import WireError


@counted("grid")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Show the agent of a feeder what its meter told; messages of other gateways are passed over."""
    services = current()

    def take(record: KinesisStreamRecord) -> None:
        feeder = services.registry.feeder(record.kinesis.partition_key)
        if feeder is None:
            return
        try:
            message = TelemetryMessage.decode(record.kinesis.data_as_bytes())
        except WireError:
            return  # The function that stores telemetry notes what it refuses.
        if message.site == feeder.id:
            seen = Observation(feeder=power_samples(message, feeder), supply=supply_samples(message, feeder))
            step(services, feeder, seen=seen, at=arrived_at(record))

    return each_record(event, context, take)
