"""Meter readings: checked, kept in their newest version, and given to the market, which settles from them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aws_lambda_powertools.utilities.data_classes.kinesis_stream_event import KinesisStreamRecord

from cloud.market import commands
from cloud.market.shapes import HoldReading, MeterCommand
from cloud.shell.counting import counted
from cloud.shell.intake import LOG, Arrival, arrival_of, each_record, store_once
from cloud.shell.market.fold import Input
from cloud.shell.market.readings import DOUBT, Judgement, LateDoubt, Readings, late_doubts, rest_put
from cloud.shell.market.writer import market_of
from cloud.shell.services import Services, current
from cloud.stores import keys
from cloud.stores.tables import Put
from contracts.market import SiteAgent
from contracts.metering import MeterReading
from contracts.units import DELIVERY_INTERVAL, epoch_ms

Judged = tuple[Arrival[MeterReading], Judgement]


@counted("meter")
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Take a batch of readings in; it is given to the market and kept, or delivered again whole.

    Raises:
        CloudError: The batch was not taken; a repeat of what was taken before has no second effect.
    """
    services = current()
    by_zone: dict[str, list[Judged]] = defaultdict(list)
    readings = Readings(services.stores.tables, services.registry)

    def take(record: KinesisStreamRecord) -> None:
        arrival = arrival_of(services, record, MeterReading)
        if arrival is not None:
            by_zone[arrival.zone].append((arrival, readings.judge(arrival.message)))

    answer = each_record(event, context, take)
    for zone, arrivals in by_zone.items():
        market = market_of(services, zone)
        assert market is not None, "only messages of registered zones arrive"
        at_ms = epoch_ms(arrivals[-1][0].at)
        inputs: list[Input] = [command for judged in arrivals if (command := _command(services, judged)) is not None]
        late = [late_doubts(services.stores.tables, site) for site in sorted({one.site for one, _ in arrivals})]
        inputs += [_held(doubt, at_ms=at_ms) for doubts, _ in late for doubt in doubts]
        market.submit(inputs, at_ms=at_ms)
        services.stores.tables.put_each([put for _, puts in late for put in puts])
        for judged in arrivals:
            store_once(services.stores.tables, judged[0].message, lambda _, judged=judged: _kept(services, judged))  # type: ignore[misc]
    return answer


def _command(services: Services, judged: Judged) -> MeterCommand | None:
    """Return what the market is told; a gateway that only measures does not trade."""
    arrival, judgement = judged
    site = services.registry.site(arrival.site)
    if site is None or site.agent is SiteAgent.MONITOR:
        return None
    return commands.meter(arrival.message, at_ms=epoch_ms(arrival.at), doubt=judgement.doubt)


def _held(doubt: LateDoubt, *, at_ms: int) -> HoldReading:
    return commands.hold_reading(
        site=doubt.site, interval_ms=doubt.start_ms, version=doubt.version, reason=doubt.reason, at_ms=at_ms
    )


def _kept(services: Services, judged: Judged) -> Sequence[Put]:
    """Return the writes of a reading, and of the event where its feeder's meter speaks against it."""
    arrival, judgement = judged
    reading = arrival.message
    key = keys.meter_reading(arrival.site, reading.interval_start)
    item = services.stores.tables.get(key)
    if item is not None and item.body["version"] >= reading.version:
        return []
    body = {
        **reading.model_dump(mode="json", exclude={"v", "sent_at"}),
        "arrived_at": epoch_ms(arrival.at),
    }
    if judgement.kept_doubt is not None:
        body[DOUBT] = judgement.kept_doubt
    puts = [Put(key=key, body=body, if_version=item.version if item else 0)]
    puts += rest_put(judgement, reading.interval_start)
    return puts if judgement.feeder is None else [*puts, _feeder_event(reading, *judgement.feeder)]


def _feeder_event(reading: MeterReading, feeder: str, why: str) -> Put:
    LOG.warning("readings do not sum to the feeder's", extra={"feeder": feeder, "reason": why})
    fields = {"interval_start": reading.interval_start.isoformat(), "reason": why}
    key = keys.site_event(feeder, reading.interval_start + DELIVERY_INTERVAL, 0, epoch_ms(reading.interval_start))
    return Put(key=key, body={"phrase": "readings do not sum to the feeder's", "fields": fields})
