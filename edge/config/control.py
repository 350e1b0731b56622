"""How the site is controlled, and what it holds while its grid operator is not heard."""

from enum import StrEnum

from pydantic import Field, model_validator

from edge.config.section import Section
from edge.control.limits import FAILSAFE_S_MIN, HEARTBEAT_S, RELEASE_WINDOW_S


class ForeignWrites(StrEnum):
    """What is done when another master changes what we had set: take it back, leave it for a while, leave it.

    The grid operator's limit, the fuse and device protection are always taken back.
    """

    REASSERT = "reassert"
    YIELD = "yield"
    ALARM = "alarm"


class Idle(StrEnum):
    """What a battery does while nobody asks anything of it."""

    SELF_CONSUMPTION = "self_consumption"
    HOLD = "hold"


class ControlSection(Section):
    """How the site is controlled.

    A setpoint moves from ``dead_band_w`` on (and from half a percent of its rating on). A battery that was turned about
    more often than ``reversals_per_min_max`` within a minute is damped.
    """

    period_s: float = Field(default=1.0, ge=0.2, le=10)
    idle: Idle = Idle.SELF_CONSUMPTION
    foreign_writes: ForeignWrites = ForeignWrites.REASSERT
    dead_band_w: float = Field(default=20, ge=0, le=1000)
    reversals_per_min_max: int = Field(default=6, ge=1, le=60)


class GridLimitsSection(Section):
    """What the site holds while its grid operator is not heard, as magnitudes; absent, orders just run to their end.

    The grid operator counts as heard with every genuine message of one of its issuers. Silent for ``heartbeat_s`` the
    site falls to the failsafe limit, for at least ``failsafe_s_min``, and until it is heard again.
    """

    failsafe_import_w: int | None = Field(default=None, ge=0)
    failsafe_export_w: int | None = Field(default=None, ge=0)
    heartbeat_s: float = Field(default=HEARTBEAT_S, ge=10, le=3600)
    failsafe_s_min: float = Field(default=FAILSAFE_S_MIN, ge=0, le=86_400)
    window_s: float = Field(default=RELEASE_WINDOW_S, ge=0, le=3600)

    @model_validator(mode="after")
    def _some_limit(self) -> "GridLimitsSection":
        if self.failsafe_import_w is None and self.failsafe_export_w is None:
            raise ValueError("needs failsafe_import_w or failsafe_export_w")
        return self
