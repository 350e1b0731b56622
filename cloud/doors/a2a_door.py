"""Each agent as an A2A agent of its own, below ``/agents/<name>/``: card, JSON-RPC and HTTP+JSON.

A message asks for one skill with a data part ``{"skill": name, "question": {...}, "idempotency_key": "..."}``, or with
the same as JSON text. The key makes a repeat harmless; a message id does not, for partners use it again.

Source: A2A specification 1.0.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import anyio.to_thread
import httpx
from a2a.auth.user import User
from a2a.helpers import new_data_part, new_task_from_user_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext, SimpleRequestContextBuilder
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandlerV2
from a2a.server.routes.agent_card_routes import create_agent_card_routes
from a2a.server.routes.common import DefaultServerCallContextBuilder
from a2a.server.routes.jsonrpc_routes import create_jsonrpc_routes
from a2a.server.routes.rest_routes import create_rest_routes
from a2a.server.tasks import BasePushNotificationSender, TaskUpdater
from a2a.types import a2a_pb2
from a2a.utils.push_url_validator import validate_push_notification_url
from google.protobuf.json_format import MessageToDict
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cloud.agents.skills import SKILLS, skills_of
from cloud.doors.a2a_card import JSON, ROOT, card_of
from cloud.doors.a2a_store import StorePushConfigs, StoreTasks
from cloud.doors.card_key import Sign
from cloud.doors.gate import caller_in
from cloud.doors.offering import Offering
from cloud.doors.problem import problem
from cloud.errors import CloudError, SkillDenied, SkillError
from contracts.skills.base import Agent

DOOR: Final = "a2a"
CARD_CACHE: Final = "public, max-age=300"
# A task that waits for its caller is kept in the tables; after this long no longer in memory.
INTERRUPTED_S: Final = 600.0

PushCheck = Callable[[str], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True)
class A2aDoor:
    """The routes of the agents, and what handles their tasks."""

    routes: list[BaseRoute]
    handlers: list[DefaultRequestHandlerV2]

    async def aclose(self) -> None:
        """End what still works; its tasks have failed after the next start."""
        for handler in self.handlers:
            await handler.aclose()


def a2a_door(
    offering: Offering,
    *,
    url: str,
    client: httpx.AsyncClient,
    executor: AgentExecutor | None = None,
    sign: Sign | None = None,
    push_allowed: PushCheck = validate_push_notification_url,
) -> A2aDoor:
    """Return the door of the agents.

    Args:
        offering: What they stand on; with one agent it is served at the root.
        url: How others reach this server, without a slash at the end.
        client: What tells push addresses.
        executor: Takes the place of the skills, behind the same routes, stores and rights.
        sign: Signs a card; without it cards have no signature.
        push_allowed: Which push addresses are taken; without it none on a private or local network.
    """
    routes: list[BaseRoute] = []
    handlers: list[DefaultRequestHandlerV2] = []
    for agent in [offering.agent] if offering.agent else list(Agent):
        prefix = "" if offering.agent else f"/agents/{agent}"
        card = card_of(
            agent,
            url=f"{url}{prefix}",
            version=offering.version,
            needs_token=offering.callers.needs_token,
            by_certificate=offering.callers.by_certificate,
        )
        card = sign(card) if sign is not None else card
        handler = _handler(offering, agent, card, client=client, executor=executor, push_allowed=push_allowed)
        handlers.append(handler)
        routes += _agent_routes(handler, card, prefix)
        if not offering.agent and agent is ROOT:
            routes += create_agent_card_routes(card, cache_control=CARD_CACHE)
    return A2aDoor(routes=routes, handlers=handlers)


class SkillExecutor(AgentExecutor):
    """Answers a message with what one skill of the agent answers."""

    def __init__(self, offering: Offering, agent: Agent) -> None:
        self._offering = offering
        self._agent = agent

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Do what a message asks for and complete its task, or reject it with the reason."""
        assert context.message is not None, "a request to execute has a message"
        task = context.current_task or new_task_from_user_message(context.message)
        task.id, task.context_id = context.task_id or task.id, context.context_id or task.context_id
        if context.current_task is None:
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task.id, task.context_id)
        await updater.start_work()
        try:
            name, question, key = _asked(context.message, self._agent)
            reply = await anyio.to_thread.run_sync(
                lambda: self._offering.office.call(
                    context.call_context.state["caller"], name, question, door=DOOR, key=key
                )
            )
        except (SkillDenied, SkillError) as error:
            await updater.reject(updater.new_agent_message([new_text_part(str(error))]))
            return
        except CloudError as error:
            await updater.failed(updater.new_agent_message([new_text_part(str(error))]))
            return
        # A data part makes every number a double, so the exact answer stands beside it as text.
        answer = dict(reply.answer)
        exact = new_text_part(json.dumps(answer, ensure_ascii=False), media_type=JSON)
        parts = [new_data_part(answer, media_type=JSON), exact]
        await updater.add_artifact(parts, name=name, last_chunk=True)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """End a task; what its skill has already done stands."""
        updater = TaskUpdater(event_queue, context.task_id or "", context.context_id or "")
        await updater.cancel()


