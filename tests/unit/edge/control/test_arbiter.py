"""Who wins, and what the others are told."""

from hypothesis import given
from hypothesis import strategies as st

from edge.control.arbiter import arbitrate
from edge.control.model import BATTERIES, CONNECTION, LOADS, Interval, Outcome, Priority, Request, Resource, lever
from edge.control.model import Capability as C
from tests.support.branches import Branches
from tests.support.rigs.control import request

SAFE = Interval(-10_000, 17_000)
LEVER = lever("bat", C.BATTERY_POWER)
powers = st.integers(-30_000, 30_000).map(float)


@st.composite
def requests_(draw: st.DrawFn) -> list[Request]:
    """Draw requests of several requesters, some contradicting themselves."""
    found = []
    for index in range(draw(st.integers(0, 6))):
        resource: Resource = draw(st.sampled_from([CONNECTION, BATTERIES, LEVER]))
        found.append(
            request(
                f"r{index}",
                resource,
                draw(st.sampled_from(list(Priority)[2:])),
                min_w=draw(st.none() | powers) or float("-inf"),
                max_w=draw(st.none() | powers) or float("inf"),
                preferred_w=draw(st.none() | powers),
                expires_s=draw(st.sampled_from([-1.0, 0.0, 10.0])),
            )
        )
    return found


def test_a_lower_wish_moves_only_inside_what_is_left() -> None:
    """The plain case that the whole product rests on: a limit above, a wish below."""
    limit = request("dso", CONNECTION, Priority.GRID_OPERATOR, max_w=4_200)
    wish = request("market", CONNECTION, Priority.MARKET_DR, preferred_w=9_000)
    result = arbitrate(connection=SAFE, levers={}, requests=[wish, limit], now_s=0)
    grant = result.grants[CONNECTION]
    assert grant.wish is not None
    assert grant.wish.power_w == 4_200
    told = result.chain[-1]
    assert (told.requester, told.outcome, told.clipped_by) == ("market", Outcome.CLIPPED, "dso")
    assert told.left == Interval(-10_000, 4_200)


def test_a_higher_wish_is_not_undone_from_below() -> None:
    """A schedule is paid for; self-consumption and an optimiser below it must not break it."""
    schedule = request("market", CONNECTION, Priority.MARKET_DR, preferred_w=-5_000)
    below = request("optimiser", CONNECTION, Priority.OPTIMISER, min_w=0, preferred_w=0)
    result = arbitrate(connection=SAFE, levers={}, requests=[schedule, below], now_s=0)
    wish = result.grants[CONNECTION].wish
    assert wish is not None
    assert wish.power_w == -5_000
    assert result.chain[-1].outcome is Outcome.OUTRANKED
    assert result.chain[-1].clipped_by == "market"


def test_bounds_outside_everything_left_go_to_the_nearest_end_and_say_whose_it_is() -> None:
    """Doing as much as possible of an order beats dropping it; its sender learns why it got no more."""
    limit = request("dso", LEVER, Priority.GRID_OPERATOR, max_w=1_000)
    order = request("aggregator", LEVER, Priority.MARKET_DR, min_w=3_000, max_w=3_000)
    result = arbitrate(connection=SAFE, levers={LEVER: Interval(-5_000, 5_000)}, requests=[order, limit], now_s=0)
    assert result.grants[LEVER].left == Interval(1_000, 1_000)
    assert (result.chain[-1].outcome, result.chain[-1].clipped_by) == (Outcome.DISPLACED, "dso")


def test_an_unknown_lever_is_told_so() -> None:
    """A request for a device that is offline must not vanish."""
    result = arbitrate(
        connection=SAFE, levers={}, requests=[request("owner", LEVER, Priority.OPERATOR_OVERRIDE)], now_s=0
    )
    assert result.chain[0].outcome is Outcome.UNKNOWN_RESOURCE


_chain = Branches("narrowed twice", "wish granted")


@_chain
@given(requests_())
def test_a_lower_priority_never_widens(asked: list[Request]) -> None:
    """Law of the arbiter: what is left shrinks down the chain and never leaves the safe range."""
    levers = {LEVER: Interval(-5_000, 5_000)}
    result = arbitrate(connection=SAFE, levers=levers, requests=asked, now_s=0)
    safe = {CONNECTION: SAFE, BATTERIES: Interval(), LOADS: Interval(), LEVER: levers[LEVER]}
    for resource, grant in result.grants.items():
        outer = safe[resource]
        _chain.met("narrowed twice", len({(step.interval.min_w, step.interval.max_w) for step in grant.steps}) > 1)
        _chain.met("wish granted", grant.wish is not None)
        for step in grant.steps:
            assert outer.min_w <= step.interval.min_w <= step.interval.max_w <= outer.max_w
            outer = step.interval
        if grant.wish is not None:
            assert grant.left.contains(grant.wish.power_w)


_above = Branches("somebody above and somebody below")


@_above
@given(requests_())
def test_what_a_higher_priority_was_left_does_not_depend_on_those_below(asked: list[Request]) -> None:
    """Taking the lowest requester away changes nothing for anyone above."""
    levers = {LEVER: Interval(-5_000, 5_000)}
    whole = arbitrate(connection=SAFE, levers=levers, requests=asked, now_s=0).chain
    lowest = max((item.priority for item in asked), default=None)
    above = [item for item in asked if item.priority != lowest]
    part = arbitrate(connection=SAFE, levers=levers, requests=above, now_s=0).chain
    _above.met("somebody above and somebody below", part and len(part) < len(whole))
    assert whole[: len(part)] == part


@given(requests_(), st.randoms())
def test_the_order_of_arrival_changes_nothing(asked: list[Request], shuffle: object) -> None:
    """The same requests give the same outcome, however a dictionary or a queue happened to order them."""
    mixed = list(asked)
    shuffle.shuffle(mixed)  # type: ignore[attr-defined]
    levers = {LEVER: Interval(-5_000, 5_000)}
    first = arbitrate(connection=SAFE, levers=levers, requests=asked, now_s=0)
    assert first == arbitrate(connection=SAFE, levers=levers, requests=mixed, now_s=0)


_expired = Branches("expired beside a live one")


@_expired
@given(requests_())
def test_an_expired_request_has_no_part(asked: list[Request]) -> None:
    """No order outlives its end, not by one cycle."""
    levers = {LEVER: Interval(-5_000, 5_000)}
    live = [item for item in asked if item.expires_s > 0]
    _expired.met("expired beside a live one", live and len(live) < len(asked))
    first = arbitrate(connection=SAFE, levers=levers, requests=asked, now_s=0)
    assert first == arbitrate(connection=SAFE, levers=levers, requests=live, now_s=0)
