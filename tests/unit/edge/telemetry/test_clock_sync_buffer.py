"""A board that wakes in the past tells the cloud true times, or says that it does not know them."""

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.telemetry import Sample, TelemetryMessage, samples_of
from contracts.topics import Up
from contracts.units import ClockTrust, Quality
from edge.outbox.outbox import FLUSH_WINDOW_S, Outbox
from edge.telemetry.clock_sync_buffer import HELD_MAX, HOLD_S, ClockSyncBuffer
from edge.telemetry.sampler import Sampler
from tests.support.brokers.link_parts import SITE
from tests.support.manual_clock import ManualClock


class Board:
    """A gateway's telemetry, with a clock that the test sets."""

    def __init__(self, outbox: Outbox, clock: ManualClock, *, trust: ClockTrust = ClockTrust.UNTRUSTED) -> None:
        self.clock, self.trust = clock, trust
        self.sync_buffer = ClockSyncBuffer(clock=clock, clock_trust=lambda: self.trust, outbox=outbox)
        self.sampler = Sampler(site=SITE, outbox=outbox, clock=clock, clock_trust=self.sync_buffer.trust)
        self._outbox = outbox

    def read(self, value: float) -> None:
        """Take one sample, then let a second pass."""
        taken = Sample(point="meter/power_w", at=self.clock.now(), value=value, quality=Quality.GOOD)
        self.sync_buffer.offer([taken], to=self.sampler.offer)
        self.clock.advance(1)

    def set_clock(self, step_s: float) -> None:
        """Step the wall clock, as the time service does, and trust it."""
        self.clock.step_wall(step_s)
        self.trust = ClockTrust.SYNCED

    def told(self) -> list[TelemetryMessage]:
        """Return the messages, the open one too."""
        self.sampler.close()
        self._outbox.flush()
        return [TelemetryMessage.decode(record.payload) for record in self._outbox.read(Up.TELEMETRY, limit=1000)]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """A outbox on a real file."""
    with closing(Outbox.open(tmp_path / "journal.db", site=SITE, clock=ManualClock())) as opened:
        yield opened


def test_samples_before_the_first_sync_are_stamped_anew_and_flagged(outbox: Outbox) -> None:
    """Also where the clock stepped between them: each is counted back by the monotonic clock."""
    clock = ManualClock()
    board = Board(outbox, clock)
    true_start = clock.now() + timedelta(days=90)
    board.read(1000)
    clock.step_wall(-3600)
    board.read(2000)
    board.set_clock(timedelta(days=90).total_seconds() + 3600)
    board.read(3000)
    first, second = board.told()
    assert (first.clock, second.clock) == (ClockTrust.HOLDOVER, ClockTrust.SYNCED)
    assert [(one.at, one.value) for one in samples_of(first)] == [
        (true_start, 1000),
        (true_start + timedelta(seconds=1), 2000),
    ]
    assert [one.at for one in samples_of(second)] == [true_start + timedelta(seconds=2)]


def test_without_a_sync_they_go_as_they_are(outbox: Outbox) -> None:
    """Telemetry is worth more than its stamps, and says that they are not to be trusted."""
    board = Board(outbox, ManualClock())
    for number in range(int(HOLD_S) + 2):
        board.read(100.0 * number)
    told = board.told()
    assert {message.clock for message in told} == {ClockTrust.UNTRUSTED}
    assert sum(len(list(samples_of(message))) for message in told) == HOLD_S + 2


def test_a_stop_before_the_sync_hands_over_what_is_held(outbox: Outbox) -> None:
    """A restart must not cost what was measured."""
    board = Board(outbox, ManualClock())
    board.read(1000)
    board.sync_buffer.close(to=board.sampler.offer)
    (message,) = board.told()
    assert message.clock is ClockTrust.UNTRUSTED


def test_a_trusted_clock_holds_nothing(outbox: Outbox) -> None:
    """Nor does a trust that is lost later: those stamps are flagged at once."""
    board = Board(outbox, ManualClock(), trust=ClockTrust.SYNCED)
    board.read(1000)
    board.trust = ClockTrust.UNTRUSTED
    board.read(2000)
    assert [message.clock for message in board.told()] == [ClockTrust.SYNCED, ClockTrust.UNTRUSTED]


def test_a_power_cut_while_waiting_costs_no_more_than_the_flush_window(outbox: Outbox) -> None:
    """The next process hands over what was kept, once, and says that nobody vouches for its stamps."""
    clock = ManualClock()
    board = Board(outbox, clock)
    for number in range(int(FLUSH_WINDOW_S) + 1):
        board.read(100.0 * number)
    following = Board(outbox, clock)
    following.set_clock(0)
    following.read(0.0)
    kept, now = following.told()
    assert (kept.clock, len(list(samples_of(kept)))) == (ClockTrust.UNTRUSTED, FLUSH_WINDOW_S + 1)
    assert now.clock is ClockTrust.SYNCED
    third = Board(outbox, clock, trust=ClockTrust.SYNCED)
    third.read(9000.0)
    assert len(third.told()) == 3, "nothing is handed over twice"


@given(st.lists(st.sampled_from([0, 1, HELD_MAX // 7, HELD_MAX // 3]), max_size=8))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_is_held_without_bound_and_nothing_is_lost(outbox: Outbox, sizes: list[int]) -> None:
    """A site of a hundred points waits as long as it may, not longer."""
    clock = ManualClock()
    sync_buffer = ClockSyncBuffer(clock=clock, clock_trust=lambda: ClockTrust.UNTRUSTED, outbox=outbox)
    one = Sample(point="p", at=clock.now(), value=1.0, quality=Quality.GOOD)
    handed: list[int] = []
    offered = 0
    for size in sizes:
        sync_buffer.offer([one] * size, to=lambda samples: handed.append(len(samples)))
        offered += size
        assert offered - sum(handed) <= HELD_MAX + HELD_MAX // 3
    sync_buffer.close(to=lambda samples: handed.append(len(samples)))
    assert sum(handed) == offered
