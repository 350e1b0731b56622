"""Transactions outlive the gateway, and a station that tells the same thing twice begins one."""

from datetime import timedelta
from pathlib import Path

from edge.ocpp.settings import OcppSettings, StationSettings
from edge.ocpp.station import Station
from edge.state_store import VolatileStateStore
from tests.support.manual_clock import ManualClock


def _station(memory: VolatileStateStore, clock: ManualClock | None = None) -> Station:
    told = StationSettings(station="CP1", password_file=Path("secret"))
    settings = OcppSettings()
    return Station(sections={1: told}, phases={1: 3}, settings=settings, clock=clock or ManualClock(), memory=memory)


def test_a_transaction_that_is_told_twice_is_one() -> None:
    """A station that did not hear our answer tells it again; a second number would never be ended."""
    station = _station(VolatileStateStore())
    first = station.new_transaction(1, began_wh=10.0, began_at="2026-06-01T12:00:00Z")
    assert station.new_transaction(1, began_wh=10.0, began_at="2026-06-01T12:00:00Z") == first
    assert station.new_transaction(1, began_wh=20.0, began_at="2026-06-01T13:00:00Z") == first + 1


def test_a_new_process_knows_what_runs_and_gives_no_number_twice() -> None:
    """A limit of the transaction that runs needs its number."""
    memory = VolatileStateStore()
    given = _station(memory).new_transaction(1, began_wh=10.0, began_at="x")
    later = _station(memory)
    running = later.connectors[1].transaction
    assert running is not None and (running.id, running.began_wh) == (given, 10.0)
    assert later.new_transaction(1, began_wh=11.0, began_at="y") == given + 1
    later.end(given + 1)
    assert _station(memory).connectors[1].transaction is None


def test_a_transaction_of_before_us_is_taken_up_and_its_number_not_given_again() -> None:
    """A station that another central system served goes on with its number."""
    station = _station(VolatileStateStore())
    station.runs(1, 41)
    running = station.connectors[1].transaction
    assert running is not None and running.id == 41
    assert station.new_transaction(1, began_wh=1.0, began_at="z") == 42
    station.runs(9, 50)
    assert station.new_transaction(9, began_wh=1.0, began_at="z") == 43, "an unknown connector changes nothing"


def test_what_was_measured_long_ago_is_no_value_of_now() -> None:
    """A station sends what it kept while it was alone; it must not steer."""
    clock = ManualClock()
    station = _station(VolatileStateStore(), clock)
    station.measured(1, {"active_power_w": 1.0}, taken_at=clock.now() - timedelta(seconds=61))
    assert station.connectors[1].values == {} and "left out" in (station.last_error or "")
    station.measured(1, {"active_power_w": 2.0}, taken_at=clock.now() - timedelta(seconds=5))
    station.measured(7, {"active_power_w": 3.0}, taken_at=None)
    assert station.connectors[1].values["active_power_w"].value == 2.0


def test_what_is_kept_and_no_state_of_ours_is_left_aside() -> None:
    """A damaged record must not keep the gateway from starting."""
    for kept in ("text", {"next": "x", "running": []}, {"running": {"x": {}, "1": {"id": None}, "2": 5}}):
        memory = VolatileStateStore()
        memory.remember("ocpp/CP1", kept)
        assert _station(memory).new_transaction(1, began_wh=None, began_at=None) == 1
