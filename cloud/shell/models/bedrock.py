"""A model of Amazon Bedrock by its Converse interface. Source: botocore's model of ``bedrock-runtime``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from cloud.agents.reasoning import Message, ModelTurn, Stop, Tool, ToolCall
from cloud.errors import ModelError

_STOPS: Final = {
    "end_turn": Stop.DONE,
    "stop_sequence": Stop.DONE,
    "tool_use": Stop.TOOLS,
    "max_tokens": Stop.MAX_TOKENS,
    "guardrail_intervened": Stop.GUARDRAIL,
    "content_filtered": Stop.GUARDRAIL,
    "malformed_model_output": Stop.MALFORMED,
    "malformed_tool_use": Stop.MALFORMED,
    "model_context_window_exceeded": Stop.CONTEXT_FULL,
}
_THROTTLED: Final = frozenset({"ThrottlingException", "ServiceQuotaExceededException", "ModelNotReadyException"})


class BedrockModel:
    """Asks a model by its id; which one is configuration, for ids are retired."""

    def __init__(self, model_id: str, *, endpoint: str | None = None, region: str | None = None) -> None:
        self._id = model_id
        self._endpoint = endpoint
        self._region = region

    @property
    def id(self) -> str:
        """Return the model's id."""
        return self._id

    def turn(
        self, system: str, messages: Sequence[Message], tools: Sequence[Tool], *, tokens_max: int, timeout_s: float
    ) -> ModelTurn:
        """Return the next turn."""
        config = Config(
            connect_timeout=timeout_s, read_timeout=timeout_s, retries={"total_max_attempts": 1, "mode": "standard"}
        )
        try:
            client: Any = boto3.client(
                "bedrock-runtime", config=config, endpoint_url=self._endpoint, region_name=self._region
            )
            answer = client.converse(
                modelId=self._id,
                system=[{"text": system}],
                messages=[_message(one) for one in messages],
                toolConfig={"tools": [_tool(tool) for tool in tools]},
                inferenceConfig={"maxTokens": tokens_max},
            )
        except (ReadTimeoutError, ConnectTimeoutError) as error:
            raise ModelError(f"model {self._id} gave no turn within {timeout_s:.0f} s", stop=Stop.TIMEOUT) from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            stop = Stop.THROTTLED if code in _THROTTLED else Stop.UNREACHABLE
            raise ModelError(f"model {self._id} refused: {code}", stop=stop) from error
        except BotoCoreError as error:
            raise ModelError(f"model {self._id} cannot be reached: {error}", stop=Stop.UNREACHABLE) from error
        return _turn(answer)


def _turn(answer: Mapping[str, Any]) -> ModelTurn:
    content = answer.get("output", {}).get("message", {}).get("content", [])
    usage = answer.get("usage", {})
    return ModelTurn(
        text="".join(block["text"] for block in content if "text" in block),
        calls=tuple(_call(block["toolUse"]) for block in content if "toolUse" in block),
        stop=_STOPS.get(answer.get("stopReason", ""), Stop.MALFORMED),
        tokens=int(usage.get("totalTokens", 0)),
    )


def _call(use: Mapping[str, Any]) -> ToolCall:
    arguments = use.get("input")
    return ToolCall(id=use["toolUseId"], name=use["name"], arguments=arguments if isinstance(arguments, dict) else None)


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "toolSpec": {"name": tool.name, "description": tool.description, "inputSchema": {"json": dict(tool.schema)}}
    }


def _message(message: Message) -> dict[str, Any]:
    match message:
        case str():
            return {"role": "user", "content": [{"text": message}]}
        case ModelTurn():
            text = [{"text": message.text}] if message.text else []
            calls = [
                {"toolUse": {"toolUseId": call.id, "name": call.name, "input": dict(call.arguments or {})}}
                for call in message.calls
            ]
            return {"role": "assistant", "content": [*text, *calls]}
        case results:
            return {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": result.id,
                            "content": [{"text": result.text}],
                            "status": "error" if result.failed else "success",
                        }
                    }
                    for result in results
                ],
            }
