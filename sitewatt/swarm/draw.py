"""Draws a plan from a seed: pure, and the same for the same arguments on every machine."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from firmware_sim.series import Week
from sitewatt.demo.neighbourhood import SITES_MIN, Neighbourhood, Site, neighbourhood
from sitewatt.swarm.plan import BROKER, CLOUD, Fault, FaultKind, Order, Plan

SITES_MAX: Final = 6
# Nothing goes wrong in the first and in the last part of a run, so that all can come up and recover.
FAULTS_FROM, FAULTS_TO = 0.08, 0.70
# The mean distance of two faults in site time; a run always has some.
FAULT_EVERY_S: Final = 120.0
FAULTS_MIN: Final = 3
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
    names = [site.id for site in place.sites]
    parts = [place.feeder.id, *names, *names, BROKER, CLOUD, CLOUD]
    faults = _faults(random.Random(f"{seed}/faults"), parts, span_s)
    orders = _orders(random.Random(f"{seed}/orders"), place.sites, span_s)
    return Plan(seed=seed, place=place, speed=speed, span_s=span_s, faults=faults, orders=orders)


def _place(generator: random.Random, sites: int | None) -> Neighbourhood:
    count = generator.choice((2, 3, 3, 4, SITES_MAX)) if sites is None else sites
    place = neighbourhood(sites=max(SITES_MIN, count), week=generator.choice(list(Week)))
    later = timedelta(minutes=generator.randrange(-240, 120))
    return replace(place, started_at=place.started_at + later)


def _faults(generator: random.Random, parts: Sequence[str], span_s: float) -> tuple[Fault, ...]:
    count = max(FAULTS_MIN, round((FAULTS_TO - FAULTS_FROM) * span_s / FAULT_EVERY_S))
    instants = sorted(generator.uniform(FAULTS_FROM, FAULTS_TO) * span_s for _ in range(count))
    return tuple(
        Fault(
            number=number,
            kind=generator.choice(list(FaultKind)),
            target=generator.choice(parts),
            at_s=round(at_s, 1),
            for_s=min(generator.choice(_OUTAGES_S), round((FAULTS_TO + 0.1) * span_s - at_s, 1)),
            seed=generator.getrandbits(32),
        )
        for number, at_s in enumerate(instants, start=1)
    )


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
