"""The events that AWS hands to functions, in their exact shapes.

Source: AWS Lambda developer guide, "Using Lambda with Kinesis" (example event); Amazon EventBridge Scheduler user
guide, "Adding context attributes" (the schedule's input carries ``<aws.scheduler.scheduled-time>``).
"""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cloud.infra.rules import Stream
from cloud.local.streams import StreamRecord
from contracts.topics import Topic
from contracts.units import epoch_ms
from contracts.wire import WireError, read_json

REGION: Final = "local"
ACCOUNT: Final = "000000000000"
TIMEOUT_MS: Final = 60_000


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a function is told about its call."""

    function_name: str
    aws_request_id: str
    function_version: str = "$LATEST"
    memory_limit_in_mb: int = 512

    @property
    def invoked_function_arn(self) -> str:
        """Return the function's name in the form of AWS."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Return the time that the call may take; nothing here cuts a call short."""
        return TIMEOUT_MS


def fields_of(payload: bytes) -> dict[str, object]:
    """Return what a rule can select from.

    Raises:
        WireError: The payload is not a JSON object within our bounds.
    """
    fields = read_json(payload)
    if not isinstance(fields, dict):
        raise WireError(f"payload is a JSON {type(fields).__name__}, not an object")
    return fields


def forwarded(topic: Topic, fields: Mapping[str, object], *, at: datetime) -> bytes:
    """Return what a rule puts into a stream: the payload's fields with the zone, site and channel of its topic.

    Args:
        topic: What the broker took the message for.
        fields: Of the payload; one that a rule says itself is replaced.
        at: When the rule took it.
    """
    said = {
        "topic_zone": topic.zone,
        "topic_site": topic.site,
        "topic_channel": topic.channel.value,
        "topic_at": epoch_ms(at),
    }
    return json.dumps({**fields, **said}, separators=(",", ":")).encode()


def kinesis_event(stream: Stream, shard: int, records: Sequence[StreamRecord]) -> dict[str, object]:
    """Return a batch as Lambda receives it from a Kinesis stream."""
    return {"Records": [_kinesis_record(stream, shard, record) for record in records]}


def scheduled_event(at: datetime, target: dict[str, str]) -> dict[str, object]:
    """Return the input of a schedule: its own time, and the zone or feeder that it is for."""
    return {"time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **target}


def _kinesis_record(stream: Stream, shard: int, record: StreamRecord) -> dict[str, object]:
    number = f"{record.seq:056d}"
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": record.partition_key,
            "sequenceNumber": number,
            "data": b64encode(record.data).decode(),
            "approximateArrivalTimestamp": epoch_ms(record.arrived_at) / 1000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-{shard:012d}:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::{ACCOUNT}:role/{stream}",
        "awsRegion": REGION,
        "eventSourceARN": f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/sitewatt-{stream}",
    }
