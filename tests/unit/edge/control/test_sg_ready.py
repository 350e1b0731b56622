"""A heat pump is told one of four states, each long enough, and is never locked out of warming its house."""

import pytest

from edge.control.cycle import decide
from edge.control.model import (
    CONNECTION,
    AssetState,
    Capability,
    ControlSettings,
    Memory,
    Priority,
    Reason,
    Request,
    load,
)
from edge.control.sg_ready import LOCK_S_MAX, SgState
from tests.support.rigs.control import heat_pump, pv, request, snapshot, value_of

SITE = ControlSettings(import_w_max=17_000, export_w_max=10_000, self_consumption=False)


class House:
    """A house with a heat pump, seen cycle after cycle."""

    def __init__(self) -> None:
        self.memory, self.at_s = Memory(), 100_000.0

    def state(
        self, connection_w: float, *assets: AssetState, asked: tuple[Request, ...] = (), seconds: float = 1
    ) -> float | None:
        """Return what the pump is told so many seconds later; ``None`` leaves it to itself."""
        self.at_s += seconds
        found, self.memory = decide(snapshot(connection_w, *assets, at_s=self.at_s), asked, SITE, self.memory)
        return value_of(found, "pump", Capability.SG_READY)


def _ask(power_w: float) -> Request:
    return request("plan", load("pump"), Priority.OPTIMISER, preferred_w=power_w, reason=Reason.SCHEDULE)


def _bound(max_w: float) -> Request:
    return request("dso", load("pump"), Priority.GRID_OPERATOR, max_w=max_w)


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        ((), None),
        ((_ask(0),), SgState.LOCK),
        ((_ask(1_000),), SgState.RECOMMEND),
        ((_ask(3_000),), SgState.FORCE),
        ((_ask(3_000), _bound(0)), SgState.LOCK),
        ((_ask(3_000), _bound(2_000)), SgState.LOCK),
    ],
)
def test_a_power_asked_for_is_a_state(asked: tuple[Request, ...], state: SgState | None) -> None:
    """Whoever asks says watts, as for every load; a pump that cannot draw a part of its rating is locked for it."""
    assert House().state(1_000, heat_pump(), asked=asked) == state


def test_a_limit_at_the_connection_locks_the_pump_and_room_for_all_of_it_ends_that() -> None:
    """It comes back where its whole rating fits with a margin, and not before a minute has passed."""
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=4_200)
    house = House()
    assert house.state(5_000, heat_pump(power_w=3_000), asked=(limit,)) == SgState.LOCK
    assert house.state(2_000, heat_pump(), asked=(limit,), seconds=100) == SgState.LOCK
    assert house.state(500, heat_pump(), asked=(limit,), seconds=1) is None


def test_no_state_ends_within_a_minute() -> None:
    """A compressor that is started and stopped at each cloud does not last."""
    house = House()
    assert house.state(1_000, heat_pump(), asked=(_ask(3_000),)) == SgState.FORCE
    assert house.state(1_000, heat_pump(), asked=(_ask(0),), seconds=30) == SgState.FORCE
    assert house.state(1_000, heat_pump(), asked=(_ask(0),), seconds=30) == SgState.LOCK
    assert house.state(1_000, heat_pump(), seconds=30) == SgState.LOCK


def test_a_lock_ends_after_two_hours_whoever_asks_and_rests_as_long() -> None:
    """The label promises who lives there no more than two hours without heat."""
    house = House()
    assert house.state(1_000, heat_pump(), asked=(_bound(0),)) == SgState.LOCK
    assert house.state(1_000, heat_pump(), asked=(_bound(0),), seconds=LOCK_S_MAX - 1) == SgState.LOCK
    assert house.state(1_000, heat_pump(), asked=(_bound(0),), seconds=1) is None
    assert house.state(1_000, heat_pump(), asked=(_bound(0),), seconds=LOCK_S_MAX - 1) is None
    assert house.state(1_000, heat_pump(), asked=(_bound(0),), seconds=1) == SgState.LOCK


def test_surplus_encourages_a_pump_until_half_of_it_is_gone() -> None:
    """It begins where the whole rating is free, and one cloud does not end it."""
    house = House()

    def state(sun_w: float, pump_w: float) -> float | None:
        pump = heat_pump(power_w=pump_w, follows_surplus=True)
        return house.state(500 - sun_w + pump_w, pump, pv(power_w=-sun_w), seconds=100)

    assert state(3_500, 0) is None
    assert state(4_000, 0) == SgState.RECOMMEND
    assert state(2_500, 3_000) == SgState.RECOMMEND
    assert state(1_500, 3_000) is None


def test_a_start_waits_until_the_pump_fits() -> None:
    """Starting it and locking it at once would help nobody."""
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=3_000)
    house = House()
    assert house.state(1_000, heat_pump(), asked=(_ask(3_000), limit)) is None
    assert house.state(0, heat_pump(), asked=(_ask(3_000), limit)) == SgState.FORCE
