"""Each skill through each door, with good questions and odd ones: a described answer, or a sentence that helps.

A new skill needs a line in ``GOOD``; everything else is made of its question's model.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from typer.testing import CliRunner

from cloud.agents.skill import AnySkill
from cloud.agents.skills import SKILLS
from cloud.doors.callers import CallerEntry, hash_of
from cloud.local.operator_ports import fleet_of, set_aside_of
from cloud.stores.registry import save_registry
from cloud.stores.tables import Tables
from contracts.skills.base import Effect, Role
from contracts.units import epoch_ms
from sitewatt.commands.agent import app
from tests.support.cloud.doors import Doors, doors_in
from tests.support.cloud.sites import FEEDER, START, ZONE, house_in
from tests.support.market.claim import with_claim
from tests.support.market.shell import run_events, story
from tests.unit.cloud.local.test_operator_ports import with_gateway, with_set_aside

# A caller may send 200 requests at once; these share the work.
OPERATORS: Final = 30
OWNER: Final = "owner"
TIMEOUT_S: Final = 120.0
WHY: Final = {"reason": "a drill"}
_NETWORK: Final[Mapping[str, Any]] = {
    "source_node": 1,
    "nodes": [{"id": 1, "rated_v": 400.0}, {"id": 2, "rated_v": 400.0, "power_w": 1000.0}],
    "lines": [{"from_node": 1, "to_node": 2, "r_ohm": 0.1, "x_ohm": 0.1, "current_a_max": 100.0}],
}
_SITE: Final[Mapping[str, Mapping[str, Any]]] = {
    "status": {}, "market": {}, "statement": {}, "flexibility": {}, "battery_plan": {}, "responses": {},
    "load_schedule": {}, "response_offer": {"change_w": 100, "price_mct_per_kwh": 9_000},
    "bid": {"interval_start": epoch_ms(START + timedelta(minutes=75)), "side": "buy", "quantity_wh": 100,
            "price_mct_per_kwh": 20_000},
    "set_reserve": {"reserve_percent": 20, **WHY},
}  # fmt: skip
GOOD: Final[Mapping[str, Mapping[str, Any]]] = {
    **{f"producer_{what}": {"site": "farm", **more} for what, more in _SITE.items() if what != "load_schedule"},
    **{f"consumer_{what}": {"site": "factory", **more} for what, more in _SITE.items()},
    **{
        name: {"zone": ZONE}
        for name in (
            "market_status", "price_discovery", "market_health", "market_claims", "market_estimates", "market_orders",
            "market_matching", "market_settlement", "join_requests", "market_rules", "weather",
            "demand", "forecast_broadcast", "resume_market",
        )
    },
    **{name: {} for name in ("set_aside", "audit_log", "agent_proposals", "fleet_gateways")},
    "market_statements": {"zone": ZONE, "month": "2026-03"},
    "daily_report": {"zone": ZONE, "day": "2026-03-17"},
    "forecast": {"zone": ZONE, "kind": "price"},
    "forecast_score": {"site": "factory", "kind": "load"},
    "halt_market": {"zone": ZONE, **WHY},
    "set_market_parameters": {"zone": ZONE, "quantity_wh_min": 2, **WHY},
    "decide_claim": {"zone": ZONE, "event": "e1", "site": "home-1", "approve": True, "by": "anna", **WHY},
    "join_market": {"zone": ZONE, "applicant": "guest", "kind": "consumer", "owner": "south", "import_limit_w": 9_000,
                    "export_limit_w": 0},
    "decide_join": {"zone": ZONE, "applicant": "guest", "approve": False, "by": "anna", **WHY},
    "set_aside_record": {"record": "meter:1773748800000002"},
    "replay_record": {"record": "meter:1773748800000000", **WHY},
    "drop_record": {"record": "meter:1773748800000001", **WHY},
    "propose_act": {"skill": "halt_market", "question": {"zone": ZONE, **WHY}, "why": "the price looks odd"},
    "decide_proposal": {"proposal": "20260317:x:0", "accept": False, "by": "anna", **WHY},
    "fleet_gateway": {"gateway": "home-1"},
    "fleet_set": {"gateway": "home-1", "wish": {"telemetry": {"period_s": 30}}},
    "fleet_update": {"gateway": "home-1", "document": {"operation": "update", "version": "1.2.3", "signature": "c2ln"}},
    "grid_status": {"feeder": FEEDER},
    "event_evidence": {"feeder": FEEDER, "event_id": "e1"},
    "relief_study": _NETWORK,
    "open_event": {"feeder": FEEDER, "limit_w": 100_000, **WHY},
    "close_event": {"feeder": FEEDER},
    "coordinate": {"feeder": FEEDER, "need_w": 1_000},
    "response_programme": {"feeder": FEEDER},
    "set_response_programme": {"feeder": FEEDER, "price_mct_per_kwh": 9_000, "penalty_mct_per_kwh": 0, **WHY},
}  # fmt: skip
ODD: Final[tuple[Any, ...]] = (
    None,
    [],
    {},
    "x" * 100_000,
    -1,
    10**40,
    1.5,
    True,
    "",
    "\u0000",
    "../../etc/passwd",
    "<b>'; --",
    [[[1]]],
)


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """Serve a market's story to many operators and an owner."""
    entries = [
        CallerEntry(
            name=f"op-{number}", role=Role.OPERATOR, token_sha256=hash_of(f"op-{number}"), zones=("*",),
            effects=tuple(Effect),
        )
        for number in range(OPERATORS)
    ]  # fmt: skip
    owner = CallerEntry(name="olga", role=Role.SITE_OWNER, token_sha256=hash_of(OWNER), sites=("factory",))
    with doors_in(tmp_path_factory.mktemp("doors"), entries=(*entries, owner), ports=_ports) as made:
        yield made


