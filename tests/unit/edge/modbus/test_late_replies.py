"""Answers that may still come, and the reads that tell them apart."""

from hypothesis import given
from hypothesis import strategies as st

from edge.modbus.late_replies import LATE_S_MAX, LATE_TIMEOUTS, SHAPES_MAX, WIDER_STEPS_MAX, LateReplies, wider_reads
from edge.modbus.pdu import read_reply_bytes
from edge.modbus.point import LinkLimits, Range, Table


def test_a_lost_answer_is_feared_for_so_long_and_only_in_its_shape() -> None:
    """Unit, function and length are all that an answer shows."""
    late = LateReplies()
    late.add(1, 3, 6, now_s=100.0, timeout_s=0.3)
    until_s = 100.0 + LATE_TIMEOUTS * 0.3
    assert late.until_s(1, 3, 6, now_s=until_s - 0.01) == until_s
    assert late.until_s(2, 3, 6, now_s=101.0) is None
    assert late.until_s(1, 4, 6, now_s=101.0) is None
    assert late.until_s(1, 3, 8, now_s=101.0) is None
    assert late.until_s(1, 3, 6, now_s=until_s) is None


def test_a_later_loss_extends_and_an_earlier_one_does_not_shorten() -> None:
    """Probes of a silent unit are short; the long wait before them still counts."""
    late = LateReplies()
    late.add(1, 3, 6, now_s=0.0, timeout_s=3.0)
    assert late.until_s(1, 3, 6, now_s=1.0) == LATE_S_MAX
    late.add(1, 3, 6, now_s=1.0, timeout_s=0.1)
    assert late.until_s(1, 3, 6, now_s=2.0) == LATE_S_MAX


def test_what_is_remembered_is_bounded() -> None:
    """A line of dead units is probed for years."""
    late = LateReplies()
    for at in range(SHAPES_MAX + 1):
        late.add(at // 100, 3, at % 100, now_s=at / 1000, timeout_s=0.3)
    assert late.until_s(0, 3, 0, now_s=0.5) is None
    assert late.until_s(0, 3, 1, now_s=0.5) is not None


@given(
    table=st.sampled_from(Table),
    address=st.integers(0, 0xFFFF),
    count=st.integers(1, 130),
    barrier=st.integers(0, 0xFFFF),
    hole=st.integers(0, 0xFFFF),
    near=st.integers(-5, 5),
)
def test_a_wider_read_holds_the_wanted_stays_within_limits_and_has_another_length(
    table: Table, address: int, count: int, barrier: int, hole: int, near: int
) -> None:
    """What the device must not be asked for is no price for certainty."""
    barrier, hole = (barrier, hole) if barrier % 2 else (address + near, address + count + near)
    limits = LinkLimits(barriers={table: (barrier,)}, forbidden=(Range(table=table, start=hole, end=hole + 2),))
    reads = list(wider_reads(table, address, count, limits))
    assert len(reads) <= 2 * WIDER_STEPS_MAX
    for start, wide in reads:
        assert 0 <= start <= address
        assert address + count <= start + wide <= 0x10000
        assert wide <= (limits.max_bits if table.is_bits else limits.max_registers)
        assert not start < barrier < start + wide
        assert not (start < hole + 2 and hole < start + wide)
        assert read_reply_bytes(table, wide) > read_reply_bytes(table, count)


def test_a_device_that_bears_no_unused_register_is_not_read_wider() -> None:
    """Its profile says that a request may bridge nothing."""
    assert list(wider_reads(Table.HOLDING, 10, 2, LinkLimits(max_gap_registers=0))) == []
