"""The outbox on real files: what it promises, and what it does when the disk does not."""

import asyncio
import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.metering import MeterReading
from contracts.telemetry import EventMessage, Sample, TelemetryMessage, samples_of
from contracts.topics import Up
from contracts.units import Quality
from contracts.wire import SiteMessage
from edge.errors import OutboxCorrupt, OutboxError, OutboxFull, OutboxInUse
from edge.outbox.outbox import Outbox
from edge.outbox.records import Caps, OutboxState, RecordClass
from edge.outbox.rescue import disk_bytes
from edge.outbox.store import Batch, Store
from tests.support.brokers.link_parts import AT, SITE, background, event, one_sample, reading, telemetry
from tests.support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test moves."""
    return ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox is."""
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def outbox(path: Path, clock: ManualClock) -> Iterator[Outbox]:
    """A outbox on a real file."""
    with closing(_open(path, clock)) as opened:
        yield opened


def _open(path: Path, clock: ManualClock, caps: Caps | None = None) -> Outbox:
    return Outbox.open(path, site=SITE, clock=clock, caps=caps)


def _numbers(outbox: Outbox, channel: Up) -> list[int]:
    return [record.seq for record in outbox.read(channel, limit=100_000)]


def _phrases(outbox: Outbox) -> list[str]:
    return [EventMessage.decode(record.payload).phrase for record in outbox.read(Up.EVENTS, limit=1000)]


def test_numbers_rise_by_one_per_channel_and_go_on_after_a_restart(path: Path, clock: ManualClock) -> None:
    """The cloud proves loss from the numbers, so they may neither repeat nor skip."""
    with closing(_open(path, clock)) as outbox:
        assert [outbox.append(Up.METER, reading(1)), outbox.append(Up.METER, reading(2))] == [1, 2]
        assert outbox.append(Up.EVENTS, event("hello")) == 1
        outbox.acknowledge(record.id for record in outbox.read(Up.METER))
        epoch = outbox.epoch
    clock.advance(3600)
    with closing(_open(path, clock)) as outbox:
        assert outbox.epoch == epoch
        assert outbox.append(Up.METER, reading(3)) == 3
        assert _numbers(outbox, Up.METER) == [3]


def test_payloads_are_kept_byte_for_byte_under_the_number_they_carry(outbox: Outbox) -> None:
    """A record is signed, compared and deduplicated as bytes; encoding it again would change it."""
    built: list[SiteMessage] = []

    def build(epoch: int, seq: int) -> SiteMessage:
        built.append(reading(5)(epoch, seq))
        return built[-1]

    outbox.append(Up.METER, build)
    (record,) = outbox.read(Up.METER)
    assert record.payload == built[0].encode()
    assert json.loads(record.payload)["seq"] == record.seq
    assert json.loads(record.payload)["epoch"] == outbox.epoch


def test_settlement_is_committed_before_append_returns_and_telemetry_within_the_window(
    outbox: Outbox, clock: ManualClock
) -> None:
    """What money hangs on is on the disk at once; the rest spares the card."""
    outbox.flush()
    outbox.append(Up.TELEMETRY, one_sample(1))
    clock.advance(1)
    outbox.append(Up.TELEMETRY, one_sample(2))
    assert outbox.stats().pending == 1
    assert len(outbox.read(Up.TELEMETRY)) == 1
    outbox.append(Up.METER, reading(1))
    assert outbox.stats().pending == 0
    commits = outbox.stats().commits
    clock.advance(29)
    outbox.append(Up.TELEMETRY, one_sample(3))
    assert outbox.stats().commits == commits
    clock.advance(2)
    outbox.append(Up.TELEMETRY, one_sample(4))
    assert outbox.stats().pending == 0


def test_what_was_never_committed_is_never_readable(outbox: Outbox) -> None:
    """A number that went out must not be given again after a power cut."""
    outbox.flush()
    outbox.append(Up.TELEMETRY, one_sample(1))
    outbox.append(Up.TELEMETRY, one_sample(2))
    assert {record.seq for record in outbox.read(Up.TELEMETRY)} == {1}
    assert outbox.last_id() == outbox.read(Up.TELEMETRY)[-1].id


