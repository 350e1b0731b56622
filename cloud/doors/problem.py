"""Errors of the HTTP doors as problem details. Source: RFC 9457."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import JSONResponse, Response

from cloud.errors import CallConflict, CloudError, SkillDenied, SkillError, SkillMissing, StoreError

MEDIA_TYPE: Final = "application/problem+json"


def problem(status: int, title: str, detail: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that says what went wrong."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def problem_of(error: CloudError) -> Response:
    """Return the answer to an error of ours; waiting helps where it says how long."""
    match error:
        case SkillDenied():
            return problem(403, "not granted", str(error))
        case SkillMissing():
            return problem(404, "not there", str(error))
        case CallConflict():
            return problem(409, "key in use", str(error))
        case SkillError():
            return problem(422, "question refused", str(error))
        case StoreError():
            return problem(503, "store failed", str(error), headers={"Retry-After": "1"})
        case _:
            return problem(500, "failed", type(error).__name__)
