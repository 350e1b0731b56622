"""The dispatch against its laws: never beyond an offer, never dearer than merit order, never without an answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.grid.dispatch import Method, Need, cheapest, merit_price
from cloud.grid.model import Means
from cloud.grid.offers import Offer

offer_lists = st.lists(
    st.builds(
        Offer,
        site=st.sampled_from(["a", "b", "c", "d"]),
        means=st.just(Means.BATTERY),
        change_w_max=st.floats(1, 50_000),
        price_mct_per_kwh=st.integers(0, 100_000),
    ),
    max_size=8,
)


def offer(site: str, change_w_max: float, price: int) -> Offer:
    """Return an offer of a battery."""
    return Offer(site=site, means=Means.BATTERY, change_w_max=change_w_max, price_mct_per_kwh=price)


OFFERS = [offer("a", 1_000, 500), offer("b", 2_000, 100), offer("c", 5_000, 300)]


@pytest.mark.parametrize("solver", [True, False])
def test_the_cheapest_offers_are_taken_first(solver: bool) -> None:
    """Flexibility is paid for by all."""
    found = cheapest(offers=OFFERS, needs=[Need(name="transformer", need_w=4_000)], duration_s=900, solver=solver)
    assert found.changes_w == pytest.approx((0, 2_000, 2_000))
    assert found.cost_uct == 500 * 100 + 500 * 300
    assert not found.shortfall_w


def test_too_little_to_offer_is_an_answer_with_a_shortfall() -> None:
    """An infeasible need must not leave the feeder without what there is."""
    found = cheapest(offers=OFFERS, needs=[Need(name="transformer", need_w=9_000)], duration_s=900)
    assert found.changes_w == pytest.approx((1_000, 2_000, 5_000))
    assert found.shortfall_w == pytest.approx({"transformer": 1_000})


def test_no_need_and_no_offer_need_no_solver() -> None:
    """The ordinary second costs nothing."""
    idle = cheapest(offers=OFFERS, needs=[Need(name="transformer", need_w=0)], duration_s=900)
    assert idle.method is Method.NONE_NEEDED
    bare = cheapest(offers=[], needs=[Need(name="transformer", need_w=5)], duration_s=900)
    assert bare.shortfall_w == {"transformer": 5}


def test_an_offer_that_acts_on_two_needs_is_worth_more() -> None:
    """At the end of a weak line the dearer site may be the cheaper answer."""
    needs = [
        Need(name="transformer", need_w=1_000),
        Need(name="line", need_w=1_000, effect={1: 1.0}),
    ]
    offers = [offer("near", 5_000, 100), offer("far", 5_000, 150)]
    assert cheapest(offers=offers, needs=needs, duration_s=900).changes_w == pytest.approx((0, 1_000))


@settings(max_examples=60, deadline=None)
@given(offer_lists, st.floats(1, 100_000))
def test_the_programme_is_as_cheap_as_merit_order(offers: list[Offer], need_w: float) -> None:
    """With one need the two are the same problem, so each checks the other."""
    needs = [Need(name="transformer", need_w=need_w)]
    solved = cheapest(offers=offers, needs=needs, duration_s=900, solver=True)
    merit = cheapest(offers=offers, needs=needs, duration_s=900, solver=False)
    assert sum(solved.changes_w) == pytest.approx(sum(merit.changes_w), abs=1e-3)
    assert solved.cost_uct == pytest.approx(merit.cost_uct, rel=1e-6, abs=2)
    for taken, given_offer in zip(solved.changes_w, offers, strict=True):
        assert 0 <= taken <= given_offer.change_w_max


@pytest.mark.parametrize("solver", [True, False])
def test_the_way_an_answer_was_found_is_told(solver: bool) -> None:
    """An operator who wonders at a choice has to know which of the two made it."""
    found = cheapest(offers=OFFERS, needs=[Need(name="transformer", need_w=1)], duration_s=900, solver=solver)
    assert found.method is (Method.LINEAR_PROGRAMME if solver else Method.MERIT_ORDER)


def test_nothing_needed_changes_nothing_and_any_need_is_one() -> None:
    """Half a watt is a need, zero is none; every offer is answered all the same."""
    idle = cheapest(offers=OFFERS, needs=[Need(name="transformer", need_w=0)], duration_s=900)
    assert idle.changes_w == (0.0, 0.0, 0.0) and idle.cost_uct == 0
    small = cheapest(offers=OFFERS, needs=[Need(name="transformer", need_w=0.5)], duration_s=900)
    assert sum(small.changes_w) == pytest.approx(0.5)


def test_a_watt_short_is_arithmetic() -> None:
    """What no meter can show is not reported; a little more is."""
    for need_w, short_w in ((8_001, {}), (8_001.5, {"transformer": pytest.approx(1.5)})):
        found = cheapest(offers=OFFERS, needs=[Need(name="transformer", need_w=need_w)], duration_s=900)
        assert found.shortfall_w == short_w


def test_even_a_free_change_is_ranked_above_none() -> None:
    """A price of zero would leave the solver free to change more than is needed; the addition changes no ranking."""
    assert 0 < merit_price(offer("a", 1_000, 0)) < 0.01
    assert merit_price(offer("a", 1_000, 7)) == pytest.approx(7, abs=0.01)


@pytest.mark.parametrize("solver", [True, False])
def test_an_offer_with_a_part_of_its_effect_gives_more(solver: bool) -> None:
    """At half the effect twice the change is needed, and what it cannot reach is a shortfall of that need."""
    needs = [Need(name="line", need_w=600, effect={1: 0.5})]
    found = cheapest(offers=OFFERS, needs=needs, duration_s=900, solver=solver)
    assert found.changes_w == pytest.approx((0, 1_200, 0)) and not found.shortfall_w
    found = cheapest(
        offers=OFFERS, needs=[Need(name="line", need_w=1_600, effect={1: 0.5})], duration_s=900, solver=solver
    )
    assert found.changes_w == pytest.approx((0, 2_000, 0))
    assert found.shortfall_w == {"line": pytest.approx(600)}


def test_without_a_solver_the_greatest_need_is_met_first() -> None:
    """What is given for the transformer relieves the line too, so the line asks for the rest alone."""
    needs = [Need(name="line", need_w=500, effect={0: 1.0}), Need(name="transformer", need_w=2_500)]
    found = cheapest(offers=OFFERS, needs=needs, duration_s=900, solver=False)
    assert found.changes_w == pytest.approx((500, 2_000, 500))
    assert cheapest(offers=OFFERS, needs=needs[::-1], duration_s=900, solver=False).changes_w == found.changes_w


def test_a_solver_without_an_answer_leaves_it_to_the_merit_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """There always is an answer."""
    monkeypatch.setattr("cloud.grid.solver.minimise", lambda _: None)
    found = cheapest(offers=OFFERS, needs=[Need(name="transformer", need_w=2_500)], duration_s=900, solver=True)
    assert found.changes_w == pytest.approx((0, 2_000, 500))


def test_a_shortfall_costs_the_same_for_every_need() -> None:
    """Two needs and too little for both: what helps both is used to its end, and each shortfall is told in watts."""
    needs = [Need(name="line", need_w=9_000, effect={0: 1.0, 1: 1.0}), Need(name="transformer", need_w=9_000)]
    found = cheapest(offers=OFFERS, needs=needs, duration_s=900)
    assert found.changes_w == pytest.approx((1_000, 2_000, 5_000))
    assert found.shortfall_w == {"line": pytest.approx(6_000), "transformer": pytest.approx(1_000)}
