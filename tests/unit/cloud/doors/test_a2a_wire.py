"""What the A2A bindings promise below the clients: error codes, versions, types, cards, and tasks beyond a restart."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from a2a.types import a2a_pb2
from a2a.utils.signing import InvalidSignaturesError, create_signature_verifier
from google.protobuf.json_format import ParseDict
from jwt.api_jwk import PyJWK

from cloud.doors.card_key import card_key
from cloud.errors import SetupError
from contracts.skills.base import Agent
from tests.support.cloud.a2a_executor import PrefixExecutor
from tests.support.cloud.doors import BEARER, Doors, doors_in

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Serve one agent at the root."""
    more: Any = {"agent": Agent.GRID_OPTIMISATION, "executor": PrefixExecutor(), "version": "1"}
    with doors_in(tmp_path_factory.mktemp("wire"), tokens=True, **more) as running:
        yield running


@pytest.fixture
def http(doors: Doors) -> Iterator[httpx.Client]:
    """Return a client that speaks the protocol's newest version."""
    with httpx.Client(base_url=doors.url, headers={**BEARER, "A2A-Version": "1.0"}) as client:
        yield client


def message(prefix: str, **more: Any) -> dict[str, Any]:
    """Return a message as the wire has it."""
    return {"message": {"messageId": prefix, "role": "ROLE_USER", "parts": [{"text": "hello"}], **more}}


def called(http: httpx.Client, method: str, params: Any) -> Any:
    """Return the answer of a JSON-RPC call."""
    call = {"jsonrpc": "2.0", "id": "7", "method": method, "params": params}
    answer = http.post("/", json=call)
    assert answer.status_code == 200 and answer.json()["id"] == "7"
    return answer.json()


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("NoSuchMethod", {}, -32601),
        ("SendMessage", {}, -32602),
        ("SendMessage", {"message": {"messageId": 7}}, -32602),
        ("GetTask", {"id": "nobody's"}, -32001),
        ("CancelTask", {"id": "nobody's"}, -32001),
        ("GetTask", {"id": "x", "historyLength": -1}, -32602),
    ],
)
def test_json_rpc_errors_have_the_codes_of_the_specification(
    http: httpx.Client, method: str, params: Any, code: int
) -> None:
    """A client decides by the code."""
    error = called(http, method, params)["error"]
    assert error["code"] == code and error["message"]


def test_what_is_no_json_rpc_is_answered_as_json_rpc(http: httpx.Client) -> None:
    """Broken bytes are a parse error, an object without a method an invalid request."""
    assert http.post("/", content=b"{", headers=JSON).json()["error"]["code"] == -32700
    assert http.post("/", json={"jsonrpc": "2.0", "id": 1}).json()["error"]["code"] == -32600
    assert http.post("/", json={"jsonrpc": "1.0", "id": 1, "method": "GetTask"}).json()["error"]["code"] == -32600


def test_http_errors_have_the_status_and_the_reason_of_the_specification(http: httpx.Client) -> None:
    """The same mistakes over the other binding."""
    missing = http.get("/tasks/nobody's")
    assert missing.status_code == 404
    assert missing.json()["error"]["details"][0]["reason"] == "TASK_NOT_FOUND"
    assert http.post("/message:send", json={}).status_code == 400
    assert http.post("/message:send", content=b"{", headers=JSON).status_code == 400
    done = http.post("/message:send", json=message("tck-complete-task")).json()["task"]
    assert http.post(f"/tasks/{done['id']}:cancel", json={}).status_code in {400, 409}
    assert http.get("/no/such/place").status_code == 404


@pytest.mark.parametrize("version", ["0.2", "2.0", "one"])
def test_a_version_that_is_not_spoken_is_refused_by_name(http: httpx.Client, version: str) -> None:
    """An old or a future partner learns what is wrong."""
    headers = {"A2A-Version": version}
    call = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "x"}}
    assert http.post("/", json=call, headers=headers).json()["error"]["code"] == -32009
    refused = http.post("/message:send", json=message("tck-complete-task"), headers=headers)
    assert refused.status_code == 400
    assert refused.json()["error"]["details"][0]["reason"] == "VERSION_NOT_SUPPORTED"


