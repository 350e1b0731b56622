"""What happens to a message that a site publishes: rules, streams, functions and schedules, defined once.

The local runner and the deployed stack read the same definitions. A rule forwards a message to a stream and adds the
zone, site and channel of its topic, which the broker has checked, as ``topic_zone``, ``topic_site`` and
``topic_channel``: a payload may lie about its sender, a topic cannot. ``topic_at`` is when the rule took the message
(epoch ms): a gate is held against that, not against how long the way to the stream took. Within one partition key of a
stream the order of arrival is kept; IoT rules themselves promise none, so what needs an order is numbered by its
sender.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from contracts.topics import ROOT, Topic, Up

# One writer per zone is easy to prove, so a stream's shard has one reader at a time.
PARALLELIZATION: Final = 1


class Partition(StrEnum):
    """What keeps its order within a stream."""

    SITE = "site"
    ZONE = "zone"

    def of(self, topic: Topic) -> str:
        """Return the partition key of a site's topic."""
        assert topic.site is not None, "broadcasts are not routed"
        return topic.site if self is Partition.SITE else topic.zone


class Carrier(StrEnum):
    """The Kinesis streams. A shard costs the same whether it is empty or full, so channels share them.

    A shard gives five reads a second, and each function that reads it takes one of them.
    Source: Kinesis Data Streams quotas, GetRecords.
    """

    TELEMETRY = "telemetry"
    MESSAGES = "messages"


class Stream(StrEnum):
    """The ordered streams, one a channel: each reader of a carrier sees one of them."""

    TELEMETRY = "telemetry"
    METER = "meter"
    ORDERS = "orders"
    ACKS = "acks"
    EVENTS = "events"
    STATUS = "status"

    @property
    def carrier(self) -> Carrier:
        """Return the Kinesis stream that carries it."""
        return Carrier.TELEMETRY if self is Stream.TELEMETRY else Carrier.MESSAGES


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the broker: which channel goes to which stream, ordered by what.

    ``basic_ingest`` tells gateways that they may publish straight to the rule; retained messages must pass the broker.
    """

    name: str
    channel: Up
    stream: Stream
    partition: Partition
    basic_ingest: bool = True

    @property
    def topic_filter(self) -> str:
        """Return what the rule listens to."""
        return f"{ROOT}/+/+/{self.channel}"

    @property
    def sql(self) -> str:
        """Return the rule's statement.

        A message that comes straight to the rule was not held against its ``FROM``, so a gateway could put another
        site's name where ``topic(4)`` looks: the whole topic is held against its form. Source: AWS IoT SQL reference,
        functions ``topic(Decimal)``, counted from 1, ``timestamp()`` and ``regexp_matches``; developer guide, "Basic
        Ingest".
        """
        return (
            f"SELECT *, topic(3) AS topic_zone, topic(4) AS topic_site, topic(5) AS topic_channel,"
            f" timestamp() AS topic_at"
            f" FROM '{self.topic_filter}' WHERE regexp_matches(topic(), '{self.topic_pattern}')"
        )

    @property
    def topic_pattern(self) -> str:
        """Return the regular expression that the whole topic of a message fulfils."""
        return f"^{self.topic_filter.replace('+', '[a-z0-9-]+')}$"

    @property
    def partition_key(self) -> str:
        """Return the substitution template of the stream's partition key."""
        return "${topic(4)}" if self.partition is Partition.SITE else "${topic(3)}"


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A function that reads a stream.

    ``records_max`` bounds one batch. With a ``window_s`` a batch waits for more records so long; without, a batch is
    whatever has come meanwhile. After ``attempts_max`` a record that still fails is set aside for someone to look at.
    """

    stream: Stream
    handler: str
    records_max: int = 100
    window_s: float = 0.0
    attempts_max: int = 8

    @property
    def event_filter(self) -> dict[str, dict[str, list[str]]]:
        """Return the pattern by which Lambda picks the function's records from the carrier; picking costs nothing.

        Source: AWS Lambda developer guide, "Control which events Lambda sends to your function", Kinesis.
        """
        return {"data": {"topic_channel": [self.stream.value]}}

    @property
    def event_source(self) -> dict[str, object]:
        """Return how Lambda reads the stream for the function: a batch that raises is halved until one record is left.

        Source: AWS Lambda API reference, CreateEventSourceMapping.
        """
        return {
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": self.records_max,
            "MaximumBatchingWindowInSeconds": int(self.window_s),
            "BisectBatchOnFunctionError": True,
            "MaximumRetryAttempts": self.attempts_max,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "FilterCriteria": {"Filters": [{"Pattern": json.dumps(self.event_filter)}]},
        }


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A function that is called again and again, once for each zone or feeder.

    AWS schedules know no period under a minute, so where ``every_s`` is shorter the schedule fires each minute there
    and ``driven_by`` names the stream whose records drive the function in between. ``local_every_s`` is the period on
    one machine, where a call costs nothing.
    """

    name: str
    handler: str
    every_s: float
    driven_by: Stream | None = None
    local_every_s: float | None = None

    @property
    def expression(self) -> str:
        """Return the schedule as EventBridge Scheduler writes it, in whole minutes, at least one."""
        minutes = max(1, round(self.every_s / 60))
        return f"rate({minutes} minute{'s' if minutes > 1 else ''})"


