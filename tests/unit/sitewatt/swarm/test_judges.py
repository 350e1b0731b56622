"""Every judge finds what it is there for, and finds nothing in a run that kept its promises."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contracts.units import DELIVERY_INTERVAL_S
from sitewatt.swarm.doors import DOOR, ENDED, Session
from sitewatt.swarm.evidence import Evidence, Limit, Reading
from sitewatt.swarm.judges import JUDGES, judge
from sitewatt.swarm.plan import Fault, FaultKind, Ordered
from sitewatt.swarm.stations import StationSaid
from sitewatt.swarm.world import Chronicle, Struck, Usage

START_MS = 1_773_746_100_000 // (DELIVERY_INTERVAL_S * 1000) * DELIVERY_INTERVAL_S * 1000
SITE = "home-1"
LIMIT = Limit(
    number=1,
    site=SITE,
    what=Ordered.EXPORT,
    max_w=1000,
    given_ms=START_MS + 95_000,
    held_from_ms=START_MS + 100_000,
    ends_ms=START_MS + 400_000,
    refusals=(),
)
STATION_LIMIT = replace(LIMIT, number=2, what=Ordered.STATION, max_w=2_300, ends_ms=START_MS + 600_000)
COUNTS = {"published": 5, "stored": 5, "waiting": 0, "lost": 0, "duplicated": 1}
PROOF = {"zone": "zone-1", "parted_at": None, "ledger_sum_uct": 0, "ledger_sum_wh": 0, "trades": 3}
INTERVALS = 3


def _power(at_s: int) -> dict[str, float]:
    limited = 100 <= at_s < 400
    return {
        "connection_w": -950.0 if limited else -4000.0,
        "pv_w": -1450.0 if limited else -4500.0,
        "pv_available_w": 4500.0,
        "import_wh": at_s / 9,
    }


def _reading(number: int) -> Reading:
    return Reading(
        site=SITE,
        start_ms=START_MS + number * DELIVERY_INTERVAL_S * 1000,
        import_wh=100,
        export_wh=0,
        register_import_wh=100 * (number + 1),
        register_export_wh=0,
        good=True,
    )


def _station(told_s_ago: int, *, leased: bool) -> StationSaid:
    at_ms = START_MS + told_s_ago * 1000
    return StationSaid(at_ms=at_ms, connected=True, leased=leased, told_s_ago=float(told_s_ago))


def _sound() -> Evidence:
    return Evidence(
        channels={"telemetry": COUNTS, "meter": COUNTS},
        proofs=[PROOF],
        ledger={"sum": 0, "energy_sum": 0, "lines": 4},
        intervals=[{"start": "2026-03-17T10:00:00+00:00", "state": "settled", "settled": True}],
        readings=[_reading(number) for number in range(INTERVALS)],
        truth=[(START_MS + at_s * 1000, {SITE: _power(at_s)}) for at_s in range(INTERVALS * DELIVERY_INTERVAL_S + 20)],
        limits=[LIMIT],
        reboots=[],
        events_ms=[],
        lies_wh={0: 2_400, 900_000: -2_500},
        tracebacks={"cloud": ()},
        set_aside=[],
        chronicle=Chronicle(usage=[Usage(name="cloud", at_s=1.0, rss_mb=90.0, descriptors=20, files_bytes=1000)]),
        stations=[_station(0, leased=True), _station(89, leased=True), _station(200, leased=False)],
        sessions=[Session(gateway=SITE, at_s=10.0, wrong="")],
        started_ms=START_MS,
        ended_ms=START_MS + INTERVALS * DELIVERY_INTERVAL_S * 1000,
    )


def _lost(sound: Evidence) -> Evidence:
    return replace(sound, channels={**sound.channels, "meter": {**COUNTS, "stored": 4, "lost": 1}})


def _ledger_off(sound: Evidence) -> Evidence:
    return replace(sound, proofs=[{**PROOF, "ledger_sum_uct": 1}])


def _a_line_is_gone(sound: Evidence) -> Evidence:
    return replace(sound, ledger={"sum": -5, "energy_sum": 0, "lines": 3})


def _never_settled(sound: Evidence) -> Evidence:
    return replace(sound, intervals=[{"start": "2026-03-17T10:00:00+00:00", "state": "metered", "settled": False}])


def _replay_parts(sound: Evidence) -> Evidence:
    return replace(sound, proofs=[{**PROOF, "parted_at": "TRADE#7"}])


def _counted_twice(sound: Evidence) -> Evidence:
    return replace(sound, readings=[*sound.readings[:1], replace(sound.readings[1], import_wh=200), sound.readings[2]])


def _beside_the_plant(sound: Evidence) -> Evidence:
    return replace(sound, readings=[replace(_reading(2), register_import_wh=400)])


def _ended(sound: Evidence) -> Evidence:
    return replace(sound, chronicle=replace(sound.chronicle, ended=["home-1 ended with code 1: MemoryError"]))


def _never_started(sound: Evidence) -> Evidence:
    return replace(sound, chronicle=replace(sound.chronicle, failed_starts=["home-1 was not ready within 60 s"]))


def _traceback(sound: Evidence) -> Evidence:
    return replace(sound, tracebacks={"home-1": ("IndexError: list index out of range",)})


def _set_aside(sound: Evidence) -> Evidence:
    return replace(sound, set_aside=["orders:12: ValueError"])


def _above_the_limit(sound: Evidence) -> Evidence:
    lifted = {**_power(150), "connection_w": -4000.0}
    return replace(sound, truth=_with(sound, 200, 230, lifted))


def _never_free(sound: Evidence) -> Evidence:
    return replace(sound, truth=_with(sound, 400, 600, _power(150)))


def _station_holds_on(sound: Evidence) -> Evidence:
    return replace(sound, stations=[*sound.stations, _station(120, leased=True)])


def _station_allows(sound: Evidence, *allowed_w: float, least_w: float = 1_380.0) -> Evidence:
    """Return a run in which the station allows these powers, one each ten seconds from an order's effect on."""
    said = [
        replace(_station(100 + 10 * at, leased=True), told_s_ago=20.0, allowed_w=one, least_w=least_w)
        for at, one in enumerate(allowed_w)
    ]
    return replace(sound, limits=[*sound.limits, STATION_LIMIT], stations=said)


