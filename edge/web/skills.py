"""The gateway's REST door: what its agent can be asked, and what is told of it as OpenAPI 3.1.

The skills are those of ``contracts``, by the same names and models as at the cloud's doors; here they are answered by
the site itself. They read; what people may order stands behind the page's sign-in.
"""

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import parse_qsl

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import models_json_schema

from contracts.faults import valueless
from contracts.market import SiteAgent
from contracts.quality import Quality
from contracts.skills.base import Agent, Form
from contracts.skills.gateway import GatewayPlan, GatewayStep, HistoryAnswer, HistoryQuestion
from contracts.skills.plan import GridOrder, ResponsesAnswer, ResponsesQuestion
from contracts.skills.site import PointValue, SiteStatus
from contracts.skills.site_list import AT_GATEWAY, HISTORY, PLAN, RESPONSES, STATUS, SiteSkill
from edge.config import SiteConfig
from edge.errors import StatusUnavailable
from edge.web.actions import Action
from edge.web.login import COOKIE
from edge.web.notes import alarms
from edge.web.tables import Plain

PROBLEM: Final = "application/problem+json"
_REF: Final = "#/components/schemas/{model}"
_PROBLEMS: Final = {
    "404": "There is no such skill here, or another site is meant, or nothing is kept yet.",
    "422": "The question is refused; the detail says which part.",
    "503": "The gateway does not answer.",
}


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """What the skills stand on.

    Args:
        config: Of the site.
        ask: Returns the gateway's status.
        course: Returns what the history holds between two epoch seconds.
    """

    config: SiteConfig
    ask: Callable[[], Plain]
    course: Callable[[int, int], Mapping[str, Any]]

    @property
    def agent(self) -> Agent:
        """Return the agent of the site; one that only measures answers as a consumer."""
        producer = self.config.site.agent is SiteAgent.PRODUCER
        return Agent.PRODUCER if producer else Agent.CONSUMER


class SkillRefused(ValueError):
    """A question is not answered; the status says why to a program, the text to a person. Source: RFC 9457."""

    def __init__(self, status: HTTPStatus, title: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        problem = {"type": "about:blank", "title": title, "status": int(status), "detail": detail}
        self.body = json.dumps(problem).encode()


def listed(gateway: Gateway) -> dict[str, Any]:
    """Return the skills as the cloud's door lists them."""
    agent = gateway.agent
    items = [
        {"name": skill.name(agent), "agent": str(agent), "promise": skill.promise.format(agent=agent),
         "effect": "reads", "scope": "site"}
        for skill in AT_GATEWAY
    ]  # fmt: skip
    return {"items": items, "next": None}


def answer(gateway: Gateway, name: str, query: str) -> dict[str, Any]:
    """Return the answer to a question in a query; without ``site`` the gateway's own is meant.

    Raises:
        SkillRefused: The gateway has no such skill, no such site, or the question is none.
    """
    agent = gateway.agent
    skill = next((each for each in AT_GATEWAY if each.name(agent) == name), None)
    if skill is None:
        known = ", ".join(each.name(agent) for each in AT_GATEWAY)
        raise SkillRefused(HTTPStatus.NOT_FOUND, "no such skill", f"no skill {name[:80]!r} here; there are {known}")
    site = gateway.config.site.id
    try:
        question = skill.question.model_validate({"site": site, **dict(parse_qsl(query, keep_blank_values=True))})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        sentence = f"{name}: {valueless(first, whole='question')}"
        raise SkillRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "question refused", sentence) from error
    if getattr(question, "site", site) != site:
        raise SkillRefused(HTTPStatus.NOT_FOUND, "not there", f"this is the gateway of {site}")
    try:
        return _ANSWERS[skill.what](gateway, question).model_dump(mode="json")
    except StatusUnavailable as error:
        raise SkillRefused(HTTPStatus.SERVICE_UNAVAILABLE, "not running", str(error)) from error
    except sqlite3.Error as error:
        raise SkillRefused(HTTPStatus.NOT_FOUND, "not there", f"nothing is kept yet: {error}") from error
    except ValueError as error:
        raise SkillRefused(HTTPStatus.UNPROCESSABLE_ENTITY, "question refused", str(error)) from error


def _status(gateway: Gateway, question: Any) -> SiteStatus:
    status, config = gateway.ask(), gateway.config
    at = datetime.fromisoformat(status["at"])
    return SiteStatus(
        site=question.site,
        zone=config.site.zone,
        agent=str(gateway.agent),
        # Asked at the gateway itself, a missing broker does not make it absent; control that is silent does.
        online=status["processes"]["control"]["alive"],
        software=version("sitewatt"),
        heard_at=at,
        import_limit_w=config.connection.import_limit_w,
        export_limit_w=config.connection.export_limit_w,
        points=tuple(_points(status, at)),
        alarms=tuple(alarms(status)),
        alarms_at=at,
    )


def _points(status: Plain, at: datetime) -> list[PointValue]:
    """Return the newest cycle's powers (W, positive into the part) and states of charge."""
    cycle = status["cycle"]
    if cycle is None:
        return []
    flow = cycle["flow"]
    named = {f"site/{name}_w": flow[f"{name}_w"] for name in ("grid", "pv", "battery", "loads", "house")}
    for asset in flow["assets"]:
        named[f"{asset['id']}/power_w"] = asset["power_w"]
        if asset["soc_percent"] is not None:
            named[f"{asset['id']}/soc_pct"] = asset["soc_percent"]
    good = Quality.GOOD if cycle["fresh"] else Quality.STALE
    return [
        PointValue(point=name, at=at, value=value, quality=Quality.INVALID if value is None else good)
        for name, value in named.items()
    ]


