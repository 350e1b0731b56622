"""Which records wait for the cloud's receipt, and which are sent again."""

from contracts.receipt import StoredRange
from contracts.topics import Up
from edge.telemetry.receipts import (
    AWAITED_MAX,
    OVERTAKEN_MAX,
    PROBE_S_MAX,
    PROBE_S_MIN,
    SILENCE_S_MAX,
    Receipts,
    Settled,
)


def _taken(receipts: Receipts, *seqs: int, channel: Up = Up.METER, now_s: float = 0.0) -> None:
    """Send records and let the broker take them; a record's id is its number in these tests."""
    for seq in seqs:
        receipts.sent((channel, 1, seq), seq)
        assert receipts.taken((channel, 1, seq), now_s=now_s)


def _stored(first: int, last: int, *, channel: Up = Up.METER, epoch: int = 1) -> tuple[StoredRange, ...]:
    return (StoredRange(channel=channel, epoch=epoch, first=first, last=last),)


def test_without_a_receipt_ever_nothing_is_waited_for() -> None:
    """A broker whose cloud sends none must not fill an outbox."""
    receipts = Receipts(expected=False)
    receipts.sent((Up.METER, 1, 1), 1)
    assert not receipts.taken((Up.METER, 1, 1), now_s=0.0)
    assert 1 not in receipts
    assert receipts.hear(()) == Settled()
    assert receipts.expected, "from the first one on the broker's word is not enough"


def test_a_receipt_settles_what_it_names_and_sends_again_what_it_overtook() -> None:
    """A broker that was killed lost what came before its subscriber was there again."""
    receipts = Receipts(expected=True)
    _taken(receipts, 1, 2, 3, 4, 5)
    assert receipts.hear(_stored(3, 4)) == Settled(stored=(3, 4), overtaken=True)
    assert [seq in receipts for seq in range(1, 6)] == [False, False, False, False, True]
    assert receipts.hear(_stored(5, 5)) == Settled(stored=(5,))


def test_channels_and_epochs_do_not_overtake_one_another() -> None:
    """Only within a channel does a broker promise an order."""
    receipts = Receipts(expected=True)
    _taken(receipts, 1)
    _taken(receipts, 2, channel=Up.ORDERS)
    assert receipts.hear(_stored(2, 2, channel=Up.ORDERS)) == Settled(stored=(2,))
    assert receipts.hear(_stored(1, 1, epoch=2)) == Settled()
    assert 1 in receipts


def test_in_silence_one_record_of_each_channel_is_sent_again_ever_more_seldom() -> None:
    """A cloud that is away for days must not find its broker full of repetitions."""
    receipts = Receipts(expected=True)
    _taken(receipts, 1, 2)
    _taken(receipts, 3, 4, channel=Up.EVENTS)
    assert not receipts.probe(now_s=PROBE_S_MIN - 1)
    assert receipts.probe(now_s=PROBE_S_MIN)
    assert [seq in receipts for seq in (1, 2, 3, 4)] == [False, True, False, True]
    sent, now_s = 0, PROBE_S_MIN
    for _ in range(24 * 3600):
        now_s += 1
        if receipts.probe(now_s=now_s):
            missing = next(seq for seq in (1, 2) if seq not in receipts)
            _taken(receipts, missing, now_s=now_s)
            sent += 1
    assert 24 * 3600 / PROBE_S_MAX - 2 <= sent <= 24 * 3600 / PROBE_S_MAX + 8


def test_what_the_cloud_can_never_store_is_named_in_the_end() -> None:
    """One record that no rule forwards must not be sent for ever."""
    receipts = Receipts(expected=True)
    for times in range(1, OVERTAKEN_MAX + 1):
        _taken(receipts, 1, 1 + times)
        settled = receipts.hear(_stored(1 + times, 1 + times))
        assert settled.unstorable == ((1,) if times == OVERTAKEN_MAX else ())
    assert 1 not in receipts


def test_what_waits_is_bounded() -> None:
    """The rest stays in the outbox while the cloud is away."""
    receipts, full = Receipts(expected=True), []
    for seq in range(1, AWAITED_MAX + 1):
        full.append(receipts.full)
        _taken(receipts, seq)
    assert not any(full)
    assert receipts.full
    receipts.begin_connection()
    assert [seq for seq in range(1, AWAITED_MAX + 1) if seq in receipts] == []


def test_after_a_day_without_a_receipt_the_brokers_word_is_taken() -> None:
    """A cloud that was taken back to a version without receipts must not stop a site for ever."""
    receipts = Receipts(expected=True)
    assert receipts.give_up(now_s=0.0) == ()
    assert receipts.give_up(now_s=2 * SILENCE_S_MAX) == (), "nothing waited"
    _taken(receipts, 1, 2)
    receipts.sent((Up.METER, 1, 3), 3)
    begun_s = 2 * SILENCE_S_MAX + 1
    assert receipts.give_up(now_s=begun_s) == ()
    assert receipts.give_up(now_s=begun_s + SILENCE_S_MAX - 1) == ()
    assert receipts.give_up(now_s=begun_s + SILENCE_S_MAX) == (1, 2), "not what the broker has not"
    assert not receipts.expected
    assert not receipts.full
