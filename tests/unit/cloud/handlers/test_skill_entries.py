"""The five named functions: skills over HTTP events, with the rights of the token that the API has checked."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud.agents.operations import NEEDS_FILES_OR_FLEET
from cloud.agents.skills import SKILLS
from cloud.handlers import (
    energy_trading_actions,
    grid_management,
    historical_data,
    trading_api,
    weather_forecast,
)
from cloud.shell import services as shell_services
from cloud.shell.skill_entry import Handler
from tests.support.cloud.sites import FEEDER, ZONE, context, house_in
from tests.support.market.shell import run_events, story

ENTRIES: dict[str, Handler] = {
    "weather-forecast": weather_forecast.handler,
    "historical-data": historical_data.handler,
    "trading-api": trading_api.handler,
    "grid-management": grid_management.handler,
    "energy-trading-actions": energy_trading_actions.handler,
}
OPERATOR = {
    "sub": "anna", "sitewatt_role": "operator", "sitewatt_zones": "*", "sitewatt_effects": "[reads proposes acts]"
}  # fmt: skip
OWNER = {"sub": "olga", "sitewatt_role": "site-owner", "sitewatt_sites": "home-1"}
HALT = {"zone": ZONE, "reason": "price feed wrong"}


@pytest.fixture
def market(tmp_path: Path) -> Iterator[None]:
    """A cloud over a market's story."""
    with house_in(tmp_path) as (services, _):
        run_events(services, story())
        shell_services.install(services)
        yield


def asked(
    entry: str,
    skill: str = "",
    *,
    claims: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
    body: Any = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Return status and body of one question, as API Gateway would hand it over."""
    path = f"/{entry}/{skill}".rstrip("/")
    method = "GET" if body is None else "POST"
    event = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {"content-type": "application/json", **(headers or {})},
        "queryStringParameters": query or {},
        "requestContext": {
            "http": {"method": method, "path": path},
            "authorizer": {"jwt": {"claims": OPERATOR if claims is None else claims, "scopes": None}},
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        event["body"] = body if isinstance(body, str) else json.dumps(body)
    answer = ENTRIES[entry](event, context())
    return answer["statusCode"], json.loads(answer["body"])


def test_each_skill_is_asked_at_exactly_one_of_the_five(market: None) -> None:
    """What the doors can answer is had behind the API too, under the name that says what it is about."""
    names = []
    for entry in ENTRIES:
        status, body = asked(entry)
        assert status == 200
        names += [each["name"] for each in body["items"]]
    able = [each.name for each in SKILLS if "operator" in each.roles and each.name not in NEEDS_FILES_OR_FLEET]
    assert sorted(names) == sorted(able)


@pytest.mark.parametrize(
    ("entry", "skill", "question", "field"),
    [
        ("weather-forecast", "demand", {"zone": ZONE}, "zone"),
        ("historical-data", "market_settlement", {"zone": ZONE}, "zone"),
        ("trading-api", "market_status", {"zone": ZONE, "hours_back": "4"}, "halted"),
        ("grid-management", "grid_status", {"feeder": FEEDER}, "feeder"),
    ],
)
def test_a_question_is_answered_from_query_and_body_alike(
    market: None, entry: str, skill: str, question: dict[str, str], field: str
) -> None:
    """The skill is the same as behind every other door."""
    status, body = asked(entry, skill, query=question)
    assert status == 200, body
    assert field in body
    assert asked(entry, skill, body=question) == (200, body)


def test_every_answer_is_closed_to_browsers(market: None) -> None:
    """A refusal too: nothing of it is kept, drawn or guessed at."""
    event = {
        "version": "2.0", "rawPath": "/trading-api/nonsense", "rawQueryString": "", "headers": {},
        "requestContext": {"http": {"method": "GET", "path": "/trading-api/nonsense"}}, "isBase64Encoded": False,
    }  # fmt: skip
    answer = ENTRIES["trading-api"](event, context())
    assert answer["statusCode"] >= 400
    assert answer["headers"]["x-content-type-options"] == "nosniff"
    assert answer["headers"]["strict-transport-security"].startswith("max-age=")
    assert "default-src 'none'" in answer["headers"]["content-security-policy"]


def test_what_acts_needs_its_key_and_acts_once(market: None) -> None:
    """A repeat after a lost answer does not stop a market that was let go since."""
    entry = "energy-trading-actions"
    status, body = asked(entry, "halt_market", body=HALT)
    assert status == 422 and "idempotency key" in body["detail"]
    key = {"idempotency-key": "k-1"}
    status, first = asked(entry, "halt_market", body=HALT, headers=key)
    assert status == 200 and first["halted"] == HALT["reason"]
    assert asked(entry, "resume_market", body={"zone": ZONE}, headers={"idempotency-key": "k-2"})[0] == 200
    assert asked(entry, "halt_market", body=HALT, headers=key) == (200, first)
    assert asked("trading-api", "market_status", query={"zone": ZONE})[1]["halted"] is None


def test_rights_come_from_the_claims_alone(market: None) -> None:
    """An owner sees his own site; a token without a role of ours opens nothing."""
    site = {"site": "home-1"}
    assert asked("trading-api", "consumer_status", claims=OWNER, query=site)[0] in {200, 404}
    status, body = asked("trading-api", "consumer_status", claims=OWNER, query={"site": "home-2"})
    assert status == 403 and "home-2" in body["detail"]
    assert asked("energy-trading-actions", "halt_market", claims=OWNER, body=HALT)[0] == 404
    for claims in ({}, {"sub": "x"}, {**OWNER, "sitewatt_role": "root"}, {**OWNER, "sub": ""}):
        assert asked("trading-api", "market_status", claims=claims, query={"zone": ZONE})[0] == 401


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ("{", {}, 400),
        ("[]", {}, 422),
        ("[" * 5_000, {}, 400),
        ("{}", {"content-type": "text/plain"}, 415),
        ('{"zone": "zone-9"}', {}, 404),
        ('{"zone": 7, "more": 1}', {}, 422),
    ],
)
def test_what_is_no_question_is_refused_as_a_problem(
    market: None, body: str, headers: dict[str, str], status: int
) -> None:
    """Whoever calls learns which part was wrong."""
    told, problem = asked("trading-api", "market_status", body=body, headers=headers)
    assert told == problem["status"] == status and problem["detail"]


def test_what_leaves_something_behind_is_never_asked_by_reading(market: None) -> None:
    """A browser may fetch what it likes."""
    status, body = asked("energy-trading-actions", "join_market", query={"zone": ZONE, "applicant": "west-1"})
    assert status == 405 and "POST" in body["detail"]


def test_a_skill_of_another_function_is_not_there(market: None) -> None:
    """Each function's role holds the tables of its own skills."""
    status, body = asked("weather-forecast", "halt_market", body=HALT, headers={"idempotency-key": "k-1"})
    assert status == 404 and "no skill 'halt_market' of weather-forecast" in body["detail"]
