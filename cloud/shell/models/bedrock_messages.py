"""A model of Amazon Bedrock by the Messages form, for models and features that Converse does not have.

Source: Amazon Bedrock user guide, Anthropic Claude Messages API (``anthropic_version`` bedrock-2023-05-31).
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloud.agents.reasoning import Message, ModelTurn, Stop, Tool, ToolCall
from cloud.errors import ModelError
from cloud.shell.models.bedrock_client import Bedrock

_VERSION: Final = "bedrock-2023-05-31"
_STOPS: Final = {
    "end_turn": Stop.DONE,
    "stop_sequence": Stop.DONE,
    "tool_use": Stop.TOOLS,
    "max_tokens": Stop.MAX_TOKENS,
    "refusal": Stop.GUARDRAIL,
    "model_context_window_exceeded": Stop.CONTEXT_FULL,
}


class BedrockMessagesModel(Bedrock):
    """Asks a model by its id with the Messages body."""

    def turn(
        self, system: str, messages: Sequence[Message], tools: Sequence[Tool], *, tokens_max: int, timeout_s: float
    ) -> ModelTurn:
        """Return the next turn."""
        body = {
            "anthropic_version": _VERSION,
            "max_tokens": tokens_max,
            "system": system,
            "messages": [_message(one) for one in messages],
            "tools": [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.schema)}
                for tool in tools
            ],
        }
        raw = self.called(
            lambda client: client.invoke_model(
                modelId=self._id,
                body=json.dumps(body).encode(),
                contentType="application/json",
                accept="application/json",
                **self._guarded(),
            )["body"].read(),
            timeout_s=timeout_s,
        )
        try:
            answer: Any = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"model {self._id} answered no JSON", stop=Stop.MALFORMED) from error
        if not isinstance(answer, dict):
            raise ModelError(f"model {self._id} answered no JSON object", stop=Stop.MALFORMED)
        return _turn(answer)

    def _guarded(self) -> dict[str, str]:
        if (guardrail := self._guardrail) is None:
            return {}
        return {"guardrailIdentifier": guardrail.id, "guardrailVersion": guardrail.version}


def _turn(answer: Mapping[str, Any]) -> ModelTurn:
    content = [block for block in answer.get("content") or [] if isinstance(block, dict)]
    usage = answer.get("usage") or {}
    stopped = answer.get("amazon-bedrock-guardrailAction") == "INTERVENED"
    return ModelTurn(
        text="".join(str(block.get("text", "")) for block in content if block.get("type") == "text"),
        calls=tuple(_call(block) for block in content if block.get("type") == "tool_use"),
        stop=Stop.GUARDRAIL if stopped else _STOPS.get(str(answer.get("stop_reason")), Stop.MALFORMED),
        tokens=int(usage.get("input_tokens", 0)) + int(usage.get("output_tokens", 0)),
        written=int(usage.get("output_tokens", 0)),
    )


def _call(block: Mapping[str, object]) -> ToolCall:
    arguments = block.get("input")
    return ToolCall(
        id=str(block.get("id", "")),
        name=str(block.get("name", "")),
        arguments=arguments if isinstance(arguments, dict) else None,
    )


def _message(message: Message) -> dict[str, object]:
    match message:
        case str():
            return {"role": "user", "content": message}
        case ModelTurn():
            text = [{"type": "text", "text": message.text}] if message.text else []
            calls = [
                {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments or {})}
                for call in message.calls
            ]
            return {"role": "assistant", "content": [*text, *calls]}
        case results:
            return {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": result.id,
                        "content": result.text,
                        "is_error": result.failed,
                    }
                    for result in results
                ],
            }
