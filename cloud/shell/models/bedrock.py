"""A model of Amazon Bedrock by its Converse interface. Source: botocore's model of ``bedrock-runtime``."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cloud.agents.reasoning import Message, ModelTurn, Stop, Tool, ToolCall
from cloud.shell.models.bedrock_client import Bedrock

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


class BedrockModel(Bedrock):
    """Asks a model by Converse."""

    def turn(
        self, system: str, messages: Sequence[Message], tools: Sequence[Tool], *, tokens_max: int, timeout_s: float
    ) -> ModelTurn:
        """Return the next turn."""
        answer = self.called(
            lambda client: client.converse(
                modelId=self._id,
                system=[{"text": system}],
                messages=[_message(one) for one in messages],
                toolConfig={"tools": [_tool(tool) for tool in tools]},
                inferenceConfig={"maxTokens": tokens_max},
                **self._guarded(),
            ),
            timeout_s=timeout_s,
        )
        return _turn(answer)

    def _guarded(self) -> dict[str, object]:
        if (guardrail := self._guardrail) is None:
            return {}
        return {"guardrailConfig": {"guardrailIdentifier": guardrail.id, "guardrailVersion": guardrail.version}}


def _turn(answer: Mapping[str, Any]) -> ModelTurn:
    content = answer.get("output", {}).get("message", {}).get("content", [])
    usage = answer.get("usage", {})
    return ModelTurn(
        text="".join(block["text"] for block in content if "text" in block),
        calls=tuple(_call(block["toolUse"]) for block in content if "toolUse" in block),
        stop=_STOPS.get(answer.get("stopReason", ""), Stop.MALFORMED),
        tokens=int(usage.get("totalTokens", 0)),
        written=int(usage.get("outputTokens", 0)),
    )


def _call(use: Mapping[str, Any]) -> ToolCall:
    arguments = use.get("input")
    return ToolCall(id=use["toolUseId"], name=use["name"], arguments=arguments if isinstance(arguments, dict) else None)


def _tool(tool: Tool) -> dict[str, object]:
    return {
        "toolSpec": {"name": tool.name, "description": tool.description, "inputSchema": {"json": dict(tool.schema)}}
    }


def _message(message: Message) -> dict[str, object]:
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
