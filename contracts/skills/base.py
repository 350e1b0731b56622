"""What every skill has in common: who does it, what it may change, how far it looks, who may ask."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Form(BaseModel):
    """A question or an answer: closed, so that a misspelt field is refused and not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Agent(StrEnum):
    """The five agents. The name is also a part of addresses."""

    FORECASTING = "forecasting"
    PRODUCER = "producer"
    CONSUMER = "consumer"
    MARKET_SUPERVISOR = "market-supervisor"
    GRID_OPTIMISATION = "grid-optimisation"


class Effect(StrEnum):
    """What a skill may change: nothing, nothing before somebody accepts it, or the running market or grid."""

    READS = "reads"
    PROPOSES = "proposes"
    ACTS = "acts"


class Scope(StrEnum):
    """What a question is about: one site, one zone or feeder, nothing that belongs to anyone, or the whole cloud."""

    SITE = "site"
    ZONE = "zone"
    FLEET = "fleet"
    CLOUD = "cloud"


class Role(StrEnum):
    """What a caller is to the market."""

    OPERATOR = "operator"
    AGGREGATOR = "aggregator"
    GRID_OPERATOR = "grid-operator"
    SITE_OWNER = "site-owner"
    MEMBER = "member"
    AGENT = "agent"
