"""Runs seed after seed, shrinks what fails, and says how to see it again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sitewatt.demo.pace import measured_rounds_per_s, speed_for
from sitewatt.swarm.coverage import Coverage
from sitewatt.swarm.draw import draw
from sitewatt.swarm.plan import Fault, FaultKind, Plan
from sitewatt.swarm.run import Verdict, run_plan
from sitewatt.swarm.shrink import smallest

# A plan that this machine could not judge is run again, each time at half the speed.
SLOWER_MAX: Final = 2

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asked for; ``ends_s`` is the machine's monotonic time after which no new seed begins."""

    seed: int
    minutes: float
    ends_s: float = 0.0
    sites: int | None = None
    speed: float | None = None
    only: frozenset[int] | None = None
    shrink: int = 0
    keep: Path | None = None
    without: frozenset[FaultKind] = frozenset()


async def campaign(options: Options, *, say: Say) -> Coverage:
    """Run the first seed, and the next ones until the time is over; return what was covered."""
    coverage = Coverage()
    seed = options.seed
    while True:
        plan = planned(seed, options)
        say(f"seed {seed}, speed {plan.speed:g}, {len(plan.place.sites)} sites, {plan.span_s / 3600:.1f} h there:")
        for fault in plan.faults:
            say(f"  {fault}")
        verdict = await _told(plan, options, say)
        for _ in range(SLOWER_MAX):
            if not verdict.void:
                break
            say(f"  seed {seed} again at half the speed")
            verdict = await _told(replace(verdict.plan, speed=verdict.plan.speed / 2), options, say)
        coverage.add(verdict)
        if verdict.failed:
            await _shrunk(verdict, options, say)
        seed += 1
        if time.monotonic() >= options.ends_s:
            return coverage


def planned(seed: int, options: Options) -> Plan:
    """Return the plan of a seed at the speed that was asked for, or that this machine can do."""
    speed = options.speed
    if speed is None:
        gateways = len(draw(seed, speed=1.0, span_s=3600.0, sites=options.sites, without=options.without).gateways)
        speed = speed_for(gateways=gateways, rounds_per_s=measured_rounds_per_s())
    span_s = options.minutes * 60 * speed
    plan = draw(seed, speed=speed, span_s=span_s, sites=options.sites, without=options.without)
    return plan if options.only is None else plan.only(options.only)


def replay_command(plan: Plan, options: Options) -> str:
    """Return the command line that does the same again."""
    sites = f" --sites {options.sites}" if options.sites else ""
    sites += f" --without {','.join(sorted(options.without))}" if options.without else ""
    only = ",".join(str(fault.number) for fault in plan.faults)
    minutes = plan.span_s / plan.speed / 60
    run = f"sitewatt sim swarm --seed {plan.seed} --minutes {minutes:g} --speed {plan.speed:g}"
    return f"{run}{sites} --only '{only}'"


async def _told(plan: Plan, options: Options, say: Say) -> Verdict:
    keep = options.keep / f"seed-{plan.seed}-speed-{plan.speed:g}" if options.keep else None
    verdict = await run_plan(plan, keep=keep, say=say)
    for finding in verdict.findings:
        stall = verdict.stall_of(finding)
        if stall is None:
            say(f"  FAILED  {finding.judge}: {finding.what}")
        else:
            blame = f"{stall.name} had no processor for {stall.for_s:.1f} s about then"
            say(f"  void    {finding.judge}: {finding.what}; {blame}, which judges nothing")
    return verdict


async def _shrunk(verdict: Verdict, options: Options, say: Say) -> None:
    """Find the smallest schedule in which a judge of the first verdict still finds something, and say it."""
    judges = {finding.judge for finding in verdict.findings}

    async def fails(faults: Sequence[Fault]) -> bool:
        say(f"  shrinking: {len(faults)} of {len(verdict.plan.faults)} faults")
        again = await run_plan(verdict.plan.only([fault.number for fault in faults]))
        return again.failed and bool(judges & {finding.judge for finding in again.findings})

    faults = await smallest(verdict.plan.faults, fails, tries_max=options.shrink)
    say(f"  smallest schedule that fails, of {len(verdict.plan.faults)} faults:")
    for fault in faults:
        say(f"    {fault}")
    say(f"  again with: {replay_command(verdict.plan.only([fault.number for fault in faults]), options)}")
