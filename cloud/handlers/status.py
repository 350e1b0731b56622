"""Whether a gateway is online: the newest word counts; one that comes online is told again what it has traded."""

from typing import Any

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.shell.counting import counted
from cloud.shell.intake import arrival_of, each_record
from cloud.shell.market.retelling import retold
from cloud.shell.services import current
from cloud.stores import keys
from cloud.stores.tables import Put
from contracts.telemetry import StatusMessage
from contracts.units import epoch_ms


@counted("status")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Store a batch of status messages; records that could not be stored are named for another delivery."""
    services = current()

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(services, record, StatusMessage)
        if arrival is None:
            return
        message = arrival.message
        body = {
            "online": message.online,
            "software": message.software,
            "epoch": message.epoch,
            "arrived_at": epoch_ms(arrival.at),
        }
        tables = services.stores.tables
        tables.put(Put(key=keys.site_state(arrival.site, keys.STATUS), body=body))
        if message.online:
            services.publisher.publish(retold(tables, arrival.zone, arrival.site, at=arrival.at))

    return each_record(event, context, take)