def test_values_are_remembered_over_a_restart_and_forgotten_on_request(path: Path, clock: ManualClock) -> None:
    """The command gate's state and the touched registers must outlive the process."""
    with closing(_open(path, clock)) as outbox:
        outbox.remember("gate", {"seq": 7, "ids": ["a", "b"]})
        outbox.remember("gone", 1)
        outbox.remember("gone", None)
        assert outbox.recall("gate") == {"seq": 7, "ids": ["a", "b"]}
    with closing(_open(path, clock)) as outbox:
        assert outbox.recall("gate") == {"seq": 7, "ids": ["a", "b"]}
        assert outbox.recall("gone") is None


def test_a_second_process_is_refused(path: Path, outbox: Outbox, clock: ManualClock) -> None:
    """Two gateways on one outbox would give the same numbers twice."""
    with pytest.raises(OutboxInUse, match="two gateways never share one"):
        _open(path, clock)


@pytest.mark.parametrize("damage", ["header", "middle", "text", "empty-page"])
def test_a_damaged_file_is_set_aside_and_the_outbox_begins_anew(path: Path, clock: ManualClock, damage: str) -> None:
    """A card that lies costs history, never the site: the gateway starts, says so, and keeps what it can read."""
    with closing(_open(path, clock)) as outbox:
        for value in range(200):
            outbox.append(Up.METER, reading(value))
        outbox.remember("gate", {"seq": 7})
        epoch = outbox.epoch
    content = bytearray(path.read_bytes())
    if damage == "header":
        content[:100] = os.urandom(100)
    elif damage == "middle":
        content[12_288:40_960] = bytes(28_672)
    elif damage == "text":
        content = bytearray(b"not a database at all, but long enough to be read" * 100)
    else:
        content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)
    path.with_name(path.name + "-wal").write_bytes(b"left open")
    clock.advance(60)
    with closing(_open(path, clock)) as outbox:
        assert outbox.stats().state is OutboxState.DISK
        assert outbox.append(Up.METER, reading(1000)) == 1
        assert outbox.epoch > epoch
        assert "outbox damaged and begun anew" in _phrases(outbox)
    assert list(path.parent.glob("journal.db.damaged-*"))


def test_damage_that_shows_while_running_does_not_stop_the_outbox(path: Path, clock: ManualClock) -> None:
    """The card may fail at any moment; records that wait are numbered again under a new epoch."""
    with closing(_open(path, clock)) as outbox:
        for value in range(500):
            outbox.append(Up.METER, reading(value))
        epoch = outbox.epoch
        outbox._store.compact()
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        clock.advance(60)
        outbox.append(Up.METER, reading(1000))
        outbox.append(Up.METER, reading(1001))
        stats = outbox.stats()
        assert stats.write_failures == 0 or outbox.epoch > epoch
        assert outbox.read(Up.METER, limit=10_000)[-1].payload.find(b"1001") > 0


def test_an_unusable_folder_leaves_a_outbox_in_memory(clock: ManualClock) -> None:
    """A read-only disk must not stop the site from being controlled and metered."""
    with closing(_open(Path("/proc/sitewatt/journal.db"), clock)) as outbox:
        assert outbox.stats().state is OutboxState.MEMORY
        assert outbox.append(Up.METER, reading(1)) == 1
        assert _numbers(outbox, Up.METER) == [1]
        assert _phrases(outbox) == ["outbox in memory"]


def test_the_outbox_returns_to_the_disk_with_what_memory_holds(tmp_path: Path, clock: ManualClock) -> None:
    """When the disk heals nothing of the time between is missing, and the old records are there again."""
    path = tmp_path / "state" / "journal.db"
    with closing(_open(path, clock)) as outbox:
        outbox.append(Up.METER, reading(1))
    path.parent.rename(tmp_path / "away")
    path.parent.write_text("a file where the folder was")
    clock.advance(60)
    with closing(_open(path, clock)) as outbox:
        outbox.append(Up.METER, reading(2))
        generation = outbox.generation
        path.parent.unlink()
        (tmp_path / "away").rename(path.parent)
        outbox._return_to_disk()
        assert outbox.stats().state is OutboxState.DISK
        assert outbox.generation > generation
        assert [json.loads(record.payload)["import_wh"] for record in outbox.read(Up.METER)] == [1, 2]
        assert outbox.append(Up.METER, reading(3)) == 2
    with closing(_open(path, clock)) as outbox:
        assert [json.loads(record.payload)["import_wh"] for record in outbox.read(Up.METER)] == [1, 2, 3]
        assert outbox.append(Up.METER, reading(4)) == 3


