"""The A2A requirements by family, over both bindings: the real server with an agent that does what a message's id asks.

Source: A2A specification 1.0, sections 3 (operations), 5 and 9 to 11 (bindings), 8 (cards), 13 (security).
"""

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.client.client import Client
from a2a.client.errors import A2AClientError
from a2a.helpers import new_text_part
from a2a.types import a2a_pb2
from a2a.utils.errors import (
    A2AError,
    InvalidParamsError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)

from contracts.skills.base import Agent
from tests.support.cloud.a2a_executor import PrefixExecutor
from tests.support.cloud.doors import BEARER, OWNER, Doors, doors_in
from tests.support.cloud.process import eventually

State = a2a_pb2.TaskState
Both = pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
SAFETY_S = 120.0


async def _anywhere(url: str) -> bool:
    """Take every push address: the tests' listener stands on this machine."""
    return bool(url)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Serve one agent at the root, as hosting services want it."""
    more: Any = {"agent": Agent.MARKET_SUPERVISOR, "executor": PrefixExecutor(lingers_s=0.5), "version": "1"}
    with doors_in(tmp_path_factory.mktemp("a2a"), tokens=True, push_allowed=_anywhere, **more) as running:
        yield running


@asynccontextmanager
async def client_of(doors: Doors, binding: str, *, streaming: bool = False, token: str = "") -> AsyncIterator[Client]:
    """Return the official client of the agent at the root."""
    headers = {"Authorization": f"Bearer {token}"} if token else BEARER
    async with asyncio.timeout(SAFETY_S), httpx.AsyncClient(headers=headers) as http:
        config = ClientConfig(httpx_client=http, supported_protocol_bindings=[binding], streaming=streaming)
        client = await create_client(doors.url, config)
        try:
            yield client
        finally:
            await client.close()


def asking(prefix: str, *, configuration: Any = None, **more: Any) -> a2a_pb2.SendMessageRequest:
    """Return a message whose id begins with a prefix."""
    message = a2a_pb2.Message(
        role=a2a_pb2.Role.ROLE_USER,
        message_id=f"{prefix}-{uuid.uuid4().hex}",
        parts=[new_text_part("hello")],
        **more,
    )
    return a2a_pb2.SendMessageRequest(message=message, configuration=configuration)


async def answered(client: Client, request: a2a_pb2.SendMessageRequest) -> a2a_pb2.StreamResponse:
    """Return the last response to a message."""
    return [response async for response in client.send_message(request)][-1]


async def task_of(client: Client, prefix: str, **more: Any) -> a2a_pb2.Task:
    """Return the task of a message."""
    return (await answered(client, asking(prefix, **more))).task


@Both
async def test_send_ends_in_a_task_a_message_or_a_rejection(doors: Doors, binding: str) -> None:
    """Each end that the agent chose is what its caller gets."""
    async with client_of(doors, binding) as client:
        done = await task_of(client, "tck-complete-task")
        assert done.status.state == State.TASK_STATE_COMPLETED and done.id and done.context_id
        assert done.status.message.parts[0].text == "Hello from TCK"
        direct = await answered(client, asking("tck-message-response"))
        assert direct.message.parts[0].text == "Direct message response"
        assert direct.message.role == a2a_pb2.Role.ROLE_AGENT
        assert (await task_of(client, "tck-reject-task")).status.state == State.TASK_STATE_REJECTED


@Both
async def test_each_kind_of_part_arrives_as_it_was_sent(doors: Doors, binding: str) -> None:
    """A text, a file, the address of a file, and data."""
    async with client_of(doors, binding) as client:
        parts = {
            prefix: (await task_of(client, f"tck-artifact-{prefix}")).artifacts[0].parts[0]
            for prefix in ("text", "file", "file-url", "data")
        }
    assert parts["text"].text == "Generated text content"
    assert (parts["file"].raw, parts["file"].filename, parts["file"].media_type) == (
        b"output", "output.txt", "text/plain",
    )  # fmt: skip
    assert parts["file-url"].url == "https://example.com/output.txt"
    assert parts["data"].data.struct_value["count"] == 42


@Both
async def test_a_repeated_message_id_is_a_new_task(doors: Doors, binding: str) -> None:
    """Partners use their ids again; only our own idempotency key makes one of two."""
    async with client_of(doors, binding) as client:
        request = asking("tck-complete-task")
        first, second = (await answered(client, request)).task, (await answered(client, request)).task
        assert first.id != second.id


@Both
async def test_a_task_that_waits_for_input_goes_on_in_its_context(doors: Doors, binding: str) -> None:
    """A conversation of two messages is one task; another context, or a task that has ended, is refused."""
    async with client_of(doors, binding) as client:
        waiting = await task_of(client, "tck-input-required")
        assert waiting.status.state == State.TASK_STATE_INPUT_REQUIRED
        with pytest.raises((A2AClientError, InvalidParamsError)):
            await task_of(client, "tck-complete-task", task_id=waiting.id, context_id="another")
        done = await task_of(client, "tck-complete-task", task_id=waiting.id)
        assert (done.id, done.context_id) == (waiting.id, waiting.context_id)
        assert done.status.state == State.TASK_STATE_COMPLETED
        assert len(done.history) >= 2
        with pytest.raises((A2AClientError, A2AError)):
            await task_of(client, "tck-complete-task", task_id=waiting.id)
        with pytest.raises((A2AClientError, TaskNotFoundError)):
            await task_of(client, "tck-complete-task", task_id="nobody's")


@Both
async def test_a_caller_who_does_not_wait_gets_the_task_at_once(doors: Doors, binding: str) -> None:
    """And reads how it ended later."""
    async with client_of(doors, binding) as client:
        configuration = a2a_pb2.SendMessageConfiguration(return_immediately=True)
        task = await task_of(client, "test-resubscribe-message-id", configuration=configuration)
        assert task.status.state in {State.TASK_STATE_SUBMITTED, State.TASK_STATE_WORKING}
        while task.status.state != State.TASK_STATE_COMPLETED:
            await asyncio.sleep(0.05)
            task = await client.get_task(a2a_pb2.GetTaskRequest(id=task.id))


@Both
async def test_a_stream_tells_states_and_chunks_in_order_and_ends_with_the_task(doors: Doors, binding: str) -> None:
    """What is appended comes after what it is appended to."""
    async with client_of(doors, binding, streaming=True) as client:
        events = [event async for event in client.send_message(asking("tck-stream-artifact-chunked"))]
    kinds = [event.WhichOneof("payload") for event in events]
    assert kinds == ["task", "status_update", "artifact_update", "artifact_update", "status_update"]
    first, last = events[2].artifact_update, events[3].artifact_update
    assert not first.append and last.append and last.last_chunk
    assert first.artifact.artifact_id == last.artifact.artifact_id
    states = [event.status_update.status.state for event in events if event.HasField("status_update")]
    assert states == [State.TASK_STATE_WORKING, State.TASK_STATE_COMPLETED]


@Both
async def test_a_reader_who_comes_back_gets_the_task_and_what_follows(doors: Doors, binding: str) -> None:
    """A dropped connection costs nothing; a task that has ended has nothing to stream."""
    async with client_of(doors, binding, streaming=True) as client:
        stream = client.send_message(asking("test-resubscribe-message-id"))
        task = (await anext(aiter(stream))).task
        again = [event async for event in client.subscribe(a2a_pb2.SubscribeToTaskRequest(id=task.id))]
        assert again[0].HasField("task") and again[0].task.id == task.id
        assert again[-1].status_update.status.state == State.TASK_STATE_COMPLETED
        with pytest.raises((A2AClientError, UnsupportedOperationError)):
            _ = [event async for event in client.subscribe(a2a_pb2.SubscribeToTaskRequest(id=task.id))]
        with pytest.raises((A2AClientError, TaskNotFoundError)):
            _ = [event async for event in client.subscribe(a2a_pb2.SubscribeToTaskRequest(id="nobody's"))]


@Both
async def test_a_task_is_read_with_as_much_history_as_was_asked_for(doors: Doors, binding: str) -> None:
    """None, some, or all of it."""
    async with client_of(doors, binding) as client:
        task = await task_of(client, "tck-complete-task")
        bare = await client.get_task(a2a_pb2.GetTaskRequest(id=task.id, history_length=0))
        one = await client.get_task(a2a_pb2.GetTaskRequest(id=task.id, history_length=1))
        assert not bare.history and len(one.history) == 1
        with pytest.raises((A2AClientError, TaskNotFoundError)):
            await client.get_task(a2a_pb2.GetTaskRequest(id="nobody's"))


@Both
async def test_tasks_are_listed_by_context_and_state_in_pages_newest_first(doors: Doors, binding: str) -> None:
    """A partner with thousands of tasks finds his own."""
    async with client_of(doors, binding) as client:
        context = f"context-{binding}"
        sent = [(await task_of(client, "tck-artifact-text", context_id=context)).id for _ in range(3)]
        await task_of(client, "tck-input-required", context_id=context)
        ask = a2a_pb2.ListTasksRequest(context_id=context, status=State.TASK_STATE_COMPLETED, page_size=2)
        first = await client.list_tasks(ask)
        assert first.total_size == 3 and first.page_size == 2 and first.next_page_token
        ask.page_token = first.next_page_token
        rest = await client.list_tasks(ask)
        assert [task.id for task in (*first.tasks, *rest.tasks)] == sent[::-1] and not rest.next_page_token
        assert not first.tasks[0].artifacts
        whole = await client.list_tasks(a2a_pb2.ListTasksRequest(context_id=context, include_artifacts=True))
        assert any(task.artifacts for task in whole.tasks)
        for wrong in (a2a_pb2.ListTasksRequest(page_size=101), a2a_pb2.ListTasksRequest(page_token="x?")):
            with pytest.raises((A2AClientError, A2AError)):
                await client.list_tasks(wrong)


@Both
async def test_cancel_ends_what_waits_or_works_and_refuses_what_has_ended(doors: Doors, binding: str) -> None:
    """A second cancel, or that of a finished task, says so."""
    async with client_of(doors, binding) as client:
        waiting = await task_of(client, "tck-input-required")
        gone = await client.cancel_task(a2a_pb2.CancelTaskRequest(id=waiting.id))
        assert gone.status.state == State.TASK_STATE_CANCELED
        configuration = a2a_pb2.SendMessageConfiguration(return_immediately=True)
        working = await task_of(client, "test-resubscribe-message-id", configuration=configuration)
        gone = await client.cancel_task(a2a_pb2.CancelTaskRequest(id=working.id))
        assert gone.status.state == State.TASK_STATE_CANCELED
        for task in (waiting, await task_of(client, "tck-complete-task")):
            with pytest.raises((A2AClientError, TaskNotCancelableError)):
                await client.cancel_task(a2a_pb2.CancelTaskRequest(id=task.id))
        with pytest.raises((A2AClientError, TaskNotFoundError)):
            await client.cancel_task(a2a_pb2.CancelTaskRequest(id="nobody's"))


@contextmanager
def listening() -> Iterator[tuple[str, list[tuple[dict[str, str], Any]]]]:
    """Return the address of a listener, and what it was told."""
    told: list[tuple[dict[str, str], Any]] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.append((dict(self.headers), body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever, name="push listener")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/told", told
        finally:
            server.shutdown()
            thread.join()


@Both
async def test_push_addresses_are_kept_read_listed_and_forgotten_by_their_owner_alone(
    doors: Doors, binding: str
) -> None:
    """Whoever may not see a task may not learn where its news goes."""
    async with client_of(doors, binding) as client, client_of(doors, binding, token=OWNER) as stranger:
        task = await task_of(client, "tck-input-required")
        wanted = a2a_pb2.TaskPushNotificationConfig(task_id=task.id, id="mine", url="http://127.0.0.1:9/told")
        assert (await client.create_task_push_notification_config(wanted)).id == "mine"
        ask = a2a_pb2.GetTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        assert (await client.get_task_push_notification_config(ask)).url == wanted.url
        everything = a2a_pb2.ListTaskPushNotificationConfigsRequest(task_id=task.id)
        assert [one.id for one in (await client.list_task_push_notification_configs(everything)).configs] == ["mine"]
        with pytest.raises((A2AClientError, TaskNotFoundError)):
            await stranger.list_task_push_notification_configs(everything)
        forget = a2a_pb2.DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="mine")
        for _ in range(2):  # What is already forgotten stays so.
            await client.delete_task_push_notification_config(forget)
        with pytest.raises((A2AClientError, A2AError)):
            await client.get_task_push_notification_config(ask)


@Both
async def test_what_becomes_of_a_task_is_told_to_its_address_with_its_token(doors: Doors, binding: str) -> None:
    """A partner need not hold a connection open."""
    with listening() as (url, told):
        async with client_of(doors, binding) as client:
            push = a2a_pb2.TaskPushNotificationConfig(url=url, token="secret-of-theirs")
            push.authentication.scheme, push.authentication.credentials = "Bearer", "theirs"
            configuration = a2a_pb2.SendMessageConfiguration(task_push_notification_config=push)
            task = await task_of(client, "tck-artifact-text", configuration=configuration)
            await eventually(lambda: any("TASK_STATE_COMPLETED" in json.dumps(body) for _, body in told))
    headers, body = told[-1]
    assert headers["Authorization"] == "Bearer theirs"
    assert {name.lower(): value for name, value in headers.items()}["x-a2a-notification-token"] == "secret-of-theirs"
    assert task.id in json.dumps(body)


@Both
async def test_a_stranger_neither_lists_reads_continues_nor_cancels_a_task(doors: Doors, binding: str) -> None:
    """Tasks are their callers' own; that one exists is not told either."""
    async with client_of(doors, binding) as client, client_of(doors, binding, token=OWNER) as stranger:
        task = await task_of(client, "tck-input-required")
        listed = await stranger.list_tasks(a2a_pb2.ListTasksRequest(context_id=task.context_id))
        assert not listed.tasks and not listed.total_size
        for ask in (
            stranger.get_task(a2a_pb2.GetTaskRequest(id=task.id)),
            stranger.cancel_task(a2a_pb2.CancelTaskRequest(id=task.id)),
            task_of(stranger, "tck-complete-task", task_id=task.id),
        ):
            with pytest.raises((A2AClientError, TaskNotFoundError)):
                await ask
