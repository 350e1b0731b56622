"""What moving a lever means in registers, and what it never means."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.moves import Move, move, phases_at
from edge.devices.recipes import Lever
from edge.errors import ValueRefused

POWERS = st.floats(-100_000, 100_000)
RECIPES = [
    (profile_id, lever, number)
    for profile_id in list_profiles()
    for lever, recipes in load_profile(profile_id).capabilities.items()
    for number in range(len(recipes))
]


def moved(profile_id: str, lever: Lever, value: float | None, *, number: int = 0, base: float | None = 5_000.0) -> Move:
    """Return a move of a shipped profile."""
    profile = load_profile(profile_id)
    return move(profile, lever, profile.capabilities[lever][number], value, base=base, revert_s=90)


def test_charging_and_discharging_are_mirror_images() -> None:
    """The sign decides the direction, the magnitude the rate; nothing else differs."""
    charge = moved("fronius_gen24_int", Lever.BATTERY_POWER, 2_000)
    discharge = moved("fronius_gen24_int", Lever.BATTERY_POWER, -2_000)
    hold = moved("fronius_gen24_int", Lever.BATTERY_POWER, 0)
    assert (charge.final["m124.OutWRte"], charge.final["m124.InWRte"]) == (-40, 40)
    assert (discharge.final["m124.OutWRte"], discharge.final["m124.InWRte"]) == (40, -40)
    assert (hold.final["m124.OutWRte"], hold.final["m124.InWRte"]) == (0, 0)


@given(st.sampled_from(RECIPES), POWERS)
def test_no_setpoint_exceeds_the_rating(recipe: tuple[str, Lever, int], value: float) -> None:
    """Whatever is asked, what the device is told lies within its rating, or nothing is told."""
    profile_id, lever, number = recipe
    try:
        wanted = moved(profile_id, lever, value, number=number)
    except ValueRefused:
        return
    assert wanted.held_w is not None
    if lever in (Lever.BATTERY_POWER, Lever.LIMIT_GENERATION, Lever.GRID_SETPOINT):
        assert abs(wanted.held_w) <= 5_000
        assert wanted.held_w * value >= 0
    percents = [
        wanted.final[name]
        for name in wanted.final
        if load_profile(profile_id).points[name].unit == "%" and name in wanted.final
    ]
    assert all(-100 <= percent <= 100 for percent in percents)


@given(st.sampled_from(RECIPES))
def test_a_release_needs_no_value_and_stays_in_range(recipe: tuple[str, Lever, int]) -> None:
    """Letting go works for every lever of every profile, also when the rating is all that is known."""
    profile_id, lever, number = recipe
    profile = load_profile(profile_id)
    wanted = moved(
        profile_id, lever, None, number=number, base=10_000.0 if lever is not Lever.LIMIT_CONSUMPTION else 16
    )
    for name, value in wanted.final.items():
        rule = profile.writes[name]
        inside = (rule.min is None or value >= rule.min) and (rule.max is None or value <= rule.max)
        assert inside or value in rule.special


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("lever", [Lever.LIMIT_GENERATION, Lever.BATTERY_POWER])
def test_what_is_no_number_moves_nothing(lever: Lever, value: float) -> None:
    """A division by zero upstream does not become an order."""
    with pytest.raises(ValueRefused):
        moved("sunspec_generic_int", lever, value)


def test_a_percentage_without_a_rating_is_refused() -> None:
    """A share of nothing known is not guessed."""
    with pytest.raises(ValueRefused, match="rating of the device"):
        moved("fronius_gen24_int", Lever.LIMIT_GENERATION, 1_000, base=None)


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
