"""An agent that does what the beginning of a message's id asks; it stands where the skills stand, behind the real door.

The prefixes are those of the A2A technology compatibility kit, so that it can be held against this server as well.
"""

import asyncio
from typing import Final

from a2a.helpers import new_data_part, new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import a2a_pb2

# How long a task works that others come back to; the kit waits half as long for an event.
LINGERS_S: Final = 4.0

_FILE: Final = a2a_pb2.Part(raw=b"output", filename="output.txt", media_type="text/plain")
_ARTIFACTS: Final = {
    "tck-artifact-text": new_text_part("Generated text content"),
    "tck-artifact-file-url": a2a_pb2.Part(
        url="https://example.com/output.txt", filename="output.txt", media_type="text/plain"
    ),
    "tck-artifact-file": _FILE,
    "tck-artifact-data": new_data_part({"key": "value", "count": 42}),
    "tck-stream-001": new_text_part("Stream hello from TCK"),
    "tck-stream-003": new_text_part("Stream task lifecycle"),
    "tck-stream-ordering-001": new_text_part("Ordered output"),
    "tck-stream-artifact-text": new_text_part("Streamed text content"),
    "tck-stream-artifact-file": _FILE,
}  # fmt: skip


class PrefixExecutor(AgentExecutor):
    """Does what a message's id begins with; without a known prefix it completes."""

    def __init__(self, *, lingers_s: float = LINGERS_S) -> None:
        self._lingers_s = lingers_s

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer one message."""
        message = context.message
        assert message is not None, "a request to execute has a message"
        asked = message.message_id
        if asked.startswith("tck-message-response"):
            await event_queue.enqueue_event(new_text_message("Direct message response"))
            return
        task = context.current_task or new_task_from_user_message(message)
        task.id, task.context_id = context.task_id or task.id, context.context_id or task.context_id
        if context.current_task is None:
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        if asked.startswith("tck-reject-task"):
            await updater.reject(updater.new_agent_message([new_text_part("rejected")]))
        elif asked.startswith("tck-input-required") and context.current_task is None:
            await updater.requires_input(updater.new_agent_message([new_text_part("what else?")]))
        else:
            await self._work(asked, updater)

    async def _work(self, asked: str, updater: TaskUpdater) -> None:
        await updater.start_work()
        if asked.startswith("test-resubscribe-message-id"):
            await asyncio.sleep(self._lingers_s)
        if asked.startswith("tck-stream-artifact-chunked"):
            first, last = new_text_part("chunk-1 "), new_text_part("chunk-2")
            await updater.add_artifact([first], artifact_id="chunked", name="chunked")
            await updater.add_artifact([last], artifact_id="chunked", append=True, last_chunk=True)
        # The longest prefix that fits: one begins with another.
        fits = [prefix for prefix in _ARTIFACTS if asked.startswith(prefix)]
        if fits:
            await updater.add_artifact([_ARTIFACTS[max(fits, key=len)]], name=max(fits, key=len), last_chunk=True)
        said = None if asked.startswith("tck-stream") else updater.new_agent_message([new_text_part("Hello from TCK")])
        await updater.complete(said)

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """End a task."""
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()
