"""What the bus learns about a unit, without a wire."""

from hypothesis import given
from hypothesis import strategies as st

from edge.modbus.bus import PROBE_QUIET_S
from edge.modbus.faults import Fault
from edge.modbus.learned import MUTE_AGAIN_S, Learned
from edge.modbus.point import LinkLimits, Range, Table
from edge.modbus.unit import BACKOFF_S_MAX, SHARED_BACKOFF_S_MAX, TIMEOUT_S_MAX, TIMEOUT_S_MIN, Unit


def fresh(**limits: float) -> Unit:
    return Unit(1, limits=LinkLimits(**limits), learned=Learned(), timeout_s_start=1.0)  # type: ignore[arg-type]


def fail(unit: Unit, now_s: float, *, cost_s: float = 0.5, is_shared: bool = True) -> None:
    unit.failed(now_s=now_s, cost_s=cost_s, is_shared=is_shared, fault=Fault.TIMEOUT, message="silent")


def test_timeout_follows_the_latency_between_its_bounds() -> None:
    """Too short loses answers, too long lets one dead device hold the bus."""
    unit = fresh()
    assert unit.timeout_s(wire_s=0.0, is_shared=True) == 1.0
    for _ in range(50):
        unit.answered(now_s=1.0, latency_s=0.2, wire_s=0.0, timeout_s=1.0)
    assert abs(unit.timeout_s(wire_s=0.0, is_shared=True) - 0.8) < 0.01
    for _ in range(100):
        unit.answered(now_s=1.0, latency_s=0.001, wire_s=0.0, timeout_s=1.0)
    assert unit.timeout_s(wire_s=0.0, is_shared=True) == TIMEOUT_S_MIN
    assert unit.timeout_s(wire_s=0.25, is_shared=True) == TIMEOUT_S_MIN + 0.25
    slow = fresh(timeout_s_min=6.0)
    assert slow.timeout_s(wire_s=0.0, is_shared=True) == 6.0


@given(st.lists(st.one_of(st.none(), st.floats(0.0, 20.0)), max_size=60), st.booleans())
def test_timeout_and_backoff_never_leave_their_bounds(events: list[float | None], is_shared: bool) -> None:
    """Whatever a device does, it is asked again within 10 s and never waited for longer than the ceiling."""
    unit = fresh()
    now_s = 100.0
    for latency_s in events:
        now_s += 1.0
        if latency_s is None:
            fail(unit, now_s, cost_s=0.4, is_shared=is_shared)
            most_s = SHARED_BACKOFF_S_MAX if is_shared else BACKOFF_S_MAX - 0.4  # From the start of the lost probe.
            assert unit.retry_at_s <= now_s + most_s
        else:
            unit.answered(now_s=now_s, latency_s=latency_s, wire_s=0.0, timeout_s=TIMEOUT_S_MAX)
            assert unit.is_online
            assert unit.retry_at_s == 0.0
        assert TIMEOUT_S_MIN <= unit.timeout_s(wire_s=0.0, is_shared=is_shared) <= TIMEOUT_S_MAX


def test_a_silent_unit_takes_at_most_its_share_of_a_shared_line() -> None:
    """One dead meter of ten must not cost the other nine more than a twentieth."""
    unit = fresh()
    unit.answered(now_s=0.0, latency_s=0.03, wire_s=0.0, timeout_s=1.0)
    now_s, used_s = 1.0, 0.0
    for _ in range(4):  # The backoff grows to its length first.
        fail(unit, now_s)
        now_s = unit.retry_at_s
    started_s = now_s
    while now_s < started_s + 600:
        cost_s = unit.timeout_s(wire_s=0.0, is_shared=True) + PROBE_QUIET_S
        used_s += cost_s
        fail(unit, now_s + cost_s, cost_s=cost_s)
        now_s = max(now_s + cost_s, unit.retry_at_s)
    assert used_s / (now_s - started_s) <= 0.05
    assert not unit.is_online


def test_what_is_learned_survives_as_a_plain_dict() -> None:
    """Holes are learned once, not after each restart."""
    learned = Learned(turnaround_s=0.04, gap_s=0.1)
    learned.add_hole(Range(table=Table.INPUT, start=3, end=9))
    learned.add_missing(Range(table=Table.INPUT, start=20, end=22), again_s=MUTE_AGAIN_S)
    learned.add_barrier(Table.HOLDING, 64)
    kept = Learned.from_dict(learned.as_dict())
    assert kept.as_dict() == learned.as_dict()
    limits = kept.limits(LinkLimits(barriers={Table.HOLDING: (10,)}, min_gap_s=0.02))
    assert limits.barriers[Table.HOLDING] == (10, 64)
    assert limits.forbidden == tuple(Range(table=Table.INPUT, start=at, end=end) for at, end in ((3, 9), (20, 22)))
    assert limits.min_gap_s == 0.1


def test_an_answer_that_lay_unread_is_as_old_as_its_request() -> None:
    """The process stood still, and the device said it before that."""
    unit = fresh()
    unit.answered(now_s=1.0, latency_s=0.1, wire_s=0.0, timeout_s=1.0)
    assert unit.lain_s == 0.0
    unit.answered(now_s=9.0, latency_s=7.0, wire_s=0.0, timeout_s=0.4)
    assert unit.lain_s == 7.0
    unit.answered(now_s=9.5, latency_s=0.1, wire_s=0.0, timeout_s=0.4)
    assert unit.lain_s == 0.0
