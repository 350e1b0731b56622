"""What may be asked at the page, and what is refused before it reaches the gate."""

from typing import Any

import pytest

from edge.control.keys import Role
from edge.web.actions import ActionRefused, Lock, Mode, Target, action_of


def test_each_role_may_ask_what_is_its_own() -> None:
    """The lock belongs to those who open the cabinet."""
    assert action_of({"kind": "mode", "mode": "hold"}, Role.OWNER) == Mode(kind="mode", mode="hold")
    assert isinstance(action_of({"kind": "lock", "on": True}, Role.INSTALLER), Lock)
    assert isinstance(action_of({"kind": "target", "soc_percent": None}, Role.OWNER), Target)
    with pytest.raises(ActionRefused, match="installer") as refusal:
        action_of({"kind": "lock", "on": True}, Role.OWNER)
    assert refusal.value.code == "not_permitted"


@pytest.mark.parametrize(
    "content",
    [
        None,
        [],
        {},
        {"kind": "battery_power", "power_w": 1},
        {"kind": "mode", "mode": "off"},
        {"kind": "mode", "mode": "hold", "site": "other"},
        {"kind": "charge", "hours": 0},
        {"kind": "charge", "hours": 25},
        {"kind": "charge", "hours": float("nan")},
        {"kind": "charge", "hours": float("inf")},
        {"kind": "target", "soc_percent": 101, "by": "07:00"},
        {"kind": "target", "soc_percent": 50, "by": "25:00"},
        {"kind": "lock", "on": True, "hours": 1e9},
        {"kind": "release", "command_id": "x" * 65},
    ],
)
def test_what_is_no_action_is_refused_with_a_sentence(content: Any) -> None:
    """A request that somebody wrote by hand does nothing, and says what is wrong."""
    with pytest.raises(ActionRefused, match="nothing was done") as refusal:
        action_of(content, Role.INSTALLER)
    assert refusal.value.code == "bad_action"
