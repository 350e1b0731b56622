"""The description of the REST door, made from the skills' models. Source: OpenAPI 3.1."""

from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cloud.agents.skill import AnySkill
from cloud.agents.skills import SKILLS
from cloud.doors.problem import MEDIA_TYPE
from contracts.skills.base import Effect

_REF: Final = "#/components/schemas/{model}"
_PROBLEMS: Final = {
    "400": "The body is not JSON.",
    "401": "A bearer token is needed.",
    "403": "The caller was not granted this.",
    "404": "There is no such skill for this caller, or what the question names is not there.",
    "405": "This method is not for this skill.",
    "409": "The idempotency key was used for something else.",
    "413": "The body is too large.",
    "415": "The body is not application/json.",
    "422": "The question is refused; the detail says which part.",
    "429": "Too many requests; Retry-After says how long to wait.",
    "503": "The store failed; try again.",
}
_LISTS: Final = {
    "skills": "The skills that the caller may use.",
    "zones": "The zones that the caller may see.",
    "feeders": "The feeders of these zones.",
    "sites": "The sites that the caller may ask about.",
}


def is_table(skill: AnySkill) -> bool:
    """Return whether an answer holds rows, so that it can be had as CSV."""
    for field in skill.answer.model_fields.values():
        inner = get_args(field.annotation)
        if get_origin(field.annotation) is tuple and isinstance(inner[0], type) and issubclass(inner[0], BaseModel):
            return True
    return False


def openapi(version: str) -> dict[str, object]:
    """Return the document."""
    models: list[tuple[type[BaseModel], Any]] = []
    for each in SKILLS:
        models += [(each.question, "validation"), (each.answer, "serialization")]
    refs, defined = models_json_schema(list(dict.fromkeys(models)), ref_template=_REF)
    schemas: dict[str, object] = {**defined["$defs"], "Problem": _problem_schema()}
    paths: dict[str, object] = {f"/v1/{name}": {"get": _list(name, text)} for name, text in _LISTS.items()}
    for each in SKILLS:
        question, answer = refs[(each.question, "validation")], refs[(each.answer, "serialization")]
        path: dict[str, object] = {"post": _post(each, question, answer)}
        if each.fits_query:
            path["get"] = _get(each, answer, schemas)
        paths[f"/v1/skills/{each.name}"] = path
    return {
        "openapi": "3.1.0",
        "info": {"title": "sitewatt agents", "version": version, "description": "The skills of the five agents."},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"bearer": []}],
    }


def _post(skill: AnySkill, question: dict[str, object], answer: dict[str, object]) -> dict[str, object]:
    acts = skill.effect is Effect.ACTS
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": acts,
        "schema": {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"},
    }
    return {
        "operationId": f"ask_{skill.name}",
        "summary": skill.promise,
        "tags": [str(skill.agent)],
        "parameters": [key] if acts else [],
        "requestBody": {"required": True, "content": {"application/json": {"schema": question}}},
        "responses": _responses(skill, answer),
    }


def _get(skill: AnySkill, answer: dict[str, object], schemas: dict[str, object]) -> dict[str, object]:
    shape = skill.question.model_json_schema(ref_template=_REF)
    schemas.update(shape.pop("$defs", {}))
    required = shape.get("required", [])
    parameters = [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(schema)}
        for name, schema in shape["properties"].items()
    ]
    return {
        "operationId": f"get_{skill.name}",
        "summary": skill.promise,
        "tags": [str(skill.agent)],
        "parameters": parameters,
        "responses": {**_responses(skill, answer), "304": {"description": "Not changed since it was read."}},
    }


def _responses(skill: AnySkill, answer: dict[str, object]) -> dict[str, object]:
    content: dict[str, object] = {"application/json": {"schema": answer}}
    if is_table(skill):
        content["text/csv"] = {"schema": {"type": "string"}}
    return {"200": {"description": "The answer.", "content": content}, **_problems(_PROBLEMS)}


def _list(name: str, text: str) -> dict[str, object]:
    page = {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": {"type": "object"}},
            "next": {"type": ["string", "null"], "description": "The cursor of the next page."},
        },
    }
    few = {code: _PROBLEMS[code] for code in ("401", "422", "429")}
    return {
        "operationId": f"list_{name}",
        "summary": text,
        "parameters": [
            {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 200}},
            {"name": "cursor", "in": "query", "schema": {"type": "string", "pattern": "^[0-9]{1,9}$"}},
        ],
        "responses": {
            "200": {"description": "A page.", "content": {"application/json": {"schema": page}}},
            "304": {"description": "Not changed since it was read."},
            **_problems(few),
        },
    }


def _problems(codes: dict[str, str]) -> dict[str, object]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {code: {"description": text, "content": content} for code, text in codes.items()}


def _problem_schema() -> dict[str, object]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {"type": text, "title": text, "status": {"type": "integer"}, "detail": text},
    }


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what a query can hold: a value that is left out, not null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind.get("type") != "null"]
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**rest, **kinds[0]} if kinds else {**schema}
