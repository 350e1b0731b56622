"""Skills as a function behind an HTTP API: one event is one question, its answer the response.

Source: Amazon API Gateway developer guide, HTTP APIs: Lambda proxy integration, payload format 2.0; JWT authorizers.

``GET /<function>`` lists the skills, ``GET`` (question in the query) or ``POST /<function>/<skill>`` (question as JSON)
asks one. Who asks stands in the claims of the token that the API's authorizer has checked: ``sub`` is the caller's
name, ``sitewatt_role`` his role; ``sitewatt_zones``, ``sitewatt_sites`` and ``sitewatt_effects`` are his grants, words
with a space between (without effects: reads and proposes).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2

from cloud.agents.office import Office
from cloud.agents.rights import Caller
from cloud.agents.skill import AnySkill
from cloud.agents.skills import skill
from cloud.errors import CloudError
from cloud.figures import SKILLS
from cloud.shell.agents_office import office_of
from cloud.shell.counting import count, counted
from cloud.shell.problem_facts import MEDIA_TYPE, ProblemFacts, facts_of
from cloud.shell.services import Services, current
from contracts.skills.base import Effect, Role

BODY_BYTES_MAX: Final = 1024 * 1024
_OFFICE: Final = "office of the entries"

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]


def entry(name: str, skills: Sequence[str]) -> Handler:
    """Return a function that answers for some skills under its own name."""
    held = {each: skill(each) for each in skills}

    @counted(name)
    def handler(event: dict[str, object], context: object) -> dict[str, object]:
        """Answer one question of a caller whom the API has let in."""
        del context
        count(SKILLS)
        return _answered(APIGatewayProxyEventV2(event), name, held)

    return handler


def _answered(event: APIGatewayProxyEventV2, name: str, held: Mapping[str, AnySkill]) -> dict[str, object]:
    caller = _caller(event)
    if caller is None:
        return _problem(ProblemFacts(status=401, title="who are you", detail="the token names no role of this market"))
    able = {each.name: each for each in held.values() if caller.role in each.roles and each.effect in caller.effects}
    asked = event.raw_path.rstrip("/").rpartition("/")[2]
    method = event.request_context.http.method
    if asked == name and method == "GET":
        return _response(200, {"items": [_listed(each) for each in able.values()], "next": None})
    chosen = able.get(asked)
    if chosen is None:
        sentence = f"no skill {asked[:80]!r} of {name} for {caller.role}; there are {', '.join(able) or 'none'}"
        return _problem(ProblemFacts(status=404, title="no such skill", detail=sentence))
    methods = ("GET", "POST") if chosen.fits_query else ("POST",)
    if method not in methods:
        refused = ProblemFacts(status=405, title="method not allowed", detail=f"{asked} is asked with POST")
        return _problem(refused, {"allow": ", ".join(methods)})
    arguments = dict(event.query_string_parameters or {}) if method == "GET" else _body(event)
    if isinstance(arguments, ProblemFacts):
        return _problem(arguments)
    try:
        reply = _office(current()).call(caller, asked, arguments, door=name, key=event.headers.get("idempotency-key"))
    except CloudError as error:
        return _problem(facts_of(error))
    return _response(200, reply.answer, {"idempotent-replayed": "true"} if reply.repeated else {})


def _caller(event: APIGatewayProxyEventV2) -> Caller | None:
    """Return whom the authorizer let in, ``None`` where the token gives no role."""
    claims: Mapping[str, Any] = (event.get("requestContext") or {}).get("authorizer", {}).get("jwt", {}).get(
        "claims"
    ) or {}
    name, role = claims.get("sub"), claims.get("sitewatt_role")
    if not name or role not in set(Role):
        return None
    effects = frozenset(Effect(word) for word in _words(claims, "sitewatt_effects") if word in set(Effect))
    return Caller(
        name=str(name)[:64],
        role=Role(role),
        zones=_words(claims, "sitewatt_zones"),
        sites=_words(claims, "sitewatt_sites"),
        effects=effects or frozenset({Effect.READS, Effect.PROPOSES}),
    )


def _words(claims: Mapping[str, object], name: str) -> frozenset[str]:
    """Return the words of a claim; the API hands a list over as ``[a b]``."""
    return frozenset(str(claims.get(name, "")).strip("[]").split())


def _body(event: APIGatewayProxyEventV2) -> dict[str, object] | ProblemFacts:
    if not event.headers.get("content-type", "").startswith("application/json"):
        return ProblemFacts(status=415, title="unsupported media type", detail="a question is application/json")
    try:
        text = event.decoded_body or ""
        if len(text) > BODY_BYTES_MAX:
            return ProblemFacts(status=413, title="too large", detail=f"longer than {BODY_BYTES_MAX} characters")
        read = json.loads(text)
    except (ValueError, RecursionError):
        return ProblemFacts(status=400, title="not JSON", detail="the body cannot be read as JSON")
    if not isinstance(read, dict):
        return ProblemFacts(status=422, title="question refused", detail="a question is a JSON object")
    return read


def _office(services: Services) -> Office:
    """Return the office of a process, made anew when the registry was read again."""
    kept = services.memory.get(_OFFICE)
    if isinstance(kept, tuple) and kept[0] == services.registry:
        office: Office = kept[1]
        return office
    made = office_of(services.stores.tables, services.registry)
    services.memory[_OFFICE] = (services.registry, made)
    return made


def _listed(each: AnySkill) -> dict[str, object]:
    return {"name": each.name, "promise": each.promise, "effect": str(each.effect), "scope": str(each.scope)}


def _problem(facts: ProblemFacts, headers: Mapping[str, str] | None = None) -> dict[str, object]:
    waits = {} if facts.retry_after_s is None else {"retry-after": str(facts.retry_after_s)}
    return _response(facts.status, facts.body(), {"content-type": MEDIA_TYPE, **waits, **(headers or {})})


# What a browser is told of an answer that is for programs: nothing of it is kept, drawn or guessed at, and only by TLS.
# Source: OWASP REST Security Cheat Sheet, security headers.
CLOSED: Final = {
    "cache-control": "private, no-cache",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
}


def _response(status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> dict[str, object]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json", **CLOSED, **(headers or {})},
        "body": json.dumps(body, ensure_ascii=False),
    }
