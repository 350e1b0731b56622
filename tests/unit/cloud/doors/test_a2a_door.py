"""The A2A door by the official client, over a real socket: cards, both bindings, tasks, rights and push addresses."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.client import ClientConfig, create_client
from a2a.client.client import Client
from a2a.client.errors import A2AClientError
from a2a.helpers import new_data_part, new_text_part
from a2a.types import a2a_pb2
from a2a.utils.errors import A2AError, ContentTypeNotSupportedError
from google.protobuf.json_format import MessageToDict

from cloud.stores import keys
from cloud.stores.tables import Put, Tables
from tests.support.cloud.doors import BEARER, OWNER, doors_in
from tests.support.cloud.sites import ZONE

STATUS = {"skill": "market_status", "question": {"zone": ZONE, "hours_back": 4}}
HALT = {"skill": "halt_market", "question": {"zone": ZONE, "reason": "price feed wrong"}, "idempotency_key": "k-1"}


@asynccontextmanager
async def client_of(
    url: str, *, agent: str = "market-supervisor", binding: str = "JSONRPC", headers: dict[str, str] | None = None
) -> AsyncIterator[Client]:
    """Return the official client of one agent."""
    async with httpx.AsyncClient(headers=headers) as http:
        config = ClientConfig(httpx_client=http, supported_protocol_bindings=[binding], streaming=False)
        client = await create_client(f"{url}/agents/{agent}", config)
        try:
            yield client
        finally:
            await client.close()


def asking(part: a2a_pb2.Part, **more: Any) -> a2a_pb2.SendMessageRequest:
    """Return a message with one part."""
    message = a2a_pb2.Message(role=a2a_pb2.Role.ROLE_USER, message_id=uuid.uuid4().hex, parts=[part], **more)
    return a2a_pb2.SendMessageRequest(message=message)


async def sent(client: Client, asked: dict[str, Any]) -> a2a_pb2.Task:
    """Send a question and return its task."""
    responses = [one async for one in client.send_message(asking(new_data_part(asked)))]
    assert responses[-1].HasField("task")
    return responses[-1].task


@pytest.mark.parametrize("binding", ["JSONRPC", "HTTP+JSON"])
async def test_a_skill_is_asked_over_both_bindings_and_its_task_is_kept(tmp_path: Path, binding: str) -> None:
    """Another organisation's agent needs nothing of ours but the card."""
    with doors_in(tmp_path) as doors:
        async with client_of(doors.url, binding=binding) as client:
            task = await sent(client, STATUS)
            assert task.status.state == a2a_pb2.TaskState.TASK_STATE_COMPLETED
            (artifact,) = task.artifacts
            exact = json.loads(artifact.parts[1].text)
            assert exact["zone"] == ZONE and exact["volume_wh"] > 0
            assert MessageToDict(artifact.parts[0].data)["volume_wh"] == exact["volume_wh"]
            again = await client.get_task(a2a_pb2.GetTaskRequest(id=task.id))
            assert again.status.state == task.status.state
            listed = await client.list_tasks(a2a_pb2.ListTasksRequest())
            assert [one.id for one in listed.tasks] == [task.id]
            with pytest.raises((A2AClientError, A2AError)):
                await client.cancel_task(a2a_pb2.CancelTaskRequest(id=task.id))  # It has ended.


async def test_what_an_agent_cannot_do_is_rejected_with_a_hint(tmp_path: Path) -> None:
    """The asking agent finds out whom to ask."""
    with doors_in(tmp_path) as doors:
        async with client_of(doors.url, agent="forecasting") as client:
            task = await sent(client, STATUS)
            assert task.status.state == a2a_pb2.TaskState.TASK_STATE_REJECTED
            assert "market-supervisor" in task.status.message.parts[0].text
            responses = [one async for one in client.send_message(asking(new_text_part("will the sun shine?")))]
            assert "forecast_score" in responses[-1].task.status.message.parts[0].text
            with pytest.raises((A2AClientError, ContentTypeNotSupportedError)):
                _ = [one async for one in client.send_message(asking(a2a_pb2.Part(raw=b"0", media_type="image/png")))]


