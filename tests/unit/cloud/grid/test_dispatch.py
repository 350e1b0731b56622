"""The dispatch against its laws: never beyond an offer, never dearer than merit order, never without an answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.grid.dispatch import Method, Need, cheapest
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
