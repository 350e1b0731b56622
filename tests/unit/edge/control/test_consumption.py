"""A charging point gets what every bound leaves it, and what it gets is something that it can draw."""

from hypothesis import event, given
from hypothesis import strategies as st

from edge.control.cycle import decide
from edge.control.model import (
    CONNECTION,
    LOADS,
    AssetState,
    Capability,
    Confirmed,
    ControlSettings,
    Decision,
    Memory,
    Priority,
    Reason,
    Request,
    load,
)
from tests.support.rigs.control import battery, charger, pv, request, snapshot, value_of
from tests.support.rigs.control import load as boiler

SITE = ControlSettings(import_w_max=17_000, export_w_max=10_000, self_consumption=False)
LIMIT, SWITCH = Capability.LIMIT_CONSUMPTION, Capability.SWITCH


def _limit(max_w: float) -> Request:
    return request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=max_w)


def _wish(power_w: float, name: str = "ev") -> Request:
    return request("plan", load(name), Priority.OPTIMISER, preferred_w=power_w, reason=Reason.SCHEDULE)


class Site:
    """A site whose cycles follow one another, each seeing what the test says."""

    def __init__(self) -> None:
        self.memory, self.at_s = Memory(), 1_000.0

    def cycle(
        self, connection_w: float | None, *assets: AssetState, asked: tuple[Request, ...] = (), seconds: int = 1
    ) -> Decision:
        """Let so many seconds pass with one picture, and return the last decision."""
        for _ in range(seconds):
            self.at_s += 1
            found, self.memory = decide(snapshot(connection_w, *assets, at_s=self.at_s), asked, SITE, self.memory)
        return found


def test_a_charger_is_left_alone_where_all_of_it_fits() -> None:
    """Nothing is written to a device that needs no limit."""
    assert value_of(Site().cycle(1_000, charger()), "ev", LIMIT) is None


def test_a_charger_is_limited_to_what_the_connection_leaves() -> None:
    """It is slowed, not stopped: the house takes 3 kW of the 9 that are left."""
    decision = Site().cycle(14_000, charger(power_w=11_000), asked=(_limit(9_000),))
    assert value_of(decision, "ev", LIMIT) == 6_000
    assert decision.import_excess_w == 0
    (setpoint,) = decision.setpoints
    assert (setpoint.requester, setpoint.bound_until_s) == ("dso", 1e9)


def test_a_charger_that_cannot_run_on_what_is_left_pauses_and_comes_back() -> None:
    """Below 6 A a car does not charge; it comes back after its shortest rest, where its least fits with a margin."""
    site = Site()
    assert value_of(site.cycle(14_000, charger(power_w=11_000), asked=(_limit(6_000),)), "ev", LIMIT) == 0
    assert value_of(site.cycle(2_000, charger(), asked=(_limit(6_500),), seconds=100), "ev", LIMIT) == 0
    assert value_of(site.cycle(2_000, charger(), asked=(_limit(7_000),), seconds=10), "ev", LIMIT) == 5_000


def test_a_charger_is_slowed_before_another_load_is_turned_off() -> None:
    """The boiler can only be on or off, the charger draws less."""
    site = Site()
    decision = site.cycle(15_000, charger(power_w=11_000), boiler(power_w=2_000), asked=(_limit(9_000),))
    assert (value_of(decision, "ev", LIMIT), value_of(decision, "boiler", SWITCH)) == (5_000, None)
    decision = site.cycle(15_000, charger(power_w=11_000), boiler(power_w=2_000), asked=(_limit(3_000),))
    assert (value_of(decision, "ev", LIMIT), value_of(decision, "boiler", SWITCH)) == (0, 0)


def test_a_wish_for_a_load_is_followed_inside_what_is_left() -> None:
    """A plan says how much the car shall have; less than it can draw is its least, nothing is a pause."""
    site = Site()
    assert value_of(site.cycle(1_000, charger(), asked=(_wish(7_000),)), "ev", LIMIT) == 7_000
    assert value_of(site.cycle(1_000, charger(), asked=(_wish(2_000),)), "ev", LIMIT) == 4_140
    assert value_of(site.cycle(1_000, charger(), asked=(_wish(0),)), "ev", LIMIT) == 0
    decision = Site().cycle(12_000, charger(power_w=11_000), asked=(_wish(8_000), _limit(6_000)))
    assert value_of(decision, "ev", LIMIT) == 5_000


def test_the_surplus_goes_into_the_car_before_the_battery_and_a_cloud_does_not_stop_it() -> None:
    """It begins where its least fits with a margin, follows, and runs on at its least for its shortest time."""
    site = Site()

    def cycle(sun_w: float, car_w: float, battery_w: float, seconds: int = 1) -> float | None:
        decision = site.cycle(
            500 - sun_w + car_w + battery_w,
            charger(power_w=car_w, follows_surplus=True, rest_on=False),
            pv(power_w=-sun_w),
            battery("bat", battery_w),
            seconds=seconds,
        )
        return value_of(decision, "ev", LIMIT)

    assert cycle(4_000, 0, 3_500) == 0
    assert cycle(4_700, 0, 4_200, seconds=100) == 0
    assert cycle(6_500, 0, 4_000, seconds=5) == 6_000
    assert cycle(6_500, 6_000, 0) == 6_000
    assert cycle(2_500, 6_000, 0) == 6_000
    assert cycle(2_500, 6_000, 0, seconds=10) == 4_140
    assert cycle(2_500, 4_140, 0, seconds=30) == 4_140
    assert cycle(2_500, 4_140, 0, seconds=60) == 0


