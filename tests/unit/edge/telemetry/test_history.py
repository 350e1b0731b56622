"""The gateway's history: rings of three lengths, little wear, whole after a restart."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.telemetry import Sample
from contracts.units import ClockTrust, Quality
from edge.telemetry import history as history_module
from edge.telemetry import history_file
from edge.telemetry.history import WAITING_MAX, WRITE_EVERY_S, History
from edge.telemetry.history_file import FILE, TIERS, HistoryFile, Row, Tier, read_history
from sitewatt.commands.edge import app
from tests.support.manual_clock import ManualClock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
START_S = int(START.timestamp())
POWER = "meter/active_power_w"


@contextmanager
def _history(folder: Path, clock: ManualClock, trust: ClockTrust = ClockTrust.SYNCED) -> Iterator[History]:
    history = History(folder, clock=clock, clock_trust=lambda: trust)
    try:
        yield history
    finally:
        history.close()


def _offer(history: History, clock: ManualClock, *powers_w: float | None, step_s: float = 1.0) -> None:
    for power_w in powers_w:
        quality = Quality.INVALID if power_w is None else Quality.GOOD
        energy = Sample(point="meter/energy_import_wh", at=clock.now(), value=clock.monotonic(), quality=Quality.GOOD)
        history.offer([Sample(point=POWER, at=clock.now(), value=power_w, quality=quality), energy])
        clock.advance(step_s)


def _read(folder: Path, step_s: int) -> dict[int, float]:
    rows = read_history(folder / FILE, step_s=step_s, first_s=START_S - 3600, last_s=START_S + 3_000_000)
    return {row.start_s - START_S: row.values[POWER] for row in rows if POWER in row.values}


def test_a_step_is_the_mean_of_its_cycles_and_a_counter_its_last_value(tmp_path: Path) -> None:
    """A plan needs energy, and a mean is energy."""
    clock = ManualClock(START)
    with _history(tmp_path, clock) as history:
        _offer(history, clock, *[100.0] * 10, *[300.0] * 5, *[None] * 5, *[500.0] * 40)
    assert _read(tmp_path, 10) == {0: 100.0, 10: 300.0, **dict.fromkeys(range(20, 60, 10), 500.0)}
    assert _read(tmp_path, 60) == {0: pytest.approx((1000 + 1500 + 20_000) / 55)}
    (minute,) = read_history(tmp_path / FILE, step_s=60, first_s=START_S, last_s=START_S + 60)
    assert minute.values["meter/energy_import_wh"] == 59.0


def test_a_restart_within_a_quarter_leaves_one_whole_quarter(tmp_path: Path) -> None:
    """Updates come at any time; the history has no seam."""
    clock = ManualClock(START)
    with _history(tmp_path, clock) as history:
        _offer(history, clock, *[100.0] * 300)
    with _history(tmp_path, clock) as history:
        _offer(history, clock, *[400.0] * 600)
    assert _read(tmp_path, 900) == {0: pytest.approx(300.0)}


async def test_it_is_written_every_five_minutes_and_by_the_gateway_itself(tmp_path: Path) -> None:
    """A kill costs what was not written yet."""
    clock = ManualClock(START)
    history = History(tmp_path, clock=clock, clock_trust=lambda: ClockTrust.SYNCED)
    _offer(history, clock, *[100.0] * 20)
    assert history.write()
    _offer(history, clock, *[100.0] * 5)
    assert set(_read(tmp_path, 10)) == {0, 10}
    history.close()
    assert WRITE_EVERY_S == 300


async def test_finished_steps_can_be_asked_until_the_file_holds_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chart asks memory and file; what a thread is writing is in one of them."""
    clock, begun, goes_on = ManualClock(START), threading.Event(), threading.Event()
    written = HistoryFile.write

    def slowly(file: HistoryFile, rows: list[Row]) -> None:
        begun.set()
        assert goes_on.wait(60.0)
        written(file, rows)

    monkeypatch.setattr(HistoryFile, "write", slowly)
    history = History(tmp_path, clock=clock, clock_trust=lambda: ClockTrust.SYNCED)
    _offer(history, clock, *[100.0] * 25)
    assert [row.start_s - START_S for row in history.unwritten(10)] == [0, 10], "the third step is still counted"
    assert history.unwritten(60) == []
    writing = asyncio.create_task(history.run(), name="history")
    await asyncio.sleep(0)
    clock.advance(WRITE_EVERY_S)
    assert await asyncio.to_thread(begun.wait, 60.0)
    assert [row.values[POWER] for row in history.unwritten(10)][:2] == [100.0, 100.0]
    goes_on.set()
    async with asyncio.timeout(60.0):
        while history.unwritten(10):  # noqa: ASYNC110 (a thread ends)
            await asyncio.sleep(0.01)
    assert {0, 10} <= set(_read(tmp_path, 10))
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    history.close()


