"""A model of Bedrock by its id: one call within a time, and what its errors mean.

Source: botocore's model of ``bedrock-runtime``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from cloud.agents.reasoning import Stop
from cloud.errors import ModelError

_THROTTLED: Final = frozenset({"ThrottlingException", "ServiceQuotaExceededException", "ModelNotReadyException"})
_LATE: Final = frozenset({"ModelTimeoutException"})

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class Guardrail:
    """A guardrail of the account that filters what goes to a model and what it says: id or ARN, number or ``DRAFT``."""

    id: str
    version: str


class Bedrock:
    """One model; which one is configuration, for ids are retired."""

    def __init__(
        self,
        model_id: str,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        guardrail: Guardrail | None = None,
    ) -> None:
        self._id = model_id
        self._endpoint = endpoint
        self._region = region
        self._guardrail = guardrail

    @property
    def id(self) -> str:
        """Return the model's id."""
        return self._id

    def called(self, call: Callable[[Any], Answer], *, timeout_s: float) -> Answer:
        """Return what a call to the runtime's client gives; nothing is tried again, the question has its own bound.

        Raises:
            ModelError: It gave nothing; ``stop`` says why.
        """
        config = Config(
            connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1, "mode": "standard"}
        )
        try:
            client: Any = boto3.client(
                "bedrock-runtime", config=config, endpoint_url=self._endpoint, region_name=self._region
            )
            return call(client)
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise ModelError(f"model {self._id} gave no turn within {timeout_s:.0f} s", stop=Stop.TIMEOUT) from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            stop = Stop.THROTTLED if code in _THROTTLED else Stop.TIMEOUT if code in _LATE else Stop.UNREACHABLE
            raise ModelError(f"model {self._id} refused: {code}", stop=stop) from error
        except (BotoCoreError, ValueError) as error:  # The second: an endpoint that no client can be made for.
            raise ModelError(f"model {self._id} cannot be reached: {error}", stop=Stop.UNREACHABLE) from error
