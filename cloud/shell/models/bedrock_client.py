"""One call to Bedrock within a time, and what its errors mean. Source: botocore's model of ``bedrock-runtime``."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from cloud.agents.reasoning import Stop
from cloud.errors import ModelError

_THROTTLED: Final = frozenset({"ThrottlingException", "ServiceQuotaExceededException", "ModelNotReadyException"})
_LATE: Final = frozenset({"ModelTimeoutException"})

Answer = TypeVar("Answer")


def called(
    model_id: str, call: Callable[[Any], Answer], *, endpoint: str | None, region: str | None, timeout_s: float
) -> Answer:
    """Return what a call to the runtime's client gives; nothing is tried again, the question has its own bound.

    Raises:
        ModelError: It gave nothing; ``stop`` says why.
    """
    config = Config(
        connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1, "mode": "standard"}
    )
    try:
        client: Any = boto3.client("bedrock-runtime", config=config, endpoint_url=endpoint, region_name=region)
        return call(client)
    except (ReadTimeoutError, ConnectTimeoutError) as error:
        raise ModelError(f"model {model_id} gave no turn within {timeout_s:.0f} s", stop=Stop.TIMEOUT) from error
    except ClientError as error:
        code = error.response["Error"]["Code"]
        stop = Stop.THROTTLED if code in _THROTTLED else Stop.TIMEOUT if code in _LATE else Stop.UNREACHABLE
        raise ModelError(f"model {model_id} refused: {code}", stop=stop) from error
    except BotoCoreError as error:
        raise ModelError(f"model {model_id} cannot be reached: {error}", stop=Stop.UNREACHABLE) from error
