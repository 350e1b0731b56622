"""A limit of the grid operator ends by its own word, by its order's end while it is heard, and by nothing else."""

from pathlib import Path

import pytest

from contracts.control import BatteryPower, Diagnostics, LimitExport, LimitImport, Release
from edge.commands.grid_limits import Direction
from edge.control.limits import LimitState
from edge.control.model import Reason
from tests.support.manual_clock import ManualClock
from tests.support.rigs.control_commands import command
from tests.support.rigs.edge_parts import NOON, Counter, counter

FAILSAFE = {"failsafe_import_w": 4_200, "failsafe_export_w": 0, "heartbeat_s": 120, "failsafe_s_min": 7_200}


@pytest.fixture
def clock() -> ManualClock:
    """A clock at noon."""
    return ManualClock(NOON)


def _state(at: Counter) -> LimitState:
    return at.grid_limits.status(at.clock.monotonic())[Direction.IMPORT].state


def _tell(at: Counter, action: object, *, seq: int, issuer: str = "grid_operator", lasts_s: float = 600) -> None:
    order = command(
        action,  # type: ignore[arg-type]
        command_id=f"{issuer}-{seq}",
        seq=seq,
        issuer=issuer,
        issued_at=at.clock.now(),
        lasts_s=lasts_s,
    )
    at.executor.take(order.encode(), retained=False)


def _pass(at: Counter, seconds: float, *, step_s: float = 10.0) -> None:
    """Let time pass as cycles do."""
    for _ in range(int(seconds / step_s)):
        at.clock.advance(step_s)
        at.executor.requests(at.clock.monotonic(), {})


def _bounds(at: Counter) -> dict[str, tuple[float, float]]:
    return {one.requester: (one.min_w, one.max_w) for one in at.executor.requests(at.clock.monotonic(), {})}


def test_until_the_grid_operator_is_heard_the_failsafe_limits_hold(tmp_path: Path, clock: ManualClock) -> None:
    """A gateway that comes up beside a silent grid operator must not begin at full power."""
    with counter(tmp_path, clock, **FAILSAFE) as at:
        assert _bounds(at) == {
            "grid_failsafe/import": (float("-inf"), 4_200.0),
            "grid_failsafe/export": (0.0, float("inf")),
        }
        _tell(at, LimitImport(max_w=9_000), seq=1)
        assert _bounds(at)["grid_operator/limit_import"] == (float("-inf"), 9_000.0)
        assert "grid_failsafe/import" not in _bounds(at)


