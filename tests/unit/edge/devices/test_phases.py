"""A charger that changes its phases passes no limit on the way."""

from datetime import UTC, datetime

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from contracts.units import Quality
from edge.devices.phases import PHASE_HOLD_S, PHASE_V, PhaseStep, PhaseSwitch, phases_at
from edge.modbus.point import Reading
from tests.support.manual_clock import ManualClock

KW = 1_000.0


class Charger:
    """A charger with a car: it does what it is told at once, but uses as many phases as it likes where it lies."""

    def __init__(self, *, phases: int, current_a: float, lies: bool = False, tells: bool = True) -> None:
        self.phases, self.current_a, self.lies, self.tells = phases, current_a, lies, tells
        self.drawn_w: list[float] = []

    def take(self, step: PhaseStep) -> None:
        """Take the phases first and the current after, as profiles write them."""
        if step.phases is not None and not self.lies:
            self.phases = step.phases
            self._draw()
        self.current_a = step.power_w / (PHASE_V * (step.phases or 3))
        self._draw()

    def _draw(self) -> None:
        self.drawn_w.append(self.current_a * PHASE_V * self.phases)


def _power(charger: Charger, clock: ManualClock) -> Reading | None:
    at = datetime(2025, 6, 1, tzinfo=UTC)
    drawn_w = charger.current_a * PHASE_V * charger.phases
    return Reading(value=drawn_w, quality=Quality.GOOD, source_at=at, monotonic_s=clock.monotonic())


def _cycle(switch: PhaseSwitch, charger: Charger, clock: ManualClock, value_w: float) -> PhaseStep:
    """Run one second: what is drawn is measured, the step is told and seen to be held."""
    clock.advance(1.0)
    step = switch.step(value_w, power=_power(charger, clock) if charger.tells else None)
    charger.drawn_w.clear()
    charger.take(step)
    switch.held(step)
    return step


def _until_settled(switch: PhaseSwitch, charger: Charger, clock: ManualClock, value_w: float) -> list[PhaseStep]:
    steps = [_cycle(switch, charger, clock, value_w)]
    while len(steps) < 60 and (len(steps) < 2 or steps[-1] != steps[-2]):
        steps.append(_cycle(switch, charger, clock, value_w))
    return steps


def test_it_pauses_then_changes_then_shows_itself_on_one_phase_and_rises_last() -> None:
    """2 kW over three phases are less than a car can be told, and 8.7 A before the change would be 6 kW."""
    clock, charger = ManualClock(), Charger(phases=3, current_a=16.0)
    switch = PhaseSwitch(most=3, clock=clock)
    switch.found(3)
    told = [(step.phases, step.power_w) for step in _until_settled(switch, charger, clock, 2 * KW)]
    assert told[:3] == [(3, 0.0), (1, 0.0), (1, 1_380.0)] and told[-1] == (1, 2 * KW)


def test_back_to_three_it_takes_less_on_one_before() -> None:
    """16 A are 3.7 kW on one phase, and 11 kW on three."""
    clock, charger = ManualClock(), Charger(phases=1, current_a=16.0)
    switch = PhaseSwitch(most=3, clock=clock)
    switch.found(1)
    told = [(step.phases, step.power_w) for step in _until_settled(switch, charger, clock, 6 * KW)]
    assert [phases for phases, _ in told[:2]] == [1, 3]
    assert [power_w for _, power_w in told[:2]] == pytest.approx([2 * KW, 6 * KW])


def test_a_charger_that_draws_over_three_all_the_same_is_paused_within_half_a_minute() -> None:
    """Its register says one phase; the meter of the car says that it is not so."""
    clock, charger = ManualClock(), Charger(phases=3, current_a=16.0, lies=True)
    switch = PhaseSwitch(most=3, clock=clock)
    switch.found(3)
    beyond_s = 0
    for _ in range(120):
        _cycle(switch, charger, clock, 2 * KW)
        beyond_s += charger.drawn_w[-1] > 2 * KW
        assert charger.drawn_w[-1] <= 4_140.0
    assert 0 < beyond_s <= 25 and charger.drawn_w[-1] == 0


