"""What a fault does to the running parts, as far as it can be said without running them."""

from sitewatt.swarm.plan import BROKER, CLOUD, EVERYTHING, Fault, FaultKind
from sitewatt.swarm.world import COMES_BACK_S_MAX, come_back

PARTS = (BROKER, CLOUD, "feeder-1", "home-1")


def _cut(seed: int) -> Fault:
    return Fault(number=1, kind=FaultKind.POWER_CUT, target=EVERYTHING, at_s=60.0, for_s=5.0, seed=seed)


def test_after_a_power_cut_parts_come_back_in_any_order_and_all_of_them() -> None:
    """A gateway that starts before its broker has nobody who tells it of the hours to come."""
    returns = [come_back(_cut(seed), PARTS) for seed in range(50)]
    assert all(set(one) == set(PARTS) and min(one.values()) >= 0 for one in returns)
    assert all(max(one.values()) <= COMES_BACK_S_MAX for one in returns)
    firsts = {min(one, key=one.__getitem__) for one in returns}
    assert firsts == set(PARTS)
    assert any(one["home-1"] + 60 < one[BROKER] for one in returns)
    assert come_back(_cut(3), PARTS) == come_back(_cut(3), PARTS)
