"""Baselines: like days only, capped, and blind to what happened during the event."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.market.baseline import (
    HIGH_FOUR_OF_FIVE,
    TEN_OF_TEN,
    Baseline,
    TooFewDays,
    baseline,
    like_days,
    pre_event,
)
from cloud.market.flags import Flag

MONDAY = date(2025, 3, 3)
FIRST, COUNT = 64, 8


def _history(level: int = 100, days: int = 40, event_day: date = MONDAY) -> dict[date, list[int | None]]:
    return {event_day - timedelta(days=back): [level] * 96 for back in range(days + 1)}


def _of(history: dict[date, list[int | None]], **more: object) -> Baseline:
    made = baseline(history, event_day=MONDAY, first=FIRST, count=COUNT, **more)  # type: ignore[arg-type]
    assert isinstance(made, Baseline)
    return made


def test_ten_of_ten_takes_ten_weekdays_without_events_and_holidays() -> None:
    """Law 18: a day of another type, an event day or a holiday would move the money."""
    history = _history()
    excluded = frozenset({MONDAY - timedelta(days=3), MONDAY - timedelta(days=4)})
    for day in history:
        if day.weekday() >= 5 or day in excluded:
            history[day] = [9999] * 96
    made = _of(history, excluded=excluded)
    assert made.intervals_wh == (100,) * COUNT
    assert len(made.days) == 10
    assert all(day.weekday() < 5 and day not in excluded for day in made.days)


def test_weekends_look_at_weekends() -> None:
    """Four of four, as ten weekdays would never come together."""
    sunday = MONDAY - timedelta(days=1)
    days = like_days(_history(event_day=sunday), event_day=sunday, method=TEN_OF_TEN)
    assert len(days) == 4
    assert all(day.weekday() >= 5 for day in days)


def test_high_four_of_five_leaves_out_the_lowest() -> None:
    """X of Y by load in the event's own hours."""
    history = _history()
    for back, level in ((3, 10), (4, 110), (5, 120), (6, 130), (7, 140)):
        history[MONDAY - timedelta(days=back)] = [level] * 96
    made = _of(history, method=HIGH_FOUR_OF_FIVE)
    assert MONDAY - timedelta(days=3) not in made.days
    # The mean of 110 to 140 is 125; the morning was 25 lower, and a fifth of the mean is the cap.
    assert (made.addition_wh, made.intervals_wh[0]) == (-25, 100)


def test_the_ratio_follows_the_morning_up_to_its_cap() -> None:
    """A hot day counts, a morning of pretended load does not count beyond a fifth, and it is flagged."""
    history = _history()
    history[MONDAY] = [110] * 96
    made = _of(history)
    assert (made.ratio_permille, made.intervals_wh[0]) == (1100, 110)
    history[MONDAY] = [300] * 96
    made = _of(history)
    assert (made.ratio_permille, made.intervals_wh[0]) == (1200, 120)
    assert made.flags == (Flag.CAPPED, Flag.HIGH_ADJUSTMENT_LOAD)


def test_a_baseline_above_the_connection_is_flagged() -> None:
    """Nobody can have used more than the connection carries."""
    assert Flag.ABOVE_CONNECTION in _of(_history(), connection_wh=99).flags


def test_too_few_days_give_no_baseline_but_a_reason() -> None:
    """Least five like days, or no settlement by this method."""
    assert baseline(_history(days=5), event_day=MONDAY, first=FIRST, count=COUNT) == TooFewDays(found=3, needed=5)


def test_days_with_gaps_and_days_of_clock_change_are_left_out() -> None:
    """A missing reading is not zero use, and interval 64 of a day of 92 is another hour."""
    history = _history()
    history[MONDAY - timedelta(days=3)] = [None, *[100] * 95]
    history[MONDAY - timedelta(days=4)] = [100] * 92
    used = _of(history).days
    assert not {MONDAY - timedelta(days=3), MONDAY - timedelta(days=4)} & set(used)


def test_the_pre_event_baseline_is_named_and_flagged() -> None:
    """With no history the last hour must do, and everyone can see that it did."""
    made = pre_event([100, 101, 103, 104], count=2)
    assert isinstance(made, Baseline)
    assert (made.method, made.intervals_wh, made.flags) == ("pre-event", (102, 102), (Flag.FEW_DAYS,))
    assert pre_event([], count=2) == TooFewDays(found=0, needed=1)


_levels = st.lists(st.integers(-400, 400), min_size=41, max_size=41)


@settings(max_examples=40, deadline=None)
@given(levels=_levels, event_load=st.integers(-10_000, 10_000), method=st.sampled_from([TEN_OF_TEN, HIGH_FOUR_OF_FIVE]))
def test_the_load_of_the_event_itself_changes_nothing(levels: list[int], event_load: int, method: object) -> None:
    """Law 18: otherwise one could raise what one is paid against."""
    history: dict[date, list[int | None]] = {
        MONDAY - timedelta(days=back): [level] * 96 for back, level in enumerate(levels)
    }
    before = _of(history, method=method)
    history[MONDAY][FIRST : FIRST + COUNT] = [event_load] * COUNT
    assert _of(history, method=method) == before


@settings(max_examples=40, deadline=None)
@given(levels=st.lists(st.integers(1, 400), min_size=41, max_size=41), factor=st.integers(1, 50))
def test_the_adjustment_stays_within_its_cap_and_scales(levels: list[int], factor: int) -> None:
    """Law 18: bounded by the cap, and twice the load has twice the baseline to within rounding."""
    history: dict[date, list[int | None]] = {
        MONDAY - timedelta(days=back): [level] * 96 for back, level in enumerate(levels)
    }
    made = _of(history)
    assert 800 <= made.ratio_permille <= 1200
    scaled = _of({day: [factor * (value or 0) for value in values] for day, values in history.items()})
    # Three roundings of half a unit each: of the mean, the ratio and the product.
    slack = 2 + factor * 2
    assert all(
        abs(large - factor * small) <= slack
        for large, small in zip(scaled.intervals_wh, made.intervals_wh, strict=True)
    )


@pytest.mark.parametrize(("values", "rounded"), [([1, 2], 2), ([2, 3], 2), ([-1, -2], -2), ([0, -1], 0)])
def test_means_round_half_to_even(values: list[int], rounded: int) -> None:
    """One written rule, also below zero."""
    made = pre_event(values, count=1)
    assert isinstance(made, Baseline)
    assert made.intervals_wh == (rounded,)