def test_a_charger_that_refuses_one_phase_keeps_its_limit_on_three() -> None:
    """Were it only asked again and again, nobody would renew its limit, and it would charge with its safe current."""
    clock = ManualClock()
    switch = PhaseSwitch(most=3, clock=clock)
    switch.found(3)
    for _ in range(20):
        clock.advance(1.0)
        step = switch.step(2 * KW, power=None)
        if step.phases == 1:
            break
        switch.held(step)
    assert step.phases == 1
    switch.refused(step)
    assert switch.step(2 * KW, power=None) == PhaseStep(phases=3, power_w=0.0)
    assert switch.step(6 * KW, power=None) == PhaseStep(phases=3, power_w=6 * KW)
    clock.advance(PHASE_HOLD_S)
    assert switch.step(2 * KW, power=None).lowers, "and asks again"


def test_what_a_charger_says_of_its_phases_is_its_state() -> None:
    """After a start nobody knows what the last gateway left; the register may."""
    clock = ManualClock()
    switch = PhaseSwitch(most=3, clock=clock)
    assert switch.step(2 * KW, power=None).lowers
    switch.found(1)
    assert switch.step(2 * KW, power=None) == PhaseStep(phases=1, power_w=2 * KW)


limits = st.one_of(st.just(0.0), st.floats(500, 12 * KW))


@given(
    st.lists(st.tuples(limits, st.integers(1, 400)), min_size=1, max_size=8),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.booleans(),
)
def test_no_change_of_phases_draws_more_than_the_limit(
    orders: list[tuple[float, int]], phases: int, is_known: bool, tells: bool
) -> None:
    """Between two writes of one step too, in each second, whatever was asked before and however long."""
    clock, charger = ManualClock(), Charger(phases=phases, current_a=6.0, tells=tells)
    switch = PhaseSwitch(most=3, clock=clock)
    if is_known:
        switch.found(phases)
    for value_w, for_s in orders:
        before_w = charger.current_a * PHASE_V * charger.phases
        for _ in range(min(for_s, 40)):
            phases_before = charger.phases
            _cycle(switch, charger, clock, value_w)
            event("changed" if charger.phases != phases_before else "stayed")
            # A fall of the limit itself is told after the phases of the same step, which it did not change.
            assert all(drawn_w <= max(value_w, before_w) + 1e-6 for drawn_w in charger.drawn_w)
            assert charger.drawn_w[-1] <= value_w + 1e-6
            before_w = charger.drawn_w[-1]
        clock.advance(float(for_s))


def test_no_two_changes_follow_each_other_closely() -> None:
    """A contactor that turns each minute wears out; meanwhile what is too little is a pause."""
    clock, charger = ManualClock(), Charger(phases=3, current_a=6.0)
    switch = PhaseSwitch(most=3, clock=clock)
    switch.found(3)
    changes, before = 0, 3
    for second in range(1_200):
        _cycle(switch, charger, clock, 2 * KW if second // 30 % 2 else 9 * KW)
        changes, before = changes + (charger.phases != before), charger.phases
    assert 1 <= changes <= 1_200 / PHASE_HOLD_S + 1


@pytest.mark.parametrize(
    ("asked_w", "now", "for_s", "phases", "told_w"),
    [
        (2_000, None, 0.0, 1, 2_000),
        (4_140, None, 0.0, 3, 4_140),
        (2_000, 3, 10.0, 3, 0),  # Too little for three, and the last change was just now: a pause.
        (2_000, 3, 300.0, 1, 2_000),
        (4_200, 1, 900.0, 1, 4_200),  # Not clearly above what three phases take.
        (4_600, 1, 900.0, 3, 4_600),
        (4_600, 1, 10.0, 1, 4_600),
    ],
)
def test_a_charger_uses_one_phase_where_too_little_is_left_for_all(
    asked_w: float, now: int | None, for_s: float, phases: int, told_w: float
) -> None:
    """A house with 2 kW of sun can charge; a contactor is not turned each minute, and no limit is passed meanwhile."""
    assert phases_at(asked_w, now=now, for_s=for_s, most=3) == (phases, told_w)


@given(st.floats(0.1, 30_000), st.sampled_from([None, 1, 3]), st.floats(0, 1_000), st.sampled_from([1, 3]))
def test_no_choice_of_phases_draws_more_than_was_asked(value: float, now: int | None, for_s: float, most: int) -> None:
    """Phases in use times the current told stays within the limit, and no current is one that a car cannot take."""
    now = now if now is None or now <= most else most
    phases, told_w = phases_at(value, now=now, for_s=for_s, most=most)
    assert phases in (1, most) and told_w <= value
    assert told_w == 0 or told_w >= 1_380 * phases or value < 1_380
