"""A local HTTP server that plays a language model from a script, in the documented wire forms; it thinks nothing."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Script:
    """What is answered, in order (the last one again and again), and what was asked."""

    url: str
    answers: Sequence[tuple[int, Mapping[str, Any]]]
    asked: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def scripted(*answers: Mapping[str, Any] | tuple[int, Mapping[str, Any]]) -> Iterator[Script]:
    """Serve a script for the block; a status other than 200 stands before its answer."""
    turns = [answer if isinstance(answer, tuple) else (200, answer) for answer in answers]
    script = Script(url="", answers=turns)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            number = len(script.asked)
            script.paths.append(self.path)
            script.headers.append({name.lower(): value for name, value in self.headers.items()})
            script.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, answer = script.answers[min(number, len(script.answers) - 1)]
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 200:
                self.send_header("x-amzn-ErrorType", str(answer.get("__type", "")))
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, name="scripted model")
    thread.start()
    script.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def bedrock(
    *, text: str = "", call: tuple[str, Any] | None = None, stop: str | None = None, tokens: int = 100
) -> dict[str, Any]:
    """Return one turn in the form of Converse."""
    content: list[dict[str, Any]] = [{"text": text}] if text else []
    if call is not None:
        content.append({"toolUse": {"toolUseId": "t-1", "name": call[0], "input": call[1]}})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop or ("tool_use" if call else "end_turn"),
        "usage": {"inputTokens": tokens - 1, "outputTokens": 1, "totalTokens": tokens},
        "metrics": {"latencyMs": 1},
    }


def chat(*, text: str = "", call: tuple[str, str] | None = None, stop: str | None = None) -> dict[str, Any]:
    """Return one turn in the OpenAI form; a call's arguments are text."""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if call is not None:
        function = {"name": call[0], "arguments": call[1]}
        message["tool_calls"] = [{"id": "t-1", "type": "function", "function": function}]
    reason = stop or ("tool_calls" if call else "stop")
    return {"choices": [{"message": message, "finish_reason": reason}], "usage": {"total_tokens": 100}}


def claude(*, text: str = "", call: tuple[str, Any] | None = None, stop: str | None = None) -> dict[str, Any]:
    """Return one turn in the Messages form."""
    content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
    if call is not None:
        content.append({"type": "tool_use", "id": "t-1", "name": call[0], "input": call[1]})
    reason = stop or ("tool_use" if call else "end_turn")
    return {
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": reason,
        "usage": {"input_tokens": 99, "output_tokens": 1},
    }
