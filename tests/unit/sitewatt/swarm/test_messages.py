"""What a run throws at the broker is what it says: nothing valid among the garbage, everything twice again."""

import random
from collections import Counter

import pytest

from cloud.local.events import fields_of
from contracts.control import Command
from contracts.topics import Down, parse, site_topic
from contracts.wire import WireError
from sitewatt.demo.neighbourhood import ZONE
from sitewatt.demo.watch import UP_MESSAGES
from sitewatt.swarm.messages import again, garbage


@pytest.mark.parametrize("seed", range(20))
def test_no_reader_can_take_the_garbage(seed: int) -> None:
    """What is valid would be a dishonest site, which is another fault with another judge."""
    for channel, payload in garbage(seed, site="home-1"):
        message = Command if isinstance(channel, Down) else UP_MESSAGES[channel]
        with pytest.raises(WireError):
            message.decode(payload)
            assert parse(site_topic(zone=ZONE, site="home-1", channel=channel)) is not None
            fields_of(payload)


def test_everything_that_was_heard_comes_again_twice() -> None:
    """Lost in the repetition would be lost to the test."""
    heard = [(f"topic-{number}", bytes([number] * 20)) for number in range(20)]
    sent = list(again(heard, random.Random(1)))
    counts = Counter(message for message in sent if message in heard)
    assert counts == Counter(dict.fromkeys(heard, 2))
    assert any(message not in heard for message in sent), "pieces of some"
