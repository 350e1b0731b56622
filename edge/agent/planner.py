"""The plan in force: solved beside the event loop in bounded time, and what it asks of control."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from contracts.units import DELIVERY_INTERVAL
from edge.control.model import BATTERIES, CONNECTION, Capability, Priority, Reason, Request, lever, load
from edge.trading.plan.plan import Plan, make_plan, resting_plan
from edge.trading.plan.problem import Method, Problem, Store
from edge.trading.plan.steer import Steer, shaved, steer
from edge.trading.plan.steer_loads import load_aims

log = logging.getLogger(__name__)

# Real seconds that a plan may take, import of the solver and waiting for a core included.
WAIT_S = 20.0
_LEASE_S = 60.0


class Planner:
    """One site's plan."""

    def __init__(self) -> None:
        """Begin without a plan, which is self-consumption."""
        self.plan: Plan | None = None
        self._trials: deque[Plan] = deque(maxlen=2)
        self._in_force: deque[Plan] = deque(maxlen=2)
        self._solving: asyncio.Future[Plan] | None = None
        self._method: Method | None = None

    async def solve(self, problem: Problem, *, why_back: str = "", trial_stores: Sequence[Store] = ()) -> None:
        """Replace the plan by the best for a problem; late, it is self-consumption, and says so.

        Args:
            problem: What to plan.
            why_back: Why the plan is not to be followed, empty where it is. Then it is on trial alone, and
                self-consumption is in force.
            trial_stores: The storage that a plan on trial is made for.
        """
        asked = replace(problem, stores=trial_stores) if why_back else problem
        trial = await self._solved(asked)
        self._trials.append(trial)
        self._take(resting_plan(problem, why=why_back) if why_back else trial)

    def issued_for(self, start: datetime) -> Plan | None:
        """Return the last plan that was made for a quarter, followed or on trial; ``None`` where there was none."""
        return _last_for(self._trials, start)

    def followed_in(self, start: datetime) -> Plan | None:
        """Return the last plan in force that had a quarter in it, ``None`` where there was none."""
        return _last_for(self._in_force, start)

    async def _solved(self, problem: Problem) -> Plan:
        if self._solving is None or self._solving.done():
            # A thread cannot be cancelled: the solver bounds itself, and a late one is not joined by a second.
            self._solving = asyncio.ensure_future(asyncio.to_thread(make_plan, problem))
        try:
            async with asyncio.timeout(WAIT_S):
                plan = await asyncio.shield(self._solving)
        except TimeoutError:
            plan = resting_plan(problem, why=f"the plan was not ready in {WAIT_S:.0f} s")
        if plan.problem is not problem:
            plan = resting_plan(problem, why="the plan before was late")
        return plan

    def rest(self, problem: Problem) -> None:
        """Replace the plan by self-consumption until the next is solved."""
        self._take(resting_plan(problem, why="the next plan is not solved yet"))

    def _take(self, plan: Plan) -> None:
        if plan.method is not self._method:
            log.info("plan made", extra={"method": plan.method.value, "reason": plan.why})
        self.plan, self._method = plan, plan.method
        self._in_force.append(plan)

    def requests(self, now: datetime, now_s: float, *, generators: Iterable[str], net_w: float | None) -> list[Request]:
        """Return what the plan asks of control in the present interval; nothing is self-consumption.

        Args:
            now: Selects the interval.
            now_s: The monotonic clock, for the leases.
            generators: Devices whose generation may be limited.
            net_w: What the site takes without its batteries, ``None`` where that is not measured.
        """
        index = self._present(now)
        if self.plan is None or index is None:
            return []
        aim = steer(self.plan, index)
        aim = aim if net_w is None else shaved(aim, net_w=net_w)
        return _asked(aim, now_s + _LEASE_S, generators)

    def load_requests(self, now: datetime, now_s: float) -> list[Request]:
        """Return what the plan asks of the site's loads in the present interval; each is left to itself without one."""
        index = self._present(now)
        if self.plan is None or index is None:
            return []
        return [
            Request(
                requester="plan",
                resource=load(aim.device),
                priority=Priority.OPTIMISER,
                reason=Reason.PRICE,
                expires_s=now_s + _LEASE_S,
                preferred_w=aim.power_w,
            )
            for aim in load_aims(self.plan, index)
            if aim.power_w is not None
        ]

    def _present(self, now: datetime) -> int | None:
        intervals = () if self.plan is None else self.plan.problem.intervals
        return next((index for index, each in enumerate(intervals) if each.start <= now < each.end), None)


def _last_for(plans: Iterable[Plan], start: datetime) -> Plan | None:
    end = start + DELIVERY_INTERVAL
    return next((plan for plan in [*plans][::-1] if any(each.end == end for each in plan.problem.intervals)), None)


def _asked(aim: Steer, expires_s: float, generators: Iterable[str]) -> list[Request]:
    found = []
    bounds = (aim.battery_w_min, aim.battery_w_max)
    if aim.battery_w is not None or bounds != (float("-inf"), float("inf")):
        found.append(
            Request(
                requester="plan",
                resource=BATTERIES,
                priority=Priority.OPTIMISER,
                reason=Reason.PRICE,
                expires_s=expires_s,
                min_w=aim.battery_w_min,
                max_w=aim.battery_w_max,
                preferred_w=aim.battery_w,
            )
        )
    if aim.export_w_max is not None:
        found.append(
            Request(
                requester="plan",
                resource=CONNECTION,
                priority=Priority.OPTIMISER,
                reason=Reason.PRICE,
                expires_s=expires_s,
                min_w=-aim.export_w_max,
            )
        )
    if aim.generation_off:
        found += [
            Request(
                requester="plan",
                resource=lever(device, Capability.LIMIT_GENERATION),
                priority=Priority.OPTIMISER,
                reason=Reason.PRICE,
                expires_s=expires_s,
                min_w=0.0,
            )
            for device in generators
        ]
    return found
