"""Relief within a known network: what the feeder's meter does not show is held too."""

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud.grid.actions import EvidenceKind, RecordEvent, RecordEvidence
from cloud.grid.event import Observation, advance
from cloud.grid.model import Direction, FlexibleSite, Means, OrderBy, PowerSample, SiteObservation
from cloud.grid.network import (
    Feeder,
    ImpossibleNetwork,
    Limits,
    Line,
    Node,
    Powers,
    Strain,
    Transformer,
    check_possible,
)
from cloud.grid.network_watch import look_at
from cloud.grid.offers import Natural, offers_of
from cloud.grid.state import EventState
from cloud.grid.strain import CalculatedNetwork
from contracts.control import LimitExport
from contracts.grid import FeederState
from tests.support.cloud.feeder import START, SimFeeder, SimSite, settings

# A transformer, and two lines from its low side: a short one to the works at node 2, a long one to the farm at node 3.
FEEDER = Feeder(
    nodes=(Node(id=0, rated_v=20_000), Node(id=1, rated_v=400), Node(id=2, rated_v=400), Node(id=3, rated_v=400)),
    lines=(
        Line(from_node=1, to_node=2, r_ohm=0.01, x_ohm=0.01, c_f=0.0, current_a_max=400),
        Line(from_node=1, to_node=3, r_ohm=0.20, x_ohm=0.05, c_f=0.0, current_a_max=200),
    ),
    transformers=(
        Transformer(
            from_node=0, to_node=1, from_v=20_000, to_v=400, rated_va=250_000, short_circuit_pu=0.04,
            copper_loss_w=2_500, no_load_current_pu=0.003, iron_loss_w=300,
        ),
    ),
    source_node=0,
    source_pu=1.0,
    source_va=1e10,
)  # fmt: skip
LIMITS = Limits()


def network(limits: Limits = LIMITS, **site_nodes: int) -> CalculatedNetwork:
    """Return the network with sites at their nodes; what else is drawn hangs at node 2."""
    return CalculatedNetwork(FEEDER, limits=limits, site_nodes=site_nodes, other_shares={2: 1.0}, meter_node=1)


def farm(*, sun_w: float, site: str = "farm", **changes: object) -> SimSite:
    """Return a farm whose sun may be curtailed."""
    flexible = FlexibleSite(
        site=site, pv_curtailable=True, order_by=OrderBy.CONNECTION_LIMIT,
        **changes,  # type: ignore[arg-type]
    )  # fmt: skip
    return SimSite(flexible=flexible, load_w=lambda _: 0.0, pv_w=lambda _: -sun_w)


def works(load_w: float) -> SimSite:
    """Return works that offer nothing."""
    return SimSite(flexible=FlexibleSite(site="works"), load_w=lambda _: load_w)


def strain_of(place: str, powers: dict[str, float]) -> Strain:
    """Return how the network stands at one place with the farm at node 3 and works at node 2."""
    found = network(farm=3, works=2).strains(Powers(sites=powers))
    return next(strain for strain in found if strain.place == place)


HIGH = "voltage at node 3 above 1.06 pu"


def test_an_overvoltage_that_the_meter_does_not_show_is_relieved_until_the_sun_goes() -> None:
    """The farm's sun lifts its own node while the works draw more than it gives: the feeder's meter sees import."""
    sun = {"w": 70_000.0}
    site = farm(sun_w=0.0)
    site.pv_w = lambda _: -sun["w"]
    place = SimFeeder(sites=[site, works(90_000.0)], settings=settings(), network=network(farm=3, works=2))
    place.run(60)
    assert max(place.powers_w) < 80_000 and min(place.powers_w) > 0, "the meter shows import below its limit"
    assert place.states[-1] in {FeederState.OVERLOADED, FeederState.LIMITING}
    event = place.state.event
    assert event is not None and event.places == (HIGH,) and event.left == ()
    place.run(60)
    assert place.sent("works") == [] and isinstance(place.sent("farm")[-1].action, LimitExport)
    state = network(farm=3, works=2).state(Powers(sites={"farm": site.connection_w, "works": 90_000.0}))
    assert 1.05 < state.voltage_pu[3] <= 1.06, "as much as is needed, checked by a load flow"
    sun["w"] = 20_000.0
    place.run(600)
    assert place.state.state is FeederState.NORMAL and site.orders == {}
    ended = [action for _, action in place.log if isinstance(action, RecordEvent)][-1]
    assert ended.places == (HIGH,) and ended.released
    detected = [a for _, a in place.log if isinstance(a, RecordEvidence) and a.kind is EvidenceKind.DETECTED]
    assert [one.fields["network"] for one in detected] == [HIGH]


