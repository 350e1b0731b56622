"""When what a device refused is worth a look again."""

from edge.modbus.learned import MUTE_AGAIN_S, REFUSED_AGAIN_S, Learned
from edge.modbus.plan import Block
from edge.modbus.point import Priority, Range, RegisterPoint, Table
from edge.modbus.unavailable import Unavailable


def at(address: int) -> Range:
    """Return one register."""
    return Range(table=Table.HOLDING, start=address, end=address + 1)


def block(*addresses: int) -> Block:
    """Return a request for registers, each a point of its own."""
    points = tuple(RegisterPoint(name=f"p{address}", address=address) for address in addresses)
    first, last = min(addresses), max(addresses)
    names = tuple(point.name for point in points)
    return Block(
        table=Table.HOLDING,
        address=first,
        count=last - first + 1,
        points=points,
        names=names,
        wanted=tuple((address, address + 1) for address in addresses),
        priority=Priority.CONTROL,
    )


def test_looks_are_rare_and_what_had_been_there_waits_for_no_other() -> None:
    """A map with many points that this model never had must not hide the one that is only asleep."""
    learned = Learned()
    missing = Unavailable(learned)
    for address in range(5):
        learned.add_missing(at(address), again_s=REFUSED_AGAIN_S)
    missing.note(block(*range(5)), had=lambda name: name == "p3", now_s=0.0)
    assert missing.due(REFUSED_AGAIN_S / 2) is None
    looks = [(missing.due(time * REFUSED_AGAIN_S), missing.due(time * REFUSED_AGAIN_S)) for time in range(1, 4)]
    assert looks == [(at(3), at(0)), (at(3), at(1)), (at(3), at(2))]
    assert missing.due(3.5 * REFUSED_AGAIN_S) is None


def test_all_that_never_answered_gets_its_turn() -> None:
    """A device that was asleep when we started has no past."""
    learned = Learned()
    missing = Unavailable(learned)
    for address in range(3):
        learned.add_missing(at(address), again_s=REFUSED_AGAIN_S)
    assert [missing.due(now_s * REFUSED_AGAIN_S) for now_s in range(6)] == [at(0), at(1), at(2)] * 2


def test_what_is_met_with_silence_is_left_alone_for_long() -> None:
    """Each such look costs a time-out, and on a line everybody's."""
    learned = Learned()
    learned.add_missing(at(7), again_s=MUTE_AGAIN_S)
    missing = Unavailable(learned)
    missing.note(block(7), had=lambda _: False, now_s=0.0)
    assert missing.due(MUTE_AGAIN_S - 1) is None
    assert missing.due(MUTE_AGAIN_S) == at(7)


def test_one_that_is_back_brings_the_refused_ones_back_and_not_the_mute() -> None:
    """A device that wakes up has all of it again."""
    learned = Learned()
    for address, again_s in ((1, REFUSED_AGAIN_S), (2, REFUSED_AGAIN_S), (3, MUTE_AGAIN_S)):
        learned.add_missing(at(address), again_s=again_s)
    learned.found(at(1))
    assert set(learned.missing) == {at(3)}


def test_a_hole_never_holds_what_somebody_wants() -> None:
    """Between two points of one request lies one of another, and an address that does not exist."""
    learned = Learned()
    learned.want([at(3), Range(table=Table.HOLDING, start=5, end=7), Range(table=Table.INPUT, start=0, end=99)])
    assert learned.add_hole(Range(table=Table.HOLDING, start=2, end=9))
    assert [(hole.start, hole.end) for hole in learned.holes] == [(2, 3), (4, 5), (7, 9)]
    assert not learned.add_hole(at(6))
    learned.want([at(8)])
    assert [(hole.start, hole.end) for hole in learned.holes] == [(2, 3), (4, 5), (7, 8)]
