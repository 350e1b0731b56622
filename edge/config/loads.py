"""Loads: how they may be held back or turned off, and what they need."""

from datetime import time
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from domain.tariff.model import clock_time
from edge.config.section import Section
from edge.control.model import LOAD_CAPABILITIES, Capability


class Rest(StrEnum):
    """What a load does while nobody asks anything of it: run, rest, or take what the site would feed in."""

    ON = "on"
    OFF = "off"
    SURPLUS = "surplus"


class GoalSection(Section):
    """What a load needs, so that the plan may choose when: energy each day by a time, or within a band of comfort.

    Times are of the tariff's wall clock (else UTC). ``from`` says from when on it may run, by default from the last
    ``by`` on; ``in_one_go`` that it runs through at full power once begun, as an appliance does. A charger that tells
    whether a car is there needs the energy anew with each car. With ``comfort_kwh`` instead of ``by``, ``energy_kwh``
    is needed evenly over the day, and the load may be ahead or behind by that much, as a heated house is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    energy_kwh: float = Field(gt=0, le=10_000)
    by: Annotated[time, BeforeValidator(clock_time)] | None = None
    from_: Annotated[time, BeforeValidator(clock_time)] | None = Field(default=None, alias="from")
    in_one_go: bool = False
    comfort_kwh: float | None = Field(default=None, gt=0, le=1_000)

    @model_validator(mode="after")
    def _one_way(self) -> "GoalSection":
        if (self.by is None) == (self.comfort_kwh is None):
            raise ValueError("goal needs either by, a time, or comfort_kwh, how far the load may be ahead or behind")
        if self.by is None and (self.from_ is not None or self.in_one_go):
            raise ValueError("goal.from and goal.in_one_go belong to a goal with by, a time")
        return self


class LoadSection(Section):
    """A load that can be limited or turned off, and is held back where an import limit cannot be kept otherwise.

    ``by`` says how its device is moved, where its profile knows several ways. ``min_w`` is the least that it draws
    while it runs (by default what 6 A are on its phases, where it takes a limit). ``state`` is the point that says
    whether it is on; without one it counts as what it was last told. Where its device measures no power it counts with
    ``rated_w`` while on. No load is turned before ``on_s_min`` or ``off_s_min`` has passed, whoever asks; one that
    takes a limit is held back at once all the same. ``switches_phases`` lets a charger be told to use one phase where
    too little is left for all. ``goal`` is what it needs, where the plan may choose when.
    """

    rated_w: int = Field(gt=0)
    min_w: int | None = Field(default=None, ge=0)
    by: Capability | None = None
    state: str | None = None
    rest: Rest = Rest.ON
    on_s_min: float = Field(default=60, ge=0, le=86_400)
    off_s_min: float = Field(default=60, ge=0, le=86_400)
    switches_phases: bool = False
    goal: GoalSection | None = None

    @model_validator(mode="after")
    def _moves(self) -> "LoadSection":
        if self.by is not None and self.by not in LOAD_CAPABILITIES:
            raise ValueError(f"load.by is {self.by.value}, no way to move a load: {', '.join(LOAD_CAPABILITIES)}")
        if self.min_w is not None and self.min_w > self.rated_w:
            raise ValueError(f"load.min_w {self.min_w} is above rated_w {self.rated_w}: it could never run")
        return self
