"""What a commit could not write waits again as if it had never been taken, in front of what came meanwhile."""

from datetime import UTC, datetime

from contracts.telemetry import EventMessage
from contracts.topics import Up
from edge.outbox.records import Record, RecordClass
from edge.outbox.waiting import Pending, Waiting

AT = datetime(2026, 6, 1, tzinfo=UTC)


def _pending(number: int) -> Pending:
    def build(epoch: int, seq: int) -> EventMessage:
        return EventMessage(site="home-1", epoch=epoch, seq=seq, sent_at=AT, at=AT, phrase="x", fields={})

    payload = build(1, number).encode()
    record = Record(id=number, channel=Up.EVENTS, seq=number, record_class=RecordClass.EVENTS, at=AT, payload=payload)
    return Pending(record=record, build=build)


def _waiting(*numbers: int) -> Waiting:
    waiting = Waiting()
    for number in numbers:
        waiting.add(_pending(number))
    return waiting


def test_a_flight_takes_everything_that_waits_and_leaves_nothing() -> None:
    """What stayed behind would be committed twice; what got lost, never."""
    waiting = _waiting(1, 2)
    waiting.keep("gate", "1")
    waiting.acknowledge([7])
    flight = waiting.take()
    assert not waiting
    assert waiting.bytes == 0
    assert ([one.record.id for one in flight.pending], flight.values, flight.acknowledged) == (
        [1, 2],
        {"gate": "1"},
        {7},
    )
    assert flight.upto == waiting.changes == 4


def test_what_was_not_written_waits_in_front_and_the_newer_value_stands() -> None:
    """Records keep their order; a value that was kept while the commit failed is what the site last meant."""
    waiting = _waiting(1, 2)
    waiting.keep("gate", "1")
    waiting.keep("mode", "auto")
    flight = waiting.take()
    waiting.add(_pending(3))
    waiting.keep("gate", None)
    waiting.put_back(flight)
    assert [one.record.id for one in waiting.pending] == [1, 2, 3]
    assert waiting.bytes == sum(len(one.record.payload) for one in waiting.pending)
    assert waiting.values == {"gate": None, "mode": "auto"}


def test_a_change_after_the_flight_began_is_not_on_the_disk_with_it() -> None:
    """Whoever waits for the disk would act too early."""
    waiting = _waiting(1)
    flight = waiting.take()
    waiting.keep("gate", "1")
    assert flight.upto < waiting.changes
