"""Which way a lever falls."""

from dataclasses import replace
from itertools import product

from edge.control.fallback import Fallback, fallback, without_revert_timer
from edge.control.model import Capability, Reason
from tests.support.control import battery, pv


def test_the_reason_picks_the_direction() -> None:
    """Losing a price is harmless, losing a grid operator is not."""
    assert fallback(Capability.LIMIT_GENERATION, Reason.GRID_LIMIT) is Fallback.FAILSAFE_LIMIT
    assert fallback(Capability.BATTERY_POWER, Reason.PRICE) is Fallback.SELF_CONSUMPTION
    assert fallback(Capability.BATTERY_POWER, Reason.GRID_LIMIT) is Fallback.REST
    assert fallback(Capability.SWITCH, Reason.GRID_LIMIT) is Fallback.KEEP


def test_every_pair_has_a_direction() -> None:
    """A reason added without a direction would fail on a roof, not here."""
    for capability, reason in product(Capability, Reason):
        assert isinstance(fallback(capability, reason), Fallback)


def test_under_a_grid_limit_nothing_falls_back_to_full_power() -> None:
    """The law behind the table."""
    for capability, reason in product(Capability, (Reason.GRID_LIMIT, Reason.GRID_FAILSAFE, Reason.SITE_LIMIT)):
        assert fallback(capability, reason) is not Fallback.SELF_CONSUMPTION


def test_a_device_without_a_timer_is_named_with_its_consequence() -> None:
    """The installer must know before the first limit comes."""
    weak = replace(pv(), has_revert_timer=False)
    found = without_revert_timer((battery(), weak), export_limited=True)
    assert [(item.asset, item.capability) for item in found] == [("pv", Capability.LIMIT_GENERATION)]
    assert "relay" in found[0].consequence
