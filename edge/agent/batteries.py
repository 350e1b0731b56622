"""The site's batteries as a plan takes them: what they can do, and where they stand now."""

from collections.abc import Sequence
from datetime import datetime

from edge.agent.site_tariff import SiteTariff
from edge.config import SiteConfig
from edge.loop.measured import measured
from edge.loop.readings import SOC
from edge.loop.seen import CycleSeen
from edge.trading.model import Battery
from edge.trading.plan.horizon import store_of
from edge.trading.plan.problem import Store

# An older state of charge is none.
_SOC_FRESH_S = 60.0


def known_batteries(
    config: SiteConfig, cycle: CycleSeen | None, tariff: SiteTariff, *, now: datetime
) -> tuple[Battery, ...] | None:
    """Return the batteries whose state of charge is known, ``None`` where the site has none at all.

    Args:
        config: Of the site.
        cycle: What the last control cycle saw, ``None`` before the first.
        tariff: Knows the wall clock that a target's time is told by.
        now: The instant.
    """
    own = [(section.id, section.battery) for section in config.devices if section.battery is not None]
    if not own:
        return None
    found = []
    for device, battery in own:
        soc = None
        if cycle is not None:
            soc = measured(cycle.readings[device].get(SOC), cycle.taken_s).usable(within_s=_SOC_FRESH_S)
        if soc is None:
            continue
        found.append(
            Battery(
                capacity_wh=float(battery.capacity_wh),
                charge_w_max=float(battery.charge_limit_w),
                discharge_w_max=float(battery.discharge_limit_w),
                soc_percent=soc,
                soc_percent_min=battery.soc_min_percent,
                soc_percent_max=battery.soc_max_percent,
                efficiency=battery.efficiency,
                target_soc_percent=0.0 if battery.target is None else battery.target.soc_percent,
                target_at=None if battery.target is None else tariff.next_at(battery.target.by, now),
            )
        )
    return tuple(found)


def stores_of(batteries: Sequence[Battery]) -> tuple[Store, ...]:
    """Return batteries as the plan's stores, numbered from one on."""
    return tuple(store_of(battery, name=f"battery {number}") for number, battery in enumerate(batteries, start=1))
