"""What a device tells about how it is to be read, and what says that it is to be read another way."""

import pytest

from edge.devices.catalogue import load_profile
from edge.devices.facts import Facts

CHARGER = load_profile("phoenix_ev_eth")  # Whose current tells its unit: tenths from 60 on.
BOX = load_profile("abl_emh1")  # Whose firmware is watched.


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ("320", "100", True),  # A limit that we wrote ourselves: still tenths.
        ("320", "60", True),
        ("32", "10", True),
        ("320", "32", False),
        ("32", "60", False),
    ],
)
def test_a_value_that_tells_its_unit_may_change_within_it(before: str, now: str, same: bool) -> None:
    """A charger that is learned anew with each current that it is told takes no order meanwhile."""
    name = "max_current_number"
    assert Facts(told={name: now}).reads_like(Facts(told={name: before}), CHARGER) is same


@pytest.mark.parametrize(("before", "now", "same"), [("18", "18", True), ("18", "19", False)])
def test_another_firmware_is_another_way(before: str, now: str, same: bool) -> None:
    """An update may move every register."""
    assert Facts(told={"firmware": now}).reads_like(Facts(told={"firmware": before}), BOX) is same


def test_a_missed_reply_is_no_other_way() -> None:
    """A device that came back and missed one reply refused its orders until all of it was learned anew."""
    assert Facts(told={}).reads_like(Facts(told={"firmware": "18"}), BOX)
    assert Facts(told={"firmware": "18"}).reads_like(Facts(told={}), BOX)


def test_a_condition_that_is_told_for_the_first_time_is_another_way() -> None:
    """What was not there without it may be there with it."""
    assert not Facts(told={"max_current_number": "320"}).reads_like(Facts(told={}), CHARGER)
