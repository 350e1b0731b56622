"""A run that this machine could not judge is neither a success nor the end: it is run again, slower."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sitewatt.swarm import campaign as swarm_campaign
from sitewatt.swarm.campaign import SLOWER_MAX, Options, campaign
from sitewatt.swarm.coverage import Coverage
from sitewatt.swarm.draw import draw
from sitewatt.swarm.evidence import Evidence
from sitewatt.swarm.judges import CATCH_UP_S, Finding
from sitewatt.swarm.plan import Plan
from sitewatt.swarm.run import Verdict
from sitewatt.swarm.world import Chronicle, Stall

SPEED = 8.0


class _Judged(Verdict):
    """A verdict of which the test says whether it could be judged."""

    undecided = False

    @property
    def void(self) -> bool:
        """Return what the test said."""
        return self.undecided


async def _campaign(monkeypatch: pytest.MonkeyPatch, *voids: bool) -> tuple[Coverage, list[Plan]]:
    verdicts: Iterator[bool] = iter(voids)
    plans: list[Plan] = []

    async def judged(plan: Plan, **_: object) -> Verdict:
        plans.append(plan)
        verdict = type("_One", (_Judged,), {"undecided": next(verdicts)})(plan=plan, findings=(), evidence=None)
        assert isinstance(verdict, Verdict)
        return verdict

    monkeypatch.setattr(swarm_campaign, "run_plan", judged)
    return await campaign(Options(seed=7, minutes=1, speed=SPEED), say=lambda _: None), plans


async def test_a_void_run_is_done_again_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same plan at half the speed: taken for a success, it would be a fault that nobody looks for."""
    coverage, plans = await _campaign(monkeypatch, True, False)
    assert (coverage.seeds, coverage.void, coverage.undecided) == ([7], [], False)
    assert plans[1] == replace(plans[0], speed=SPEED / 2)


async def test_a_machine_that_can_judge_nothing_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slower and slower for ever would hide it as well."""
    coverage, plans = await _campaign(monkeypatch, *[True] * (SLOWER_MAX + 1))
    assert coverage.undecided
    assert [plan.speed for plan in plans] == [SPEED, SPEED / 2, SPEED / 4]


def _verdict(*stalls: Stall, finding: Finding, speed: float = SPEED) -> Verdict:
    evidence = object.__new__(Evidence)
    object.__setattr__(evidence, "chronicle", Chronicle(stalls=list(stalls)))
    plan = draw(7, speed=speed, span_s=600.0, sites=2)
    return Verdict(plan=plan, findings=(finding,), evidence=evidence)


LATE = Finding(judge="limits_held", what="exported too much", at_s=500.0)
LOST = Finding(judge="nothing_lost", what="a message is nowhere")


@pytest.mark.parametrize(
    ("stall", "finding", "void"),
    [
        (Stall(name="home-1", at_s=490.0, for_s=1.2), LATE, True),
        (Stall(name="home-1", at_s=300.0, for_s=9.0), LATE, False),
        (Stall(name="home-1", at_s=490.0, for_s=0.9), LATE, False),
        (Stall(name="home-1", at_s=490.0, for_s=9.0), LOST, False),
    ],
    ids=["then", "long_before", "too_short", "not_of_time"],
)
def test_the_machine_is_to_blame_for_what_it_held_up_just_then(stall: Stall, finding: Finding, *, void: bool) -> None:
    """A stall a quarter of an hour away, or a lost message, is no excuse."""
    verdict = _verdict(stall, finding=finding)
    assert (verdict.void, verdict.failed) == (void, not void)


def test_the_faster_time_runs_the_shorter_a_stall_may_be() -> None:
    """At thirty times life half a second is as long as the shortest promise."""
    verdict = _verdict(Stall(name="home-1", at_s=490.0, for_s=0.6), finding=LATE, speed=30.0)
    assert verdict.stall_s_max == CATCH_UP_S / 30.0
    assert verdict.void
