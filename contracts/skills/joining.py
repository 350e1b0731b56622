"""Questions about sites of other aggregators that want to take part in a zone's market."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from contracts.skills.base import Form
from contracts.units import Instant, SiteId, ZoneId

_POWER_W_MAX = 10**9


class JoinBattery(Form):
    """A battery behind the connection point."""

    capacity_wh: int = Field(gt=0, le=_POWER_W_MAX)
    charge_w_max: int = Field(gt=0, le=_POWER_W_MAX)
    discharge_w_max: int = Field(gt=0, le=_POWER_W_MAX)


class JoinRequest(Form):
    """A site that wants to trade in a zone: its limits at the connection point (W), and what stands behind it.

    ``applicant`` is its id there, ``owner`` who answers for it, for example its aggregator.
    """

    zone: ZoneId
    applicant: SiteId
    kind: Literal["producer", "consumer"]
    owner: str = Field(min_length=1, max_length=80)
    feeder: SiteId | None = None
    import_limit_w: int = Field(ge=0, le=_POWER_W_MAX)
    export_limit_w: int = Field(ge=0, le=_POWER_W_MAX)
    battery: JoinBattery | None = None
    pv_peak_w: int = Field(default=0, ge=0, le=_POWER_W_MAX)
    typical_load_w: int = Field(default=0, ge=0, le=_POWER_W_MAX)


class JoinState(StrEnum):
    """What became of a request."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class JoinAnswer(Form):
    """A request and what a person of the market has decided; an accepted site takes part within a minute."""

    zone: ZoneId
    applicant: SiteId
    owner: str
    state: JoinState
    asked_at: Instant
    decided_at: Instant | None
    by: str | None
    reason: str | None


class JoinsQuestion(Form):
    """Which zone."""

    zone: ZoneId


class JoinsAnswer(Form):
    """Every request for a zone, by the site's id."""

    zone: ZoneId
    requests: tuple[JoinAnswer, ...]


class JoinDecision(Form):
    """Let a site that waits take part, or not; name and reason are kept and told to whoever asks again."""

    zone: ZoneId
    applicant: SiteId
    approve: bool
    by: str = Field(min_length=1, max_length=80)
    reason: str = Field(min_length=3, max_length=200)