def test_a_ring_holds_so_many_rows_and_a_clock_ahead_does_not_empty_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A board without a clock may wake in another year."""
    small = (Tier(step_s=10, rows_max=5), *TIERS[1:])
    monkeypatch.setattr(history_file, "TIERS", small)
    monkeypatch.setattr(history_module, "TIERS", small)
    clock = ManualClock(START)
    with _history(tmp_path, clock) as history:
        _offer(history, clock, *[1.0] * 20, step_s=10)
        clock.step_wall(10 * 365 * 86_400)
        _offer(history, clock, 1.0)
    rows = read_history(tmp_path / FILE, step_s=10, first_s=0, last_s=2**40)
    assert len(rows) == 5
    assert sum(row.start_s < START_S + 1000 for row in rows) == 4


def test_nothing_is_kept_under_a_clock_that_is_not_trusted(tmp_path: Path) -> None:
    """Values of a wrong year would stand among the right ones."""
    clock = ManualClock(START)
    with _history(tmp_path, clock, ClockTrust.UNTRUSTED) as history:
        _offer(history, clock, *[1.0] * 30)
    assert _read(tmp_path, 10) == {}


def test_a_day_wears_little(tmp_path: Path) -> None:
    """Cards die of small writes: a day of 20 points stays within 300 commits and 30 MB."""
    written = 0
    with closing(sqlite3.connect(tmp_path / FILE)) as probe:
        file = HistoryFile(tmp_path / FILE, now_ms=0)
        probe.execute("PRAGMA wal_autocheckpoint = 0")
        values = {f"device-{number}/active_power_w": 1.5 * number for number in range(20)}
        commits = int(86_400 // WRITE_EVERY_S)
        for commit in range(commits):
            at_s = START_S + commit * 300
            rows = [Row(step_s=10, start_s=at_s + 10 * n, cycles=10, values=values) for n in range(30)]
            rows += [Row(step_s=60, start_s=at_s + 60 * n, cycles=60, values=values) for n in range(5)]
            rows.append(Row(step_s=900, start_s=at_s // 900 * 900, cycles=300, values=values))
            wal = tmp_path / f"{FILE}-wal"
            before = wal.stat().st_size if wal.exists() else 0
            file.write(rows)
            # The log is written over from its beginning after a checkpoint.
            after = wal.stat().st_size
            written += after - before if after > before else 100_000
        file.close()
    assert commits <= 300
    assert written < 30_000_000
    assert (tmp_path / FILE).stat().st_size < 5_000_000


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(tmp_path: Path) -> None:
    """History is worth less than a running gateway."""
    (tmp_path / FILE).write_bytes(b"not a database at all" * 500)
    clock = ManualClock(START)
    with _history(tmp_path, clock) as history:
        _offer(history, clock, *[7.0] * 20)
    assert _read(tmp_path, 10) == {0: 7.0, 10: 7.0}
    assert list(tmp_path.glob(f"{FILE}.damaged-*"))


def test_a_card_that_takes_nothing_costs_history_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Rows wait within a bound, it is told once, and comes back by itself."""
    folder = tmp_path / "state"
    folder.write_text("a file where the folder should be")
    clock = ManualClock(START)
    with _history(folder, clock) as history:
        _offer(history, clock, *[1.0] * 600, step_s=10)
        assert len(history._waiting) == WAITING_MAX
        assert not history.write()
        assert not history.write()
        assert caplog.text.count("history not written") == 1
        folder.unlink()
        _offer(history, clock, 1.0)
    assert _read(folder, 10)


def test_the_command_prints_the_history_beside_a_running_gateway(tmp_path: Path) -> None:
    """An owner's spreadsheet begins with a CSV."""
    config = tmp_path / "site.yaml"
    config.write_text(
        "site: {id: home-1, zone: east, agent: consumer}\n"
        "connection: {meter: meter, import_limit_w: 10000, export_limit_w: 10000}\n"
        "devices: [{id: meter, profile: sdm630, url: 'tcp://127.0.0.1:2', role: meter}]\n"
        "link: {url: 'mqtt://127.0.0.1:6'}\n"
        f"state_dir: {tmp_path / 'state'}\n"
    )
    clock = ManualClock(START)
    with _history(tmp_path / "state", clock) as history:
        _offer(history, clock, *[100.0] * 60)
        assert history.write()
        span = ["--from", "2026-03-01T12:00:00Z", "--to", "2026-03-01T12:00:30Z", "--step", "10s"]
        found = CliRunner().invoke(app, ["history", "--config", str(config), *span, "--csv", "--point", "power"])
    assert found.exit_code == 0, found.output
    assert found.output.splitlines() == [
        f"start,{POWER}",
        *(f"2026-03-01T12:00:{second}Z,100" for second in ("00", "10", "20")),
    ]
    bad = CliRunner().invoke(app, ["history", "--config", str(config), "--from", "noon"])
    assert bad.exit_code == 2
