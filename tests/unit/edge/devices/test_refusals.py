"""A refused write is tried three times, then seldom, and its alarm names register, exception and usual cause."""

from itertools import pairwise

import pytest

from edge.devices.catalogue import load_profile
from edge.devices.moves import move, without
from edge.devices.recipes import Lever
from edge.devices.refusals import BACK_OFF_S_MAX, BACK_OFF_S_START, TRIES, Refusals

CAUSE = "switch it on in the menu"


def _tries(refusals: Refusals, *, lasts_s: float) -> list[float]:
    """Return when a write that is always refused is tried in so many cycles of a second."""
    tried = []
    for second in range(int(lasts_s)):
        if refusals.blocking(["mode"], now_s=second) is None:
            tried.append(float(second))
            refusals.refused("mode", registers="register 7", exception_code=4, now_s=second)
    return tried


def test_three_tries_then_ever_longer_waits() -> None:
    """Six writes a second for ever wear the device and the line, and nobody is told."""
    tried = _tries(Refusals(causes={}), lasts_s=86_400)
    assert tried[:TRIES] == [0, 1, 2]
    waits = [after - before for before, after in pairwise(tried[2:])]
    assert waits[0] == BACK_OFF_S_START and max(waits) == BACK_OFF_S_MAX
    assert waits == sorted(waits) and len(tried) < 160


@pytest.mark.parametrize(
    ("causes", "said"),
    [
        ({"mode": "a", "4": "b", "any": "c"}, "device failure; a"),
        ({"4": "b", "any": "c"}, "device failure; b"),
        ({"any": CAUSE}, f"mode (register 7) answers exception 4, device failure; {CAUSE}"),
        ({}, "answers exception 4, device failure"),
    ],
)
def test_what_is_said_names_the_register_the_exception_and_the_nearest_cause(causes: dict[str, str], said: str) -> None:
    """The installer reads what to switch on, not a number."""
    refusals = Refusals(causes=causes)
    assert refusals.refused("mode", registers="register 7", exception_code=4, now_s=0).endswith(said)


def test_a_refused_point_blocks_no_other_and_is_forgotten_once_it_is_taken() -> None:
    """A battery that may not charge from the grid still discharges."""
    refusals = Refusals(causes={})
    for _ in range(TRIES):
        refusals.refused("grid", registers="register 7", exception_code=4, now_s=0)
    assert refusals.blocking(["rate"], now_s=1) is None
    assert refusals.blocking(["rate", "grid"], now_s=1) is not None
    assert refusals.blocking(["grid"], now_s=BACK_OFF_S_START) is None
    refusals.taken(["grid"])
    assert refusals.blocking(["grid"], now_s=1) is None


def test_a_register_that_stays_where_it_was_counts_and_one_that_moves_late_does_not() -> None:
    """Confirmed and not kept is a refusal; slow is not."""
    stuck, slow = Refusals(causes={}), Refusals(causes={})
    for second in range(TRIES):
        stuck.not_kept("rate", held=0.0, wanted=50.0 + second, now_s=second)
        slow.not_kept("rate", held=10.0 * second, wanted=50.0, now_s=second)
    assert "was written 52 and stays 0.0" in (stuck.blocking(["rate"], now_s=TRIES) or "")
    assert slow.blocking(["rate"], now_s=TRIES) is None


@pytest.mark.parametrize("name", ["fronius_gen24_int", "fronius_float", "sunspec_generic_int"])
def test_the_sun_charges_without_leave_to_charge_from_the_grid(name: str) -> None:
    """Where the surplus is the device's own generation, that register is not touched and cannot be refused."""
    profile = load_profile(name)
    recipe = profile.capabilities[Lever.BATTERY_POWER][0]
    wanted = move(profile, Lever.BATTERY_POWER, recipe, 2_000.0, base=5_000.0, revert_s=90)
    assert "m124.ChaGriSet" in wanted.final
    sunny = without(wanted, {"m124.ChaGriSet"})
    assert "m124.ChaGriSet" not in sunny.final and sunny.final.items() <= wanted.final.items()
    assert not any(pair[0] == "m124.ChaGriSet" for target in sunny.targets for pair in target.values)