def _station_takes_too_much(sound: Evidence) -> Evidence:
    return _station_allows(sound, 2_300.0, 6_900.0, 6_900.0, 6_900.0, 2_300.0)


def _station_pauses_for_good(sound: Evidence) -> Evidence:
    return _station_allows(sound, *[0.0] * 40)


def _certificate(*more: Struck) -> Chronicle:
    """Return what happened where a certificate had ended for a hundred seconds, among other things."""
    fault = Fault(number=1, kind=FaultKind.CERTIFICATE, target=SITE, at_s=500.0, for_s=100.0, seed=1, detail=ENDED)
    return Chronicle(struck=[Struck(fault=fault, from_s=500.0, to_s=600.0), *more])


def _spoke_to_another_door(sound: Evidence) -> Evidence:
    return replace(sound, sessions=[*sound.sessions, Session(gateway=SITE, at_s=550.0, wrong=DOOR)])


def _not_back(sound: Evidence) -> Evidence:
    return replace(sound, chronicle=_certificate())


def _charges(sound: Evidence, *transactions: str | None) -> Evidence:
    said = [replace(_station(5, leased=False), transaction=one) for one in transactions]
    return replace(sound, stations=said)


def _started_twice(sound: Evidence) -> Evidence:
    return _charges(sound, None, "7", "8")


def _charge_stopped(sound: Evidence) -> Evidence:
    return _charges(sound, None, "7", "7", None)


