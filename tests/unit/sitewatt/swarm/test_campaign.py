"""A run that this machine could not judge is neither a success nor the end: another seed is drawn."""

from collections.abc import Iterator

import pytest

from sitewatt.swarm import campaign as swarm_campaign
from sitewatt.swarm.campaign import REDRAWN_MAX, Options, campaign
from sitewatt.swarm.coverage import Coverage
from sitewatt.swarm.plan import Plan
from sitewatt.swarm.run import Verdict


class _Judged(Verdict):
    """A verdict of which the test says whether it could be judged."""

    undecided = False

    @property
    def void(self) -> bool:
        """Return what the test said."""
        return self.undecided


async def _campaign(monkeypatch: pytest.MonkeyPatch, *voids: bool) -> Coverage:
    verdicts: Iterator[bool] = iter(voids)

    async def judged(plan: Plan, **_: object) -> Verdict:
        verdict = type("_One", (_Judged,), {"undecided": next(verdicts)})(plan=plan, findings=(), evidence=None)
        assert isinstance(verdict, Verdict)
        return verdict

    monkeypatch.setattr(swarm_campaign, "run_plan", judged)
    return await campaign(Options(seed=7, minutes=1, speed=5.0), say=lambda _: None)


async def test_a_void_run_is_replaced_by_another_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken for a success it would be a fault that nobody looks for."""
    coverage = await _campaign(monkeypatch, True, False)
    assert (coverage.seeds, coverage.void, coverage.undecided) == ([7, 8], [7], False)


async def test_a_machine_that_can_judge_nothing_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing on for ever would hide it as well."""
    coverage = await _campaign(monkeypatch, *[True] * (REDRAWN_MAX + 1))
    assert coverage.undecided
    assert len(coverage.void) == REDRAWN_MAX + 1
