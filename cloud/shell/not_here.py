"""What stands where a cloud has no records that were set aside, or no fleet: each question is answered with why."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

from cloud.errors import SkillError
from contracts.skills.fleet import GatewayAnswer, GatewayRow, JobAnswer
from contracts.skills.operations import RecordAnswer, SetAsideRow

_SET_ASIDE: Final = (
    "no records that were set aside are kept here: a private cloud keeps them beside its tables, "
    "on AWS they lie in the stack's queues of failed records"
)
_FLEET: Final = "no fleet is kept here: a private cloud with --tls has one beside its tables; nothing done"


class NoSetAside:
    """A place that keeps no such records."""

    def all(self) -> Sequence[SetAsideRow]:
        """Say that none are kept here."""
        _refuse(_SET_ASIDE)

    def whole(self, record: str) -> RecordAnswer:
        """Say that none are kept here."""
        _refuse(_SET_ASIDE)

    def replay(self, record: str, *, data: str | None) -> SetAsideRow:
        """Say that none are kept here."""
        _refuse(_SET_ASIDE)

    def drop(self, record: str) -> SetAsideRow:
        """Say that none are kept here."""
        _refuse(_SET_ASIDE)


class NoFleet:
    """A place without a fleet."""

    def gateways(self) -> Sequence[GatewayRow]:
        """Say that there is none."""
        _refuse(_FLEET)

    def gateway(self, name: str) -> GatewayAnswer:
        """Say that there is none."""
        _refuse(_FLEET)

    def want(self, name: str, shadow: str, wish: Mapping[str, Any]) -> int:
        """Say that there is none."""
        _refuse(_FLEET)

    def update(self, name: str, document: Mapping[str, Any]) -> JobAnswer:
        """Say that there is none."""
        _refuse(_FLEET)


def _refuse(sentence: str) -> NoReturn:
    raise SkillError(sentence)
