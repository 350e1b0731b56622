"""Load flow and relief on a feeder small enough to be checked by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.grid.network import Feeder, Limits, Line, Node, Transformer
from cloud.grid.powerflow import Floats, LoadFlow
from cloud.grid.relief import NodeOffer, Relief, relieve, violation

FEEDER = Feeder(
    nodes=(Node(id=0, rated_v=20_000), Node(id=1, rated_v=400), Node(id=2, rated_v=400), Node(id=3, rated_v=400)),
    lines=(
        Line(from_node=1, to_node=2, r_ohm=0.12, x_ohm=0.02, c_f=0.0, current_a_max=200),
        Line(from_node=2, to_node=3, r_ohm=0.12, x_ohm=0.02, c_f=0.0, current_a_max=200),
    ),
    transformers=(
        Transformer(
            from_node=0,
            to_node=1,
            from_v=20_000,
            to_v=400,
            rated_va=100_000,
            short_circuit_pu=0.04,
            copper_loss_w=1_000,
            no_load_current_pu=0.003,
            iron_loss_w=200,
        ),
    ),
    source_node=0,
    source_pu=1.0,
    source_va=1e10,
)
LOAD_FLOW = LoadFlow(FEEDER, load_nodes=[1, 2, 3])
LIMITS = Limits()


def powers(*watts: float) -> Floats:
    """Return powers at the three load nodes."""
    return np.array(watts, dtype=np.float64)


def run(power_w: Floats, offers: list[NodeOffer]) -> Relief:
    """Relieve the feeder with no reactive power."""
    return relieve(LOAD_FLOW, power_w=power_w, reactive_var=np.zeros(3), offers=offers, limits=LIMITS)


def offer(load: int, low: float, high: float, price: float) -> NodeOffer:
    """Return an offer at a load node."""
    return NodeOffer(load=load, change_w_min=low, change_w_max=high, price_mct_per_kwh=price)


def test_voltage_drop_and_loading_are_those_of_the_textbook() -> None:
    """Drop over a line is R P / U to first order; loading is current over rated current."""
    flow = LOAD_FLOW.flow(power_w=powers(0, 0, 20_000), reactive_var=np.zeros(3))
    drop_v = (flow.voltage_pu[2] - flow.voltage_pu[3]) * 400
    at_end_v = flow.voltage_pu[3] * 400
    assert drop_v == pytest.approx(0.12 * 20_000 / at_end_v, rel=0.01)
    current_a = 20_000 / (np.sqrt(3) * at_end_v)
    assert flow.line_loading[1] == pytest.approx(current_a / 200, rel=0.001)
    assert flow.transformer_loading[0] == pytest.approx(0.2, abs=0.01)


def test_a_healthy_feeder_is_left_alone() -> None:
    """An agent that always acts is a disturbance."""
    found = run(powers(1_000, 1_000, 1_000), [offer(2, -1_000, 1_000, 100)])
    assert found.rounds == 0 and (found.changes_w == 0).all()


def test_low_voltage_at_the_end_is_lifted_where_it_helps_most() -> None:
    """The cheaper offer near the transformer lifts the end less than the dearer one at it."""
    load = powers(0, 0, 45_000)
    offers = [offer(0, -40_000, 0, 90), offer(2, -40_000, 0, 100)]
    found = run(load, offers)
    assert violation(found.before, LIMITS) > 0.005
    assert found.violation <= 1e-5
    assert found.changes_w[1] < -1_000 and found.changes_w[0] == pytest.approx(0, abs=1)


def test_high_voltage_from_the_sun_is_lowered_by_drawing_more() -> None:
    """A battery at the end of the line charges, before the sun is curtailed."""
    found = run(powers(0, 0, -60_000), [offer(2, 0, 30_000, 50), offer(2, 0, 60_000, 150)])
    assert violation(found.before, LIMITS) > 0
    assert found.violation <= 1e-5
    assert found.changes_w[0] > 1_000
    assert found.cost_uct([offer(2, 0, 30_000, 50), offer(2, 0, 60_000, 150)], duration_s=900) > 0


def test_an_overloaded_transformer_is_relieved_to_its_rating() -> None:
    """No more is moved than the overload and its losses."""
    found = run(powers(110_000, 0, 0), [offer(0, -50_000, 0, 100)])
    assert found.violation <= 1e-5
    assert found.after.transformer_loading[0] == pytest.approx(1.0, abs=2e-3)


def test_too_little_to_offer_is_used_in_full() -> None:
    """The answer is as good as the offers."""
    found = run(powers(130_000, 0, 0), [offer(0, -5_000, 0, 100)])
    assert found.changes_w[0] == pytest.approx(-5_000)
    assert 0 < found.violation < violation(found.before, LIMITS)


def test_a_load_outside_the_feeder_is_refused() -> None:
    """A site that was moved to another feeder must not be dispatched here."""
    with pytest.raises(ValueError, match="node 9"):
        LoadFlow(FEEDER, load_nodes=[9])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(-60_000, 60_000), min_size=3, max_size=3),
    st.lists(
        st.builds(offer, st.integers(0, 2), st.floats(-30_000, 0), st.floats(0, 30_000), st.integers(1, 500)),
        max_size=4,
    ),
)
def test_no_change_leaves_its_offer_and_no_state_gets_worse(loads: list[float], offers: list[NodeOffer]) -> None:
    """Whatever the linear model believes, the load flow has the last word."""
    found = run(powers(*loads), offers)
    for change, given_offer in zip(found.changes_w, offers, strict=True):
        assert given_offer.change_w_min - 1e-6 <= change <= given_offer.change_w_max + 1e-6
    assert found.violation <= max(0.0, violation(found.before, LIMITS)) + 1e-9