def _ports(folder: Path, tables: Tables) -> Mapping[str, Any]:
    """Return the ports of a private cloud: a fleet, and the records that a function could not take."""
    with_set_aside(folder, b'{"topic_site": "home-1"}', b'{"topic_site": "home-2"}', b"nonsense")
    with_gateway(folder, "home-1", "farm", "factory")
    return {"set_aside": set_aside_of(folder), "fleet": fleet_of(folder, tables)}


def odd_questions(skill: AnySkill) -> Iterator[tuple[str, Any]]:
    """Yield questions that the skill does not take, or that name what is not there, each with what is odd about it."""
    good = dict(GOOD[skill.name])
    yield "nothing", {}
    yield "a field that there is not", {**good, "no_such": 1}
    for number, name in enumerate(skill.question.model_fields):
        if name in {"zone", "site", "feeder", "applicant", "gateway"}:
            yield f"unknown {name}", {**good, name: "nowhere-9"}
        for step in range(2):
            value = ODD[(number * 2 + step) % len(ODD)]
            yield f"{name} is {str(value)[:20]!r}", {**good, name: value}


def token(number: int) -> dict[str, str]:
    """Return the header of one of the operators, by turns."""
    return {"Authorization": f"Bearer op-{number % OPERATORS}"}


def test_each_skill_has_a_good_question() -> None:
    """A skill that nobody tries by each door is the next one that answers 500."""
    assert set(GOOD) == {each.name for each in SKILLS}
    for each in SKILLS:
        each.read(GOOD[each.name])


async def test_each_skill_answers_a_good_question(tmp_path: Path) -> None:
    """A skill that only ever refuses in the sweep would pass it with an answer that nobody can read.

    The proof of an event alone is tried elsewhere, as it needs a feeder's event: ``tests/unit/cloud/agents`` and the
    console against the demonstration.
    """
    entry = CallerEntry(
        name="anna", role=Role.OPERATOR, token_sha256=hash_of("op-0"), zones=("*",), effects=tuple(Effect)
    )
    with doors_in(tmp_path, entries=(entry,), ports=_ports) as doors:
        async with httpx.AsyncClient(base_url=doors.url, timeout=TIMEOUT_S) as http:

            async def ask(name: str, question: Mapping[str, Any]) -> httpx.Response:
                headers = token(0) | {"Idempotency-Key": name}
                return await http.post(f"/v1/skills/{name}", json=question, headers=headers)

            silent = {}
            # What is decided must have been proposed, and the market of the claim is a later one.
            last = ("decide_proposal", "decide_claim")
            for skill in sorted(SKILLS, key=lambda each: each.name in last):
                question = dict(GOOD[skill.name])
                if skill.name == "decide_proposal":
                    proposals = (await ask("agent_proposals", {})).json()["proposals"]
                    question["proposal"] = proposals[0]["id"]
                if skill.name == "decide_claim":
                    await asyncio.to_thread(with_claim, doors.services)
                    question["site"] = "factory"
                reply = await ask(skill.name, question)
                if reply.status_code != 200:
                    silent[skill.name] = reply.json()["detail"]
                else:
                    skill.answer.model_validate_json(reply.content)
            assert silent == {"event_evidence": f"{FEEDER} has no event 'e1'"}


