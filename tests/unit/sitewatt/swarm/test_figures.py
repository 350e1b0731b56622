"""The figures of the page are sums of what runs reported, and name the seeds that did not hold."""

from sitewatt.swarm.coverage import Coverage
from tests.swarm.figures import table


def test_figures_add_up_and_name_failed_seeds() -> None:
    """A page that forgets a failure is worse than none."""
    first = Coverage(seeds=[1, 2], failed=[2], site_days=0.5, messages=10, thrown=3)
    second = Coverage(seeds=[7], site_days=0.25, messages=5)
    first.faults.update(kill=2)
    second.faults.update(kill=1, pause=4)
    lines = table([first.as_dict(), second.as_dict()]).splitlines()
    assert "| seeds | 3 (1, 2, 7) |" in lines
    assert "| failed | 1 (2) |" in lines
    assert "| faults | 3 kill, 4 pause |" in lines
    assert "| messages heard on the broker | 15, 3 of them repeated or never valid |" in lines
    assert "| gateway days on the scaled clock | 0.75 |" in lines
