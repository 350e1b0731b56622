"""The parts of a forecast: series, members, ridge, mix, bands."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.forecasting.blend import blend, fold
from domain.forecasting.members import SEASONAL
from domain.forecasting.mix import mix
from domain.forecasting.quantiles import conformal, slot_bands
from domain.forecasting.ridge import UNSEEN_DAYS, ridge
from domain.forecasting.series import Series, days, first_step, regular, until

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def test_samples_become_the_mean_of_their_step_and_a_gap_stays_a_gap() -> None:
    """A value that was not measured is missing, never zero."""
    found = regular(
        [
            (MONDAY, 1.0),
            (MONDAY + timedelta(minutes=10), 3.0),
            (MONDAY + timedelta(minutes=31), 5.0),
            (MONDAY + timedelta(minutes=32), None),
        ],
        step_s=900,
    )
    assert found.start == MONDAY
    assert found.values[0] == 2 and np.isnan(found.values[1]) and found.values[2] == 5


@pytest.mark.parametrize("step_s", [0, -900, 7_000])
def test_a_step_that_does_not_divide_a_day_is_refused(step_s: int) -> None:
    """Days could not be folded."""
    with pytest.raises(ValueError, match="does not divide a day"):
        Series(start=MONDAY, step_s=step_s, values=np.zeros(3))


def test_days_are_folded_backwards_from_the_origin() -> None:
    """Row 0 is the newest day, whatever the time of day is."""
    folded = days(np.arange(7.0), steps_per_day=3)
    assert folded[0].tolist() == [4, 5, 6] and folded[1].tolist() == [1, 2, 3]
    assert np.isnan(folded[2][:2]).all() and folded[2][2] == 0


def test_the_values_until_an_origin_are_filled_up_with_gaps() -> None:
    """A link that has been down for an hour leaves an hour unknown."""
    found = until(Series(start=MONDAY, step_s=900, values=np.ones(4)), MONDAY + timedelta(hours=2))
    assert found[:4].tolist() == [1] * 4 and np.isnan(found[4:]).all() and len(found) == 8
    assert first_step(MONDAY + timedelta(seconds=1), step_s=900) == MONDAY + timedelta(minutes=15)


@pytest.mark.parametrize("name", list(SEASONAL))
def test_no_member_looks_at_what_it_could_not_know(name: str) -> None:
    """A past record that knew the future would give the worst member the largest weight."""
    values = np.arange(24.0 * 40)
    folded = fold(values, local_start_s=int(MONDAY.timestamp()), future=3, step_s=3600)
    rows = np.arange(4)
    for ahead in range(3):
        seen = SEASONAL[name](folded, rows, ahead)
        spoiled = folded.days.copy()
        spoiled[: 4 + ahead] = np.nan  # All that lies after what was known for the oldest of these rows.
        blind = SEASONAL[name](
            fold(spoiled[::-1].ravel(), local_start_s=int(MONDAY.timestamp()), future=3, step_s=3600), rows[3:], ahead
        )
        np.testing.assert_allclose(blind[0], seen[3])


def test_weekdays_follow_local_time() -> None:
    """In Melbourne it is Monday while it is Sunday in UTC."""
    local = int(MONDAY.timestamp())
    folded = fold(np.zeros(48), local_start_s=local, future=1, step_s=3600)
    assert folded.weekdays(np.array([-1]))[0].tolist() == [0] * 24
    assert folded.weekdays(np.array([0]))[0].tolist() == [6] * 24
    shifted = fold(np.zeros(48), local_start_s=local + 10 * 3600, future=1, step_s=3600)
    assert shifted.weekdays(np.array([-1]))[0].tolist() == [0] * 14 + [1] * 10


def test_ridge_learns_what_no_member_knows() -> None:
    """Load that follows a published temperature is told from it."""
    random = np.random.default_rng(3)
    temperature = random.normal(0, 1, (61, 24))
    load = 100 + 30 * temperature
    folded = fold(load[1:][::-1].ravel(), local_start_s=int(MONDAY.timestamp()), future=1, step_s=3600)
    learned = ridge(folded, ahead=0, covariates=temperature[:, :, None])
    assert learned is not None
    assert np.abs(learned[0] - load[0]).mean() < 8
    assert ridge(fold(load[:9].ravel(), local_start_s=0, future=1, step_s=3600), ahead=0) is None


def test_the_leave_one_out_record_is_that_of_a_refit() -> None:
    """The formula saves a refit for each day; it must give what the refit gives."""
    from domain.forecasting import ridge as module

    random = np.random.default_rng(5)
    features, target = random.normal(size=(31, 1, 4)), random.normal(size=(30, 1))
    _, past = module.fit(features[:1], features[1:], target, np.zeros(30))
    left_out = target.copy()
    left_out[7] = np.nan
    told, _ = module.fit(features[8:9], features[1:], left_out, np.zeros(30))
    # The centring and scaling move a little when a day is left out; nothing else does.
    assert told[0, 0] == pytest.approx(past[7, 0], abs=0.03)


def test_the_record_of_the_newest_days_is_no_better_than_the_forecasts_were() -> None:
    """A level that wanders is known from both sides to whoever leaves one day out, and from one side to a forecast."""
    random = np.random.default_rng(11)
    recorded, happened = [], []
    for _ in range(12):
        level = np.cumsum(random.normal(0, 1, 200))  # Oldest first.
        load = 50 + level[:, None] + random.normal(0, 0.5, (200, 4))
        known = load[:-1]
        folded = fold(known.ravel(), local_start_s=int(MONDAY.timestamp()), future=1, step_s=6 * 3600)
        learned = ridge(folded, ahead=0)
        assert learned is not None
        told, past = learned
        happened.append(np.abs(told - load[-1]).mean())
        recorded.append(np.abs(past[:UNSEEN_DAYS] - known[::-1][:UNSEEN_DAYS]).mean())
    assert np.mean(recorded) > 0.9 * np.mean(happened), (np.mean(recorded), np.mean(happened))


def test_the_mix_follows_the_better_member() -> None:
    """Weights come from the record."""
    random = np.random.default_rng(2)
    actual = random.normal(0, 1, (28, 24))
    past = {"good": actual + random.normal(0, 0.1, actual.shape), "bad": actual + random.normal(0, 2, actual.shape)}
    found = mix(told={"good": np.ones(24), "bad": np.zeros(24)}, past=past, actual=actual, parts=2, half_life_days=14)
    assert (found.weights["good"] > 0.9).all()
    assert found.told == pytest.approx(found.weights["good"][0], abs=0.05)


def test_the_past_mix_of_unseen_days_knows_nothing_of_their_errors() -> None:
    """One member was good until four weeks ago, another since: what was told then is what the first said."""
    actual = np.zeros((112, 24))
    newer = np.arange(112)[:, None] < 28
    past = {"before": np.where(newer, 5.0, 0.1) + actual, "since": np.where(newer, 0.1, 5.0) + actual}
    told = {name: np.ones(24) for name in past}
    seen = mix(told=told, past=past, actual=actual, parts=2, half_life_days=14)
    unseen = mix(told=told, past=past, actual=actual, parts=2, half_life_days=14, unseen_days=28)
    assert (seen.weights["since"] > 0.9).all() and unseen.weights["since"] == pytest.approx(seen.weights["since"])
    assert np.abs(seen.past[:28]).max() < 1.0
    assert np.abs(unseen.past[:28]).min() > 4.0
    assert unseen.past[28:] == pytest.approx(seen.past[28:])
    short = mix(told=told, past={name: values[:50] for name, values in past.items()}, actual=actual[:50], parts=2,
                half_life_days=14, unseen_days=28)  # fmt: skip
    assert np.isfinite(short.past).all()


@pytest.mark.parametrize("likeness", [0.0, 0.5, 0.95])
def test_bands_of_four_weeks_hold_what_they_promise_however_alike_a_days_errors_are(likeness: float) -> None:
    """Nine errors of a day are nine where they have nothing to do with each other, and one where they are one."""
    random = np.random.default_rng(29)
    held, slots = [], 36
    for _ in range(60):
        day = random.normal(0, 1, (29, 1))
        errors = np.sqrt(likeness) * day + np.sqrt(1 - likeness) * random.normal(0, 1, (29, slots))
        low, high = slot_bands(errors[1:], width=4)
        held.append(((low <= errors[0]) & (errors[0] <= high)).mean())
    assert 0.76 < np.mean(held) < 0.85


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 30))
def test_weights_are_shares_and_the_mix_stays_between_its_members(seed: int, members: int, past_days: int) -> None:
    """A mix never says what no member could have said."""
    random = np.random.default_rng(seed)
    actual = random.normal(0, 1, (past_days, 8))
    actual[random.random(actual.shape) < 0.3] = np.nan
    told = {str(index): random.normal(0, 1, 8) for index in range(members)}
    past = {name: random.normal(0, 1, actual.shape) for name in told}
    found = mix(told=told, past=past, actual=actual, parts=2, half_life_days=7)
    assert sum(found.weights.values()) == pytest.approx(np.ones(2))
    stack = np.stack(list(told.values()))
    assert (found.told >= stack.min(axis=0) - 1e-9).all() and (found.told <= stack.max(axis=0) + 1e-9).all()


def test_bands_hold_what_they_promise_on_errors_they_have_not_seen() -> None:
    """Four fifths inside, on either side one tenth."""
    errors = np.random.default_rng(4).gumbel(0, 1, (400, 24))
    low, high = slot_bands(errors[:50], width=1)
    inside = (errors[50:] >= low) & (errors[50:] <= high)
    assert 0.77 < inside.mean() < 0.84
    assert 0.08 < (errors[50:] < low).mean() < 0.12


def test_bands_of_few_days_hold_though_the_errors_of_a_day_are_alike() -> None:
    """Eight days that are off as a whole are not eight days of independent hours: counted so, 77 % were inside."""
    random = np.random.default_rng(15)
    inside = []
    for _ in range(150):
        errors = 0.8 * random.normal(0, 1, (18, 1)) + 0.6 * random.normal(0, 1, (18, 24))
        low, high = slot_bands(errors[:8], width=1)
        inside.append(((errors[8:] >= low) & (errors[8:] <= high)).mean())
    assert 0.79 < np.mean(inside) < 0.86


def test_few_errors_give_their_extremes_and_none_gives_no_band() -> None:
    """The rank beyond the record stops at its end."""
    assert conformal(np.array([-1.0, 2.0]), level=0.9) == 2
    assert conformal(np.array([-1.0, 2.0]), level=0.1) == -1
    assert conformal(np.array([np.nan]), level=0.9) == 0


def test_the_first_light_after_dark_weeks_is_no_blaze() -> None:
    """Dawn moves into a slot that was dark for months: a line through the dark told a hundred times the peak."""
    days_known, slots = 60, 24
    light = np.zeros((days_known + 1, slots))
    light[:, 12] = 500.0 + np.arange(days_known + 1)[::-1] % 7
    # Row 0 is the day to come; only its sixth hour sees light where a trace was seen before.
    light[1:4, 6] = [3e-4, 2e-4, 1e-4]
    light[0, 6] = 20.0
    history = np.random.default_rng(4).normal(0.0, 1.0, (days_known, slots)).cumsum(axis=0)[::-1]
    history[:, 6] = [5e-4, 1e-4, 2e-4, *([0.0] * (days_known - 3))]
    folded = fold(history[::-1].ravel(), local_start_s=int(MONDAY.timestamp()), future=1, step_s=3600)
    learned = ridge(folded, ahead=0, covariates=light[:, :, None], calendar=False)
    assert learned is not None
    assert abs(learned[0][6]) < 10 * history[:, 6].max()


def test_a_band_of_more_days_still_knows_the_errors_of_wild_ones() -> None:
    """A price was wild five to eight weeks ago: four weeks of errors know nothing of it."""
    chance = np.random.default_rng(3)
    noise = chance.normal(0.0, np.where(np.arange(24 * 80) < 24 * 50, 10.0, 1.0))
    folded = fold(100.0 + noise, local_start_s=int(MONDAY.timestamp()), future=1, step_s=3600)
    short, long = (blend(folded, horizon=24, band_days=days) for days in (28, 56))
    assert np.array_equal(short.middle, long.middle)
    assert float((long.high - long.low).mean()) > 2 * float((short.high - short.low).mean())


def test_a_blend_made_in_parts_is_the_one_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of day and days of the record are taken some at a time for the sake of memory alone."""
    values = np.random.default_rng(3).normal(900, 200, 96 * 130) + 300 * np.sin(np.arange(96 * 130) / 96 * 2 * np.pi)
    values[1000:1200] = np.nan
    folded = fold(values, local_start_s=int(MONDAY.timestamp()), future=2, step_s=900)
    parts = blend(folded, horizon=192)
    monkeypatch.setattr("domain.forecasting.ridge.SLOTS_AT_ONCE", 96)
    monkeypatch.setattr("domain.forecasting.blend.RECORD_DAYS_AT_ONCE", 1000)
    whole = blend(folded, horizon=192)
    assert "ridge" in whole.method
    np.testing.assert_allclose(parts.middle, whole.middle, rtol=1e-9)
    np.testing.assert_allclose(parts.high - parts.low, whole.high - whole.low, rtol=1e-9)


def test_a_year_is_learned_from_in_little_memory() -> None:
    """A gateway's two processes have 150 MB; what one forecast takes for a moment they must have for good."""
    folded = fold(np.ones(96 * 365), local_start_s=int(MONDAY.timestamp()), future=2, step_s=900)
    blend(folded, horizon=192)  # What is loaded at the first use is not the forecast's.
    tracemalloc.start()
    try:
        blend(folded, horizon=192)
        assert tracemalloc.get_traced_memory()[1] < 16_000_000
    finally:
        tracemalloc.stop()
