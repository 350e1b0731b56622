"""What an HTTP door answers to an error of ours: status, title, and how long to wait where waiting helps."""

from dataclasses import dataclass
from typing import Final

from cloud.errors import CallConflict, CloudError, SkillDenied, SkillError, SkillMissing, StoreError

MEDIA_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, kw_only=True)
class ProblemFacts:
    """A problem detail. Source: RFC 9457; ``retry_after_s`` is the header of RFC 9110, section 10.2.3."""

    status: int
    title: str
    detail: str
    retry_after_s: int | None = None

    def body(self) -> dict[str, object]:
        """Return the problem as the object that travels."""
        return {"type": "about:blank", "title": self.title, "status": self.status, "detail": self.detail}


def facts_of(error: CloudError) -> ProblemFacts:
    """Return the answer to an error; what is none of the caller's business is named by its kind alone."""
    match error:
        case SkillDenied():
            return ProblemFacts(status=403, title="not granted", detail=str(error))
        case SkillMissing():
            return ProblemFacts(status=404, title="not there", detail=str(error))
        case CallConflict():
            return ProblemFacts(status=409, title="key in use", detail=str(error))
        case SkillError():
            return ProblemFacts(status=422, title="question refused", detail=str(error))
        case StoreError():
            return ProblemFacts(status=503, title="store failed", detail=str(error), retry_after_s=1)
        case _:
            return ProblemFacts(status=500, title="failed", detail=type(error).__name__)