def _lie_is_paid(sound: Evidence) -> Evidence:
    return replace(sound, lies_wh={0: 5_000})


def _never_in_effect(sound: Evidence) -> Evidence:
    return replace(sound, limits=[replace(LIMIT, held_from_ms=None, refusals=("unknown issuer",))])


def _late_in_effect(sound: Evidence) -> Evidence:
    return replace(sound, limits=[replace(LIMIT, given_ms=START_MS + 30_000)])


def _grown(sound: Evidence) -> Evidence:
    usage = Usage(name="cloud", at_s=9.0, rss_mb=900.0, descriptors=20, files_bytes=1000)
    return replace(sound, chronicle=replace(sound.chronicle, usage=[*sound.chronicle.usage, usage]))


def _creeping(sound: Evidence, *, to_h: int = 8, by_mb_h: float = 2.0) -> Evidence:
    usage = [
        Usage(name="cloud", at_s=hour * 3600.0, rss_mb=90.0 + by_mb_h * hour, descriptors=20, files_bytes=1000)
        for hour in range(to_h + 1)
    ]
    return replace(sound, chronicle=replace(sound.chronicle, usage=usage))


def _with(sound: Evidence, from_s: int, to_s: int, power: dict[str, float]) -> list[tuple[int, Any]]:
    return [
        (at_ms, {SITE: power} if START_MS + from_s * 1000 <= at_ms < START_MS + to_s * 1000 else sites)
        for at_ms, sites in sound.truth
    ]


BROKEN: dict[str, tuple[Callable[[Evidence], Evidence], ...]] = {
    "stations_let_go": (_station_holds_on,),
    "stations_obey": (_station_takes_too_much, _station_pauses_for_good),
    "certificates_decide": (_spoke_to_another_door, _not_back),
    "cars_are_started_once": (_started_twice, _charge_stopped),
    "nothing_lost": (_lost, _set_aside),
    "books_balance": (_ledger_off, _replay_parts, _a_line_is_gone, _never_settled),
    "meters_agree": (_counted_twice, _beside_the_plant),
    "processes_live": (_ended, _never_started),
    "refusals_typed": (_traceback,),
    "orders_take_effect": (_never_in_effect, _late_in_effect),
    "limits_held": (_above_the_limit,),
    "leases_end": (_never_free,),
    "nothing_grows": (_grown, _creeping),
    "lies_are_bounded": (_lie_is_paid,),
}


def test_a_run_that_kept_its_promises_passes() -> None:
    """A judge that cries without cause is not listened to."""
    assert judge(_sound()) == []


@pytest.mark.parametrize(
    ("name", "breaks"),
    [(name, breaks) for name, several in BROKEN.items() for breaks in several],
    ids=lambda value: getattr(value, "__name__", value).strip("_"),
)
def test_a_broken_promise_is_found_by_its_judge(name: str, breaks: Callable[[Evidence], Evidence]) -> None:
    """One breach, one judge, and the words say where."""
    findings = judge(breaks(_sound()))
    assert {finding.judge for finding in findings} == {name}
    assert all(finding.what for finding in findings)


@pytest.mark.parametrize(("to_h", "by_mb_h"), [(5, 2.0), (24, 0.1)])
def test_a_part_that_is_young_or_grows_by_little_does_not_creep(to_h: int, by_mb_h: float) -> None:
    """In its first hours a process loads what it needs; a twentieth after that is noise."""
    assert judge(_creeping(_sound(), to_h=to_h, by_mb_h=by_mb_h)) == []


def test_every_judge_has_a_breach_that_it_finds() -> None:
    """A judge that never found anything may be blind."""
    assert set(BROKEN) == {one.__name__ for one in JUDGES}