async def test_rest_answers_what_it_describes_or_says_why_not(doors: Doors) -> None:
    """No 5xx, no status that is not described, no empty sentence; good questions have answers of their model."""
    async with httpx.AsyncClient(base_url=doors.url, timeout=TIMEOUT_S) as http:
        described = (await http.get("/openapi.json")).json()["paths"]
        answered = refused = 0

        async def ask(number: int, skill: AnySkill, what: str, question: Any) -> None:
            nonlocal answered, refused
            headers = token(number) | {"Idempotency-Key": f"key-{number}"}
            reply = await http.post(f"/v1/skills/{skill.name}", json=question, headers=headers)
            told = f"{skill.name}, {what}: {reply.status_code} {reply.text[:300]}"
            assert str(reply.status_code) in described[f"/v1/skills/{skill.name}"]["post"]["responses"], told
            if reply.status_code == 200:
                skill.answer.model_validate_json(reply.content)
                answered += 1
            else:
                problem = reply.json()
                assert reply.headers["content-type"] == "application/problem+json", told
                assert reply.status_code < 500 and len(problem["detail"]) > 10 and len(reply.content) < 2_000, told
                refused += 1

        work = [
            (skill, what, question)
            for skill in SKILLS
            for what, question in (("good", GOOD[skill.name]), *odd_questions(skill))
        ]
        for first in range(0, len(work), OPERATORS):
            await asyncio.gather(
                *(ask(first + number, *one) for number, one in enumerate(work[first : first + OPERATORS]))
            )
        assert answered > len(SKILLS) / 2 and refused > len(SKILLS)


async def test_what_is_no_object_is_refused_by_each_skill(doors: Doors) -> None:
    """The body is a question, and a question is an object."""
    async with httpx.AsyncClient(base_url=doors.url, timeout=TIMEOUT_S) as http:
        for number, skill in enumerate(SKILLS):
            for body, status in ((b"[]", 422), (b"{", 400), (b'"x"', 422), (b"[" * 5_000, 400)):
                headers = token(number) | {"Content-Type": "application/json"}
                reply = await http.post(f"/v1/skills/{skill.name}", content=body, headers=headers)
                assert reply.status_code == status and reply.json()["detail"], (skill.name, body[:5], reply.text)


async def test_who_may_not_is_told_so_and_nothing_else(doors: Doors) -> None:
    """An owner asks everything: he gets his own site, what all may see, and sentences."""
    async with httpx.AsyncClient(base_url=doors.url, timeout=TIMEOUT_S) as http:
        for skill in SKILLS:
            key = {"Idempotency-Key": "owner", "Authorization": f"Bearer {OWNER}"}
            reply = await http.post(f"/v1/skills/{skill.name}", json=GOOD[skill.name], headers=key)
            able = Role.SITE_OWNER in skill.roles and skill.effect is not Effect.ACTS
            told = (skill.name, reply.status_code, reply.text[:200])
            assert (reply.status_code == 404 and "for site-owner here" in reply.text) is not able, told
            if skill.name.startswith("producer_") and able:
                assert reply.status_code == 403 and "not granted site farm" in reply.text, told


async def test_a_key_means_one_effect_for_each_skill_that_acts(doors: Doors) -> None:
    """Again the same answer; another question under the key is refused; without a key nothing acts."""
    async with httpx.AsyncClient(base_url=doors.url, timeout=TIMEOUT_S) as http:
        repeated = 0
        for skill in (each for each in SKILLS if each.effect is Effect.ACTS):
            path, question = f"/v1/skills/{skill.name}", dict(GOOD[skill.name])
            if skill.name == "set_market_parameters":
                question["quantity_wh_min"] = 3
            if skill.name == "open_event":
                await http.post("/v1/skills/close_event", json=GOOD["close_event"],
                                headers=token(0) | {"Idempotency-Key": "first"})  # fmt: skip
            keyed = token(0) | {"Idempotency-Key": f"once-{skill.name}"}
            without = await http.post(path, json=question, headers=token(0))
            assert without.status_code == 422 and "needs an idempotency key" in without.json()["detail"], skill.name
            first = await http.post(path, json=question, headers=keyed)
            again = await http.post(path, json=question, headers=keyed)
            if first.status_code != 200:
                continue
            repeated += 1
            assert again.json() == first.json() and again.headers["idempotent-replayed"] == "true", skill.name
            named = next(name for name in ("reason", "zone", "feeder", "gateway") if name in question)
            other = await http.post(path, json={**question, named: "another-1"}, headers=keyed)
            assert other.status_code in {403, 409} or "another-1" in other.text, (skill.name, other.text)
        assert repeated >= 5


