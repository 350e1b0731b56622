"""Flow control and back-off: never faster than the broker allows."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.topics import Broadcast, Down, Up, broadcast_topic, site_topic
from edge.links.aws import ingest_topic
from edge.links.backoff import Backoff
from edge.links.flow import BYTES_PER_S, PUBLISHES_PER_S, Flow


class _Time:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(50, 20_000), min_size=300, max_size=600), share=st.sampled_from([1.0, 0.2]))
def test_no_second_sees_more_than_the_bound(sizes: list[int], share: float) -> None:
    """The broker discards what is above it, and says nothing."""
    time = _Time()
    flow = Flow(share=share, monotonic=time)
    sent: list[tuple[float, int]] = []
    for size in sizes:
        time.now_s += flow.wait_s()
        flow.take(size)
        sent.append((time.now_s, size))
    for start, _ in sent:
        window = [size for at, size in sent if start <= at < start + 1]
        assert len(window) <= PUBLISHES_PER_S * share + 1
        assert sum(window) <= BYTES_PER_S * share + max(sizes)


def test_a_quiet_link_sends_at_once() -> None:
    """An acknowledgement must not wait for a bucket that nobody uses."""
    time = _Time()
    flow = Flow(monotonic=time)
    assert flow.wait_s() == 0
    time.now_s = 3600
    assert flow.wait_s() == 0


@given(seed=st.integers(), attempts=st.integers(1, 40))
def test_pauses_stay_between_the_floor_and_the_cap(seed: int, attempts: int) -> None:
    """AWS takes one CONNECT a second and client; a fleet spreads itself by the jitter."""
    backoff = Backoff(floor_s=1.0, cap_s=30.0, generator=random.Random(seed))
    pauses = [backoff.next_s() for _ in range(attempts)]
    assert all(1.0 <= pause <= 30.0 for pause in pauses)
    assert pauses[0] <= 2.0


def test_pauses_grow_and_start_anew_after_a_connection_that_lasted() -> None:
    """One bad hour must not slow the next reconnect."""
    generator = random.Random(3)
    backoff = Backoff(floor_s=1.0, cap_s=30.0, generator=generator)
    for _ in range(10):
        backoff.next_s()
    assert max(backoff.next_s() for _ in range(20)) > 15
    backoff.lasted(5.0)
    assert max(backoff.next_s() for _ in range(20)) > 15
    backoff.lasted(60.0)
    assert backoff.next_s() <= 2.0


def test_after_a_takeover_the_pause_is_long() -> None:
    """Two clients with one id throw each other out as fast as they come back."""
    backoff = Backoff(floor_s=1.0, cap_s=30.0, generator=random.Random(1))
    assert backoff.taken_over_s() >= 60.0


def test_only_what_a_site_sends_up_goes_by_basic_ingest() -> None:
    """Nobody can subscribe to a basic-ingest topic, so what others must see stays on the broker."""
    meter = site_topic(zone="z", site="s", channel=Up.METER)
    assert ingest_topic(meter, rules_prefix="sitewatt_") == "$aws/rules/sitewatt_meter/sitewatt/v1/z/s/meter"
    for topic in (
        site_topic(zone="z", site="s", channel=Up.STATUS),
        site_topic(zone="z", site="s", channel=Down.COMMANDS),
        broadcast_topic(zone="z", channel=Broadcast.GRID),
        "$aws/things/s/shadow/get",
    ):
        assert ingest_topic(topic, rules_prefix="sitewatt_") == topic
    assert ingest_topic(meter, rules_prefix=None) == meter