RULES: Final[tuple[Rule, ...]] = (
    Rule(name="sitewatt_telemetry", channel=Up.TELEMETRY, stream=Stream.TELEMETRY, partition=Partition.SITE),
    Rule(name="sitewatt_meter", channel=Up.METER, stream=Stream.METER, partition=Partition.ZONE),
    Rule(name="sitewatt_orders", channel=Up.ORDERS, stream=Stream.ORDERS, partition=Partition.ZONE),
    Rule(name="sitewatt_acks", channel=Up.ACKS, stream=Stream.ACKS, partition=Partition.SITE),
    Rule(name="sitewatt_events", channel=Up.EVENTS, stream=Stream.EVENTS, partition=Partition.SITE),
    Rule(
        name="sitewatt_status",
        channel=Up.STATUS,
        stream=Stream.STATUS,
        partition=Partition.SITE,
        basic_ingest=False,
    ),
)

CONSUMERS: Final[tuple[Consumer, ...]] = (
    Consumer(stream=Stream.TELEMETRY, handler="cloud.handlers.telemetry"),
    Consumer(stream=Stream.TELEMETRY, handler="cloud.handlers.lake", records_max=200, window_s=300.0),
    Consumer(stream=Stream.TELEMETRY, handler="cloud.handlers.grid"),
    Consumer(stream=Stream.METER, handler="cloud.handlers.meter"),
    Consumer(stream=Stream.ORDERS, handler="cloud.handlers.orders"),
    Consumer(stream=Stream.ACKS, handler="cloud.handlers.acks"),
    Consumer(stream=Stream.EVENTS, handler="cloud.handlers.events"),
    Consumer(stream=Stream.STATUS, handler="cloud.handlers.status"),
)

SCHEDULES: Final[tuple[Schedule, ...]] = (
    # Orders and meter readings carry the market's time forward too; the schedule is for when nobody sends anything.
    Schedule(name="market-tick", handler="cloud.handlers.market_tick", every_s=15.0, driven_by=Stream.ORDERS),
    # A gateway takes a forecast for two hours and corrects it by what it meters. Each issue is paid for on AWS.
    Schedule(name="forecast-tick", handler="cloud.handlers.forecast_tick", every_s=3600.0, local_every_s=900.0),
    Schedule(
        name="grid-tick",
        handler="cloud.handlers.grid_tick",
        every_s=10.0,
        driven_by=Stream.TELEMETRY,
        local_every_s=1.0,
    ),
)


def rule_of(channel: Up) -> Rule:
    """Return the one rule that takes a channel's messages."""
    return next(rule for rule in RULES if rule.channel is channel)


def consumers_of(stream: Stream) -> tuple[Consumer, ...]:
    """Return the functions that read a stream."""
    return tuple(consumer for consumer in CONSUMERS if consumer.stream is stream)
