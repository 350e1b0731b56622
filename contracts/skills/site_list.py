"""The skills of a site's agent that more than one place answers: the cloud from reports, the gateway at its own door.

Name, promise, question and answer stand here once, so that whoever asks need not know where the answer comes from.
"""

from dataclasses import dataclass
from typing import Final

from contracts.skills.base import Agent, Form
from contracts.skills.gateway import GatewayPlan, HistoryAnswer, HistoryQuestion
from contracts.skills.plan import ResponsesAnswer, ResponsesQuestion
from contracts.skills.site import SiteQuestion, SiteStatus


@dataclass(frozen=True, kw_only=True)
class SiteSkill:
    """What is asked of a producer or a consumer; the promise names the kind as ``{agent}``."""

    what: str
    promise: str
    question: type[Form]
    answer: type[Form]

    def name(self, agent: Agent) -> str:
        """Return the skill's name for a kind of agent."""
        return f"{agent}_{self.what}"


STATUS: Final = SiteSkill(
    what="status",
    promise="Show a {agent}'s newest values, whether its gateway is online, and its limits.",
    question=SiteQuestion,
    answer=SiteStatus,
)
RESPONSES: Final = SiteSkill(
    what="responses",
    promise="Show what the grid ordered of a {agent} in demand-response events, and how it answered.",
    question=ResponsesQuestion,
    answer=ResponsesAnswer,
)
# Only the gateway knows these two.
PLAN: Final = SiteSkill(
    what="plan",
    promise="Show a {agent}'s own plan of the coming hours, step by step, with the reason of each.",
    question=SiteQuestion,
    answer=GatewayPlan,
)
HISTORY: Final = SiteSkill(
    what="history",
    promise="Show the course of a {agent}'s power over a span, and its energies.",
    question=HistoryQuestion,
    answer=HistoryAnswer,
)

AT_GATEWAY: Final = (STATUS, RESPONSES, PLAN, HISTORY)