def test_without_a_network_the_same_feeder_is_left_alone() -> None:
    """Its meter shows nothing."""
    place = SimFeeder(sites=[farm(sun_w=70_000.0), works(90_000.0)], settings=settings())
    place.run(120)
    assert place.state.state is FeederState.NORMAL and place.log and place.sent("farm") == []


def test_an_overloaded_line_is_relieved_by_whom_it_feeds() -> None:
    """The cheaper site at another line does nothing to it."""
    near = farm(sun_w=60_000.0, site="near", pv_price_mct_per_kwh=1_000)
    far = farm(sun_w=60_000.0, site="far", pv_price_mct_per_kwh=9_000)
    held = network(Limits(voltage_pu_max=1.2, loading_max=0.4), near=2, far=3)
    place = SimFeeder(sites=[near, far, works(70_000.0)], settings=settings(), network=held)
    place.run(120)
    assert place.sent("near") == [] and place.sent("far")
    event = place.state.event
    assert event is not None and event.places == ("line 1-3 above 40 %",)
    state = held.state(Powers(sites={"near": near.connection_w + 70_000.0, "far": far.connection_w}))
    assert 0.35 < state.line_loading[1] <= 0.4


def test_a_low_voltage_is_lifted_by_a_battery_at_its_node() -> None:
    """A charging battery stops, and gives."""
    home = SimSite(
        flexible=FlexibleSite(site="home", battery_charge_w_max=30_000, battery_discharge_w_max=30_000,
                              battery_capacity_wh=60_000),
        load_w=lambda _: 65_000.0,
    )  # fmt: skip
    place = SimFeeder(sites=[home], settings=settings(), network=network(home=3))
    place.run(120)
    event = place.state.event
    assert event is not None and event.places == ("voltage at node 3 below 0.94 pu",) and event.left == ()
    state = network(home=3).state(Powers(sites={"home": home.connection_w}))
    assert 0.94 <= state.voltage_pu[3] < 0.95


def test_a_site_that_comes_between_two_readings_of_the_feeder_is_counted_once() -> None:
    """Its power is still among what the feeder carries beside the others; twice its sun would be curtailed whole."""
    site, held = farm(sun_w=70_000.0), network(farm=3, works=2)
    site.step(0.0, START, 1.0)
    heard = Observation(feeder=(PowerSample(at=START, power_w=-70_000.0),))
    state, _ = advance(EventState(), heard, [site.flexible], settings(), START, network=held)
    later = START + timedelta(seconds=3)
    came = Observation(sites=(site.seen(later),))
    state, _ = advance(state, came, [site.flexible], settings(), later, network=held)
    look = look_at(held, state, fresh={"farm": site.seen(later)})
    assert look is not None and look.now == look_at(held, state, fresh={}).now  # type: ignore[union-attr]
    read = Observation(feeder=(PowerSample(at=later, power_w=-70_000.0),), sites=(site.seen(later),))
    state, _ = advance(state, read, [site.flexible], settings(), later, network=held)
    look = look_at(held, state, fresh={"farm": site.seen(later)})
    assert look is not None and look.now[0].place == HIGH
    assert look_at(held, state, fresh={}) is None, "who falls silent is not taken to draw nothing"


def test_a_limit_at_the_meter_is_not_counted_on_beyond_zero() -> None:
    """A battery and a sun could change more together than a limit of nothing exported asks for."""
    flexible = FlexibleSite(
        site="farm", battery_charge_w_max=50_000, battery_discharge_w_max=50_000, battery_capacity_wh=120_000,
        pv_curtailable=True,
    )  # fmt: skip
    natural = Natural(connection_w=-90_000.0, battery_w=0.0, pv_w=-90_000.0)
    seen = SiteObservation(site="farm", at=START, connection_power_w=-90_000.0, soc_percent=50.0)
    offers = offers_of(flexible, seen=seen, natural=natural, direction=Direction.REDUCE_EXPORT, duration_s=900.0)
    assert [(offer.means, offer.change_w_max) for offer in offers] == [(Means.BATTERY, 50_000), (Means.PV, 40_000)]
    small = replace(natural, connection_w=-20_000.0)
    offers = offers_of(flexible, seen=seen, natural=small, direction=Direction.REDUCE_EXPORT, duration_s=900.0)
    assert [(offer.means, offer.change_w_max) for offer in offers] == [(Means.BATTERY, 50_000)]