def test_both_bindings_stand_at_the_cards_address_with_and_without_a_slash(http: httpx.Client) -> None:
    """Partners append to the address in ways of their own."""
    card = http.get("/.well-known/agent-card.json").json()
    assert card["capabilities"] == {"streaming": True, "pushNotifications": True}
    assert {one["protocolVersion"] for one in card["supportedInterfaces"]} == {"1.0"}
    for interface in card["supportedInterfaces"]:
        for ending in ("", "/"):
            if interface["protocolBinding"] == "JSONRPC":
                call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": message("tck-complete-task")}
                assert "task" in http.post(interface["url"] + ending, json=call).json()["result"]
        if interface["protocolBinding"] == "HTTP+JSON":
            answer = http.post(f"{interface['url']}/message:send", json=message("tck-complete-task"))
            assert answer.headers["content-type"].startswith("application/") and "task" in answer.json()


def test_a_card_is_signed_by_the_key_that_the_server_publishes(http: httpx.Client) -> None:
    """Whoever changes a card on its way, its address above all, is found out."""
    card = http.get("/.well-known/agent-card.json").json()
    keys = {one["kid"]: PyJWK(one) for one in http.get("/.well-known/jwks.json").json()["keys"]}
    verify = create_signature_verifier(lambda kid, jku: keys[kid or ""], ["ES256"])
    verify(ParseDict(card, a2a_pb2.AgentCard()))
    card["supportedInterfaces"][0]["url"] = "https://somebody.example"
    with pytest.raises(InvalidSignaturesError):
        verify(ParseDict(card, a2a_pb2.AgentCard()))


def test_the_key_of_the_cards_is_made_once_and_nobody_else_reads_it(tmp_path: Path) -> None:
    """A partner who kept it knows the same operator after a restart."""
    path = tmp_path / "agent-cards.pem"
    assert card_key(path).jwk() == card_key(path).jwk()
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(SetupError, match=r"agent-cards\.pem"):
        card_key(path)


def test_every_door_but_the_card_wants_a_token(doors: Doors) -> None:
    """The card says which."""
    with httpx.Client(base_url=doors.url, headers={"A2A-Version": "1.0"}) as nobody:
        card = nobody.get("/.well-known/agent-card.json")
        assert card.status_code == 200
        assert card.json()["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"] == "bearer"
        for answer in (
            nobody.post("/", json={}),
            nobody.post("/message:send", json={}),
            nobody.get("/tasks"),
            nobody.get("/tasks/x"),
        ):
            assert answer.status_code == 401 and "Bearer" in answer.headers["www-authenticate"]


def test_tasks_and_their_push_addresses_outlive_a_restart_and_a_waiting_one_goes_on(tmp_path: Path) -> None:
    """A partner does not notice that the server was replaced."""

    def begun(doors: Doors) -> tuple[str, str]:
        with httpx.Client(base_url=doors.url, headers={"A2A-Version": "1.0"}) as http:
            done = http.post("/message:send", json=message("tck-artifact-text")).json()["task"]["id"]
            waiting = http.post("/message:send", json=message("tck-input-required")).json()["task"]["id"]
            push = {"id": "p", "url": "http://127.0.0.1:9/told"}
            kept = http.post(f"/tasks/{waiting}/pushNotificationConfigs", json=push)
            assert kept.status_code == 200, kept.text
        return done, waiting

    async def anywhere(url: str) -> bool:
        return bool(url)

    more: Any = {"agent": Agent.PRODUCER, "executor": PrefixExecutor(), "push_allowed": anywhere}
    with doors_in(tmp_path, **more) as first:
        done, waiting = begun(first)
    with (
        doors_in(tmp_path, events=[], **more) as second,
        httpx.Client(base_url=second.url, headers={"A2A-Version": "1.0"}) as http,
    ):
        task = http.get(f"/tasks/{done}").json()
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        assert task["artifacts"][0]["parts"][0]["text"] == "Generated text content"
        configs = http.get(f"/tasks/{waiting}/pushNotificationConfigs").json()["configs"]
        assert [one["id"] for one in configs] == ["p"]
        went_on = http.post("/message:send", json=message("tck-complete-task", taskId=waiting))
        assert went_on.json()["task"]["status"]["state"] == "TASK_STATE_COMPLETED", json.dumps(went_on.json())
