"""Meter readings: kept in their newest version, and given to the market, which settles from them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.market import commands
from cloud.shell.intake import Arrival, arrival_of, each_record, store_once
from cloud.shell.market.writer import market_of
from cloud.shell.services import Services, current
from cloud.stores import keys
from cloud.stores.registry import AgentKind
from cloud.stores.tables import Put
from contracts.metering import MeterReading
from contracts.units import epoch_ms


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take a batch of readings in; it is given to the market and kept, or delivered again whole.

    Raises:
        CloudError: The batch was not taken; a repeat of what was taken before has no second effect.
    """
    services = current()
    by_zone: dict[str, list[Arrival[MeterReading]]] = defaultdict(list)

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(services, record, MeterReading)
        if arrival is not None:
            by_zone[arrival.zone].append(arrival)

    answer = each_record(event, context, take)
    for zone, arrivals in by_zone.items():
        market = market_of(services, zone)
        assert market is not None, "only messages of registered zones arrive"
        inputs = [command for arrival in arrivals if (command := _command(services, arrival)) is not None]
        market.submit(inputs, at_ms=epoch_ms(arrivals[-1].at))
        for arrival in arrivals:
            store_once(services.stores.tables, arrival.message, lambda _, arrival=arrival: _kept(services, arrival))  # type: ignore[misc]
    return answer


def _command(services: Services, arrival: Arrival[MeterReading]) -> commands.Command | None:
    """Return what the market is told; a gateway that only measures does not trade."""
    site = services.registry.site(arrival.site)
    if site is None or site.agent is AgentKind.MONITOR:
        return None
    return commands.meter(arrival.message, at_ms=epoch_ms(arrival.at))


def _kept(services: Services, arrival: Arrival[MeterReading]) -> Sequence[Put]:
    reading = arrival.message
    key = keys.meter_reading(arrival.site, reading.interval_start)
    item = services.stores.tables.get(key)
    if item is not None and item.body["version"] >= reading.version:
        return []
    body = {
        **reading.model_dump(mode="json", exclude={"v", "sent_at"}),
        "arrived_at": epoch_ms(arrival.at),
    }
    return [Put(key=key, body=body, if_version=item.version if item else 0)]
