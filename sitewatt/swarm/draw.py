"""Draws a plan from a seed: pure, and the same for the same arguments on every machine."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from firmware_sim.fault_rules import FaultKind as WireFault
from firmware_sim.series import Week
from sitewatt.demo.neighbourhood import SITES_MIN, Neighbourhood, Site, neighbourhood
from sitewatt.swarm.plan import BROKER, CLOUD, EVERYTHING, Fault, FaultKind, Order, Plan

SITES_MAX: Final = 6
# Nothing goes wrong in the first and in the last part of a run, so that all can come up and recover.
FAULTS_FROM, FAULTS_TO = 0.08, 0.70
# The mean distance of two faults in site time; a run always has some.
FAULT_EVERY_S: Final = 120.0
FAULTS_MIN: Final = 3
_WEIGHTS: Final = {
    FaultKind.KILL: 4, FaultKind.KILL_ONE: 4, FaultKind.PAUSE: 3, FaultKind.DEVICE: 5, FaultKind.GARBAGE: 2,
    FaultKind.REPEAT: 2, FaultKind.POWER_CUT: 1, FaultKind.DISK: 2,
}  # fmt: skip
_WIRE_FAULTS: Final = (
    WireFault.DELAY, WireFault.LATE, WireFault.DROP, WireFault.HALF_OPEN, WireFault.DUPLICATE, WireFault.TRUNCATE,
    WireFault.WRONG_UNIT, WireFault.SWAP, WireFault.EXCEPTION, WireFault.SENTINELS, WireFault.ZEROS, WireFault.REBOOT,
)  # fmt: skip
_WIRE_FAULT_S_MIN: Final = 10.0
_DISK_S_MIN: Final = 20.0
_OUTAGES_S: Final = (0.0, 5.0, 20.0, 60.0, 130.0, 300.0)
ORDER_S_MIN, ORDER_S_MAX = 150.0, 420.0


def draw(seed: int, *, speed: float, span_s: float, sites: int | None = None) -> Plan:
    """Return what a seed stands for.

    Args:
        speed: How fast time runs on the sites.
        span_s: How long the neighbourhood runs, in site time.
        sites: How many sites there are; drawn where it is ``None``.
    """
    place = _place(random.Random(f"{seed}/place"), sites)
    faults = _faults(random.Random(f"{seed}/faults"), place, span_s)
    orders = _orders(random.Random(f"{seed}/orders"), place.sites, span_s)
    return Plan(seed=seed, place=place, speed=speed, span_s=span_s, faults=faults, orders=orders)


def _place(generator: random.Random, sites: int | None) -> Neighbourhood:
    count = generator.choice((2, 3, 3, 4, SITES_MAX)) if sites is None else sites
    place = neighbourhood(sites=max(SITES_MIN, count), week=generator.choice(list(Week)))
    later = timedelta(minutes=generator.randrange(-240, 120))
    return replace(place, started_at=place.started_at + later)


def _faults(generator: random.Random, place: Neighbourhood, span_s: float) -> tuple[Fault, ...]:
    count = max(FAULTS_MIN, round((FAULTS_TO - FAULTS_FROM) * span_s / FAULT_EVERY_S))
    instants = sorted(generator.uniform(FAULTS_FROM, FAULTS_TO) * span_s for _ in range(count))
    return tuple(_fault(generator, number, at_s, place, span_s) for number, at_s in enumerate(instants, start=1))


def _fault(generator: random.Random, number: int, at_s: float, place: Neighbourhood, span_s: float) -> Fault:
    sites = [site.id for site in place.sites]
    kind = generator.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
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
            target, for_s = generator.choice([place.feeder.id, *sites]), max(for_s, _DISK_S_MIN)
        case _:
            target = generator.choice([place.feeder.id, *sites, *sites, BROKER, CLOUD, CLOUD])
    seed = generator.getrandbits(32)
    return Fault(number=number, kind=kind, target=target, at_s=round(at_s, 1), for_s=for_s, seed=seed, detail=detail)


def _orders(generator: random.Random, sites: Sequence[Site], span_s: float) -> tuple[Order, ...]:
    """Return limits one after another for each site that has something to limit."""
    found: list[Order] = []
    for site in sites:
        at_s = generator.uniform(0.05, 0.3) * span_s
        while site.pv_peak_w and at_s < FAULTS_TO * span_s:
            for_s = min(generator.uniform(ORDER_S_MIN, ORDER_S_MAX), 0.85 * span_s - at_s)
            export_w_max = generator.choice((0, 500, 1000, site.pv_peak_w // 4))
            found.append(Order(number=len(found) + 1, site=site.id, export_w_max=export_w_max, at_s=at_s, for_s=for_s))
            at_s += for_s + generator.uniform(60.0, 300.0)
    return tuple(found)