def test_each_agent_has_a_card_and_the_root_names_them_all(tmp_path: Path) -> None:
    """A partner begins with the server's address."""
    with doors_in(tmp_path, tokens=True) as doors, httpx.Client(base_url=doors.url) as client:
        root = client.get("/.well-known/agent-card.json")
        assert "grid-optimisation" in root.json()["description"] and "max-age" in root.headers["cache-control"]
        assert client.get(
            "/.well-known/agent-card.json", headers={"If-None-Match": root.headers["etag"]}
        ).status_code == 304  # fmt: skip
        for agent in ("forecasting", "producer", "consumer", "market-supervisor", "grid-optimisation"):
            card = client.get(f"/agents/{agent}/.well-known/agent-card.json").json()
            assert card["skills"] and card["securitySchemes"]
            assert {one["protocolBinding"] for one in card["supportedInterfaces"]} == {"JSONRPC", "HTTP+JSON"}
        assert client.post("/agents/producer/", json={}).status_code == 401


async def test_a_repeated_order_acts_once_and_tasks_belong_to_who_sent_them(tmp_path: Path) -> None:
    """Message ids are used again by partners; the order's own key is what counts."""
    with doors_in(tmp_path, tokens=True) as doors:
        async with client_of(doors.url, headers=BEARER) as operator:
            first, second = await sent(operator, HALT), await sent(operator, HALT)
            assert first.artifacts[0].parts[1].text == second.artifacts[0].parts[1].text
        async with client_of(doors.url, headers={"Authorization": f"Bearer {OWNER}"}) as owner:
            assert not (await owner.list_tasks(a2a_pb2.ListTasksRequest())).tasks
            with pytest.raises((A2AClientError, A2AError)):
                await owner.get_task(a2a_pb2.GetTaskRequest(id=first.id))
            refused = await sent(owner, {**HALT, "idempotency_key": "k-2"})
            assert refused.status.state == a2a_pb2.TaskState.TASK_STATE_REJECTED


async def test_push_to_a_private_address_is_refused(tmp_path: Path) -> None:
    """Otherwise any caller could make the server knock at its neighbours' doors."""
    with doors_in(tmp_path) as doors:
        async with client_of(doors.url) as client:
            task = await sent(client, STATUS)
            wanted = a2a_pb2.TaskPushNotificationConfig(task_id=task.id, id="p", url="http://169.254.169.254/latest")
            with pytest.raises((A2AClientError, A2AError)):
                await client.create_task_push_notification_config(wanted)


async def test_a_task_that_a_stop_cut_short_has_failed_after_the_start(tmp_path: Path) -> None:
    """A partner that waits must get an end."""

    def cut_short(tables: Tables) -> None:
        task = {"id": "t-1", "contextId": "c-1", "status": {"state": "TASK_STATE_WORKING"}}
        tables.put(Put(key=keys.a2a_task("market-supervisor", "local", "t-1"), body=task))
        note = {"owner": "local", "task": "t-1"}
        tables.put(Put(key=keys.a2a_open("market-supervisor", "local", "t-1"), body=note))

    with doors_in(tmp_path, begin=cut_short) as doors:
        async with client_of(doors.url) as client:
            task = await client.get_task(a2a_pb2.GetTaskRequest(id="t-1"))
            assert task.status.state == a2a_pb2.TaskState.TASK_STATE_FAILED


def test_wrong_versions_and_types_are_answered_as_the_specification_says(tmp_path: Path) -> None:
    """An old partner learns what is wrong."""
    with doors_in(tmp_path) as doors, httpx.Client(base_url=doors.url) as client:
        call = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}
        old = client.post("/agents/consumer/", json=call, headers={"A2A-Version": "0.2"}).json()
        assert old["error"]["code"] == -32009
        missing = client.post("/agents/consumer/", json=call, headers={"A2A-Version": "1.0"}).json()
        assert missing["error"]["code"] == -32001
        text = client.post("/agents/consumer/", content=b"{}", headers={"Content-Type": "text/plain"})
        assert text.status_code == 415