def _responses(gateway: Gateway, question: ResponsesQuestion) -> ResponsesAnswer:
    """Return the orders that hold now; those that have ended are told by the cloud."""
    status = gateway.ask()
    at = datetime.fromisoformat(status["at"])
    orders = [
        GridOrder(
            command_id=command["command_id"],
            event_id=command["event_id"],
            kind=command["action"]["kind"],
            issued_at=datetime.fromisoformat(command["issued_at"]),
            expires_at=at + timedelta(seconds=max(0.0, command["left_s"])),
            stage=command["stage"],
            reason=None,
        )
        for command in status["commands"]
    ]
    newest = sorted(orders, key=lambda order: order.issued_at, reverse=True)
    return ResponsesAnswer(site=question.site, orders=tuple(newest[: question.count]))


def _plan(gateway: Gateway, question: Any) -> GatewayPlan:
    trading = gateway.ask()["trading"]
    plan = None if trading is None else trading["plan"]
    fields = set(GatewayStep.model_fields) - {"start"}
    steps = [
        GatewayStep(start=datetime.fromisoformat(step["start"]), **{name: step[name] for name in fields})
        for step in (() if plan is None else plan["steps"])
    ]
    return GatewayPlan(site=question.site, method=None if plan is None else plan["method"], steps=tuple(steps))


def _history(gateway: Gateway, question: HistoryQuestion) -> HistoryAnswer:
    course = gateway.course(question.first_s, question.last_s)
    return HistoryAnswer.model_validate({"site": question.site, **course})


_ANSWERS: Final[Mapping[str, Callable[[Gateway, Any], Form]]] = {
    STATUS.what: _status,
    RESPONSES.what: _responses,
    PLAN.what: _plan,
    HISTORY.what: _history,
}


def openapi(gateway: Gateway) -> dict[str, Any]:
    """Return the description of the door, made from the models. Source: OpenAPI 3.1."""
    agent = gateway.agent
    modes: list[tuple[type[Form], Any]] = [(skill.answer, "serialization") for skill in AT_GATEWAY]
    refs, defined = models_json_schema(modes, ref_template=_REF)
    acted = TypeAdapter[Any](Action).json_schema(ref_template=_REF)
    schemas = {**defined["$defs"], **acted.pop("$defs", {})}
    paths: dict[str, Any] = {
        f"/v1/skills/{skill.name(agent)}": {"get": _described(skill, agent, refs[(skill.answer, "serialization")])}
        for skill in AT_GATEWAY
    }
    paths["/v1/skills"] = {"get": _plain("list_skills", "The skills of this gateway.", "application/json")}
    paths["/metrics"] = {"get": _plain("metrics", "The gateway's figures for Prometheus.", "text/plain")}
    paths["/health"] = {"get": _plain("health", "Whether this server answers.", "text/plain")}
    ready = _plain("ready", "Whether a control cycle was seen.", "text/plain")
    ready["responses"]["503"] = {"description": "None was seen.", "content": {"text/plain": {}}}
    paths["/ready"] = {"get": ready}
    paths["/action"] = {"post": _action(acted)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"sitewatt gateway of {gateway.config.site.id}",
            "version": "1",
            "description": "What the agent of one site answers at its own door.",
        },
        "paths": paths,
        "components": {
            "schemas": {**schemas, "Problem": _problem_schema()},
            "securitySchemes": {"session": {"type": "apiKey", "in": "cookie", "name": COOKIE}},
        },
    }


def _described(skill: SiteSkill, agent: Agent, answered: Mapping[str, Any]) -> dict[str, Any]:
    shape = skill.question.model_json_schema()
    required = set(shape.get("required", [])) - {"site"}
    parameters = [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in shape["properties"].items()
    ]
    problem = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {
        "operationId": skill.name(agent),
        "summary": skill.promise.format(agent=agent),
        "parameters": parameters,
        "responses": {
            "200": {"description": "The answer.", "content": {"application/json": {"schema": dict(answered)}}},
            **{code: {"description": text, "content": problem} for code, text in _PROBLEMS.items()},
        },
    }


def _plain(name: str, summary: str, kind: str) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {}}
    return {"operationId": name, "summary": summary, "responses": {"200": {"description": "OK", "content": content}}}


def _action(schema: dict[str, Any]) -> dict[str, Any]:
    refused = {"description": "It is not done, and why.", "content": {"application/json": {}}}
    return {
        "operationId": "action",
        "summary": "Order something of the site, as a person who has signed in over TLS.",
        "security": [{"session": []}],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "200": {"description": "What was done.", "content": {"application/json": {}}},
            "403": {"description": "Nobody has signed in.", "content": {"application/json": {}}},
            "409": refused,
        },
    }


def _problem_schema() -> dict[str, Any]:
    texts = {name: {"type": "string"} for name in ("type", "title", "detail")}
    return {"type": "object", "properties": {**texts, "status": {"type": "integer"}}, "required": ["title", "status"]}
