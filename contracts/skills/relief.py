"""Requests to the grid optimisation agent: hold a feeder below a lower limit for a while, or see what it would take."""

from typing import Literal

from pydantic import Field

from contracts.skills.base import Form
from contracts.units import Instant, SiteId

DURATION_S_MAX = 4 * 3600
_LIMIT_W_MAX = 10**9


class EventRequest(Form):
    """Hold a feeder's loading in one direction below a limit; the reason is kept and shown."""

    feeder: SiteId
    direction: Literal["reduce_import", "reduce_export"] = "reduce_import"
    limit_w: int = Field(gt=0, le=_LIMIT_W_MAX)
    duration_s: int = Field(default=900, ge=60, le=DURATION_S_MAX)
    reason: str = Field(min_length=3, max_length=200)


class CloseRequest(Form):
    """End a request for a feeder before its time."""

    feeder: SiteId


class EventState(Form):
    """The limits that hold at a feeder now, and until when they are lower than its own; ``None``: no request."""

    feeder: SiteId
    import_limit_w: int
    export_limit_w: int
    until: Instant | None
    reason: str | None


class ProgrammeQuestion(Form):
    """Which feeder's programme."""

    feeder: SiteId


class ProgrammeRequest(Form):
    """What a kWh of relief is paid in a feeder's events from now on, and what a missing one costs; 0: not paid at all.

    The reason is kept and shown.
    """

    feeder: SiteId
    price_mct_per_kwh: int = Field(ge=0, le=1_000_000)
    penalty_mct_per_kwh: int = Field(ge=0, le=1_000_000)
    reason: str = Field(min_length=3, max_length=200)


class ProgrammeState(Form):
    """What a kWh of relief is paid at a feeder, and what a missing one costs; ``reason`` of who changed it last."""

    feeder: SiteId
    price_mct_per_kwh: int
    penalty_mct_per_kwh: int
    reason: str | None


class CoordinateQuestion(Form):
    """By how much a feeder's loading should fall, which way, for how long."""

    feeder: SiteId
    direction: Literal["reduce_import", "reduce_export"] = "reduce_import"
    need_w: int = Field(gt=0, le=_LIMIT_W_MAX)
    duration_s: int = Field(default=900, ge=60, le=DURATION_S_MAX)


class SiteShare(Form):
    """What one site would be asked for, by which means, at its price."""

    site: SiteId
    means: str
    change_w: int
    change_w_max: int
    price_mct_per_kwh: int


class CoordinateAnswer(Form):
    """The cheapest shares that give the relief; ``accepted`` where nothing is missing. Nothing is ordered by it."""

    feeder: SiteId
    accepted: bool
    reason: str
    shares: tuple[SiteShare, ...]
    shortfall_w: int
    cost_uct: int
    method: str
