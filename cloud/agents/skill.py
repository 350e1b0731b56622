"""What a skill is: a name, a promise, typed question and answer, what it may change, how far it looks, who may ask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cloud.agents.ports import (
    BooksPort,
    FleetPort,
    ForecastPort,
    GridPort,
    JoinPort,
    MarketPort,
    OutlookPort,
    PlanPort,
    RecordsPort,
    ReliefPort,
    RulesPort,
    SetAsidePort,
    SitePort,
)
from cloud.errors import SkillError
from contracts.faults import valueless
from contracts.skills.base import Agent, Effect, Role, Scope

EVERYONE: Final = frozenset(Role)
STAFF: Final = frozenset({Role.OPERATOR, Role.AGENT})


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What the skills stand on."""

    market: MarketPort
    rules: RulesPort
    forecasts: ForecastPort
    grid: GridPort
    sites: SitePort
    books: BooksPort
    plans: PlanPort
    outlook: OutlookPort
    relief: ReliefPort
    joins: JoinPort
    records: RecordsPort
    set_aside: SetAsidePort
    fleet: FleetPort


def _is_model(part: object) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


Question = TypeVar("Question", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Skill(Generic[Question, Answer]):
    """One thing that an agent can do. ``roles`` may ask for it, each within the zones and sites that it was granted.

    ``shows_sites``: the answer holds values of single sites though the question names none, so it stays on this machine
    where their owners have not agreed to more.

    ``judge`` belongs to a skill that acts: it returns why the core would refuse a request now, ``None`` where it would
    take it, and changes nothing.

    ``hands_on``: the question holds one to another skill, which the office judges in its place.
    """

    name: str
    promise: str
    agent: Agent
    effect: Effect
    scope: Scope
    roles: frozenset[Role]
    question: type[Question]
    answer: type[Answer]
    do: Callable[[Ports, Question, datetime], Answer]
    shows_sites: bool = False
    judge: Callable[[Ports, Question, datetime], str | None] | None = None
    hands_on: bool = False

    @property
    def fits_query(self) -> bool:
        """Return whether a question fits in a query: it does not act, and no field holds more than one value."""
        return self.effect is not Effect.ACTS and not any(
            get_origin(field.annotation) in (tuple, dict) or any(_is_model(part) for part in get_args(field.annotation))
            for field in self.question.model_fields.values()
        )

    def read(self, arguments: Mapping[str, object]) -> Question:
        """Check the arguments and return the question that they make.

        Raises:
            SkillError: The arguments are not what the skill takes; the sentence names the first that is not.
        """
        try:
            return self.question.model_validate(dict(arguments))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            of_question = len(first["loc"]) <= 1 and first["type"] in {"missing", "extra_forbidden"}
            takes = f" (it takes {', '.join(self.question.model_fields)})" if of_question else ""
            raise SkillError(f"{self.name}: {valueless(first, whole='arguments')}{takes}; nothing done") from error

    def call(self, ports: Ports, arguments: Mapping[str, object], *, now: datetime) -> Answer:
        """Check the arguments, do it, and return the answer.

        Raises:
            SkillError: The arguments are not what the skill takes, or what they name is not there.
        """
        return self.do(ports, self.read(arguments), now)


AnySkill: TypeAlias = Skill[Any, Any]  # Where skills of all kinds stand in one list; each is typed where it is made.
