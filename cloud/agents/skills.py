"""All that the five agents can do, once: each door (MCP, A2A, REST, the reasoner's tools) is made from this list."""

from typing import Any, Final

from cloud.agents import (
    daily_report,
    forecasting,
    grid_events,
    grid_optimisation,
    joining,
    market_books,
    market_parameters,
    market_supervisor,
    operations,
    outlook,
    site_agents,
    site_plans,
)
from cloud.agents.skill import Ports as Ports  # noqa: PLC0414 (so that it can be had from here as well)
from cloud.agents.skill import Skill
from cloud.errors import SkillError
from contracts.skills.base import Agent

SKILLS: Final[tuple[Skill[Any, Any], ...]] = (
    *market_supervisor.SKILLS,
    *market_parameters.SKILLS,
    *market_books.SKILLS,
    *daily_report.SKILLS,
    *joining.SKILLS,
    *operations.SKILLS,
    *forecasting.SKILLS,
    *outlook.SKILLS,
    *grid_optimisation.SKILLS,
    *grid_events.SKILLS,
    *site_agents.SKILLS,
    *site_plans.SKILLS,
)

_BY_NAME: Final = {each.name: each for each in SKILLS}


def skill(name: str) -> Skill[Any, Any]:
    """Return a skill by its name.

    Raises:
        SkillError: There is no such skill.
    """
    found = _BY_NAME.get(name)
    if found is None:
        raise SkillError(f"no skill {name[:80]!r}; there are {', '.join(_BY_NAME)}")
    return found


def skills_of(agent: Agent) -> tuple[Skill[Any, Any], ...]:
    """Return the skills of one agent."""
    return tuple(each for each in SKILLS if each.agent is agent)
