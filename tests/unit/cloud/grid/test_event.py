"""The event from detection to release on a simulated feeder: the sites obey, refuse, fail or fall silent."""

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from cloud.grid.actions import Broadcast, EvidenceKind, RecordEvent, RecordEvidence, ReleaseCommand, SendCommand
from cloud.grid.event import TRANSITIONS, Observation, Trigger, advance
from cloud.grid.model import FlexibleSite, GridSettings, OrderBy
from cloud.grid.state import EventState
from contracts.control import BatteryPower, LimitExport, LimitImport, Refusal
from contracts.grid import FeederState
from tests.support.cloud.feeder import START, SimFeeder, SimSite, settings


def pulse(
    base_w: float, peak_w: float, *, since_s: float, until_s: float, ramp_s: float = 60
) -> Callable[[float], float]:
    """Return a load that rises to a peak and falls back."""

    def load_w(t_s: float) -> float:
        rise = min(1.0, max(0.0, (t_s - since_s) / ramp_s))
        fall = min(1.0, max(0.0, (t_s - until_s) / ramp_s))
        return base_w + (peak_w - base_w) * (rise - fall)

    return load_w


def battery_site(name: str, *, power_w: int, price: int, load_w: float = 2_000, **changes: object) -> SimSite:
    """Return a home with a battery that lasts for an hour."""
    flexible = FlexibleSite(
        site=name,
        battery_charge_w_max=power_w,
        battery_discharge_w_max=power_w,
        battery_capacity_wh=2 * power_w,
        battery_price_mct_per_kwh=price,
    )
    return SimSite(flexible, lambda _: load_w, **changes)  # type: ignore[arg-type]


def factory(*, peak_w: float = 110_000, since_s: float = 60, until_s: float = 600) -> SimSite:
    """Return a factory whose load passes the feeder's limit for some minutes, and which holds a limit."""
    flexible = FlexibleSite(
        site="factory",
        order_by=OrderBy.CONNECTION_LIMIT,
        battery_charge_w_max=20_000,
        battery_discharge_w_max=20_000,
        battery_capacity_wh=40_000,
        battery_price_mct_per_kwh=9_000,
    )
    return SimSite(flexible, pulse(60_000, peak_w, since_s=since_s, until_s=until_s))


def neighbourhood(**changes: object) -> SimFeeder:
    """Return a factory, two homes with batteries, and an import limit of 100 kW."""
    return SimFeeder(
        [
            factory(),
            battery_site("home-1", power_w=10_000, price=4_000),
            battery_site("home-2", power_w=10_000, price=5_000),
        ],
        settings(**changes),
    )


def events(feeder: SimFeeder) -> list[RecordEvent]:
    """Return the last summary of each event."""
    last = {action.event_id: action for _, action in feeder.log if isinstance(action, RecordEvent)}
    return list(last.values())


def evidence(feeder: SimFeeder, kind: EvidenceKind) -> list[RecordEvidence]:
    """Return the evidence of one kind."""
    return [action for _, action in feeder.log if isinstance(action, RecordEvidence) and action.kind is kind]


def test_an_overload_is_relieved_held_and_released() -> None:
    """The whole life of an event: the feeder is held below its limit and every order is taken back."""
    feeder = neighbourhood()
    feeder.run(1_200)
    assert feeder.states == [
        FeederState.NORMAL,
        FeederState.OVERLOADED,
        FeederState.LIMITING,
        FeederState.RELEASING,
        FeederState.NORMAL,
    ]
    (event,) = events(feeder)
    assert event.released and event.ended_at is not None and event.effective_at is not None
    assert event.commands == event.applied == event.effective > 3
    assert event.delivered_wh > 500
    assert max(feeder.powers_w[180:600]) <= 100_000
    assert all(not sim.orders for sim in feeder.sites)


def test_the_cheapest_site_is_asked_first_and_no_more_than_needed() -> None:
    """The need of 12 kW and a margin is met by the cheaper battery in full, and the rest by the next."""
    feeder = neighbourhood()
    feeder.run(500)
    assert feeder.sent("home-1")[-1].action == BatteryPower(power_w=-10_000)
    last = feeder.sent("home-2")[-1].action
    assert isinstance(last, BatteryPower) and -8_500 < last.power_w < -5_500
    assert not feeder.sent("factory")


