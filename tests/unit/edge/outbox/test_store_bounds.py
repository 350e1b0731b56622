"""A reader that hangs and a large file after a power cut: neither fills the disk nor holds up a start."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from contracts.telemetry import EventMessage
from contracts.topics import Up
from edge.outbox import move, store
from edge.outbox.outbox import Outbox
from edge.outbox.records import OutboxState, RecordClass
from tests.support.brokers.link_parts import AT, SITE, reading, until
from tests.support.manual_clock import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the outbox is."""
    return tmp_path / "state" / "journal.db"


def large_event(epoch: int, seq: int) -> EventMessage:
    """Build an event of some 4 KB."""
    return EventMessage(site=SITE, epoch=epoch, seq=seq, sent_at=AT, at=AT, phrase="large", fields={"text": "x" * 4000})


def _open(path: Path) -> Outbox:
    return Outbox.open(path, site=SITE, clock=ManualClock(AT))


@contextmanager
def _held_open(path: Path) -> Iterator[sqlite3.Connection]:
    """Hold a read open, as a backup that hangs would."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT COUNT(*) FROM records").fetchone()
        yield reader


def _log_bytes(path: Path) -> int:
    return path.with_name("journal.db-wal").stat().st_size


def _values(outbox: Outbox) -> list[bytes]:
    return [record.payload for record in outbox.read(Up.METER, limit=10_000)]


def test_the_log_stays_bounded_beside_a_reader_and_nothing_is_lost(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A shell that somebody left open must not fill the card, nor cost a reading."""
    with closing(_open(path)) as outbox:
        outbox.append(Up.METER, reading(0))
        with _held_open(path) as reader:
            largest = 0
            for value in range(1, 9):
                outbox.append(Up.METER, reading(value))
                with outbox.together():
                    for _ in range(1000):
                        outbox.append(Up.EVENTS, large_event, durable=True)
                outbox.remember("value", value)
                outbox.acknowledge([record.id for record in outbox.read(Up.EVENTS, limit=5000)])
                outbox.flush()
                largest = max(largest, _log_bytes(path))
            assert reader.execute("SELECT COUNT(*) FROM records").fetchone() == (1,)
        assert largest <= store.LOG_BYTES_MAX
        assert caplog.messages.count("outbox moved away from a reader") == 1
        assert len(_values(outbox)) == 9
        assert outbox.stats().state is OutboxState.DISK
        assert outbox.stats().last_error is None
    with closing(_open(path)) as outbox:
        assert len(_values(outbox)) == 9
        assert outbox.recall("value") == 8
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.joinpath("journal.db.next").exists() is False


@pytest.mark.parametrize("steps", range(5))
def test_a_power_cut_while_the_file_is_moved_leaves_the_old_or_the_new(
    path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """Each step is followed by a start that finds every record."""
    with closing(_open(path)) as outbox:
        for value in range(20):
            outbox.append(Up.METER, reading(value))
        wanted = _values(outbox)
    left = [steps]

    def until_cut(real: object) -> object:
        def step(*arguments: object, **named: object) -> object:
            if not left[0]:
                raise InterruptedError("power")
            left[0] -= 1
            return real(*arguments, **named)  # type: ignore[operator]

        return step

    with closing(sqlite3.connect(path, isolation_level=None)) as connection, monkeypatch.context() as cut:
        for name in ("unlink", "replace"):
            cut.setattr(Path, name, until_cut(getattr(Path, name)))
        with pytest.raises(InterruptedError):
            move.copy_beside(connection, path)
            move.finish(path)
            raise InterruptedError("done without a cut")
    with closing(_open(path)) as outbox:
        assert _values(outbox) == wanted
    assert {entry.name for entry in path.parent.iterdir()} == {"journal.db", "journal.db.lock"}


async def _started(outbox: Outbox) -> "asyncio.Task[None]":
    task = asyncio.create_task(outbox.run())
    await asyncio.sleep(0)
    return task


def _left_open(path: Path) -> None:
    """Leave a file as a power cut does: with a log that was not folded into it."""
    with closing(_open(path)) as outbox:
        outbox.append(Up.METER, reading(1))
        with outbox.together():
            for _ in range(200):
                outbox.append(Up.EVENTS, large_event)
    path.with_name("journal.db-wal").write_bytes(b"left open")


def _damage(path: Path) -> None:
    """Damage the text of a record, where nobody looks until it is sent."""
    content = path.read_bytes()
    # An overflow page: the number of the next one, then nothing but text.
    texts = [at for at in range(0, len(content), 4096) if content[at + 4 : at + 1004] == b"x" * 1000]
    with path.open("r+b") as file:
        file.seek(texts[len(texts) // 2])
        file.write(b"\xff" * 4096)


async def test_a_large_file_is_checked_while_it_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card reads two gigabytes in minutes; the service has one to start in."""
    monkeypatch.setattr(store, "CHECKED_AT_ONCE_BYTES_MAX", 0)
    _left_open(path)
    _damage(path)
    outbox = _open(path)
    epoch = outbox.epoch
    assert outbox.append(Up.METER, reading(1000)) == 2
    task = await _started(outbox)
    await until(lambda: outbox.epoch > epoch)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    outbox.close()
    with closing(_open(path)) as outbox:
        assert any(b"1000" in payload for payload in _values(outbox))
    assert list(path.parent.glob("journal.db.damaged-*"))


async def test_a_stop_does_not_wait_for_a_check(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stops a gateway has fifteen seconds; the next start checks again."""
    monkeypatch.setattr(store, "CHECKED_AT_ONCE_BYTES_MAX", 0)
    _left_open(path)
    outbox = _open(path)
    for _ in range(3):
        task = await _started(outbox)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert outbox.stats().state is OutboxState.DISK
    assert outbox.stats().depth[RecordClass.EVENTS] == 200
    outbox.close()
