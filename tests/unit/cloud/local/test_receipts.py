"""What a site is told of its messages: exactly those that are stored, and nothing of what nobody sent."""

from typing import Any

from cloud.local.receipts import receipts
from contracts.receipt import Receipt, StoredRange
from contracts.topics import Down, Topic, Up, parse, site_topic

ZONE = "zone-a"


def _from(site: str, channel: Up, **fields: Any) -> tuple[Topic, dict[str, Any]]:
    topic = parse(site_topic(zone=ZONE, site=site, channel=channel))
    assert topic is not None
    return topic, fields


def test_each_site_is_told_its_own_in_ranges() -> None:
    """A hole between two numbers is what the outbox must keep."""
    stored = [
        _from("home-1", Up.METER, epoch=7, seq=1),
        _from("home-2", Up.METER, epoch=7, seq=9),
        _from("home-1", Up.METER, epoch=7, seq=2),
        _from("home-1", Up.METER, epoch=7, seq=4),
        _from("home-1", Up.ORDERS, epoch=7, seq=3),
        _from("home-1", Up.METER, epoch=8, seq=3),
    ]
    told = {message.topic: Receipt.decode(message.payload) for message in receipts(stored)}
    assert set(told) == {site_topic(zone=ZONE, site=site, channel=Down.RECEIPTS) for site in ("home-1", "home-2")}
    assert told[site_topic(zone=ZONE, site="home-1", channel=Down.RECEIPTS)].stored == (
        StoredRange(channel=Up.METER, epoch=7, first=1, last=2),
        StoredRange(channel=Up.METER, epoch=7, first=4, last=4),
        StoredRange(channel=Up.ORDERS, epoch=7, first=3, last=3),
        StoredRange(channel=Up.METER, epoch=8, first=3, last=3),
    )


def test_what_has_no_number_gets_no_receipt() -> None:
    """The status has none, and what others throw at the broker must raise nothing."""
    odd: list[dict[str, Any]] = [
        {},
        {"epoch": 1},
        {"epoch": 1, "seq": 0},
        {"epoch": "x", "seq": [1]},
        {"epoch": 1, "seq": 10**30},
    ]
    assert list(receipts(_from("home-1", Up.METER, **fields) for fields in odd)) == []
    assert list(receipts([_from("home-1", Up.STATUS, online=True)])) == []


def test_the_largest_batch_fits_receipts() -> None:
    """Numbers with a hole between each two need a range each."""
    messages = list(receipts(_from("home-1", Up.METER, epoch=1, seq=2 * number + 1) for number in range(450)))
    told = [one for message in messages for one in Receipt.decode(message.payload).stored]
    assert [one.first for one in told] == [2 * number + 1 for number in range(450)]
