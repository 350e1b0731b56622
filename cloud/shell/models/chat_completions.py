"""A model behind an interface in the OpenAI form (``/chat/completions``): a local one, or anybody's."""

import json
from collections.abc import Sequence
from typing import Any, Final

import httpx

from cloud.agents.reasoning import Message, ModelTurn, Stop, Tool, ToolCall
from cloud.errors import ModelError

_STOPS: Final = {
    "stop": Stop.DONE,
    "tool_calls": Stop.TOOLS,
    "length": Stop.MAX_TOKENS,
    "content_filter": Stop.GUARDRAIL,
}


class ChatModel:
    """Asks a model by its name at an address that ends before ``/chat/completions``."""

    def __init__(self, model_id: str, *, endpoint: str, key: str | None = None) -> None:
        self._id = model_id
        self._url = f"{endpoint.rstrip('/')}/chat/completions"
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    @property
    def id(self) -> str:
        """Return the model's name."""
        return self._id

    def turn(
        self, system: str, messages: Sequence[Message], tools: Sequence[Tool], *, tokens_max: int, timeout_s: float
    ) -> ModelTurn:
        """Return the next turn."""
        body = {
            "model": self._id,
            "messages": [{"role": "system", "content": system}, *(one for each in messages for one in _messages(each))],
            "tools": [_tool(tool) for tool in tools],
            "max_tokens": tokens_max,
        }
        try:
            answer = httpx.post(self._url, json=body, headers=self._headers, timeout=timeout_s)
        except httpx.TimeoutException as error:
            raise ModelError(f"model {self._id} gave no turn within {timeout_s:.0f} s", stop=Stop.TIMEOUT) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ModelError(f"model {self._id} cannot be reached: {error}", stop=Stop.UNREACHABLE) from error
        if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            raise ModelError(f"model {self._id} refused: too many requests", stop=Stop.THROTTLED)
        if answer.is_error:
            full = "context_length" in answer.text
            stop = Stop.CONTEXT_FULL if full else Stop.UNREACHABLE
            raise ModelError(f"model {self._id} refused: status {answer.status_code}", stop=stop)
        try:
            return _turn(answer.json())
        except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            raise ModelError(f"model {self._id} answered in another form", stop=Stop.MALFORMED) from error


def _turn(answer: dict[str, Any]) -> ModelTurn:
    choice = answer["choices"][0]
    message = choice["message"]
    usage = answer.get("usage") or {}
    calls = tuple(
        ToolCall(id=call["id"], name=call["function"]["name"], arguments=_arguments(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    )
    return ModelTurn(
        text=message.get("content") or "",
        calls=calls,
        stop=_STOPS.get(choice["finish_reason"], Stop.MALFORMED) if not message.get("refusal") else Stop.GUARDRAIL,
        tokens=int(usage.get("total_tokens", 0)),
        # A server that tells the sum alone: all at the dearer price.
        written=int(usage.get("completion_tokens", usage.get("total_tokens", 0))),
    )


def _arguments(text: str) -> dict[str, object] | None:
    try:
        read = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _tool(tool: Tool) -> dict[str, object]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.schema)}
    return {"type": "function", "function": function}


def _messages(message: Message) -> list[dict[str, object]]:
    match message:
        case str():
            return [{"role": "user", "content": message}]
        case ModelTurn():
            calls = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.dumps(dict(call.arguments or {}))},
                }
                for call in message.calls
            ]
            return [{"role": "assistant", "content": message.text, **({"tool_calls": calls} if calls else {})}]
        case results:
            return [{"role": "tool", "tool_call_id": result.id, "content": result.text} for result in results]