@pytest.mark.parametrize("telemetry_s", [10, 60])
def test_an_effect_that_the_feeder_does_not_show_yet_is_not_ordered_again(telemetry_s: int) -> None:
    """Sites answer in a second; the feeder's meter comes in a message of its own."""
    feeder = neighbourhood()
    feeder.feeder_lag_s, feeder.telemetry_s = 20, telemetry_s
    feeder.run(550)
    last = feeder.sent("home-2")[-1].action
    assert isinstance(last, BatteryPower) and -9_500 < last.power_w < -5_500
    assert not feeder.sent("factory")
    assert max(feeder.powers_w[220:550]) <= 100_000


def test_a_site_that_holds_a_limit_keeps_it_while_its_load_rises() -> None:
    """A battery's power would leave the rest of a ramp to the feeder; a limit at the meter does not."""
    feeder = SimFeeder([factory(peak_w=112_000)], settings())
    feeder.run(500)
    actions = {sent.action.kind for sent in feeder.sent("factory")}
    assert actions == {"limit_import"}
    last = feeder.sent("factory")[-1].action
    assert isinstance(last, LimitImport) and 95_500 <= last.max_w <= 98_100
    assert max(feeder.powers_w[180:500]) <= 100_000


def test_every_order_has_a_lease_and_is_renewed_before_it_ends() -> None:
    """No silence of the cloud may hold a site longer than its lease, and no lost renewal may drop it."""
    feeder = neighbourhood()
    feeder.run(550)
    sent = feeder.sent("home-1")
    assert all(each.expires_at - each.issued_at == timedelta(seconds=120) for each in sent)
    gaps = [(later.issued_at - earlier.issued_at).total_seconds() for earlier, later in pairwise(sent)]
    assert max(gaps) <= 45
    assert len({each.command_id for each in sent}) == len(sent)


def test_a_slow_ramp_is_run_ahead_of_and_not_followed_order_by_order() -> None:
    """Ten minutes of ramp are some orders, not one at each look, and the limit holds all the while."""
    site = factory()
    site.load_w = pulse(60_000, 118_000, since_s=60, until_s=1_200, ramp_s=600)
    feeder = SimFeeder([site, battery_site("home-1", power_w=30_000, price=4_000)], settings())
    feeder.run(1_000)
    orders = {sent.action for sent in feeder.sent("home-1")}
    assert len(orders) <= 10
    assert sum(power_w > 100_000 for power_w in feeder.powers_w) <= 20


def test_a_load_that_falls_behind_its_limit_is_not_taken_for_relief() -> None:
    """A limit that only a battery holds is let go once the load itself lies below it, however high it was at first."""
    feeder = SimFeeder([factory(), battery_site("home-1", power_w=3_000, price=12_000)], settings(), feeder_lag_s=60)
    feeder.sites[0].load_w = pulse(80_000, 118_000, since_s=60, until_s=900, ramp_s=600)
    feeder.run(2_400)
    assert {sent.action.kind for sent in feeder.sent("factory")} == {"limit_import"}
    assert feeder.state.state is FeederState.NORMAL
    need_w = max(event.need_w for event in events(feeder))
    assert need_w <= 118_000 + 2_000 - (100_000 - 2 * 2_000)


def test_a_site_that_refuses_is_replaced_at_the_next_look() -> None:
    """A refusal costs seconds, not the feeder."""
    feeder = neighbourhood()
    feeder.sites[1].refuses = Refusal.INFEASIBLE
    feeder.run(500)
    assert feeder.sent("home-2")[-1].action == BatteryPower(power_w=-10_000)
    assert feeder.sent("factory")
    assert max(feeder.powers_w[200:500]) <= 100_000
    assert events(feeder)[0].rejected >= 1


def test_a_refusal_with_a_feasible_order_is_asked_for_just_that() -> None:
    """What a site can still do is not thrown away."""
    feeder = neighbourhood()
    feeder.sites[1].refuses = Refusal.INFEASIBLE
    feeder.sites[1].feasible = BatteryPower(power_w=-3_000)
    feeder.run(140)
    feeder.sites[1].refuses = None
    feeder.run(300)
    assert {sent.action for sent in feeder.sent("home-1")[2:]} == {BatteryPower(power_w=-3_000)}


