"""What became of commands: kept beside the command, and shown to the agent that gave it."""

from typing import Any, Final

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.grid.event import Observation
from cloud.shell.counting import counted
from cloud.shell.grid.agent import step
from cloud.shell.intake import Arrival, arrival_of, each_record, note_of
from cloud.shell.services import Services, current
from cloud.stores import keys
from cloud.stores.registry import FeederRecord
from cloud.stores.tables import Put
from contracts.control import CommandAck
from contracts.units import epoch_ms

# Of one command: its whole life has six stages; the newest stay.
ACKS_MAX: Final = 32


@counted("acks")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take a batch of acks in; records that could not be taken are named for another delivery."""
    services = current()

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(services, record, CommandAck)
        if arrival is None:
            return
        note = note_of(services.stores.tables, arrival.message)
        if note is None:
            return
        writes = [_beside(services, arrival), note]
        feeder = _feeder_of(services, arrival)
        if feeder is None:
            services.stores.tables.transact(writes)
        else:
            step(services, feeder, seen=Observation(acks=(arrival.message,)), at=arrival.at, also=writes)

    return each_record(event, context, take)


def _beside(services: Services, arrival: Arrival[CommandAck]) -> Put:
    ack = arrival.message
    key = keys.command(arrival.site, ack.command_id)
    item = services.stores.tables.get(key)
    body = item.body if item else {"command": None, "acks": []}
    told = {**ack.model_dump(mode="json", exclude_none=True), "arrived_at": epoch_ms(arrival.at)}
    return Put(
        key=key, body={**body, "acks": [*body["acks"], told][-ACKS_MAX:]}, if_version=item.version if item else 0
    )


def _feeder_of(services: Services, arrival: Arrival[CommandAck]) -> FeederRecord | None:
    site = services.registry.site(arrival.site)
    return services.registry.feeder(site.feeder) if site is not None and site.feeder is not None else None
