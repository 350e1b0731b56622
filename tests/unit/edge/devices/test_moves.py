"""What moving a lever means in registers, and what it never means."""

import math

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from edge.devices.catalogue import list_profiles, load_profile
from edge.devices.moves import MAGNITUDES, Move, move
from edge.devices.recipes import Lever, Recipe
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


def test_a_battery_is_told_no_more_than_its_register_takes() -> None:
    """4 kW in the site's file and a Marstek of 2.5: refused, the order would stand nowhere."""
    held = moved("marstek_venus", Lever.BATTERY_POWER, 4_000.0, base=4_000.0)
    assert held.held_w == 2_500 and held.final["charge_power"] == 2_500
    assert moved("marstek_venus", Lever.BATTERY_POWER, -4_000.0, base=4_000.0).held_w == -2_500


@pytest.mark.parametrize(
    ("profile_id", "point", "asked_w", "told"),
    [
        ("goe_charger", "max_current", 6_850, 9.0),  # 9.93 A in whole amperes would be 10, 50 W too much.
        ("goe_charger", "max_current", 6_900, 10.0),
        ("goe_charger", "max_current", 11_000, 11_000 / 690),  # Its rating: the nearest step, 16 A.
        ("solax_evc", "max_current", 6_899, 9.99),
        ("sungrow_ac_charger", "max_current", 6_899, 9.9),
    ],
)
def test_a_limit_is_told_as_the_step_that_does_not_pass_it(
    profile_id: str, point: str, asked_w: float, told: float
) -> None:
    """Rounded to the nearest step, every limit in whole amperes is passed by up to 345 W."""
    final = moved(profile_id, Lever.LIMIT_CONSUMPTION, asked_w, base=11_000 / 690).final
    assert final[point] == pytest.approx(told)


@given(st.sampled_from([one for one in RECIPES if one[1] in MAGNITUDES - {Lever.SWITCH}]), st.floats(0, 9_999))
def test_no_register_holds_more_than_the_limit_asked(recipe: tuple[str, Lever, int], asked_w: float) -> None:
    """What the wire carries, read back by the same map, is at most the limit: in watts, amperes or percent."""
    profile_id, lever, number = recipe
    profile = load_profile(profile_id)
    told = profile.capabilities[lever][number]
    step = moved(profile_id, lever, asked_w, number=number, base=10_000 if _counts_watts(told) else 10_000 / 690)
    for target in step.targets:
        for name, value in target.values:
            expression = target.step.write[name]
            spec = profile.points[name]
            if expression not in ("limit_w", "limit_a", "limit_pct") or spec.scale_at is not None or spec.scale_factor:
                continue
            bound = {"limit_w": asked_w, "limit_a": asked_w / (230 * told.phases), "limit_pct": asked_w / 100}[
                expression
            ]
            held = (
                round(abs(value) / abs(spec.scale)) * abs(spec.scale) if "FLOAT" not in spec.type.name else abs(value)
            )
            event(expression)
            assert held <= bound + abs(spec.scale) * 2e-3


def _counts_watts(recipe: Recipe) -> bool:
    return not any(
        str(value).endswith("_a") for steps in recipe.modes.values() for step in steps for value in step.write.values()
    )