def test_a_grid_operator_that_falls_silent_in_a_limit_leaves_the_failsafe_limit(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The order's end comes while nobody is heard: the timer alone must not give the power back."""
    with counter(tmp_path, clock, **FAILSAFE) as at:
        _tell(at, LimitImport(max_w=9_000), seq=1, lasts_s=600)
        _pass(at, 130)
        assert _state(at) is LimitState.FAILSAFE
        assert _bounds(at)["grid_failsafe/import"][1] == 4_200.0
        _pass(at, 4 * 3600, step_s=60)
        found = at.executor.requests(clock.monotonic(), {})
        assert {one.reason for one in found} == {Reason.GRID_FAILSAFE}, "four hours later nothing was lifted"


def test_heartbeats_carry_a_limit_to_the_end_that_the_order_names(tmp_path: Path, clock: ManualClock) -> None:
    """Any genuine message is a heartbeat, also one that asks for nothing."""
    with counter(tmp_path, clock, **FAILSAFE) as at:
        _tell(at, LimitImport(max_w=9_000), seq=1, lasts_s=600)
        for seq in range(2, 9):
            _pass(at, 90)
            _tell(at, Diagnostics(), seq=seq)
        assert _state(at) is LimitState.UNLIMITED_CONTROLLED
        assert "grid_failsafe/import" not in _bounds(at)


@pytest.mark.parametrize("genuine", [False, True])
def test_a_replayed_heartbeat_keeps_nothing_alive(tmp_path: Path, clock: ManualClock, genuine: bool) -> None:
    """Who recorded a heartbeat must not be able to pretend that the grid operator is there."""
    with counter(tmp_path, clock, **FAILSAFE) as at:
        _tell(at, LimitImport(max_w=9_000), seq=1)
        old = command(Diagnostics(), command_id="beat", seq=2, issued_at=clock.now(), lasts_s=3_000)
        at.executor.take(old.encode(), retained=False)
        for seq in range(3, 20):
            _pass(at, 20)
            if genuine:
                _tell(at, Diagnostics(), seq=seq)
            else:
                at.executor.take(old.encode(), retained=False)
        assert (_state(at) is LimitState.FAILSAFE) is not genuine


def test_only_the_grid_operator_counts(tmp_path: Path, clock: ManualClock) -> None:
    """An aggregator is heard often, and says nothing about the grid."""
    with counter(tmp_path, clock, **FAILSAFE) as at:
        _tell(at, LimitImport(max_w=9_000), seq=1)
        for seq in range(1, 9):
            _pass(at, 30)
            _tell(at, Diagnostics(), seq=seq, issuer="aggregator")
        _tell(at, LimitExport(max_w=9_000), seq=20, issuer="aggregator")
        assert _state(at) is LimitState.FAILSAFE
        assert at.grid_limits.status(clock.monotonic())[Direction.EXPORT].state is not LimitState.LIMITED


def test_a_release_ends_the_limit_at_once(tmp_path: Path, clock: ManualClock) -> None:
    """Its own word is the first of the two ways out."""
    with counter(tmp_path, clock, **FAILSAFE) as at:
        _tell(at, LimitImport(max_w=9_000), seq=1)
        _tell(at, Release(command_id="grid_operator-1"), seq=2)
        assert _state(at) is LimitState.UNLIMITED_CONTROLLED
        assert list(_bounds(at)) == ["grid_failsafe/export"]


def test_a_restart_in_a_limit_begins_in_failsafe_and_keeps_the_order(tmp_path: Path, clock: ManualClock) -> None:
    """Our own death is no reason to give back what was taken: the stricter of both holds until one is heard."""
    with counter(tmp_path, clock, **FAILSAFE) as at:
        _tell(at, LimitImport(max_w=3_000), seq=1)
    with counter(tmp_path, clock, **FAILSAFE) as at:
        assert _state(at) is LimitState.FAILSAFE
        assert _bounds(at)["grid_operator/limit_import"][1] == 3_000.0
        assert _bounds(at)["grid_failsafe/import"][1] == 4_200.0
        _tell(at, LimitImport(max_w=5_000), seq=2)
        assert _state(at) is LimitState.LIMITED


def test_where_a_failsafe_follows_a_dead_gateway_leaves_the_limit_to_the_device_without_an_end(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The device cannot fall to the failsafe limit alone: it can keep the limit, or lift it, which it must not."""
    for direction, bound_until_s in ("import", float("inf")), ("export", None):
        with counter(tmp_path / direction, clock, **{f"failsafe_{direction}_w": 0}) as at:
            _tell(at, LimitImport(max_w=3_000), seq=1)
            found = {one.requester: one.bound_until_s for one in at.executor.requests(clock.monotonic(), {})}
            assert found["grid_operator/limit_import"] == bound_until_s


def test_without_a_section_orders_just_run_to_their_end(tmp_path: Path, clock: ManualClock) -> None:
    """Most sites have no such agreement with their grid operator."""
    with counter(tmp_path, clock) as at:
        assert not at.grid_limits.status(0.0)
        _tell(at, LimitImport(max_w=9_000), seq=1, lasts_s=60)
        assert list(_bounds(at)) == ["grid_operator/limit_import"]
        _pass(at, 70)
        assert not _bounds(at)


def test_what_is_not_a_limit_leaves_the_machines_alone(tmp_path: Path, clock: ManualClock) -> None:
    """A battery order is an order, not a limit."""
    with counter(tmp_path, clock, **FAILSAFE) as at:
        _tell(at, BatteryPower(power_w=0), seq=1)
        assert _state(at) is LimitState.INIT
