"""Orders to the market of their zone, a batch at a time through its one writer."""

from collections import defaultdict

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.shell.counting import counted
from cloud.shell.intake import Arrival, arrival_of, each_record, note_all
from cloud.shell.market.fold import order_input
from cloud.shell.market.writer import market_of
from cloud.shell.services import current
from contracts.market import OrderMessage
from contracts.units import epoch_ms


@counted("orders")
def handler(event: dict[str, object], context: object) -> dict[str, object]:
    """Take a batch of orders to the market; it is journalled, matched, stored and answered, or delivered again whole.

    Raises:
        CloudError: The batch was not taken; a repeat of what was taken before has no second effect.
    """
    services = current()
    by_zone: dict[str, list[Arrival[OrderMessage]]] = defaultdict(list)

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(services, record, OrderMessage)
        if arrival is not None:
            by_zone[arrival.zone].append(arrival)

    answer = each_record(event, context, take)
    for zone, arrivals in by_zone.items():
        market = market_of(services, zone)
        assert market is not None, "only messages of registered zones arrive"
        inputs = [order_input(arrival.message, at_ms=epoch_ms(arrival.at)) for arrival in arrivals]
        market.submit(inputs, at_ms=inputs[-1]["at_ms"])
        # Only counted here, and only after the journal has them: what the sequencer knows decides what is new.
        note_all(services.stores.tables, [arrival.message for arrival in arrivals])
    return answer
