"""Errors of the HTTP doors as problem details. Source: RFC 9457."""

from collections.abc import Mapping

from starlette.responses import JSONResponse, Response

from cloud.errors import CloudError
from cloud.shell.problem_facts import MEDIA_TYPE as MEDIA_TYPE  # noqa: PLC0414 (the doors' word for it)
from cloud.shell.problem_facts import ProblemFacts, facts_of


def problem(status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that says what went wrong."""
    return _response(ProblemFacts(status=status, title=title, detail=detail), headers or {})


def problem_of(error: CloudError) -> Response:
    """Return the answer to an error of ours; waiting helps where it says how long."""
    facts = facts_of(error)
    return _response(facts, {} if facts.retry_after_s is None else {"Retry-After": str(facts.retry_after_s)})


def _response(facts: ProblemFacts, headers: Mapping[str, str]) -> Response:
    return JSONResponse(facts.body(), status_code=facts.status, media_type=MEDIA_TYPE, headers=dict(headers))