def test_what_no_offer_reaches_is_told() -> None:
    """The grid operator learns that the agent cannot help."""
    place = SimFeeder(
        sites=[farm(sun_w=5_000.0), SimSite(flexible=FlexibleSite(site="other"), load_w=lambda _: -65_000.0)],
        settings=settings(),
        network=network(farm=2, other=3),
    )
    place.run(60)
    event = place.state.event
    assert event is not None and event.left == (HIGH,)
    told = [a for _, a in place.log if isinstance(a, RecordEvidence) and a.kind is EvidenceKind.SHORTFALL]
    assert any(one.fields.get("network") == HIGH for one in told)


def test_relief_of_the_feeder_breaks_no_limit_within_it() -> None:
    """The cheap battery at the end of a long line may give only as much as the line's voltage bears."""

    def battery(site: str, price: int) -> SimSite:
        return SimSite(
            flexible=FlexibleSite(site=site, battery_charge_w_max=90_000, battery_discharge_w_max=90_000,
                                  battery_capacity_wh=400_000, battery_price_mct_per_kwh=price),
            load_w=lambda _: 0.0,
        )  # fmt: skip

    cheap, dear, plant = battery("cheap", 1_000), battery("dear", 9_000), works(180_000.0)
    place = SimFeeder(sites=[cheap, dear, plant], settings=settings(), network=network(cheap=3, dear=2, works=2))
    place.run(120)
    assert place.powers_w[-1] <= 100_000, "the feeder is relieved"
    state = network(cheap=3, dear=2, works=2).state(
        Powers(sites={"cheap": cheap.connection_w, "dear": dear.connection_w, "works": 180_000.0})
    )
    assert cheap.connection_w < -20_000 and dear.connection_w < -1_000
    assert state.voltage_pu[3] <= 1.06
    alone = SimFeeder(sites=[battery("cheap", 1_000), battery("dear", 9_000), works(180_000.0)], settings=settings())
    alone.run(120)
    assert alone.sent("dear") == [], "by the meter alone the cheap one would have given it all"


def test_the_source_stands_where_the_meter_shows_it() -> None:
    """The voltage above the transformer is another each hour; the feeder's meter tells it."""
    powers = {"farm": -40_000.0, "works": 0.0}
    lifted = network(farm=3, works=2).state(Powers(sites=powers, meter_v=238.0))
    assert lifted.voltage_pu[1] == pytest.approx(238.0 / (400 / 3**0.5), abs=1e-4)
    told = network(farm=3, works=2).state(Powers(sites=powers))
    assert lifted.voltage_pu[3] - told.voltage_pu[3] == pytest.approx(
        lifted.voltage_pu[1] - told.voltage_pu[1], abs=2e-3
    )


def test_effects_are_those_of_a_small_change() -> None:
    """A W more at the farm lowers its node's voltage by R / U squared."""
    strain = strain_of(HIGH, {"farm": -70_000.0, "works": 90_000.0})
    assert strain.effect["farm"] == pytest.approx(0.20 / 400**2, rel=0.25)
    assert strain.effect["works"] < 0.2 * strain.effect["farm"]


def test_dangling_and_unknown_nodes_are_named() -> None:
    """A typing mistake in a network is found by its number."""
    nodes = (*FEEDER.nodes, Node(id=7, rated_v=400))
    alone = Feeder(nodes=nodes, lines=FEEDER.lines, transformers=FEEDER.transformers, source_node=0, source_pu=1.0,
                   source_va=1e10)  # fmt: skip
    with pytest.raises(ImpossibleNetwork, match="node 7 has no line or transformer"):
        check_possible(alone)
    with pytest.raises(ImpossibleNetwork, match="a site is at node 9"):
        network(farm=9)


def test_powers_that_no_state_carries_leave_the_meter_alone_in_charge() -> None:
    """A wrong impedance must not stop the agent."""
    held = network(farm=3)
    with pytest.raises(ImpossibleNetwork):
        held.strains(Powers(sites={"farm": 5_000_000.0}))
    place = SimFeeder(
        sites=[SimSite(flexible=FlexibleSite(site="farm"), load_w=lambda _: 5_000_000.0)],
        settings=settings(),
        network=held,
    )
    place.run(60)
    assert place.state.state is FeederState.OVERLOADED
    assert place.state.event is not None and place.state.event.places == ()
