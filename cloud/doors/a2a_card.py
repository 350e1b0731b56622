"""What an agent says of itself to others: its card. Source: A2A specification 1.0, section 8."""

from typing import Final

from a2a.types import a2a_pb2

from cloud.agents.skills import skills_of
from contracts.skills.base import Agent

ROOT: Final = Agent.MARKET_SUPERVISOR
JSON: Final = "application/json"
_ABOUT: Final = {
    Agent.FORECASTING: "Forecasts of load, PV and price, and how good they were.",
    Agent.PRODUCER: "A site that mostly generates: its state, its trades and bills, what it can offer the grid.",
    Agent.CONSUMER: "A site that mostly draws: its state, its trades and bills, what it can offer the grid.",
    Agent.MARKET_SUPERVISOR: "The market of a zone: state, prices, integrity, halt and resume.",
    Agent.GRID_OPTIMISATION: "A feeder: its loading, its demand-response events with their evidence, relief studies.",
}


def card_of(
    agent: Agent, *, url: str, version: str, needs_token: bool, by_certificate: bool = False
) -> a2a_pb2.AgentCard:
    """Return an agent's card; the market supervisor's names the others, for it also stands at the root."""
    others = ", ".join(other for other in Agent if other is not agent)
    about = _ABOUT[agent] + (f" Beside it: {others}, each below /agents/." if agent is ROOT else "")
    card = a2a_pb2.AgentCard(
        name=f"sitewatt {agent}",
        description=about,
        version=version,
        supported_interfaces=[
            a2a_pb2.AgentInterface(url=url, protocol_binding=binding, protocol_version="1.0")
            for binding in ("JSONRPC", "HTTP+JSON")
        ],
        capabilities=a2a_pb2.AgentCapabilities(streaming=True, push_notifications=True),
        default_input_modes=[JSON, "text/plain"],
        default_output_modes=[JSON],
        skills=[
            a2a_pb2.AgentSkill(
                id=each.name,
                name=each.name.replace("_", " "),
                description=f"{each.promise} Question: {', '.join(each.question.model_fields)}.",
                tags=[str(each.effect), str(each.scope)],
                input_modes=[JSON],
                output_modes=[JSON],
            )
            for each in skills_of(agent)
        ],
    )
    if needs_token:
        scheme = a2a_pb2.HTTPAuthSecurityScheme(scheme="bearer", description="A token from the operator.")
        card.security_schemes["bearer"].CopyFrom(a2a_pb2.SecurityScheme(http_auth_security_scheme=scheme))
        requirement = a2a_pb2.SecurityRequirement()
        requirement.schemes["bearer"].CopyFrom(a2a_pb2.StringList())
        card.security_requirements.append(requirement)
    if by_certificate:
        told = a2a_pb2.MutualTlsSecurityScheme(description="A client certificate that the operator knows.")
        card.security_schemes["mtls"].CopyFrom(a2a_pb2.SecurityScheme(mtls_security_scheme=told))
        either = a2a_pb2.SecurityRequirement()
        either.schemes["mtls"].CopyFrom(a2a_pb2.StringList())
        card.security_requirements.append(either)
    return card
