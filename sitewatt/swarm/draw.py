"""Draws a plan from a seed: pure, and the same for the same arguments on every machine."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from firmware_sim.fault_rules import FaultKind as WireFault
from firmware_sim.series import Week
from sitewatt.demo.neighbourhood import SITES_MIN, Neighbourhood, Site, neighbourhood
from sitewatt.swarm.doors import CERTIFICATES
from sitewatt.swarm.liar import LIES
from sitewatt.swarm.plan import BROKER, CLOUD, EVERYTHING, LIAR, Fault, FaultKind, Order, Ordered, Plan

SITES_MAX: Final = 6
# Nothing goes wrong in the first and in the last part of a run, so that all can come up and recover.
FAULTS_FROM, FAULTS_TO = 0.08, 0.70
# The mean distance of two faults in site time; a run always has some.
FAULT_EVERY_S: Final = 120.0
FAULTS_MIN: Final = 3
# Faults hide one another: a dead inverter cannot show a lease that does not end. So a seed draws from some of the kinds
# only, and some seeds draw none at all. Source: Groce et al., Swarm Testing, ISSTA 2012.
QUIET_SHARE: Final = 0.12
KIND_SHARE: Final = 0.6
# What fails seldom fails alone: so often the next fault follows within so many seconds.
CASCADE_SHARE, CASCADE_S_MAX = 0.4, 15.0
_WEIGHTS: Final = {
    FaultKind.KILL: 4, FaultKind.KILL_ONE: 4, FaultKind.PAUSE: 3, FaultKind.DEVICE: 5, FaultKind.GARBAGE: 2,
    FaultKind.REPEAT: 2, FaultKind.POWER_CUT: 2, FaultKind.DISK: 2, FaultKind.CLOCK: 2, FaultKind.LIE: 2,
    FaultKind.CERTIFICATE: 3,
}  # fmt: skip
_STEPS_S: Final = (86_400, -86_400, 3_600, -3_600, 30)
_WIRE_FAULTS: Final = (
    WireFault.DELAY, WireFault.LATE, WireFault.DROP, WireFault.HALF_OPEN, WireFault.DUPLICATE, WireFault.TRUNCATE,
    WireFault.WRONG_UNIT, WireFault.SWAP, WireFault.EXCEPTION, WireFault.SENTINELS, WireFault.ZEROS, WireFault.REBOOT,
)  # fmt: skip
_WIRE_FAULT_S_MIN: Final = 10.0
_DISK_S_MIN: Final = 20.0
_CLOCK_S_MIN: Final = 20.0
_CERTIFICATE_S_MIN: Final = 20.0
_OUTAGES_S: Final = (0.0, 5.0, 20.0, 60.0, 130.0, 300.0)
ORDER_S_MIN, ORDER_S_MAX = 150.0, 420.0
# A charger changes its phases at most every five minutes, and an order for one phase must be seen to be one.
STATION_ORDER_S_MAX: Final = 600.0
# None at all, then on both sides of the 1.38 kW that a car takes at least over one phase and the 4.14 kW over three.
_STATION_W: Final = (0, 1_300, 1_400, 2_300, 3_600, 4_500, 7_400)


def draw(
    seed: int,
    *,
    speed: float,
    span_s: float,
    sites: int | None = None,
    without: Collection[FaultKind] = (),
) -> Plan:
    """Return what a seed stands for.

    Args:
        without: Kinds of faults that are not drawn.
        speed: How fast time runs on the sites.
        span_s: How long the neighbourhood runs, in site time.
        sites: How many sites there are; drawn where it is ``None``.
    """
    place = _place(random.Random(f"{seed}/place"), sites)
    faults = _faults(random.Random(f"{seed}/faults"), place, span_s, without)
    orders = _numbered(
        [
            *_orders(random.Random(f"{seed}/orders"), place.sites, span_s),
            *_station_orders(random.Random(f"{seed}/station orders"), place.sites[0], span_s),
        ]
    )
    return Plan(seed=seed, place=place, speed=speed, span_s=span_s, faults=faults, orders=orders)


def _place(generator: random.Random, sites: int | None) -> Neighbourhood:
    count = generator.choice((2, 3, 3, 4, SITES_MAX)) if sites is None else sites
    place = neighbourhood(sites=max(SITES_MIN, count), week=generator.choice(list(Week)))
    later = timedelta(minutes=generator.randrange(-240, 120))
    return replace(place, started_at=place.started_at + later)


def _faults(
    generator: random.Random, place: Neighbourhood, span_s: float, without: Collection[FaultKind]
) -> tuple[Fault, ...]:
    kinds = {kind: weight for kind, weight in _WEIGHTS.items() if kind not in without}
    some = {kind: weight for kind, weight in kinds.items() if generator.random() < KIND_SHARE} or kinds
    if generator.random() < QUIET_SHARE or not some:
        return ()
    count = max(FAULTS_MIN, round((FAULTS_TO - FAULTS_FROM) * span_s / FAULT_EVERY_S))
    return tuple(
        _fault(generator, number, at_s, kinds=some, place=place, span_s=span_s)
        for number, at_s in enumerate(_instants(generator, count, span_s), start=1)
    )


def _instants(generator: random.Random, count: int, span_s: float) -> list[float]:
    """Return when faults begin, some of them just after another."""
    instants: list[float] = []
    for _ in range(count):
        if instants and generator.random() < CASCADE_SHARE:
            after_s = instants[-1] + generator.uniform(0.5, CASCADE_S_MAX)
            instants.append(min(after_s, FAULTS_TO * span_s))
        else:
            instants.append(generator.uniform(FAULTS_FROM, FAULTS_TO) * span_s)
    return sorted(instants)


def _fault(
    generator: random.Random,
    number: int,
    at_s: float,
    *,
    kinds: Mapping[FaultKind, int],
    place: Neighbourhood,
    span_s: float,
) -> Fault:
    sites = [site.id for site in place.sites]
    kind = generator.choices(list(kinds), weights=list(kinds.values()))[0]
    for_s = min(generator.choice(_OUTAGES_S), round((FAULTS_TO + 0.1) * span_s - at_s, 1))
    detail = ""
    match kind:
        case FaultKind.DEVICE:
            target = f"{generator.choice(sites)}/{generator.choice(('meter', 'inverter'))}"
            detail, for_s = generator.choice(_WIRE_FAULTS).value, max(for_s, _WIRE_FAULT_S_MIN)
        case FaultKind.GARBAGE:
            target, for_s = generator.choice(sites), 0.0
        case FaultKind.REPEAT:
            target = BROKER
        case FaultKind.POWER_CUT:
            target = EVERYTHING
        case FaultKind.DISK:
            target, for_s = generator.choice([place.feeder.id, *sites, CLOUD]), max(for_s, _DISK_S_MIN)
        case FaultKind.LIE:
            target, for_s, detail = LIAR, 0.0, generator.choice(LIES)
        case FaultKind.CERTIFICATE:
            target, for_s = generator.choice([place.feeder.id, *sites]), max(for_s, _CERTIFICATE_S_MIN)
            detail = generator.choice(CERTIFICATES)
        case FaultKind.CLOCK:
            target, for_s = generator.choice([place.feeder.id, *sites]), max(for_s, _CLOCK_S_MIN)
            detail = f"{generator.choice(_STEPS_S):+d}"
        case _:
            target = generator.choice([place.feeder.id, *sites, *sites, BROKER, CLOUD, CLOUD])
    seed = generator.getrandbits(32)
    return Fault(number=number, kind=kind, target=target, at_s=round(at_s, 1), for_s=for_s, seed=seed, detail=detail)


def _orders(generator: random.Random, sites: Sequence[Site], span_s: float) -> list[Order]:
    """Return limits one after another for each site that has something to limit."""
    found: list[Order] = []
    for site in sites:
        at_s = generator.uniform(0.05, 0.3) * span_s
        while site.pv_peak_w and at_s < FAULTS_TO * span_s:
            for_s = min(generator.uniform(ORDER_S_MIN, ORDER_S_MAX), 0.85 * span_s - at_s)
            export_w_max = generator.choice((0, 500, 1000, site.pv_peak_w // 4))
            found.append(Order(number=0, site=site.id, what=Ordered.EXPORT, max_w=export_w_max, at_s=at_s, for_s=for_s))
            at_s += for_s + generator.uniform(60.0, 300.0)
    return found


def _station_orders(generator: random.Random, site: Site, span_s: float) -> list[Order]:
    """Return limits one after another for the charging station of a site."""
    found: list[Order] = []
    at_s = generator.uniform(0.05, 0.2) * span_s
    while at_s < FAULTS_TO * span_s:
        for_s = min(generator.uniform(ORDER_S_MIN, STATION_ORDER_S_MAX), 0.85 * span_s - at_s)
        max_w = generator.choice(_STATION_W)
        found.append(Order(number=0, site=site.id, what=Ordered.STATION, max_w=max_w, at_s=at_s, for_s=for_s))
        at_s += for_s + generator.uniform(60.0, 300.0)
    return found


def _numbered(orders: Sequence[Order]) -> tuple[Order, ...]:
    in_time = sorted(orders, key=lambda order: (order.at_s, order.site, order.what))
    return tuple(replace(order, number=number) for number, order in enumerate(in_time, start=1))
