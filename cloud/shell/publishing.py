"""How a function speaks to sites: through whatever stands between it and them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from cloud.errors import PublishError

if TYPE_CHECKING:
    from mypy_boto3_iot_data.client import IoTDataPlaneClient

# A broker keeps a message for an absent site no longer than this; what is older only confuses.
EXPIRY_S_MAX: Final = 86_400


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One message, delivered at least once; ``expiry_s`` is how long it may wait for an absent receiver."""

    topic: str
    payload: bytes
    retain: bool = False
    expiry_s: int | None = None


class Publisher(Protocol):
    """What publishes to sites and zones."""

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages to the broker, in their order, and return when it has them all.

        Raises:
            PublishError: One was not taken; those after it may or may not have been.
        """


class IotPublisher:
    """Publishes through the data plane of AWS IoT Core."""

    def __init__(self, client: "IoTDataPlaneClient") -> None:
        self._client = client

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Hand messages to the broker, in their order."""
        for message in messages:
            try:
                self._client.publish(
                    topic=message.topic,
                    qos=1,
                    retain=message.retain,
                    payload=message.payload,
                    messageExpiry=EXPIRY_S_MAX if message.expiry_s is None else max(1, message.expiry_s),
                )
            except (BotoCoreError, ClientError) as error:
                raise PublishError(f"message to {message.topic} was not taken: {error}") from error
