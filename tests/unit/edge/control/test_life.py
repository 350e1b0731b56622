"""The life of an accepted command, and the request that it becomes."""

from datetime import timedelta
from itertools import product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.control import (
    AckStage,
    Action,
    BatteryPower,
    Diagnostics,
    LimitExport,
    LimitImport,
    LimitLoad,
    MaintenanceLock,
    Refusal,
    Switch,
)
from edge.control.keys import Role
from edge.control.life import (
    APPLY_S,
    FINAL,
    TRANSITIONS,
    AckDraft,
    Effect,
    Event,
    IllegalStep,
    Life,
    advance,
    after,
    is_effective,
)
from edge.control.model import BATTERIES, CONNECTION, Priority, load
from edge.control.orders import request_of, requester_of
from tests.support.branches import Branches
from tests.support.rigs.control_commands import NOW, command

LIMIT = command(LimitImport(max_w=4_200))


def stages(life: Life, *seen: Effect) -> list[AckStage]:
    """Return the stages that a life passes through."""
    found = []
    for observed in seen:
        life, drafts = advance(life, observed)
        found += [draft.stage for draft in drafts]
    return found


def test_the_whole_life_of_a_limit_that_works() -> None:
    """Accepted is not applied, and applied is not effective."""
    life = Life(command=LIMIT, taken_s=0, expires_s=120)
    assert stages(
        life,
        Effect(now_s=0, connection_w=8_000),
        Effect(now_s=1, connection_w=8_000, readback_equal=True, readback={"bat/setpoint_w": -3_800.0}),
        Effect(now_s=3, connection_w=4_250),
        Effect(now_s=120, connection_w=4_200),
    ) == [AckStage.APPLIED, AckStage.EFFECTIVE, AckStage.COMPLETED]


def test_a_limit_that_the_meter_never_shows_is_ineffective_and_ends_expired() -> None:
    """Registers can lie: some firmware echoes a setpoint and ignores it."""
    life = Life(command=LIMIT, taken_s=0, expires_s=120)
    seen = [Effect(now_s=second, connection_w=8_000, readback_equal=True) for second in (1, 10, 15.9, 16, 120)]
    assert stages(life, *seen) == [AckStage.APPLIED, AckStage.INEFFECTIVE, AckStage.EXPIRED]


def test_a_late_effect_still_counts() -> None:
    """A slow plant is told from a dead one."""
    life = Life(command=LIMIT, taken_s=0, expires_s=120)
    seen = [Effect(now_s=1, readback_equal=True, connection_w=8_000), Effect(now_s=20, connection_w=8_000)]
    seen += [Effect(now_s=30, connection_w=4_000)]
    assert stages(life, *seen) == [AckStage.APPLIED, AckStage.INEFFECTIVE, AckStage.EFFECTIVE]


def test_what_is_never_read_back_is_said_within_a_bound_and_counts_when_it_is_after_all() -> None:
    """Silence is no answer: the sender may have another site that can; a device that comes back is told apart."""
    seen = [
        Effect(now_s=second, connection_w=4_000, readback_equal=False, missing="bat: no") for second in (1, 29, 30, 40)
    ]
    life = Life(command=LIMIT, taken_s=0, expires_s=120)
    drafts: list[AckDraft] = []
    for one in seen:
        life, said = advance(life, one)
        drafts += said
    assert [(draft.stage, draft.reason) for draft in drafts] == [(AckStage.INEFFECTIVE, Refusal.NOT_APPLIED)]
    assert drafts[0].detail == f"not read back within {APPLY_S:.0f} s: bat: no"
    assert stages(life, Effect(now_s=50, connection_w=4_000, readback_equal=True), Effect(now_s=120)) == [
        AckStage.APPLIED,
        AckStage.EFFECTIVE,
        AckStage.COMPLETED,
    ]


def test_what_was_read_back_and_measured_stands_in_the_answer() -> None:
    """The answer is proof, not an echo of the request."""
    _, drafts = advance(
        Life(command=LIMIT, taken_s=0, expires_s=120),
        Effect(now_s=1, connection_w=4_000, readback_equal=True, readback={"bat/setpoint_w": -3_800.0}),
    )
    applied, effective = drafts
    assert applied.readback == {"bat/setpoint_w": -3_800.0}
    assert (effective.stage, effective.measured_w, effective.event_id) == (AckStage.EFFECTIVE, 4_000, "e1")


@pytest.mark.parametrize(
    ("seen", "stage"),
    [
        (Effect(now_s=1, released=True), AckStage.RELEASED),
        (Effect(now_s=1, superseded=True), AckStage.SUPERSEDED),
        (Effect(now_s=120), AckStage.EXPIRED),
        (Effect(now_s=1, done=True, values={"meter/power_w": 5.0}), AckStage.COMPLETED),
    ],
)
def test_every_end_is_final(seen: Effect, stage: AckStage) -> None:
    """Nothing happens to a command after its end."""
    life, drafts = advance(Life(command=LIMIT, taken_s=0, expires_s=120), seen)
    assert [draft.stage for draft in drafts] == [stage]
    assert life.over
    assert advance(life, Effect(now_s=500, released=True)) == (life, ())


