"""The skills over plain HTTP: each under its name, read with GET where its question is flat, else asked with POST."""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cloud.agents.skill import Skill
from cloud.agents.skills import SKILLS
from cloud.doors.gate import caller_in
from cloud.doors.offering import Offering
from cloud.doors.openapi import is_table, openapi
from cloud.doors.problem import problem, problem_of
from cloud.errors import CloudError

DOOR: Final = "rest"
LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200


def routes(offering: Offering) -> list[BaseRoute]:
    """Return the routes of a offering."""
    document = json.dumps(openapi(offering.version), ensure_ascii=False).encode()

    async def describe(request: Request) -> Response:
        return _tagged(request, document, "application/json")

    async def unknown(request: Request) -> Response:
        name, caller = request.url.path.rpartition("/")[2], caller_in(request.scope)
        allowed = next((_methods(each) for each in offering.skills(caller) if each.name == name), None)
        if allowed is not None and request.method not in allowed:
            told = {"Allow": ", ".join(allowed)}
            return problem(405, "method not allowed", f"{name} is asked with POST", headers=told)
        return problem(404, "no such skill", f"no skill {name[:80]!r} for {caller.role} here")

    async def ask(request: Request) -> Response:
        name = request.url.path.rpartition("/")[2]
        caller = caller_in(request.scope)
        skill = next((each for each in offering.skills(caller) if each.name == name), None)
        if skill is None:
            return await unknown(request)
        arguments = await _body(request) if request.method == "POST" else _query(request)
        if isinstance(arguments, Response):
            return arguments
        key = request.headers.get("idempotency-key")
        try:
            reply = await anyio.to_thread.run_sync(
                lambda: offering.office.call(caller, name, arguments, door=DOOR, key=key)
            )
        except CloudError as error:
            return problem_of(error)
        if is_table(skill) and "text/csv" in request.headers.get("accept", ""):
            return _tagged(request, _csv(reply.answer), "text/csv; charset=utf-8")
        answer = json.dumps(reply.answer, ensure_ascii=False).encode()
        if request.method == "POST":
            headers = {"Idempotent-Replayed": "true"} if reply.repeated else {}
            return Response(answer, media_type="application/json", headers=headers)
        return _tagged(request, answer, "application/json")

    def listing(records: Callable[[Request], list[dict[str, object]]]) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            return _paged(request, records(request))

        return answer

    lists: Mapping[str, Callable[[Request], list[dict[str, object]]]] = {
        "skills": lambda request: [
            {
                "name": each.name,
                "agent": str(each.agent),
                "promise": each.promise,
                "effect": str(each.effect),
                "scope": str(each.scope),
            }
            for each in offering.skills(caller_in(request.scope))
        ],
        "zones": lambda request: [{"id": one.id} for one in offering.zones(caller_in(request.scope))],
        "feeders": lambda request: [
            {"id": one.id, "zone": one.zone, "import_limit_w": one.import_limit_w, "export_limit_w": one.export_limit_w}
            for one in offering.feeders(caller_in(request.scope))
        ],
        "sites": lambda request: [
            {
                "id": one.id,
                "zone": one.zone,
                "agent": str(one.agent),
                "feeder": one.feeder,
                "latitude": one.latitude,
                "longitude": one.longitude,
            }
            for one in offering.sites(caller_in(request.scope))
        ],
    }
    return [
        Route("/openapi.json", describe),
        *(Route(f"/v1/{name}", listing(records)) for name, records in lists.items()),
        *(Route(f"/v1/skills/{each.name}", ask, methods=_methods(each), name=each.name) for each in SKILLS),
        Route("/v1/skills/{name}", unknown, methods=["GET", "POST"]),
    ]


def _methods(skill: Skill[Any, Any]) -> list[str]:
    return ["GET", "POST"] if skill.fits_query else ["POST"]


def _query(request: Request) -> dict[str, object] | Response:
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    if doubled := [name for name in names if names.count(name) > 1]:
        return problem(422, "question refused", f"{doubled[0][:80]} stands twice")
    return dict(pairs)


async def _body(request: Request) -> dict[str, object] | Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return problem(415, "unsupported media type", "a question is application/json")
    try:
        read = json.loads(await request.body())
    except (ValueError, RecursionError):
        return problem(400, "not JSON", "the body cannot be read as JSON")
    except ClientDisconnect:
        return problem(413, "too large", "the body is longer than allowed")
    return read if isinstance(read, dict) else problem(422, "question refused", "a question is a JSON object")


def _paged(request: Request, records: list[dict[str, object]]) -> Response:
    raw = {"limit": str(LIMIT_DEFAULT), "cursor": "0", **dict(request.query_params)}
    if unknown := sorted(set(raw) - {"limit", "cursor"}):
        return problem(422, "question refused", f"no parameter {unknown[0][:80]!r}")
    limit, first = (
        int(raw[name]) if raw[name].isascii() and raw[name].isdecimal() and len(raw[name]) < 10 else -1
        for name in ("limit", "cursor")
    )
    if not 1 <= limit <= LIMIT_MAX or first < 0:
        return problem(422, "question refused", f"limit is 1 to {LIMIT_MAX}, cursor what `next` said")
    page = {
        "items": records[first : first + limit],
        "next": str(first + limit) if first + limit < len(records) else None,
    }
    return _tagged(request, json.dumps(page, ensure_ascii=False).encode(), "application/json")


def _tagged(request: Request, body: bytes, media_type: str) -> Response:
    """Return an answer with its tag, or only that it has not changed since the caller got it."""
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept, Authorization"}
    known = {one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def _csv(answer: Mapping[str, object]) -> bytes:
    """Return the first table of an answer."""
    rows: list[dict[str, object]] = next((value for value in answer.values() if isinstance(value, list)), [])
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue().encode()


def _cell(value: object) -> object:
    """Return a value as a cell; a text that a spreadsheet would calculate is kept from it."""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" and value else value