class _TaskContext(SimpleRequestContextBuilder):
    """Gives a message to a known task that task's context where it names none; the SDK would make up a new one."""

    def __init__(self, tasks: StoreTasks) -> None:
        super().__init__()
        self._tasks = tasks

    async def build(
        self,
        context: ServerCallContext,
        params: a2a_pb2.SendMessageRequest | None = None,
        task_id: str | None = None,
        context_id: str | None = None,
        task: a2a_pb2.Task | None = None,
    ) -> RequestContext:
        """Return the context of a message."""
        if task_id and not context_id and (stored := await self._tasks.get(task_id, context)) is not None:
            context_id = stored.context_id
        return await super().build(context, params, task_id, context_id, task)


class _Known(User):
    """The caller, in the SDK's terms."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        """Return whether the gate knew who it is."""
        return True

    @property
    def user_name(self) -> str:
        """Return the name under which tasks are kept."""
        return self._name


class _Context(DefaultServerCallContextBuilder):
    """Carries the caller that the gate named to the executor and the stores."""

    def build(self, request: Request) -> ServerCallContext:
        context = super().build(request)
        caller = caller_in(request.scope)
        context.state["caller"] = caller
        context.user = _Known(caller.name)
        return context


def _handler(
    offering: Offering,
    agent: Agent,
    card: a2a_pb2.AgentCard,
    *,
    client: httpx.AsyncClient,
    executor: AgentExecutor | None,
    push_allowed: PushCheck,
) -> DefaultRequestHandlerV2:
    tasks, pushes = StoreTasks(offering.tables, agent), StorePushConfigs(offering.tables, agent)
    tasks.fail_unfinished()
    return DefaultRequestHandlerV2(
        agent_executor=executor or SkillExecutor(offering, agent),
        task_store=tasks,
        agent_card=card,
        push_config_store=pushes,
        push_sender=BasePushNotificationSender(client, pushes, push_url_validator=push_allowed),
        push_url_validator=push_allowed,
        request_context_builder=_TaskContext(tasks),
        validate_input_modes=executor is None,  # The card names what the skills take.
        interrupted_task_timeout=INTERRUPTED_S,
    )


def _agent_routes(handler: DefaultRequestHandlerV2, card: a2a_pb2.AgentCard, prefix: str) -> list[BaseRoute]:
    # Partners add a slash to the address of a card's interface; a redirect would lose the body of a POST.
    (rpc,) = create_jsonrpc_routes(handler, prefix or "/", context_builder=_Context())
    endpoint = _only_json(rpc.endpoint)
    paths = {prefix or "/", f"{prefix}/"}
    rest = [route for route in create_rest_routes(handler, _Context(), path_prefix=prefix) if isinstance(route, Route)]
    return [
        *create_agent_card_routes(card, card_url=f"{prefix}/.well-known/agent-card.json", cache_control=CARD_CACHE),
        *(Route(path, endpoint, methods=["POST"]) for path in sorted(paths)),
        *rest,
    ]


def _only_json(endpoint: Any) -> Callable[[Request], Awaitable[Response]]:
    async def checked(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in {JSON, "application/a2a+json"}:
            return problem(415, "unsupported media type", f"a request is {JSON}")
        answer: Response = await endpoint(request)
        return answer

    return checked


def _asked(message: a2a_pb2.Message, agent: Agent) -> tuple[str, dict[str, object], str | None]:
    """Return the skill, the question and the key that a message holds.

    Raises:
        SkillError: It asks for no skill of this agent.
    """
    names = [each.name for each in skills_of(agent)]
    for part in message.parts:
        asked = _object(part)
        name = asked.get("skill") if asked is not None else None
        if asked is None or not isinstance(name, str):
            continue
        if name not in names:
            elsewhere = next((each.agent for each in SKILLS if each.name == name), None)
            hint = f"it is the {elsewhere}'s" if elsewhere else f"there are {', '.join(names)}"
            raise SkillError(f"{agent} has no skill {name[:80]!r}; {hint}")
        question, key = asked.get("question", {}), asked.get("idempotency_key")
        if not isinstance(question, dict):
            raise SkillError("the question is not a JSON object")
        return name, question, None if key is None else str(key)
    raise SkillError(
        'a message asks with a data part {"skill": name, "question": {...}}; '
        f"{agent} has the skills {', '.join(names)}"
    )


def _object(part: a2a_pb2.Part) -> dict[str, object] | None:
    if part.HasField("data"):
        read: object = MessageToDict(part.data)
    else:
        try:
            read = json.loads(part.text)
        except (ValueError, RecursionError):
            return None
    return read if isinstance(read, dict) else None