def test_readings_of_different_moments_do_not_slow_a_car() -> None:
    """The meter sees the car's new power a second before its charger tells it: nobody took more, and nothing is cut."""
    site = Site()
    limit = (_limit(12_000),)
    assert value_of(site.cycle(12_000, charger(power_w=8_000), asked=limit), "ev", LIMIT) == 8_000
    assert value_of(site.cycle(8_000, charger(power_w=8_000), asked=limit, seconds=5), "ev", LIMIT) is None
    early = charger(power_w=8_000, limit_confirmed=Confirmed(decided_s=site.at_s, at_s=site.at_s + 1))
    assert value_of(site.cycle(11_000, early, asked=limit), "ev", LIMIT) is None
    assert value_of(site.cycle(12_500, early, asked=limit), "ev", LIMIT) == 7_500, "an excess at the meter is real"


def _dimmed(max_w: float) -> Request:
    return request("14a", LOADS, Priority.GRID_OPERATOR, max_w=max_w)


def test_a_bound_on_all_loads_leaves_the_house_alone_and_shares_what_is_left() -> None:
    """Two cars and a pump under section 14a: what they draw together, whatever the house takes."""
    cars = (charger("a", 11_000), charger("b", 11_000))
    decision = Site().cycle(24_000, *cars, boiler(power_w=2_000, rated_w=2_000), asked=(_dimmed(10_500),))
    limits = [value_of(decision, name, LIMIT) or 0 for name in ("a", "b")]
    assert limits == [4_250, 4_250]
    assert value_of(decision, "boiler", SWITCH) is None
    assert {point.requester for point in decision.setpoints} == {"14a"}
    house_w = 5_000
    one = Site().cycle(house_w + 4_200, charger(power_w=4_200), asked=(_dimmed(4_200),))
    assert value_of(one, "ev", LIMIT) == 4_200


def test_what_the_site_feeds_in_may_be_drawn_on_top_of_a_bound_on_loads() -> None:
    """The bound is on what loads draw from the grid, not on the sun over the house."""
    decision = Site().cycle(-1_000, charger(power_w=4_500), pv(power_w=-6_000), asked=(_dimmed(4_200),))
    assert value_of(decision, "ev", LIMIT) == 5_500 + 4_200


def test_a_bound_on_loads_holds_with_a_blind_meter() -> None:
    """It needs no meter but the chargers' own."""
    decision = Site().cycle(None, charger(power_w=11_000), asked=(_dimmed(4_200),))
    assert value_of(decision, "ev", LIMIT) == 4_200


def test_of_two_chargers_the_one_with_a_car_is_served_first() -> None:
    """What an empty charging point could draw is not kept from a car that waits."""
    cars = (charger("a", connected=False), charger("b", connected=True))
    decision = Site().cycle(1_000, *cars, asked=(_limit(9_000),))
    assert (value_of(decision, "a", LIMIT), value_of(decision, "b", LIMIT)) == (0, 8_000)


def test_nothing_rises_while_the_meter_is_blind() -> None:
    """Nobody knows what the house takes: a car that charges goes on with what it has, another only with its least."""
    site = Site()
    assert value_of(site.cycle(8_000, charger(power_w=6_000), asked=(_wish(6_000),)), "ev", LIMIT) == 6_000
    assert value_of(site.cycle(None, charger(power_w=6_000), asked=(_wish(11_000),), seconds=30), "ev", LIMIT) == 6_000
    assert value_of(Site().cycle(None, charger()), "ev", LIMIT) == 4_140


@given(
    st.lists(
        st.tuples(st.integers(0, 11_000), st.booleans(), st.sampled_from([None, True, False])), min_size=1, max_size=4
    ),
    st.integers(-5_000, 5_000),
    st.lists(st.integers(0, 30_000), min_size=1, max_size=4),
)
def test_limits_together_keep_the_bound_whatever_the_cars_then_draw(
    cars: list[tuple[int, bool, bool | None]], house_w: int, bounds: list[int]
) -> None:
    """Each gets nothing or something that it can draw, together what is left, once the readings belong together."""
    site = Site()
    for bound_w in bounds:
        assets = [
            charger(f"ev{index}", power_w, follows_surplus=follows, connected=connected, rest_on=True)
            for index, (power_w, follows, connected) in enumerate(cars)
        ]
        decision = site.cycle(
            house_w + sum(power_w for power_w, _, _ in cars), *assets, asked=(_limit(bound_w),), seconds=3
        )
        limits = [11_000.0 if point.value_w is None else point.value_w for point in decision.setpoints]
        assert all(limit_w == 0 or 4_140 <= limit_w <= 11_000 for limit_w in limits)
        room_w = max(0, min(bound_w, 17_000) - house_w)
        assert sum(limits) <= room_w + 1e-6
        event("some pause" if 0 in limits else "all run")
        event("held back" if sum(limits) < 11_000 * len(cars) else "free")