def test_a_passing_refusal_is_tried_again() -> None:
    """A command that came too late says nothing about the site."""
    feeder = neighbourhood()
    feeder.sites[1].refuses = Refusal.TOO_OLD
    feeder.run(118)
    assert len(feeder.sent("home-1")) == 2
    feeder.sites[1].refuses = None
    feeder.run(200)
    assert feeder.sent("home-1")[-1].action == BatteryPower(power_w=-10_000)


def test_a_silent_site_is_replaced_after_its_deadline() -> None:
    """A dead gateway must not be counted on."""
    feeder = neighbourhood()
    feeder.run(105)
    feeder.sites[1].silent = True
    feeder.run(400)
    failed = evidence(feeder, EvidenceKind.FAILED)
    assert [(each.site, each.fields["reason"]) for each in failed][:1] == [("home-1", "no answer")]
    assert max(feeder.powers_w[250:500]) <= 100_000


def test_answers_that_come_after_the_renewal_still_count() -> None:
    """On a slow link an answer may take longer than a renewal; that is no silence."""
    feeder = neighbourhood()
    feeder.ack_lag_s = 50
    feeder.run(550)
    assert not evidence(feeder, EvidenceKind.FAILED)
    (event,) = events(feeder)
    assert event.effective >= 5 and event.effective_at is not None
    assert max(feeder.powers_w[220:550]) <= 100_000


def test_late_readings_lead_to_one_event_and_silence_to_none() -> None:
    """A backlog of minutes must not open and close events; only a meter that is not heard of makes blind."""
    feeder = neighbourhood()
    feeder.feeder_lag_s = 400
    feeder.run(1_700)
    assert feeder.states[:3] == [FeederState.NORMAL, FeederState.OVERLOADED, FeederState.LIMITING]
    assert feeder.states[-1] is FeederState.NORMAL and len(events(feeder)) == 1


def test_a_site_that_says_yes_and_does_nothing_is_replaced() -> None:
    """Only the meter proves an effect."""
    feeder = neighbourhood()
    feeder.sites[1].obeys = False
    feeder.run(500)
    failed = evidence(feeder, EvidenceKind.FAILED)
    assert failed[0].site == "home-1" and failed[0].fields["reason"] == "ineffective"
    assert max(feeder.powers_w[250:500]) <= 100_000


def test_too_little_flexibility_is_used_in_full_and_reported() -> None:
    """The agent says what it lacks; it does not give up on what it has."""
    feeder = SimFeeder([factory(peak_w=140_000), battery_site("home-1", power_w=5_000, price=4_000)], settings())
    feeder.run(400)
    assert feeder.states[-1] is FeederState.OVERLOADED
    assert events(feeder)[0].shortfall_w > 5_000
    assert evidence(feeder, EvidenceKind.SHORTFALL)
    assert feeder.sites[1].battery_w == -5_000


def test_the_release_goes_in_steps_and_is_scattered_over_the_sites() -> None:
    """All sites back at once would be the next overload."""
    feeder = neighbourhood(release_spread_s=120.0)
    feeder.run(1_200)
    ends = {action.site: at for at, action in feeder.log if isinstance(action, ReleaseCommand)}
    assert len(set(ends.values())) == len(ends) == 2
    powers = [sent.action.power_w for sent in feeder.sent("home-1") if isinstance(sent.action, BatteryPower)]
    tail = sorted(set(powers[-6:]))
    assert tail == [-10_000, -7_500, -5_000, -2_500]


def test_load_that_comes_back_during_the_release_is_met_again() -> None:
    """A release is a trial; the feeder's meter decides."""
    site = factory(until_s=400)
    first, second = site.load_w, pulse(0, 55_000, since_s=700, until_s=1_500)
    site.load_w = lambda t_s: first(t_s) + second(t_s)
    feeder = SimFeeder([site, battery_site("home-1", power_w=20_000, price=4_000)], settings(release_step_s=60))
    feeder.run(1_300)
    after_release = feeder.states[feeder.states.index(FeederState.RELEASING) + 1 :]
    assert FeederState.NORMAL not in after_release
    assert after_release[-1] is FeederState.LIMITING
    assert max(feeder.powers_w[850:1_300]) <= 100_000
    assert len(events(feeder)) == 1


