"""What each load with a goal still needs: what it has taken so far, with this car or since its last time.

Kept over restarts by quarters of an hour; what a crash forgets is charged once more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from contracts.units import epoch_ms, instant
from edge.agent.site_tariff import SiteTariff
from edge.config import DeviceSection, GoalSection, LoadSection, Rest, SiteConfig
from edge.control.model import Capability
from edge.loop.seen import CycleSeen, LoadSeen
from edge.state_store import StateStore
from edge.trading.plan.problem import Band, FlexibleLoad, Need

_KEY = "trading.load_goals"
_DAY = timedelta(days=1)
_H_S = 3600.0
_BEGUN_WH = 50.0
SCHEDULE_DAYS = 2  # A plan looks so far ahead.
# A heat pump is encouraged, not started: its own controller keeps the house. Source: SG Ready, state 3 and state 4.
_ENCOURAGED_SHARE = 0.95


@dataclass(slots=True, kw_only=True)
class _Progress:
    """What a load has taken towards its next time, or how far it is ahead of its steady need."""

    due_at: datetime | None = None
    taken_wh: float = 0.0
    ahead_wh: float = 0.0
    connected: bool | None = None


class LoadGoals:
    """The loads of a site that the plan moves."""

    def __init__(self, memory: StateStore) -> None:
        """Go on with what an earlier process kept."""
        self._memory = memory
        self._progress = {str(device): _progress(kept) for device, kept in (memory.recall(_KEY) or {}).items()}
        self._seen: dict[str, LoadSeen] = {}
        self._planned_for: dict[str, bool | None] = {}

    @property
    def changed(self) -> bool:
        """Return whether a load came that was not heard before, or a car came or left, since the last plan."""
        return self._planned_for != {device: seen.connected for device, seen in self._seen.items()}

    def saw(self, config: SiteConfig, tariff: SiteTariff, cycle: CycleSeen, *, passed_s: float, now: datetime) -> float:
        """Add what one cycle says; return the energy that all loads with a goal took in it, in Wh."""
        total_wh = 0.0
        self._seen = dict(cycle.loads)
        for section, load in _planned(config):
            seen = cycle.loads.get(section.id)
            if seen is None:
                continue
            progress = self._progress.setdefault(section.id, _Progress())
            taken_wh = (seen.power_w or 0.0) * passed_s / _H_S
            total_wh += taken_wh
            goal = load.goal
            if goal is not None and goal.comfort_kwh is not None:
                reach_wh = 1000 * goal.comfort_kwh
                ahead_wh = progress.ahead_wh + taken_wh - _drain_w(goal) * passed_s / _H_S
                progress.ahead_wh = min(max(ahead_wh, -reach_wh), reach_wh)
            else:
                due = next(iter(_due(load, tariff, now)), None)
                _renew(progress, due, seen, now)
                # A job counts what is taken in its own hours; towards a goal without any all counts.
                if due is not None and (goal is not None or now > due.from_at):
                    progress.taken_wh += taken_wh
        return total_wh

    def keep(self) -> None:
        """Keep what is known for a restart."""
        if self._progress:
            self._memory.remember(_KEY, {device: _kept(each) for device, each in self._progress.items()}, durable=False)

    def flexible(self, config: SiteConfig, tariff: SiteTariff, now: datetime) -> tuple[FlexibleLoad, ...]:
        """Return the loads to plan: those that can be moved, but no charger without a car."""
        found = []
        self._planned_for = {device: seen.connected for device, seen in self._seen.items()}
        for section, load in _planned(config):
            seen = self._seen.get(section.id)
            if seen is None or seen.moved_by is None or seen.connected is False:
                continue
            progress = self._progress.get(section.id, _Progress())
            rated_w = float(load.rated_w)
            least_w = seen.least_w
            if seen.moved_by is Capability.SG_READY:
                rated_w = least_w = _ENCOURAGED_SHARE * rated_w
            elif seen.moved_by is Capability.SWITCH:
                least_w = rated_w
            found.append(
                FlexibleLoad(
                    id=section.id,
                    rated_w=rated_w,
                    least_w=least_w,
                    needs=_needs(_due(load, tariff, now), progress, seen),
                    band=_band(load.goal, progress),
                    follows_surplus=load.rest is Rest.SURPLUS,
                )
            )
        return tuple(found)


def _planned(config: SiteConfig) -> Iterator[tuple[DeviceSection, LoadSection]]:
    for section in config.devices:
        if section.load is not None and section.load.is_planned:
            yield section, section.load


def _renew(progress: _Progress, due: Need | None, seen: LoadSeen, now: datetime) -> None:
    """Begin anew where a time has passed or another car came."""
    if progress.due_at is None or now >= progress.due_at:
        progress.due_at, progress.taken_wh = None if due is None else due.due_at, 0.0
    if seen.connected is True and progress.connected is False:
        progress.taken_wh = 0.0
    if seen.connected is not None:
        progress.connected = seen.connected


def _due(load: LoadSection, tariff: SiteTariff, now: datetime) -> list[Need]:
    """Return what a load needs over the next days, whatever it has taken so far: the next time first."""
    goal = load.goal
    if goal is None:
        return sorted(
            (
                Need(from_at=from_at, due_at=due_at, energy_wh=1000 * job.energy_kwh, in_one_go=job.in_one_go)
                for job in load.schedule
                for from_at, due_at in tariff.spans(job.from_, job.by, days=job.days, now=now, ahead_days=SCHEDULE_DAYS)
                if due_at <= now + SCHEDULE_DAYS * _DAY
            ),
            key=lambda need: need.due_at,
        )
    if goal.by is None:
        return []
    due_at = tariff.next_at(goal.by, now)
    return [
        Need(
            from_at=_from_at(goal, tariff, each),
            due_at=each,
            energy_wh=1000 * goal.energy_kwh,
            in_one_go=goal.in_one_go,
        )
        for each in (due_at, tariff.next_at(goal.by, due_at))
    ]


def _needs(due: Sequence[Need], progress: _Progress, seen: LoadSeen) -> tuple[Need, ...]:
    """Return what is still needed by the next time and, where no car decides it, by those after."""
    if not due:
        return ()
    first, *after = due
    taken_wh = progress.taken_wh if progress.due_at == first.due_at else 0.0
    left_wh = max(0.0, first.energy_wh - taken_wh)
    begun = first.in_one_go and taken_wh >= _BEGUN_WH and left_wh > 0
    first = replace(first, energy_wh=left_wh, begun=begun)
    return (first,) if seen.connected is not None else (first, *after)


def _from_at(goal: GoalSection, tariff: SiteTariff, due_at: datetime) -> datetime:
    before = due_at - _DAY
    return before if goal.from_ is None else tariff.next_at(goal.from_, before)


def _band(goal: GoalSection | None, progress: _Progress) -> Band | None:
    if goal is None or goal.comfort_kwh is None:
        return None
    return Band(drain_w=_drain_w(goal), ahead_wh=progress.ahead_wh, reach_wh=1000 * goal.comfort_kwh)


def _drain_w(goal: GoalSection) -> float:
    return 1000 * goal.energy_kwh / 24


def _kept(progress: _Progress) -> list[Any]:
    due_ms = None if progress.due_at is None else epoch_ms(progress.due_at)
    return [due_ms, round(progress.taken_wh, 1), round(progress.ahead_wh, 1), progress.connected]


def _progress(kept: list[Any]) -> _Progress:
    due_ms, taken_wh, ahead_wh, connected = kept
    return _Progress(
        due_at=None if due_ms is None else instant(due_ms),
        taken_wh=float(taken_wh),
        ahead_wh=float(ahead_wh),
        connected=connected,
    )
