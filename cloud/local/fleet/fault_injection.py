"""What the stand-in is told to do wrong, so that others can show what they do about it."""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum


class Operation(StrEnum):
    """What can be asked."""

    CERTIFY = "certify"
    REGISTER = "register"
    SHADOW = "shadow"
    JOB = "job"


class Manner(StrEnum):
    """How a request is treated badly.

    ``LOST`` never arrives; ``UNANSWERED`` is carried out and not answered; ``LATE`` is answered after a while;
    ``REJECTED`` is refused; ``WRONG`` is carried out and answered with what does not fit (another key's certificate, no
    thing's name); ``GARBLED`` is answered with what is not JSON.
    """

    LOST = "lost"
    UNANSWERED = "unanswered"
    LATE = "late"
    REJECTED = "rejected"
    WRONG = "wrong"
    GARBLED = "garbled"


@dataclass
class FaultInjection:
    """The manners of the requests to come, by operation; what has none is answered well. ``late_s`` is real time."""

    late_s: float = 1.0
    _plans: dict[Operation, deque[Manner]] = field(default_factory=dict)

    def plan(self, operation: Operation, *manners: Manner) -> None:
        """Treat an operation's next requests so, one after the other."""
        self._plans.setdefault(operation, deque()).extend(manners)

    def clear(self) -> None:
        """Answer everything well from now on."""
        self._plans.clear()

    def next(self, operation: Operation) -> Manner | None:
        """Take the manner for a request that has come."""
        plan = self._plans.get(operation)
        return plan.popleft() if plan else None
