"""Loads: how they may be held back or turned off, and what they need."""

from datetime import time
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from domain.tariff.model import Day, clock_time
from edge.config.section import Section
from edge.control.model import LOAD_CAPABILITIES, Capability

JOBS_MAX: Final = 24


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


class JobSection(Section):
    """One job of a schedule: energy that a load needs within a span of hours on some days, as a shift's batch does.

    Times are of the tariff's wall clock (else UTC); a span over midnight belongs to the day on which it begins.
    ``days`` are ``mon`` to ``sun``, ``workday`` (Monday to Friday without the tariff's holidays), ``weekend`` and
    ``holiday``; every day where none is told. ``in_one_go`` says that it runs through at full power once begun.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    energy_kwh: float = Field(gt=0, le=10_000)
    from_: Annotated[time, BeforeValidator(clock_time)] = Field(alias="from")
    by: Annotated[time, BeforeValidator(clock_time)]
    days: tuple[Day, ...] = ()
    in_one_go: bool = False


class LoadSection(Section):
    """A load that can be limited or turned off, and is held back where an import limit cannot be kept otherwise.

    ``by`` says how its device is moved, where its profile knows several ways. ``min_w`` is the least that it draws
    while it runs (by default what 6 A are on its phases, where it takes a limit). ``state`` is the point that says
    whether it is on; without one it counts as what it was last told. Where its device measures no power it counts with
    ``rated_w`` while on. No load is turned before ``on_s_min`` or ``off_s_min`` has passed, whoever asks; one that
    takes a limit is held back at once all the same. ``switches_phases`` lets a charger be told to use one phase where
    too little is left for all. ``goal`` is what it needs, where the plan may choose when; ``schedule`` are its jobs,
    one after the other, where one goal a day does not tell it: a production that runs in shifts.
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
    schedule: tuple[JobSection, ...] = Field(default=(), max_length=JOBS_MAX)

    @property
    def is_planned(self) -> bool:
        """Return whether the plan chooses when it runs."""
        return self.goal is not None or bool(self.schedule)

    @model_validator(mode="after")
    def _jobs_follow_one_another(self) -> "LoadSection":
        if self.goal is not None and self.schedule:
            raise ValueError("load has a goal and a schedule; a job of the schedule says the same as a goal")
        for number, job in enumerate(self.schedule):
            for other in self.schedule[number + 1 :]:
                if _overlap(job, other):
                    raise ValueError(
                        f"schedule: the jobs from {job.from_:%H:%M} to {job.by:%H:%M} and from {other.from_:%H:%M} to "
                        f"{other.by:%H:%M} overlap; what the load takes then would count for either"
                    )
        return self

    @model_validator(mode="after")
    def _moves(self) -> "LoadSection":
        if self.by is not None and self.by not in LOAD_CAPABILITIES:
            raise ValueError(f"load.by is {self.by.value}, no way to move a load: {', '.join(LOAD_CAPABILITIES)}")
        if self.min_w is not None and self.min_w > self.rated_w:
            raise ValueError(f"load.min_w {self.min_w} is above rated_w {self.rated_w}: it could never run")
        return self


_DAY_MIN: Final = 1440
_WEEKDAYS: Final = (Day.MONDAY, Day.TUESDAY, Day.WEDNESDAY, Day.THURSDAY, Day.FRIDAY, Day.SATURDAY, Day.SUNDAY)
_SATURDAY: Final = 5


def _overlap(job: JobSection, other: JobSection) -> bool:
    """Return whether two jobs may share a time, in any week."""
    first, last = _span_min(job), _span_min(other)
    for weekday, holiday in _kinds_of_day(job):
        for other_weekday, other_holiday in _kinds_of_day(other):
            apart = (other_weekday - weekday + 3) % 7 - 3
            if apart == 0 and holiday is not other_holiday:
                continue
            shift = apart * _DAY_MIN
            if first[0] < last[1] + shift and last[0] + shift < first[1]:
                return True
    return False


def _span_min(job: JobSection) -> tuple[int, int]:
    """Return when a job begins and ends, in minutes from the midnight before it begins."""
    begin, end = (60 * clock.hour + clock.minute for clock in (job.from_, job.by))
    return begin, end if end > begin else end + _DAY_MIN


def _kinds_of_day(job: JobSection) -> set[tuple[int, bool]]:
    """Return the days on which a job runs, as weekday and whether it is a holiday."""
    found: set[tuple[int, bool]] = set()
    for day in job.days or _WEEKDAYS:
        match day:
            case Day.WORKDAY:
                found |= {(weekday, False) for weekday in range(_SATURDAY)}
            case Day.WEEKEND:
                found |= {(weekday, holiday) for weekday in (5, 6) for holiday in (False, True)}
            case Day.HOLIDAY:
                found |= {(weekday, True) for weekday in range(7)}
            case _:
                found |= {(_WEEKDAYS.index(day), holiday) for holiday in (False, True)}
    return found