def test_a_full_outbox_gives_up_telemetry_for_settlement_and_says_so(path: Path, clock: ManualClock) -> None:
    """Quota is taken from what is cheapest; the gap is recorded, so nobody looks for it in vain."""
    caps = Caps(bytes_max=145_000, disk_share_max=1.0)
    with closing(_open(path, clock, caps)) as outbox:
        samples = [
            Sample(point=f"device/p{index}", at=AT + timedelta(hours=index), value=index, quality=Quality.GOOD)
            for index in random.Random(3).sample(range(10_000), 60)
        ]
        for _ in range(60):
            outbox.append(Up.TELEMETRY, telemetry(samples))
            outbox.flush()
        for value in range(600):
            outbox.append(Up.METER, reading(value))
        stats = outbox.stats()
        assert stats.state is OutboxState.DISK
        assert _numbers(outbox, Up.METER) == list(range(1, 601))
        assert stats.dropped > 0
        outbox.flush()
        gaps = [EventMessage.decode(record.payload) for record in outbox.read(Up.EVENTS, limit=1000)]
        kept = set(_numbers(outbox, Up.TELEMETRY))
    dropped: set[int] = set()
    for gap in gaps:
        assert gap.phrase == "records dropped"
        if gap.fields["channel"] == "telemetry":
            dropped |= set(range(int(str(gap.fields["first_seq"])), int(str(gap.fields["last_seq"])) + 1))
    assert dropped | kept == set(range(1, 61))
    assert not dropped & kept


@pytest.mark.parametrize("cap", ["size", "share of the disk"])
def test_telemetry_is_thinned_to_minutes_before_any_of_it_is_dropped(path: Path, clock: ManualClock, cap: str) -> None:
    """After weeks offline a coarse picture is worth more than a fine one with a hole."""
    caps = Caps(bytes_max=40_000, disk_share_max=1.0)
    if cap != "size":
        caps = Caps(disk_share_max=40_000 / disk_bytes(path))
    generator = random.Random(5)
    values = [[round(generator.uniform(-5000, 5000), 3) for _ in range(240)] for _ in range(60)]
    with closing(_open(path, clock, caps)) as outbox:
        for minute, of_minute in enumerate(values):
            begin = AT + timedelta(minutes=minute)
            outbox.append(
                Up.TELEMETRY,
                telemetry(
                    [
                        Sample(
                            point="meter/power_w",
                            at=begin + timedelta(seconds=index / 4),
                            value=value,
                            quality=Quality.GOOD,
                        )
                        for index, value in enumerate(of_minute)
                    ]
                ),
            )
            outbox.flush()
        stats = outbox.stats()
        assert stats.dropped == 0
        assert stats.thinned > 0
        assert stats.bytes[RecordClass.TELEMETRY] <= 40_000
        records = outbox.read(Up.TELEMETRY, limit=100)
        assert [record.seq for record in records] == list(range(1, 61))
        (oldest,) = samples_of(TelemetryMessage.decode(records[0].payload))
        assert oldest.value == pytest.approx(sum(values[0]) / 240, abs=0.001)


