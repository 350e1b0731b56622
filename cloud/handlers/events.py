"""What a gateway reported: kept in the order of its own time, its alarms as the newest state too."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.shell.alarms import alarms_put
from cloud.shell.counting import counted
from cloud.shell.intake import arrival_of, each_record, store_once
from cloud.shell.services import current
from cloud.stores import keys
from cloud.stores.tables import Put
from contracts.alarms import ALARMS_CHANGED
from contracts.telemetry import EventMessage


@counted("events")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Store a batch of events; records that could not be stored are named for another delivery."""
    services = current()

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(services, record, EventMessage)
        if arrival is None:
            return
        message = arrival.message
        key = keys.site_event(arrival.site, message.at, message.epoch, message.seq)
        tables = services.stores.tables
        event = Put(key=key, body={"phrase": message.phrase, "fields": message.fields})
        alarms = alarms_put(tables, message) if message.phrase == ALARMS_CHANGED else None
        store_once(tables, message, lambda _: [event] if alarms is None else [event, alarms])

    return each_record(event, context, take)
