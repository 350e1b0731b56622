"""A wire says what may be drawn and fed in; a wire that cannot be read never says more than it last did."""

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.units import Quality
from edge.config import RelaySection
from edge.control.model import LOADS
from edge.inputs.wired import WiredInputs, watched
from edge.loop.load_state import APPARENT_POWER, EV_STATE
from edge.modbus.point import Reading
from edge.state_store import VolatileStateStore
from tests.support.rigs.edge_parts import config, plain_config, reading

RIPPLE = {"device": "box", "kind": "ripple", "k60": "relay1", "k30": "relay2", "k0": "relay3", "installed_w": 9_000}


def _inputs(*sections: dict[str, Any], memory: VolatileStateStore | None = None) -> WiredInputs:
    return WiredInputs([RelaySection.model_validate(one) for one in sections], memory=memory or VolatileStateStore())


def _box(*closed: bool, quality: Quality = Quality.GOOD) -> dict[str, dict[str, Reading]]:
    return {"box": {f"relay{number}": reading(one, quality=quality) for number, one in enumerate(closed, 1)}}


@pytest.mark.parametrize(
    ("closed", "min_w"),
    [
        ((False, False, False), None),
        ((True, False, False), -5_400.0),
        ((True, True, False), -2_700.0),
        ((False, False, True), 0.0),
    ],
)
def test_ripple_contacts_leave_their_share_of_the_installed_power(closed: Any, min_w: float | None) -> None:
    """100, 60, 30 and 0 %; where several close the lowest counts."""
    inputs = _inputs(RIPPLE)
    inputs.look(_box(*closed))
    found = inputs.requests(0.0)
    assert [one.min_w for one in found] == ([] if min_w is None else [min_w])
    assert all(one.bound_until_s == float("inf") for one in found), "a dead gateway cannot see the contact open"


@pytest.mark.parametrize(
    ("more", "max_w"),
    [({}, 4_200.0), ({"steerable_loads": 3}, 10_500.0), ({"large_heat_pumps_w": 15_000}, 6_000.0)],
)
def test_section_14a_leaves_what_the_law_keeps(more: dict[str, int], max_w: float) -> None:
    """One load keeps 4.2 kW, three keep 4.2 kW and twice three quarters of it."""
    inputs = _inputs({"device": "box", "kind": "14a", "point": "relay1", **more})
    inputs.look(_box(False))
    assert not inputs.requests(0.0)
    inputs.look(_box(True))
    assert [one.max_w for one in inputs.requests(0.0)] == [max_w]


def test_section_14a_may_bound_the_loads_alone() -> None:
    """What the house draws is not the steerable loads' affair."""
    inputs = _inputs({"device": "box", "kind": "14a", "point": "relay1", "steerable_loads": 2, "bounds": "loads"})
    inputs.look(_box(True))
    (found,) = inputs.requests(0.0)
    assert (found.resource, round(found.max_w)) == (LOADS, 7_560)
    with pytest.raises(ValidationError, match="which is for 14a"):
        _inputs({**RIPPLE, "bounds": "loads"})


def test_a_contact_that_falls_silent_keeps_what_it_said_over_a_restart() -> None:
    """A dead relay box must not lift the limit that it asked for, nor impose one that it did not."""
    memory = VolatileStateStore()
    for closed in (True, False):
        inputs = _inputs(RIPPLE, memory=memory)
        inputs.look(_box(False, closed, False))
        inputs.look({"box": {}})
        assert inputs.unread == {"box/relay1", "box/relay2", "box/relay3"}
        assert len(inputs.requests(0.0)) == closed
        assert len(_inputs(RIPPLE, memory=memory).requests(0.0)) == closed


@pytest.mark.parametrize("quality", [Quality.INVALID, Quality.STALE])
def test_a_contact_that_was_never_read_counts_as_closed(quality: Quality) -> None:
    """What is not known is taken as the strictest."""
    inputs = _inputs(RIPPLE, {"device": "box", "kind": "14a", "point": "relay4"})
    inputs.look(_box(False, False, False, False, quality=quality))
    assert sorted((one.min_w, one.max_w) for one in inputs.requests(0.0)) == [
        (float("-inf"), 4_200.0),
        (0.0, float("inf")),
    ]


def test_wiring_with_current_for_normal_is_read_the_other_way_round() -> None:
    """So wired, a cut wire limits instead of lifting."""
    inputs = _inputs({"device": "box", "kind": "14a", "point": "relay1", "closed": 0})
    inputs.look(_box(True))
    assert not inputs.requests(0.0)
    inputs.look(_box(False))
    assert inputs.requests(0.0)


def test_a_wired_switch_locks_the_site() -> None:
    """Who works on the cabinet turns it."""
    inputs = _inputs({"device": "box", "kind": "lock", "point": "relay1"})
    inputs.look(_box(True))
    assert inputs.locked()
    inputs.look(_box(False))
    assert not inputs.locked()
    assert not inputs.requests(0.0)


def test_every_contact_and_every_loads_state_is_watched() -> None:
    """What is not watched is read as slowly as such points usually change."""
    box = {"id": "box", "profile": "kmtronic_relay", "url": "tcp://127.0.0.1:502?unit=1", "role": "relay"}
    boiler = {**box, "id": "boiler", "role": "load", "load": {"rated_w": 3_000, "state": "relay2"}}
    site = config(devices=[*plain_config()["devices"], box, boiler], relays=[RIPPLE])
    fused = site.model_copy(update={"connection": site.connection.model_copy(update={"phase_limit_w": 5_750})})
    assert {"current_l1_a", "current_l2_a", "current_l3_a"} <= watched(fused)["boiler"]
    assert watched(site) == {"box": {"relay1", "relay2", "relay3"}, "boiler": {"relay2", EV_STATE, APPARENT_POWER}}