def test_an_inverter_that_forgot_its_orders_has_the_edge_lease_to_take_them_again() -> None:
    """Nobody can hold a limit in a device without supply; longer than the lease is a breach again."""
    sound = _sound()
    lifted = {**_power(150), "connection_w": -4000.0}
    rebooted = replace(sound, reboots=[(SITE, START_MS + 199_000)])
    assert judge(replace(rebooted, truth=_with(sound, 200, 250, lifted))) == []
    assert judge(replace(rebooted, truth=_with(sound, 200, 320, lifted))) != []


def test_a_load_that_falls_may_take_the_control_a_few_cycles() -> None:
    """A cap follows the load; what is over before the bound is no breach."""
    sound = _sound()
    assert judge(replace(sound, truth=_with(sound, 200, 210, {**_power(150), "connection_w": -1500.0}))) == []


@pytest.mark.parametrize(
    ("target", "ended_s", "excused"),
    [(SITE, 60, True), (f"{SITE}/meter", 60, True), ("broker", 60, True), ("home-2", 60, False), ("cloud", 60, False)],
)
def test_an_order_is_owed_its_effect_where_nothing_on_its_way_failed(
    target: str, ended_s: int, *, excused: bool
) -> None:
    """What befell others is no excuse, and neither is what was over long before."""
    sound = replace(_sound(), limits=[replace(LIMIT, held_from_ms=None)])
    fault = Fault(number=1, kind=FaultKind.KILL, target=target, at_s=40.0, for_s=20.0, seed=1)
    struck = Struck(fault=fault, from_s=40.0, to_s=float(ended_s))
    assert (not judge(replace(sound, chronicle=replace(sound.chronicle, struck=[struck])))) is excused
    long_before = replace(struck, from_s=-300.0, to_s=-200.0)
    assert judge(replace(sound, chronicle=replace(sound.chronicle, struck=[long_before])))


def test_a_station_keeps_an_order_over_one_phase_after_a_pause() -> None:
    """It changes its phases seldom, and one that cannot change pauses where three phases take too much."""
    sound = _sound()
    assert judge(_station_allows(sound, *[0.0] * 30, 2_300.0, *[2_300.0] * 10)) == []
    assert judge(_station_allows(sound, *[0.0] * 40, least_w=4_140.0)) == []
    assert judge(replace(_station_allows(sound, *[0.0] * 40), events_ms=[(START_MS, START_MS + 500_000)])) == []
    kill = Fault(number=1, kind=FaultKind.KILL, target=SITE, at_s=40.0, for_s=20.0, seed=1)
    struck = Chronicle(struck=[Struck(fault=kill, from_s=200.0, to_s=220.0)])
    assert judge(replace(_station_allows(sound, *[0.0] * 40), chronicle=struck)) == []
    assert judge(replace(_station_allows(sound, *[11_000.0] * 3), chronicle=struck)) != []
    alone = _station_allows(sound, *[2_300.0] * 14, *[4_140.0] * 5)
    alone = replace(alone, stations=[replace(said, leased=said.allowed_w < 4_000.0) for said in alone.stations])
    assert judge(replace(alone, chronicle=struck)) == [], "nobody renews its lease, and it is at its safe current"
    assert judge(alone) != [], "nothing keeps its gateway from it"
    assert judge(_station_allows(sound, 4_140.0, 2_300.0)) == [], "one that has just called is told its fallback first"


def test_a_gateway_owes_its_return_after_a_certificate_where_nothing_else_keeps_it_away() -> None:
    """It is back once its file is renewed; with the broker down nobody is."""
    sound = _sound()
    back = [*sound.sessions, Session(gateway=SITE, at_s=612.0, wrong="")]
    assert judge(replace(sound, chronicle=_certificate(), sessions=back)) == []
    kill = Fault(number=2, kind=FaultKind.KILL, target="broker", at_s=590.0, for_s=20.0, seed=1)
    struck = Struck(fault=kill, from_s=590.0, to_s=610.0)
    assert judge(replace(sound, chronicle=_certificate(struck))) == []
    assert judge(replace(sound, chronicle=_certificate(), ended_ms=START_MS + 700_000)) == [], "it ended too soon"