@pytest.mark.parametrize(("stage", "event"), list(product(AckStage, Event)))
def test_pairs_outside_the_table_are_refused(stage: AckStage, event: Event) -> None:
    """A state machine is a table, also where it says no."""
    if (stage, event) in TRANSITIONS:
        assert after(stage, event) is TRANSITIONS[stage, event]
        assert stage not in FINAL
    else:
        with pytest.raises(IllegalStep):
            after(stage, event)


@pytest.mark.parametrize(
    ("action", "seen", "effective"),
    [
        (LimitImport(max_w=4_200), Effect(now_s=0, connection_w=4_410), True),
        (LimitImport(max_w=4_200), Effect(now_s=0, connection_w=4_411), False),
        (LimitExport(max_w=0), Effect(now_s=0, connection_w=-100), True),
        (LimitExport(max_w=0), Effect(now_s=0, connection_w=-101), False),
        (BatteryPower(power_w=-3_000), Effect(now_s=0, battery_w=-2_850), True),
        (BatteryPower(power_w=-3_000), Effect(now_s=0, battery_w=0), False),
        (Switch(device="boiler", on=False), Effect(now_s=0, switched_on=False), True),
        (LimitLoad(device="ev", max_w=6_000), Effect(now_s=0, load_w=6_300), True),
        (LimitLoad(device="ev", max_w=6_000), Effect(now_s=0, load_w=6_301), False),
        (LimitLoad(device="ev", max_w=6_000), Effect(now_s=0, connection_w=1_000), None),
        (LimitImport(max_w=4_200), Effect(now_s=0), None),
        (Diagnostics(), Effect(now_s=0), None),
    ],
)
def test_effect_is_what_the_meter_shows_within_the_tolerance(
    action: Action, seen: Effect, effective: bool | None
) -> None:
    """The larger of 5 % and 100 W; a blind meter proves nothing."""
    assert is_effective(action, seen) is effective


_lives = Branches("effective", "ineffective", "released", "superseded", "expired")
_seldom = st.sampled_from([False] * 12 + [True])


@_lives
@given(
    st.lists(
        st.builds(
            Effect,
            now_s=st.floats(0, 130),
            readback_equal=st.none() | st.booleans(),
            connection_w=st.none() | st.floats(-9_000, 9_000),
            released=_seldom,
            superseded=_seldom,
        ),
        max_size=12,
    )
)
@example([Effect(now_s=1, readback_equal=True, connection_w=0), Effect(now_s=121)])
@example([Effect(now_s=APPLY_S)])
@example([Effect(now_s=121)])
@example([Effect(now_s=1, released=True)])
@example([Effect(now_s=1, superseded=True)])
def test_a_life_never_repeats_an_end_and_never_skips_the_read_back(seen: list[Effect]) -> None:
    """Whatever is observed in whatever order."""
    found = stages(Life(command=LIMIT, taken_s=0, expires_s=120), *sorted(seen, key=lambda each: each.now_s))
    assert sum(stage in FINAL for stage in found) <= 1
    assert all(stage not in FINAL for stage in found[:-1])
    for stage in (AckStage.INEFFECTIVE, AckStage.RELEASED, AckStage.SUPERSEDED, AckStage.EXPIRED):
        _lives.met(stage.value, stage in found)
    if AckStage.EFFECTIVE in found:
        _lives.met("effective")
        assert AckStage.APPLIED in found[: found.index(AckStage.EFFECTIVE)]


def test_commands_become_requests_with_their_signs_and_priorities() -> None:
    """An export limit bounds from below: export is negative."""
    limit = request_of(command(LimitExport(max_w=3_000)), role=Role.GRID_OPERATOR, now_s=50, now=NOW)
    assert limit is not None
    assert (limit.resource, limit.min_w, limit.max_w) == (CONNECTION, -3_000, float("inf"))
    assert (limit.priority, limit.expires_s) == (Priority.GRID_OPERATOR, 170)
    power = request_of(command(BatteryPower(power_w=-2_000)), role=Role.AGGREGATOR, now_s=0, now=NOW)
    assert power is not None
    assert (power.resource, power.min_w, power.max_w, power.preferred_w) == (BATTERIES, -2_000, -2_000, -2_000)
    assert power.priority is Priority.MARKET_DR
    switch = request_of(command(Switch(device="boiler", on=True)), role=Role.OWNER, now_s=0, now=NOW)
    assert switch is not None
    assert switch.resource == load("boiler")
    slow = request_of(command(LimitLoad(device="ev", max_w=5_000)), role=Role.OWNER, now_s=0, now=NOW)
    assert slow is not None
    assert (slow.requester, slow.resource, slow.max_w) == ("grid_operator/limit_load/ev", load("ev"), 5_000)
    assert request_of(command(MaintenanceLock(on=True)), role=Role.OWNER, now_s=0, now=NOW) is None


def test_a_renewed_order_takes_the_place_of_the_older_one() -> None:
    """Same issuer and kind hold one request: extending never stacks."""
    renewed = command(LimitImport(max_w=5_000), command_id="c2", seq=2, issued_at=NOW + timedelta(seconds=40))
    assert requester_of(renewed) == requester_of(LIMIT)
    assert requester_of(command(LimitExport(max_w=0))) != requester_of(LIMIT)
    boiler, pump = (command(Switch(device=name, on=True)) for name in ("boiler", "pump"))
    assert requester_of(boiler) != requester_of(pump), "who turns two loads must not lose the first"