def test_export_overload_charges_batteries_before_it_curtails() -> None:
    """Sun that can be stored is not thrown away."""
    farm = SimSite(
        FlexibleSite(site="farm", pv_curtailable=True),
        lambda _: 500.0,
        pv_w=lambda t_s: -pulse(20_000, 100_000, since_s=30, until_s=700)(t_s),
    )
    home = battery_site("home-1", power_w=8_000, price=4_000, soc_percent=20.0)
    feeder = SimFeeder([farm, home], settings())
    feeder.run(500)
    assert feeder.sent("home-1")[-1].action == BatteryPower(power_w=8_000)
    last = feeder.sent("farm")[-1].action
    assert isinstance(last, LimitExport)
    assert min(feeder.powers_w[200:500]) >= -80_000
    feeder.run(900)
    assert feeder.states[-1] is FeederState.NORMAL
    assert events(feeder)[0].released


def test_a_blind_feeder_is_released_in_steps_and_not_held_for_ever() -> None:
    """Without its meter the agent knows nothing; sites are not held on a guess."""
    feeder = neighbourhood()
    feeder.run(300)
    feeder.meter_works = False
    feeder.run(250)
    assert FeederState.RELEASING not in feeder.states
    feeder.run(400)
    assert feeder.states[-2:] == [FeederState.RELEASING, FeederState.NORMAL]
    assert all(not sim.orders for sim in feeder.sites)


def test_when_the_agent_stops_every_order_ends_by_itself() -> None:
    """Safety does not depend on the cloud being alive."""
    feeder = neighbourhood()
    feeder.run(300)
    assert feeder.sites[1].orders
    for second in range(121):
        for sim in feeder.sites:
            sim.step(300 + second, feeder.now + timedelta(seconds=second), 1.0)
    assert all(not sim.orders and sim.battery_w == 0 for sim in feeder.sites)


def test_the_evidence_shows_order_answer_meter_and_release() -> None:
    """A grid operator pays for what can be proven."""
    feeder = neighbourhood()
    feeder.run(1_200)
    kinds = {action.kind for _, action in feeder.log if isinstance(action, RecordEvidence)}
    assert kinds >= {
        EvidenceKind.DETECTED,
        EvidenceKind.ORDERED,
        EvidenceKind.ACKNOWLEDGED,
        EvidenceKind.METERED,
        EvidenceKind.RELEASED,
        EvidenceKind.ENDED,
    }
    metered = [each for each in evidence(feeder, EvidenceKind.METERED) if each.site == "home-1"]
    delivered = [float(each.fields["delivered_wh"] or 0) for each in metered]
    assert delivered == sorted(delivered)
    assert {each.fields["clock"] for each in metered} == {"synced"}


def test_the_zone_hears_every_change_of_state() -> None:
    """The live view and the sites' owners follow the broadcast."""
    feeder = neighbourhood()
    feeder.run(1_200)
    told = [action.message.state for _, action in feeder.log if isinstance(action, Broadcast)]
    assert [state for index, state in enumerate(told) if index == 0 or told[index - 1] is not state] == feeder.states


def test_the_same_observations_give_the_same_actions() -> None:
    """Evidence can be replayed."""
    one, other = neighbourhood(), neighbourhood()
    one.run(400)
    other.run(400)
    assert one.log == other.log


def test_illegal_pairs_of_the_table_do_not_exist() -> None:
    """Nothing is limited that was not overloaded, and nothing ends without its release."""
    assert all(trigger is Trigger.OVERLOAD for state, trigger in TRANSITIONS if state is FeederState.NORMAL)
    ends = [pair for pair, target in TRANSITIONS.items() if target is FeederState.NORMAL]
    assert ends == [(FeederState.RELEASING, Trigger.ALL_RELEASED)]


def test_an_empty_look_is_harmless() -> None:
    """A schedule may call before anything was ever seen."""
    state, actions = advance(EventState(), Observation(), [], settings(), START)
    assert state.state is FeederState.NORMAL
    assert not any(isinstance(action, SendCommand) for action in actions)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"import_limit_w": 0}, "import_limit_w is 0"),
        ({"margin_w": 6_000}, "margin 6000 W and hysteresis 5000 W"),
        ({"renew_s": 100.0}, "renewed every 100.0 s"),
        ({"dead_band_w": 3_000}, "dead band 3000 W"),
        ({"release_steps": 0}, "release in 0 steps"),
    ],
)
def test_settings_that_cannot_hold_a_feeder_are_refused(changes: dict[str, object], sentence: str) -> None:
    """A complaint names the key, the value and the bound."""
    with pytest.raises(ValueError, match=sentence):
        settings(**changes)
    assert isinstance(settings(), GridSettings)