async def test_mcp_answers_each_skill_or_says_why_not(doors: Doors) -> None:
    """A tool's refusal is a result that a model can read, never an error of the protocol."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "sweep", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    async with httpx.AsyncClient(base_url=doors.url, timeout=TIMEOUT_S) as http:
        for number, skill in enumerate(SKILLS):
            odd = list(odd_questions(skill))
            for what, question in (("good", GOOD[skill.name]), odd[0], odd[number % len(odd)]):
                key = {"idempotency_key": f"mcp-{number}-{what}"} if skill.effect is Effect.ACTS else {}
                params = {"name": skill.name, "arguments": {**question, **key}, "_meta": meta}
                headers = token(number) | {
                    "Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2026-07-28",
                    "Mcp-Method": "tools/call", "Mcp-Name": skill.name,
                }  # fmt: skip
                body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
                reply = await http.post("/mcp", json=body, headers=headers)
                told = f"{skill.name}, {what}: {reply.status_code} {reply.text[:400]}"
                assert reply.status_code == 200, told
                result = reply.json()["result"]
                text = result["content"][0]["text"]
                if result.get("isError"):
                    assert len(text) > 10 and "Traceback" not in text, told
                else:
                    assert json.loads(text) == result["structuredContent"], told
                    skill.answer.model_validate_json(text)


async def test_a2a_completes_each_skill_or_rejects_it_with_why(doors: Doors) -> None:
    """A task that failed would say that we did; what was asked wrongly is rejected."""
    async with httpx.AsyncClient(base_url=doors.url, timeout=TIMEOUT_S) as http:
        for number, skill in enumerate(SKILLS):
            odd = list(odd_questions(skill))
            for what, question in (("good", GOOD[skill.name]), odd[1], odd[number % len(odd)]):
                asked = {"skill": skill.name, "question": question, "idempotency_key": f"a2a-{number}-{what}"}
                message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": json.dumps(asked)}]}
                body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
                headers = token(number) | {"A2A-Version": "1.0"}
                reply = await http.post(f"/agents/{skill.agent}", json=body, headers=headers)
                told = f"{skill.name}, {what}: {reply.status_code} {reply.text[:400]}"
                task = reply.json()["result"]["task"]
                state = task["status"]["state"]
                assert state in {"TASK_STATE_COMPLETED", "TASK_STATE_REJECTED"}, told
                if state == "TASK_STATE_REJECTED":
                    assert len(task["status"]["message"]["parts"][0]["text"]) > 10, told
                else:
                    texts = [part["text"] for part in task["artifacts"][0]["parts"] if "text" in part]
                    skill.answer.model_validate_json(texts[0])


def test_the_command_line_answers_each_skill_or_says_why_not(tmp_path: Path) -> None:
    """Exit 0 with the answer, or 1 or 2 with a code and a sentence."""
    with house_in(tmp_path) as (services, _):
        save_registry(services.stores.tables, services.registry)
        run_events(services, story())
    for number, skill in enumerate(SKILLS):
        for question in (GOOD[skill.name], {}):
            command = ["call", skill.name, "--tables", str(tmp_path), "--json", "--key", f"k{number}{len(question)}"]
            result = CliRunner().invoke(app, [*command, "--question", json.dumps(question)])
            told = f"{skill.name}: {result.exit_code} {result.output[:300]} {result.exception!r}"
            assert result.exit_code in {0, 1, 2} and isinstance(result.exception, SystemExit | None), told
            answer = json.loads(result.stdout)
            if result.exit_code == 0:
                skill.answer.model_validate(answer["answer"])
            else:
                assert answer["error"]["code"] and len(answer["error"]["message"]) > 10, told