@pytest.mark.parametrize("record_class", [RecordClass.ORDERS, RecordClass.EVENTS])
def test_each_class_gives_up_its_own_oldest_and_the_gap_is_recorded(
    path: Path, clock: ManualClock, record_class: RecordClass
) -> None:
    """A storm of alarms must not cost an answer to an order, nor the other way round, nor ever a reading."""
    with closing(_open(path, clock, Caps(orders_bytes_max=30_000, events_bytes_max=30_000))) as outbox:
        for number in range(400):
            outbox.append(Up.EVENTS, event(f"storm {number}"), record_class=record_class, durable=False)
            outbox.append(Up.METER, reading(number), durable=False)
        outbox.flush()
        outbox.flush()
        assert _numbers(outbox, Up.METER) == list(range(1, 401))
        said = [EventMessage.decode(record.payload) for record in outbox.read(Up.EVENTS, limit=1000)]
    gaps = [each.fields for each in said if each.phrase == "records dropped"]
    storms = [int(each.phrase.split()[1]) for each in said if each.phrase.startswith("storm")]
    assert storms == list(range(storms[0], 400)), "the oldest go first"
    assert {(gap["channel"], gap["reason"]) for gap in gaps} == {("events", "cap")}
    ranges = [range(int(str(gap["first_seq"])), int(str(gap["last_seq"])) + 1) for gap in gaps]
    dropped = {seq for numbers in ranges for seq in numbers}
    assert dropped
    assert dropped.isdisjoint(kept := {each.seq for each in said})
    assert dropped | kept == set(range(1, max(kept) + 1)), "no number is missing without a word"


def test_old_records_are_dropped_but_never_settlement(path: Path, clock: ManualClock) -> None:
    """A month-old power curve helps nobody; a month-old meter reading is still money."""
    with closing(_open(path, clock)) as outbox:
        outbox.append(Up.TELEMETRY, one_sample(1))
        outbox.append(Up.METER, reading(1))
        clock.advance(31 * 86_400)
        outbox.append(Up.METER, reading(2))
        outbox.flush()
        assert _numbers(outbox, Up.TELEMETRY) == []
        assert _numbers(outbox, Up.METER) == [1, 2]


_LIMITED = """
import resource, sys
from contextlib import closing
from pathlib import Path
from contracts.topics import Up
from edge.outbox.outbox import Outbox
from tests.support.brokers.link_parts import SITE, reading
from tests.support.manual_clock import ManualClock

clock = ManualClock()
outbox = Outbox.open(Path(sys.argv[1]), site=SITE, clock=clock)
with closing(outbox):
    for value in range(50):
        outbox.append(Up.METER, reading(value))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    clock.advance(5)
    for value in range(50, 500):
        outbox.append(Up.METER, reading(value))
    print(outbox.stats().state)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    outbox._return_to_disk()
    print(outbox.stats().state)
"""


def test_a_disk_that_stops_taking_writes_and_heals_loses_nothing(path: Path, clock: ManualClock) -> None:
    """The log of another program fills the disk at night and is rotated in the morning."""
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(path)], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["memory", "disk"]
    with closing(_open(path, clock)) as outbox:
        values = [json.loads(record.payload)["import_wh"] for record in outbox.read(Up.METER, limit=10_000)]
    assert values == list(range(500))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.sampled_from([Up.METER, Up.TELEMETRY, Up.ACKS, Up.EVENTS])),
            st.tuples(st.just("acknowledge"), st.integers(1, 5)),
            st.tuples(st.just("restart"), st.none()),
            st.tuples(st.just("advance"), st.integers(1, 40)),
        ),
        max_size=40,
    )
)
def test_everything_appended_and_not_acknowledged_is_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object]]
) -> None:
    """The law of the outbox, over any history of appending, acknowledging and orderly restarts."""
    clock = ManualClock()
    path = tmp_path_factory.mktemp("law") / "journal.db"
    builders = {Up.METER: reading(1), Up.TELEMETRY: one_sample(1), Up.EVENTS: event("x")}
    kept: dict[Up, list[int]] = {channel: [] for channel in builders}
    outbox = _open(path, clock)
    for action, argument in steps:
        if action == "append" and argument in builders:
            channel = Up(str(argument))
            kept[channel].append(outbox.append(channel, builders[channel]))
        elif action == "acknowledge":
            assert isinstance(argument, int)
            for channel in builders:
                taken = outbox.read(channel, limit=argument)
                outbox.acknowledge(record.id for record in taken)
                kept[channel] = [seq for seq in kept[channel] if seq not in {record.seq for record in taken}]
        elif action == "restart":
            outbox.close()
            outbox = _open(path, clock)
        elif action == "advance":
            assert isinstance(argument, int)
            clock.advance(argument)
    outbox.flush()
    assert {channel: _numbers(outbox, channel) for channel in builders} == kept
    assert sum(outbox.stats().depth.values()) == sum(len(numbers) for numbers in kept.values())
    outbox.close()


def test_what_is_kept_together_is_one_transaction(path: Path, outbox: Outbox) -> None:
    """Between the parts of one act there is no moment at which a crash could leave only some of them."""
    before = outbox.stats().commits
    with outbox.together():
        outbox.remember("gate", 1)
        outbox.append(Up.EVENTS, event("taken"), durable=True)
        with outbox.together():
            outbox.remember("running", 2)
        assert outbox.stats().commits == before
    assert outbox.stats().commits == before + 1
    with outbox.together():
        outbox.remember("idle", 3, durable=False)
    assert outbox.stats().commits == before + 1, "nothing asked to be on the disk at once"


class _Card:
    """A card whose next writes wait until the test lets them go, and may then fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = threading.Event()
        self.asked = threading.Event()
        self.error: Exception | None = None
        write = Store.write

        def slow(store: Store, batch: Batch) -> dict[RecordClass, tuple[int, int]]:
            self.asked.set()
            assert self.free.wait(60), "the test has forgotten the card"
            error, self.error = self.error, None
            if error is not None:
                raise error
            return write(store, batch)

        monkeypatch.setattr(Store, "write", slow)


async def _committed(outbox: Outbox) -> None:
    async with asyncio.timeout(60):
        while outbox.stats().pending:  # noqa: ASYNC110 (the thread ends)
            await asyncio.sleep(0.001)


async def test_a_slow_card_holds_up_the_commit_and_nothing_else(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card that cleans up takes seconds; control runs in the same loop, and what is not committed is not sent."""
    outbox.append(Up.METER, reading(1))
    outbox.remember("gate", 1)
    card = _Card(monkeypatch)
    async with background(outbox.run(), name="outbox"):
        await asyncio.sleep(0)
        with outbox.together():
            outbox.append(Up.METER, reading(2))
            outbox.remember("gate", 2)
        await asyncio.to_thread(card.asked.wait, 20)
        assert outbox.append(Up.METER, reading(3)) == 3, "nothing waits for the card"
        assert outbox.recall("gate") == 2
        assert _numbers(outbox, Up.METER) == [1]
        assert outbox.stats().pending == 2
        outbox.acknowledge(record.id for record in outbox.read(Up.METER))
        card.free.set()
        await _committed(outbox)
        assert _numbers(outbox, Up.METER) == [2, 3]
    assert outbox.recall("gate") == 2


@pytest.mark.parametrize("error", [OutboxError("no card"), OutboxFull("no room"), OutboxCorrupt("damaged")])
async def test_what_a_failed_commit_in_the_thread_held_is_kept_once_and_in_order(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Settlement is neither lost nor doubled, whatever the card does while it is written."""
    card = _Card(monkeypatch)
    async with background(outbox.run(), name="outbox"):
        await asyncio.sleep(0)
        card.error = error
        outbox.append(Up.METER, reading(1))
        await asyncio.to_thread(card.asked.wait, 20)
        outbox.append(Up.METER, reading(2))
        card.free.set()
        await _committed(outbox)
        found = [MeterReading.decode(record.payload) for record in outbox.read(Up.METER)]
        assert [message.seq for message in found] == [1, 2]
        assert len({message.epoch for message in found}) == 1


async def test_a_stop_waits_for_the_commit_that_is_under_way(
    path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was appended before the gateway ends is on the disk after it."""
    with closing(_open(path, clock)) as outbox:
        card = _Card(monkeypatch)
        async with background(outbox.run(), name="outbox"):
            await asyncio.sleep(0)
            outbox.append(Up.METER, reading(1))
            await asyncio.to_thread(card.asked.wait, 20)
            outbox.append(Up.METER, reading(2))
            card.free.set()
    with closing(_open(path, clock)) as outbox:
        assert _numbers(outbox, Up.METER) == [1, 2]
